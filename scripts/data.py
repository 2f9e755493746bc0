"""Check, convert, count, split and decontaminate annotated sentences.

python -m scripts.data check data/* mine.conll
python -m scripts.data convert mine.conll --to ner-cot --out mine.jsonl
python -m scripts.data stats data/train/* --evaluation data/test/*
python -m scripts.data split mine.jsonl --out split
python -m scripts.data decontaminate data/train/* --evaluation data/test/* --out clean.jsonl

A path is a file, a folder with splits, a glob pattern or demo/NAME; its format is detected. From a folder, the training
split is read (for --evaluation the test split, or else dev; for check all of them). docs/data.md lists the formats.
"""

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from rnr.corpus import decontamination, drawing, loading, statistics
from rnr.corpus.duplicates import Resolution
from rnr.corpus.formats.rows import DataError
from rnr.corpus.formats.writing import FORMATS, Losses, fields_lost, refuse_target, write
from rnr.corpus.report import Reading
from rnr.corpus.statistics_tables import tables
from rnr.files.jsonl import strict_json
from rnr.files.whole import write_whole
from rnr.messages import counted, few, plain_console
from rnr.model_folder import EMBEDDED_MODEL
from rnr.types import Example
from scripts.command_line import (
    READING,
    HowOffsets,
    HowSpaces,
    LabelNames,
    TagColumn,
    new_app,
    reading_of,
    refuse_idle,
    repeated,
    run,
    within,
)

app = new_app(__doc__)

SHOWN_LABELS = 20


def main(argv: list[str]) -> int:
    return run(app, repeated(argv, "--evaluation"))


def _known(form: str) -> str:
    if form not in FORMATS:
        raise typer.BadParameter(f"must be one of {', '.join(FORMATS)}; found {form}")
    return form


Paths = Annotated[list[str], typer.Argument(metavar="PATH", help="files, folders, patterns or demo/NAME")]
SkipBadRows = Annotated[bool, typer.Option("--skip-bad-rows", help="skip and count rows that cannot be used")]
Duplicates = Annotated[Resolution, typer.Option(help="which rows of the same sentence are kept")]


@app.command()
def check(
    context: typer.Context,
    paths: Paths,
    limit: Annotated[int, typer.Option(callback=within(0), help="maximum number of problems listed; 0: all")] = 100,
    tag_column: TagColumn = READING.tag_column,
    spaces: HowSpaces = READING.spaces,
    offsets: HowOffsets = READING.offsets,
    labels: LabelNames = "",
    duplicates: Duplicates = "keep",
) -> int:
    """Report problems by file and row. The exit code is 1 if there are any."""
    reading = Reading(options=reading_of(context.params))
    usable = problems = 0
    used: Counter[str] = Counter()
    for row in loading.check(paths, reading, duplicates):
        if not isinstance(row, DataError):
            usable += 1
            used.update(mention.label for mention in row.mentions)
            continue
        problems += 1
        if not limit or problems <= limit:
            print(row)
    if 0 < limit < problems:
        print(f"... and {problems - limit} more; --limit 0 lists all")
    for line in reading.report.lines():
        print(f"note: {line}")
    if usable:
        print(f"{counted(used.total(), 'mention')}{_by_label(used)}")
    print(f"{counted(usable, 'sentence')} can be used, {counted(problems, 'problem')}")
    return 1 if problems else 0


def _by_label(labels: Counter[str]) -> str:
    """``: person 3, city 1``, the most frequent first, and how many more there are."""
    listed = few([f"{label} {count}" for label, count in labels.most_common()], SHOWN_LABELS)
    return f": {listed}" if listed else ""


@app.command()
def convert(
    context: typer.Context,
    paths: Paths,
    to: Annotated[str, typer.Option(callback=_known, help=", ".join(FORMATS))],
    out: Annotated[Path, typer.Option(help="a new file (for hf a folder)")],
    skip_bad_rows: SkipBadRows = False,
    tag_column: TagColumn = READING.tag_column,
    spaces: HowSpaces = READING.spaces,
    offsets: HowOffsets = READING.offsets,
    labels: LabelNames = "",
    duplicates: Duplicates = "keep",
) -> int:
    """Write sentences to one file in another format."""
    seen, reading = Losses(), Reading(options=reading_of(context.params))
    if FORMATS[to].streams and duplicates == "keep":
        examples = loading.stream(paths, training=True, reading=reading, skip_bad_rows=skip_bad_rows)
    else:
        examples = _load(context.params, paths, reading=reading)
    write(seen.passing(examples), out, to)
    if lost := [*seen.lines(out, to), *fields_lost(reading.report)]:
        print(f"lost, because {to} cannot hold them: {'; '.join(lost)}", file=sys.stderr)
    for note in seen.elsewhere(out, to):
        print(f"note: {note}")
    print(f"{counted(seen.examples, 'sentence')} -> {out}")
    return 0


@app.command()
def stats(
    context: typer.Context,
    paths: Paths,
    evaluation: Annotated[list[str] | None, typer.Option(metavar="PATH...", help="evaluation data")] = None,
    model: Annotated[
        str, typer.Option(help=f"model whose tokenizer counts the lengths; default: {EMBEDDED_MODEL}")
    ] = "",
    words: Annotated[bool, typer.Option("--words", help="lengths in whitespace-separated words instead")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="also write the figures to this file")
    ] = None,
    skip_bad_rows: SkipBadRows = False,
    tag_column: TagColumn = READING.tag_column,
    spaces: HowSpaces = READING.spaces,
    offsets: HowOffsets = READING.offsets,
    labels: LabelNames = "",
    duplicates: Duplicates = "keep",
) -> int:
    """Count sentences, mentions, labels and lengths. With --evaluation also the overlap of both."""
    if words:
        refuse_idle(context, ["model"], "with --words")
    train = _load(context.params, paths)
    scored = _load(context.params, evaluation, training=False) if evaluation else []
    unit, lengths = _lengths(model, words=words)
    found = statistics.figures(train, scored, unit, lengths)
    plain_console().print(*tables(found))
    if json_file:
        write_whole(json_file, strict_json(found, indent=1) + "\n")
    return 0


def _lengths(model: str, *, words: bool) -> tuple[str, statistics.Lengths]:
    """The unit of lengths, and how to count them: words if no model is named and the embedded one is missing."""
    if words:
        return "words", statistics.words
    try:
        return "tokens", statistics.tokens_of(model or EMBEDDED_MODEL)
    except ValueError as error:
        if model:
            raise
        print(f"lengths are in whitespace-separated words: {error}; or give a --model", file=sys.stderr)
        return "words", statistics.words


@app.command()
def split(
    context: typer.Context,
    paths: Paths,
    out: Annotated[Path, typer.Option(help="a folder for train.jsonl and test.jsonl")],
    test_share: Annotated[float, typer.Option(help="share of the sentences, between 0 and 1")] = 0.1,
    seed: Annotated[int, typer.Option(help="seed of the draw")] = 0,
    skip_bad_rows: SkipBadRows = False,
    tag_column: TagColumn = READING.tag_column,
    spaces: HowSpaces = READING.spaces,
    offsets: HowOffsets = READING.offsets,
    labels: LabelNames = "",
    duplicates: Duplicates = "keep",
) -> int:
    """Divide sentences into training and test. Each source gives the same share; no sentence is on both sides."""
    if not 0 < test_share < 1:
        raise ValueError(f"--test-share must be between 0 and 1; found {test_share}")
    files = {name: out / f"{name}.jsonl" for name in ("train", "test")}
    for file in files.values():
        refuse_target(file, "jsonl")  # both, before there is one of them
    sides = drawing.split(_load(context.params, paths), test_share, seed)
    for name, examples in zip(files, sides, strict=True):
        if not examples:
            raise ValueError(f"--test-share {test_share}: too few sentences, none left for {name}")
    for file, examples in zip(files.values(), sides, strict=True):
        write(examples, file, "jsonl")
        share = len(examples) / (len(sides[0]) + len(sides[1]))
        print(f"{counted(len(examples), 'sentence')} ({100 * share:.0f} %) -> {file}")
    if why := drawing.other_share(sides, test_share):
        print(f"note: --test-share {test_share:g} of each source is not met: {why}")
    return 0


@app.command()
def decontaminate(
    context: typer.Context,
    paths: Paths,
    evaluation: Annotated[list[str], typer.Option(metavar="PATH...", help="evaluation data")],
    out: Annotated[Path, typer.Option(help="a new JSONL file for the remaining sentences")],
    keep_source: Annotated[list[str] | None, typer.Option(metavar="NAME", help="keep this training set")] = None,
    skip_bad_rows: SkipBadRows = False,
    tag_column: TagColumn = READING.tag_column,
    spaces: HowSpaces = READING.spaces,
    offsets: HowOffsets = READING.offsets,
    labels: LabelNames = "",
    duplicates: Duplicates = "keep",
) -> int:
    """Drop training sentences that would inflate the evaluation."""
    train = _load(context.params, paths)
    scored = _load(context.params, evaluation, training=False)
    kept, dropped = decontamination.decontaminate(train, scored, keep_source or [])
    counts = Counter((example.source, dropped[example.uid]) for example in train if example.uid in dropped)
    table = Table("source", "why", "sentences", title="Dropped from training")
    for (source, reason), count in sorted(counts.items()):
        table.add_row(source, reason, str(count))
    plain_console().print(table)
    if not kept:
        raise ValueError("no training sentences left; --keep-source NAME keeps a benchmark's training set")
    write(kept, out, "jsonl")
    print(f"{len(kept)} of {counted(len(train), 'sentence')} -> {out}")
    return 0


def _load(
    options: Mapping[str, Any], paths: Sequence[str], *, training: bool = True, reading: Reading | None = None
) -> list[Example]:
    return loading.load(
        paths,
        training=training,
        skip_bad_rows=options["skip_bad_rows"],
        options=reading_of(options),
        duplicates=options["duplicates"] if training else "keep",
        reading=reading,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

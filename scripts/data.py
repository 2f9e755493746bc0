"""Annotated sentences: what is wrong with them, what is in them, and from one format to another.

python -m scripts.data check data/* mine.conll
python -m scripts.data convert mine.conll --to ner-cot --out mine.jsonl
python -m scripts.data stats data/train/* --evaluation data/test/*
python -m scripts.data split mine.jsonl --out split
python -m scripts.data decontaminate data/train/* --evaluation data/test/* --out clean.jsonl

A path is a file, a folder with splits, a pattern or demo/NAME; its format is found out. Of a folder, the training split
is read (for --evaluation its test or else its dev split, for check all of them). docs/data.md lists the formats.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.table import Table

from rnr.config import ReadingConfig
from rnr.corpus import decontamination, drawing, loading, statistics
from rnr.corpus.duplicates import Resolution
from rnr.corpus.formats.rows import DataError
from rnr.corpus.formats.writing import FORMATS, Losses, write
from rnr.corpus.report import Reading
from rnr.corpus.statistics_tables import tables
from rnr.files import strict_json
from rnr.model_folder import EMBEDDED_MODEL
from rnr.runs.commands import as_called
from rnr.types import Example

SHOWN_LABELS = 20


def main(argv: list[str]) -> int:
    options = _parser().parse_args(argv)
    try:
        return options.act(options)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=as_called(__doc__ or ""), formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)

    def command(act: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(act.__name__, help=act.__doc__, description=act.__doc__)
        added.add_argument("paths", nargs="+", metavar="PATH")
        if act is not check:
            added.add_argument("--skip-bad-rows", action="store_true", help="leave out and count what cannot be used")
        for name, field in ReadingConfig.model_fields.items():
            added.add_argument(f"--{name.replace('_', '-')}", default=field.default, help=_one_line(field.description))
        added.add_argument("--duplicates", choices=get_args(Resolution), default="keep", help="rows of one sentence")
        added.set_defaults(act=act)
        return added

    command(check).add_argument("--limit", type=int, default=100, help="problems listed; 0 lists all")

    converting = command(convert)
    converting.add_argument("--to", required=True, choices=FORMATS)
    converting.add_argument("--out", required=True, type=Path, help="a new file (for hf a folder)")

    counting = command(stats)
    counting.add_argument("--evaluation", nargs="+", default=[], metavar="PATH")
    counting.add_argument("--model", help=f"the model in whose tokens lengths are given; default: {EMBEDDED_MODEL}")
    counting.add_argument("--words", action="store_true", help="give lengths in words between white space instead")
    counting.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")

    splitting = command(split)
    splitting.add_argument("--out", required=True, type=Path, help="a folder for train.jsonl and test.jsonl")
    splitting.add_argument("--test-share", type=float, default=0.1)
    splitting.add_argument("--seed", type=int, default=0)

    cleaning = command(decontaminate)
    cleaning.add_argument("--evaluation", nargs="+", required=True, metavar="PATH")
    cleaning.add_argument("--out", required=True, type=Path, help="a new JSONL file for what is left")
    cleaning.add_argument("--keep-source", action="append", default=[], metavar="NAME", help="keep this training set")
    return parser


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split()).replace("%", "%%")


def _reading(options: argparse.Namespace) -> ReadingConfig:
    """How files are read: every command has the keys of ``data.reading`` as options; commas divide lists."""
    given = {name: getattr(options, name) for name in ReadingConfig.model_fields}
    lists = [name for name in given if isinstance(ReadingConfig.model_fields[name].default, tuple)]
    given |= {name: given[name].split(",") for name in lists if isinstance(given[name], str)}
    return ReadingConfig.model_validate(given)


def check(options: argparse.Namespace) -> int:
    """Say what is wrong, by file and row; the status is 1 if anything is."""
    reading = Reading(options=_reading(options))
    usable = problems = 0
    labels: Counter[str] = Counter()
    for row in loading.check(options.paths, reading, options.duplicates):
        if not isinstance(row, DataError):
            usable += 1
            labels.update(mention.label for mention in row.mentions)
            continue
        problems += 1
        if not options.limit or problems <= options.limit:
            print(row)
    if 0 < options.limit < problems:
        print(f"... and {problems - options.limit} more; --limit 0 lists all")
    for line in reading.report.lines():
        print(f"noted: {line}")
    if usable:
        print(f"{labels.total()} mentions{_counted(labels)}")
    print(f"{usable} sentences can be used, {problems} problems")
    return 1 if problems else 0


def _counted(labels: Counter[str]) -> str:
    """``: person 3, city 1``, the most frequent first, and how many more there are."""
    listed = ", ".join(f"{label} {count}" for label, count in labels.most_common(SHOWN_LABELS))
    more = f" and {len(labels) - SHOWN_LABELS} more" if len(labels) > SHOWN_LABELS else ""
    return f": {listed}{more}" if listed else ""


def convert(options: argparse.Namespace) -> int:
    """Write the sentences of all paths into one file of another format."""
    seen = Losses()
    if FORMATS[options.to].streams and options.duplicates == "keep":
        reading = Reading(options=_reading(options))
        skip = options.skip_bad_rows
        examples = loading.stream(options.paths, training=True, reading=reading, skip_bad_rows=skip)
    else:
        examples = _load(options, options.paths)
    write(seen.passing(examples), options.out, options.to)
    if lost := seen.lines(options.out, options.to):
        print(f"lost, because {options.to} has no place for them: {'; '.join(lost)}", file=sys.stderr)
    print(f"{seen.examples} sentences -> {options.out}")
    return 0


def stats(options: argparse.Namespace) -> int:
    """Count sentences, mentions, labels and lengths, and what training and evaluation have in common."""
    train = _load(options, options.paths)
    evaluation = _load(options, options.evaluation, training=False) if options.evaluation else []
    unit, lengths = _lengths(options)
    found = statistics.figures(train, evaluation, unit, lengths)
    Console().print(*tables(found))
    if options.json:
        options.json.write_text(strict_json(found, indent=1) + "\n", encoding="utf-8")
    return 0


def _lengths(options: argparse.Namespace) -> tuple[str, statistics.Lengths]:
    """The unit of lengths, and how they are counted: in words where the embedded model is missing and none is named."""
    if options.words:
        return "words", statistics.words
    try:
        return "tokens", statistics.tokens_of(options.model or EMBEDDED_MODEL)
    except ValueError as error:
        if options.model:
            raise
        print(f"lengths are in words between white space: {error}; or name a --model", file=sys.stderr)
        return "words", statistics.words


def split(options: argparse.Namespace) -> int:
    """Divide sentences into training and test, the same share of each source, no sentence on both sides."""
    if not 0 < options.test_share < 1:
        raise ValueError(f"--test-share must lie between 0 and 1, found {options.test_share}")
    sides = drawing.split(_load(options, options.paths), options.test_share, options.seed)
    for name, examples in zip(("train", "test"), sides, strict=True):
        if not examples:
            raise ValueError(f"--test-share {options.test_share} of so few sentences leaves none for {name}")
    for name, examples in zip(("train", "test"), sides, strict=True):
        write(examples, options.out / f"{name}.jsonl", "jsonl")
        print(f"{len(examples)} sentences -> {options.out / name}.jsonl")
    return 0


def decontaminate(options: argparse.Namespace) -> int:
    """Leave out the training sentences that would make an evaluation too good."""
    train = _load(options, options.paths)
    evaluation = _load(options, options.evaluation, training=False)
    kept, dropped = decontamination.decontaminate(train, evaluation, options.keep_source)
    counts = Counter((example.source, dropped[example.uid]) for example in train if example.uid in dropped)
    table = Table("source", "why", "sentences", title="Left out of training")
    for (source, reason), count in sorted(counts.items()):
        table.add_row(source, reason, str(count))
    Console().print(table)
    if not kept:
        raise ValueError("nothing is left to train on; --keep-source NAME keeps a benchmark's own training set")
    write(kept, options.out, "jsonl")
    print(f"{len(kept)} of {len(train)} sentences -> {options.out}")
    return 0


def _load(options: argparse.Namespace, paths: Sequence[str], *, training: bool = True) -> list[Example]:
    return loading.load(
        paths,
        training=training,
        skip_bad_rows=options.skip_bad_rows,
        options=_reading(options),
        duplicates=options.duplicates if training else "keep",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

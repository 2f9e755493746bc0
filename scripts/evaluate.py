"""Score a model, or predictions that it made earlier, on annotated sentences.

python -m scripts.evaluate --model runs/demo/export --data demo/known demo/unseen
python -m scripts.evaluate --predictions runs/demo/predictions/grpo.jsonl --data demo/known demo/unseen \\
    --compare runs/demo/predictions/sft.jsonl
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rnr.corpus.drawing import draw_from_each
from rnr.corpus.loading import load
from rnr.evaluation.bootstrap import Difference
from rnr.evaluation.metrics import ERROR_KINDS, average
from rnr.evaluation.predictions import read_predictions, save_predictions
from rnr.evaluation.published import COLUMNS, PUBLISHED, STANDARDISED, columns
from rnr.evaluation.scoring import PROTOCOLS, Comparison, Report, Score, compare, report
from rnr.files import write_whole
from rnr.task.parsing import ERRORS
from rnr.types import Example


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    answers = parser.add_mutually_exclusive_group(required=True)
    answers.add_argument("--model", help="a Hugging Face folder, such as the export of a run, to be asked now")
    answers.add_argument("--predictions", type=Path, help="a file of predictions to be scored again; needs no model")
    parser.add_argument("--data", required=True, nargs="+", help="files, folders, patterns or demo/NAME")
    parser.add_argument("--compare", type=Path, help="other predictions for the same sentences")
    parser.add_argument("--examples", type=int, default=0, help="at most so many sentences of each data set; 0: all")
    parser.add_argument("--out", type=Path, help="folder to write to; else runs/evaluation/TIME, or beside FILE")
    parser.add_argument("--max-new-tokens", type=int, default=320)
    parser.add_argument("--context-tokens", type=int, default=1024)
    options = parser.parse_args(argv)
    if options.examples < 0 or (options.examples and options.predictions):
        parser.error("--examples is a number of sentences to ask --model about; predictions are scored as they are")
    try:
        evaluate(options)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def evaluate(options: argparse.Namespace) -> None:
    """Ask the model if there is one, score, write ``NAME.scores.json`` and show it; raises ValueError for bad input."""
    examples = load(options.data, training=False)
    # Both are read for their errors, too: these are to be known before the model is asked.
    columns({example.source for example in examples})
    others = read_predictions(options.compare, examples) if options.compare else None
    file = options.predictions or ask(options, draw_from_each(examples, options.examples))
    predictions = read_predictions(file, examples)
    found = report(predictions)
    comparisons = compare(predictions, others) if others is not None else {}
    zero_shot = zero_shot_f1(found)
    scores = {
        "model": options.model,
        "predictions": str(file),
        "compared": str(options.compare) if options.compare else None,
        **asdict(found),
        "zero_shot": zero_shot,
        "comparisons": {protocol: asdict(comparison) for protocol, comparison in comparisons.items()},
    }
    # Named after its predictions: those of several stages lie in one folder.
    target = (options.out or file.parent) / f"{file.stem}.scores.json"
    write_whole(target, json.dumps(scores, indent=1, ensure_ascii=False) + "\n")
    # A log file has no width of its own, and 80 columns would cut the tables.
    out = Console(highlight=False, markup=False, emoji=False, width=None if sys.stdout.isatty() else 120)
    for table in tables(found, comparisons, zero_shot, name=options.model or file.name):
        out.print(table)
    if len(predictions) < len(examples):
        out.print(f"{len(predictions)} of the {len(examples)} sentences in the data have a prediction; only they count")
    out.print(f"predictions: {file}\nscores: {target}", soft_wrap=True)


def ask(options: argparse.Namespace, examples: Sequence[Example]) -> Path:
    """The file into which the model's greedy answers were written; raises ValueError if there is one already."""
    from cluster.local import greedy  # loads torch, for which scoring has no use

    folder = options.out or Path("runs/evaluation") / time.strftime("%Y%m%d-%H%M%S")
    file = folder / "predictions.jsonl"
    if file.exists():
        raise ValueError(f"{file} is there already: score it with --predictions, or give another --out")
    folder.mkdir(parents=True, exist_ok=True)
    room = {"context_tokens": options.context_tokens, "max_new_tokens": options.max_new_tokens}
    save_predictions(asyncio.run(greedy(examples, model=options.model, **room)), file)
    return file


def zero_shot_f1(found: Report) -> dict[str, float]:
    """F1 under the paper's protocol by column of its zero-shot table, and the ``average`` of the columns there are."""
    places = columns(found.data_sets)
    f1 = {column: found.data_sets[data_set].scores["reference"].f1 for column, data_set in places.items()}
    return f1 | {"average": average(list(f1.values()))} if f1 else {}


def tables(
    found: Report, comparisons: Mapping[str, Comparison], zero_shot: Mapping[str, float], *, name: str
) -> Iterator[Table]:
    """All tables, in the order in which they are shown."""
    yield _scores(found)
    yield _labels(found)
    yield _errors(found)
    yield _answers(found)
    if found.answers.unreadable:
        yield _unreadable(found)
    if comparisons:
        yield _comparisons(comparisons)
    if zero_shot:
        yield _zero_shot(zero_shot, name)


def _table(title: str, texts: Sequence[str], numbers: Sequence[str], *, caption: str | None = None) -> Table:
    table = Table(*texts, title=title, caption=caption, title_justify="left", caption_justify="left")
    for name in numbers:
        table.add_column(name, justify="right")
    return table


def _scores(found: Report) -> Table:
    table = _table(
        "Scores in per cent, with 95 % bootstrap intervals over sentences",
        ("", "protocol"),
        ("precision", "recall", "F1"),
        caption="reference: the paper's reading and counting; honest: ours; strict: offsets; boundary_tolerant: "
        "overlaps will do; chain: the paper's counting of what the chain marks",
    )
    parts = {data_set: part.scores for data_set, part in found.data_sets.items()} | {"average": found.averages}
    for data_set, scores in parts.items():
        for protocol in PROTOCOLS:
            row = (_with_interval(scores[protocol], key) for key in ("precision", "recall", "f1"))
            table.add_row(data_set if protocol == "reference" else "", protocol, *row)
        table.add_section()
    return table


def _with_interval(score: Score, key: str) -> str:
    low, high = score.intervals[key]
    return f"{getattr(score, key):.2f} [{low:.2f}, {high:.2f}]"


def _labels(found: Report) -> Table:
    table = _table("By label, honest protocol", ("", "label"), ("precision", "recall", "F1", "support"))
    for data_set, part in found.data_sets.items():
        for number, (label, score) in enumerate(part.labels.items()):
            values = (f"{value:.2f}" for value in (score.precision, score.recall, score.f1))
            table.add_row("" if number else data_set, label, *values, str(score.support))
        table.add_section()
    return table


def _errors(found: Report) -> Table:
    table = _table("Errors, honest protocol: mentions of each kind", ("",), ERROR_KINDS)
    for data_set, part in found.data_sets.items():
        table.add_row(data_set, *(str(part.answers.errors[kind]) for kind in ERROR_KINDS))
    table.add_section()
    table.add_row("all", *(str(found.answers.errors[kind]) for kind in ERROR_KINDS))
    return table


def _answers(found: Report) -> Table:
    table = _table("Answers", ("",), ("sentences", "finished %", "mean tokens", "unreadable"))
    parts = {data_set: part.answers for data_set, part in found.data_sets.items()} | {"all": found.answers}
    for data_set, answers in parts.items():
        unreadable = str(sum(answers.unreadable.values()))
        table.add_row(data_set, str(answers.sentences), f"{answers.finished:.2f}", f"{answers.tokens:.1f}", unreadable)
    return table


def _unreadable(found: Report) -> Table:
    table = _table("Answers that could not be read", ("cause", "meaning"), ("answers",))
    for cause, count in found.answers.unreadable.items():
        table.add_row(cause, ERRORS[cause], str(count))
    return table


def _comparisons(comparisons: Mapping[str, Comparison]) -> Table:
    table = _table(
        "F1 less that of the compared predictions, in points; paired bootstrap over the same sentences",
        ("", "protocol"),
        ("difference", "95 % interval", "p"),
    )
    for protocol, comparison in comparisons.items():
        for data_set, difference in (comparison.data_sets | {"average": comparison.average}).items():
            table.add_row(data_set, protocol, *_difference(difference))
        table.add_section()
    return table


def _difference(difference: Difference) -> tuple[str, str, str]:
    low, high = difference.interval
    return f"{difference.f1:+.2f}", f"[{low:+.2f}, {high:+.2f}]", f"{difference.p_value:.4f}"


def _zero_shot(zero_shot: Mapping[str, float], name: str) -> Table:
    table = _table(
        "Zero-shot F1 in per cent, the paper's protocol",
        ("",),
        (*COLUMNS, "average"),
        caption=f"published: Table 1 of arXiv 2511.11978, whole test sets; {STANDARDISED}: their label names "
        "standardised by B²NER; measured: the sentences of --data, which may be others",
    )
    for row in PUBLISHED:
        table.add_row(f"{row.system} (published)", *(f"{value:.1f}" for value in (*row.scores, row.average)))
    table.add_section()
    shown = [f"{zero_shot[column]:.1f}" if column in zero_shot else "-" for column in COLUMNS]
    there = len(COLUMNS) - shown.count("-")
    of = "" if there == len(COLUMNS) else f" ({there} of {len(COLUMNS)})"
    table.add_row(f"{name} (measured)", *shown, f"{zero_shot['average']:.1f}{of}", style="bold")
    return table


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Scores as printable tables."""

from collections.abc import Iterator, Mapping, Sequence

from rich.table import Table

from rnr.evaluation.bootstrap import Difference
from rnr.evaluation.calibration import Calibration
from rnr.evaluation.error_types import ERROR_KINDS
from rnr.evaluation.published import COLUMNS, PUBLISHED, STANDARDISED
from rnr.evaluation.scoring import PROTOCOLS, Comparison, Report, Score
from rnr.messages import counted, plain_console
from rnr.task.parsing import ERRORS

INTERVALS = ("precision", "recall", "f1")
"""The values of a score that have an interval."""
WIDE = 10_000
"""A width at which any table fits."""


def tables(
    found: Report,
    comparisons: Mapping[str, Comparison],
    zero_shot: Mapping[str, float],
    *,
    name: str,
    width: int = WIDE,
) -> Iterator[Table]:
    """All tables, in the order in which they are shown. Where the scores are wider than ``width`` only F1 has its
    interval: a terminal would break each of the numbers over two lines."""
    scores = _scores(found, INTERVALS)
    yield scores if plain_console(width=WIDE).measure(scores).maximum <= width else _scores(found, INTERVALS[-1:])
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


def _scores(found: Report, intervals: Sequence[str]) -> Table:
    of = "" if len(intervals) > 1 else " of F1"
    table = _table(
        f"Scores in per cent, with 95 % bootstrap intervals{of} over sentences",
        ("", "protocol"),
        ("precision", "recall", "F1"),
        caption="reference: the paper's reading and counting; exact: text and label; strict: offsets and label; "
        "boundary_tolerant: an overlap is enough, or the same text elsewhere; partial, type: as in nervaluate; chain: "
        "the chain's marks, counted as in the paper",
    )
    for data_set, scores in found.rows():
        for protocol in PROTOCOLS:
            score = scores[protocol]
            row = (with_interval(score, key) if key in intervals else f"{getattr(score, key):.2f}" for key in INTERVALS)
            table.add_row(data_set if protocol == "reference" else "", protocol, *row)
        table.add_section()
    return table


def with_interval(score: Score, key: str) -> str:
    """One of ``precision``, ``recall`` and ``f1`` in per cent, with its interval."""
    low, high = score.intervals[key]
    return f"{getattr(score, key):.2f} [{low:.2f}, {high:.2f}]"


def _labels(found: Report) -> Table:
    table = _table("By label, exact protocol", ("", "label"), ("precision", "recall", "F1", "support"))
    for data_set, part in found.data_sets.items():
        for number, (label, score) in enumerate(part.labels.items()):
            values = (f"{value:.2f}" for value in (score.precision, score.recall, score.f1))
            table.add_row("" if number else data_set, label, *values, str(score.support))
        table.add_section()
    return table


def _errors(found: Report) -> Table:
    table = _table("Errors, exact protocol: mentions by kind", ("",), ERROR_KINDS)
    for data_set, part in found.data_sets.items():
        table.add_row(data_set, *(str(part.answers.errors[kind]) for kind in ERROR_KINDS))
    table.add_section()
    table.add_row("all", *(str(found.answers.errors[kind]) for kind in ERROR_KINDS))
    return table


def _answers(found: Report) -> Table:
    table = _table("Answers", ("",), ("sentences", "finished %", "mean tokens", "unreadable"))
    parts = [(data_set, part.answers) for data_set, part in found.data_sets.items()]
    for data_set, answers in (*parts, ("all", found.answers)):
        unreadable = str(sum(answers.unreadable.values()))
        table.add_row(data_set, str(answers.sentences), f"{answers.finished:.2f}", f"{answers.tokens:.1f}", unreadable)
    return table


def _unreadable(found: Report) -> Table:
    table = _table("Answers that could not be parsed", ("cause", "meaning"), ("answers",))
    for cause, count in found.answers.unreadable.items():
        table.add_row(cause, ERRORS[cause], str(count))
    return table


def _comparisons(comparisons: Mapping[str, Comparison]) -> Table:
    table = _table(
        "F1 minus that of the compared predictions, in points; paired bootstrap over the same sentences",
        ("", "protocol"),
        ("difference", "95 % interval", "p"),
    )
    for protocol, comparison in comparisons.items():
        for data_set, difference in comparison.rows():
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
        "standardised by B²NER; measured: on the sentences of --data, which may differ",
    )
    for row in PUBLISHED:
        table.add_row(f"{row.system} (published)", *(f"{value:.1f}" for value in (*row.scores, row.average)))
    table.add_section()
    shown = [f"{zero_shot[column]:.1f}" if column in zero_shot else "-" for column in COLUMNS]
    there = len(COLUMNS) - shown.count("-")
    of = "" if there == len(COLUMNS) else f" ({there} of {len(COLUMNS)})"
    table.add_row(f"{name} (measured)", *shown, f"{zero_shot['average']:.1f}{of}", style="bold")
    return table


def calibration_table(found: Calibration) -> Table:
    """The reliability curve as rows."""
    unknown = f"; excluded: {counted(found.unknown, 'mention')} without a confidence" if found.unknown else ""
    table = _table(
        "Calibration of confidence: share of entities that are right (strict)",
        ("confidence",),
        ("entities", "mean confidence", "right"),
        caption=f"expected calibration error {found.error:.3f}, Brier score {found.brier:.3f}{unknown}",
    )
    for part in found.bins:
        between = f"{part.low:.1f} to {part.high:.1f}"
        table.add_row(between, str(part.count), f"{part.confidence:.2f}", f"{part.right:.2f}")
    return table

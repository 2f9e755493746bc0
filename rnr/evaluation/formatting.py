"""Which F1 to quote, and the tables as Markdown or CSV."""

import csv
import io
from collections.abc import Iterable, Mapping

from rich.table import Table
from rich.text import Text

from rnr.evaluation.scoring import Comparison, Report
from rnr.evaluation.tables import with_interval
from rnr.messages import few


def f1_to_quote(found: Report, zero_shot: Mapping[str, float], *, with_offsets: bool) -> str:
    """One sentence: the F1 that is comparable with other work, its interval, and why this protocol.

    On CrossNER and MIT that is the reference's, which the published rows use. Elsewhere it is ``strict`` if a tool gave
    offsets, as in seqeval and spaCy's scorer, and ``exact`` if answers are texts.
    """
    if zero_shot:
        protocol, why = "reference", "as the published zero-shot rows are counted"
    elif with_offsets:
        protocol, why = "strict", "label and offsets, as in seqeval and spaCy's scorer"
    else:
        protocol, why = "exact", "label and text, because answers have no offsets"
    rows = list(found.rows())
    if len(found.data_sets) == 1:
        rows.pop()  # it is its own average
    parts = [f"{name} {with_interval(scores[protocol], 'f1')}" for name, scores in rows]
    return f"F1 to quote: {protocol} ({why}): {'; '.join(parts)}"


FEW_SENTENCES = 30


def few_sentences(found: Report) -> list[str]:
    """A note if data sets are too small for meaningful intervals and p-values."""
    small = {name: part.answers.sentences for name, part in found.data_sets.items()}
    small_sets = [f"{name} ({count})" for name, count in small.items() if count < FEW_SENTENCES]
    if not small_sets:
        return []
    return [f"fewer than {FEW_SENTENCES} sentences in {few(small_sets)}: intervals and p-values mean little"]


def markdown(tables: Iterable[Table]) -> str:
    """The tables as Markdown, numbers right-aligned."""
    return "\n\n".join(_markdown(table) for table in tables) + "\n"


def _markdown(table: Table) -> str:
    heads = [_plain(column.header) for column in table.columns]
    rules = ["--:" if column.justify == "right" else "---" for column in table.columns]
    lines = [f"**{_plain(table.title)}**", "", _line(heads), f"|{'|'.join(rules)}|"]
    lines += [_line(row) for row in _cells(table)]
    if table.caption:
        lines += ["", _plain(table.caption)]
    return "\n".join(lines)


def _cells(table: Table) -> list[list[str]]:
    columns = [[_plain(cell) for cell in column.cells] for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _plain(value: object) -> str:
    return value.plain if isinstance(value, Text) else "" if value is None else str(value)


def csv_of(found: Report, comparisons: Mapping[str, Comparison]) -> str:
    """All scores, one per line: data set, protocol, score, per cent and its 95 % interval. With a comparison,
    ``f1_difference`` is also a score, and a last column has its p-value."""
    file = io.StringIO()
    rows = csv.writer(file, lineterminator="\n")
    p = ["p"] if comparisons else []
    rows.writerow(["data_set", "protocol", "score", "per_cent", "low", "high", *p])
    for name, scores in found.rows():
        for protocol, score in scores.items():
            for key in ("precision", "recall", "f1"):
                rows.writerow([name, protocol, key, getattr(score, key), *score.intervals[key], *([""] if p else [])])
    for protocol, comparison in comparisons.items():
        for name, one in comparison.rows():
            rows.writerow([name, protocol, "f1_difference", one.f1, *one.interval, one.p_value])
    return file.getvalue()

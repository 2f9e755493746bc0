"""The figures of ``rnr.corpus.statistics`` as tables for a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from rnr.corpus.statistics import PERCENTILES


def tables(figures: Mapping[str, Any]) -> Iterator[Table]:
    """Sizes and labels of training and evaluation, and what they share."""
    for name in ("training", "evaluation"):
        if figures[name]:
            yield _sizes_table(name, figures["length_unit"], figures[name])
            yield _labels_table(name, figures[name])
    if figures["evaluation"]:
        yield _overlap_table(figures["overlap"])


def _sizes_table(name: str, unit: str, figures: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table(title=f"{name}, lengths in {unit}")
    for column in ("source", "sentences", "mentions", "empty %", *PERCENTILES):
        table.add_column(column, justify="left" if column == "source" else "right")
    for source, row in figures.items():
        numbers = (row["sentences"], row["mentions"], f"{100 * row['empty_share']:.1f}", *row["length"].values())
        table.add_row(source, *map(str, numbers))
    return table


def _labels_table(name: str, figures: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table("source", "mentions by label", title=name)
    for source, row in figures.items():
        table.add_row(source, ", ".join(f"{label} {number}" for label, number in row["labels"].items()))
    return table


def _overlap_table(figures: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table("source", "sentences", "labels", "labels that are new", title="what training shares with evaluation")
    for source, row in figures.items():
        seen, unseen = ", ".join(row["seen_labels"]), ", ".join(row["unseen_labels"])
        table.add_row(source, str(row["shared_sentences"]), seen, unseen)
    return table

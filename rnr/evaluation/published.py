"""F1 of other systems on the seven zero-shot data sets, from Table 1 of arXiv 2511.11978, with the table's columns."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_COLLECTIONS = {
    "mit": ("Movie", "Restaurant"),
    "crossner": ("AI", "Literature", "Music", "Politics", "Science"),
}

COLUMNS = tuple(name for names in _COLLECTIONS.values() for name in names)

STANDARDISED = "♣"
"""Marks a row whose test sets had their label names standardised by B²NER; the annotations are the same."""


@dataclass(frozen=True, slots=True)
class PublishedRow:
    """F1 in per cent in the order of ``COLUMNS``, and their average, all as printed."""

    system: str
    scores: tuple[float, ...]
    average: float


PUBLISHED = (
    PublishedRow("ChatGPT-3.5", (5.3, 32.8, 52.4, 39.8, 66.6, 68.5, 67.0), 47.5),
    PublishedRow("UniNER-7B", (42.4, 31.7, 53.5, 59.4, 65.0, 60.8, 61.1), 53.4),
    PublishedRow("UniNER-13B", (48.7, 36.2, 54.2, 60.9, 64.5, 61.4, 63.5), 55.6),
    PublishedRow("GoLLIE-7B", (63.0, 43.4, 59.1, 62.7, 67.8, 57.2, 55.5), 58.4),
    PublishedRow("KnowCoder-7B", (50.0, 48.2, 60.3, 61.1, 70.0, 72.2, 59.1), 60.1),
    PublishedRow("GPT-4", (60.4, 59.7, 50.0, 55.2, 69.2, 63.4, 63.2), 60.1),
    PublishedRow("GLiNER-L", (57.2, 42.9, 57.2, 64.4, 69.6, 72.6, 62.6), 60.9),
    PublishedRow(f"B²NER-7B {STANDARDISED}", (67.6, 53.3, 59.0, 63.7, 68.6, 67.8, 72.0), 64.6),
    PublishedRow("R1-distill 8B", (60.1, 50.6, 47.6, 57.4, 53.3, 58.1, 55.3), 54.6),
    PublishedRow("R1-distill 32B", (70.4, 57.5, 60.4, 52.3, 70.4, 71.1, 65.9), 64.0),
    PublishedRow("Qwen3 4B", (69.6, 53.4, 59.2, 56.8, 62.3, 68.4, 65.4), 62.1),
    PublishedRow("Qwen3 8B", (70.1, 57.4, 61.2, 58.0, 71.0, 71.9, 68.6), 65.4),
    PublishedRow("ReasoningNER 1.7B", (70.2, 52.4, 63.6, 59.1, 71.6, 68.6, 69.9), 65.1),
    PublishedRow("ReasoningNER 8B", (76.3, 56.8, 71.0, 69.4, 78.7, 78.8, 75.8), 72.4),
    PublishedRow(f"ReasoningNER 8B {STANDARDISED}", (79.3, 67.7, 72.2, 77.1, 84.0, 79.8, 81.4), 77.3),
)


def columns(data_sets: Iterable[str]) -> dict[str, str]:
    """Column -> its data set; raises ValueError if two data sets claim one column."""
    found: dict[str, str] = {}
    for data_set in data_sets:
        column = _column(data_set)
        if column in found:
            raise ValueError(
                f"data sets {found[column]!r} and {data_set!r} both belong in column {column}: evaluate them separately"
            )
        if column is not None:
            found[column] = data_set
    return {column: found[column] for column in COLUMNS if column in found}


def _column(data_set: str) -> str | None:
    """``crossner_ai`` -> ``AI``, ``mit-movie-test`` -> ``Movie``; None for a data set without a column.

    Folders before the name, which distinguish data sets of the same name, are optional.
    """
    # The collection must be named too: not every data set called "music" is CrossNER's.
    parts = data_set.lower().split("/")
    ends = [set(re.findall("[a-z]+", "/".join(parts[first:]))) - {"test", "dev"} for first in range(len(parts))]
    pairs = ((collection, column) for collection, names in _COLLECTIONS.items() for column in names)
    return next((column for collection, column in pairs if {collection, column.lower()} in ends), None)

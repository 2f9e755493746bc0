"""Rows that say themselves which split they are of: a file with several of them is no training data as it stands."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from rnr.corpus.formats.rows import Row
from rnr.corpus.formats.shapes import Source

_FIELDS = ("split", "subset", "set", "partition", "fold", "ml_use", "dataset")
_FIELDS_OF_ANY = frozenset(_FIELDS)
_OF_CONVERSATIONS = frozenset(("intent", "language"))
"""Beside these ``dataset`` names a split; elsewhere a data set may have any name."""
_NAMES = frozenset(
    ("train", "training", "test", "testing", "dev", "develop", "development", "valid", "val", "validation", "eval")
)


def by_split(values: Iterator[Row], source: Source) -> Iterator[Row]:
    """The values as they are; at their end it is noted how many are of each split, where there is more than one."""
    counts: Counter[str] = Counter()
    field = ""
    for number, value in values:
        if isinstance(value, dict) and (found := _split(value)):
            field = found[0]
            counts[found[1]] += 1
            if field == "dataset":  # as in Azure's conversations: no name of a data set
                value = {name: inner for name, inner in value.items() if name != field}
        yield number, value
    if len(counts) > 1:
        listed = ", ".join(f"{name} {times}" for name, times in counts.items())
        source.reading.fact(
            f"rows are of several splits by their field {field!r} ({listed}), and all are read as one: write a file "
            "for each",
            source.file,
        )


def _split(row: dict[str, Any]) -> tuple[str, str] | None:
    """The field that names the split of a row, and its name; None where there is none."""
    if _FIELDS_OF_ANY.isdisjoint(row):  # as is usual
        return None
    for name in _FIELDS if row.keys() & _OF_CONVERSATIONS else _FIELDS[:-1]:
        value = row.get(name)
        if isinstance(value, str) and value.strip().lower() in _NAMES:
            return name, value.strip().lower()
    return None

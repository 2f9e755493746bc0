"""How labels are written and compared."""

from collections.abc import Iterable
from functools import lru_cache

IGNORED_LABELS = frozenset({"na", "n a", "misc", "else", "other", "nan"})
"""Catch-all labels which the paper removes from schema and gold alike."""


def normalise_label(label: str) -> str:
    """The label lower-cased, with white space collapsed: ``" Political  Party "`` -> ``political party``."""
    return " ".join(label.split()).lower()


@lru_cache(maxsize=10_000)
def label_key(label: str) -> str:
    """By what labels are compared, ignoring case, white space and ``_``: ``Art_Work`` -> ``art work``."""
    return normalise_label(label.replace("_", " "))


def within(schema: tuple[str, ...], labels: Iterable[str]) -> bool:
    """Whether every one of ``labels`` is in the schema, as labels are compared."""
    keys = _keys(schema)
    return all(label_key(label) in keys for label in labels)


@lru_cache(maxsize=1024)
def _keys(schema: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(label_key, schema))

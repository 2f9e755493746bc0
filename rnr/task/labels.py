"""How labels are written and compared."""

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

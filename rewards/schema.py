"""Whether an answer keeps to the labels it was given."""

from collections.abc import Iterable
from functools import lru_cache

from rnr.task.labels import label_key
from rnr.types import Answer, Example


def schema(example: Example, answer: Answer) -> float:
    """1 if the answer was read and all its labels are in the schema, ignoring case and ``_``; else 0."""
    if answer.error is not None:
        return 0.0
    return float(within(example.schema, (mention.label for mention in answer.mentions)))


def within(allowed: tuple[str, ...], labels: Iterable[str]) -> bool:
    """Whether every one of ``labels`` is among the ``allowed``."""
    keys = _keys(allowed)
    return all(label_key(label) in keys for label in labels)


@lru_cache(maxsize=1024)
def _keys(labels: tuple[str, ...]) -> frozenset[str]:
    return frozenset(label_key(label) for label in labels)

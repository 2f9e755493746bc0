"""How labels are spelled and compared, and examples with labels as in prompts."""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import TypeAlias

from rnr.types import Example, Mention

MentionKey: TypeAlias = tuple[int, int, str]

IGNORED_LABELS = frozenset({"na", "n a", "misc", "else", "other", "nan"})
"""Catch-all labels which the paper removes from schema and gold alike."""


def normalise_label(label: str) -> str:
    """The label lower-cased, with white space collapsed: ``" Political  Party "`` -> ``political party``."""
    return " ".join(label.split()).lower()


@lru_cache(maxsize=10_000)
def label_key(label: str) -> str:
    """The key by which labels are compared, ignoring case, white space and ``_``: ``Art_Work`` -> ``art work``."""
    return normalise_label(label.replace("_", " "))


def mention_key(mention: Mention) -> MentionKey:
    """The key by which mentions of a sentence are compared: start, end and ``label_key``."""
    return mention.start, mention.end, label_key(mention.label)


def within(schema: tuple[str, ...], labels: Iterable[str]) -> bool:
    """Whether every one of ``labels`` is in the schema, as labels are compared."""
    keys = _keys(schema)
    return all(label_key(label) in keys for label in labels)


@lru_cache(maxsize=1024)
def _keys(schema: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(label_key, schema))


def with_plain_labels(example: Example) -> Example:
    """The example with its labels as ``label_key`` writes them, duplicates merged, and sorted."""
    labels = {label: label_key(label) for label in {*example.schema, *(m.label for m in example.mentions)}}
    if all(label == plain for label, plain in labels.items()):
        return example
    mentions = {(m.start, m.end, labels[m.label]): replace(m, label=labels[m.label]) for m in example.mentions}
    return replace(
        example,
        schema=tuple(sorted({labels[label] for label in example.schema})),
        mentions=tuple(mentions.values()),
    )


def without_catch_alls(example: Example) -> Example:
    """The example without the labels, and the mentions under them, that the paper removes from schema and gold."""
    if not any(label_key(label) in IGNORED_LABELS for label in example.schema):
        return example
    return replace(
        example,
        schema=tuple(label for label in example.schema if label_key(label) not in IGNORED_LABELS),
        mentions=tuple(mention for mention in example.mentions if label_key(mention.label) not in IGNORED_LABELS),
    )

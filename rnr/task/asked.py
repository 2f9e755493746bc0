"""Normalise the labels of an example for the prompt, and drop catch-all labels."""

from dataclasses import replace

from rnr.task.labels import IGNORED_LABELS, label_key
from rnr.types import Example, Mention


def with_plain_labels(example: Example) -> Example:
    """The example with its labels as ``label_key`` writes them, those that are then the same as one, and sorted."""
    labels = {label: label_key(label) for label in {*example.schema, *(m.label for m in example.mentions)}}
    if all(label == plain for label, plain in labels.items()):
        return example
    mentions = {
        (m.start, m.end, labels[m.label]): m if m.label == labels[m.label] else _named(m, labels[m.label])
        for m in example.mentions
    }
    return replace(
        example,
        schema=tuple(sorted({labels[label] for label in example.schema})),
        mentions=tuple(mentions.values()),
    )


def _named(mention: Mention, label: str) -> Mention:
    return Mention(text=mention.text, label=label, start=mention.start, end=mention.end)


def without_catch_alls(example: Example) -> Example:
    """The example without the labels, and the mentions under them, that the paper removes from schema and gold."""
    if not any(label_key(label) in IGNORED_LABELS for label in example.schema):
        return example
    return replace(
        example,
        schema=tuple(label for label in example.schema if label_key(label) not in IGNORED_LABELS),
        mentions=tuple(mention for mention in example.mentions if label_key(mention.label) not in IGNORED_LABELS),
    )

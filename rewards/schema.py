"""Whether an answer uses only labels of its schema."""

from rnr.task.labels import within
from rnr.types import Answer, Example


def schema(example: Example, answer: Answer) -> float:
    """1 if the answer could be parsed and all its labels are in the schema, ignoring case and ``_``; else 0."""
    if answer.error is not None:
        return 0.0
    return float(within(example.schema, (mention.label for mention in answer.mentions)))

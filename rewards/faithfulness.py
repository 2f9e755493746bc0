"""Agreement of an answer with its own chain."""

from collections import Counter

from rnr.task.chains import tagged_mentions
from rnr.task.labels import label_key
from rnr.types import Answer, Example


def faithfulness(example: Example, answer: Answer) -> float:
    """Agreement of the answer with the tags of its chain, in [0, 1]: 2 * common / (tags + mentions), right or wrong.

    For tagged chains (``rnr.task.chains``). ``[Ada: person] met [Bo: person]`` and an
    answer with Ada alone: 2 * 1 / (2 + 1) = 0.667. 1 if both are empty, 0 without a chain and for an answer that
    could not be parsed.
    """
    if answer.error is not None or answer.reasoning is None:
        return 0.0
    found = Counter(
        (mention.text, label_key(mention.label)) for mention in tagged_mentions(answer.reasoning, example.sentence)
    )
    given = Counter((mention.text, label_key(mention.label)) for mention in answer.mentions)
    total = found.total() + given.total()
    return 2 * (found & given).total() / total if total else 1.0

"""Whether a chain has looked at all of its sentence."""

from rnr.chains import follow
from rnr.types import Answer, Example


def coverage(example: Example, answer: Answer) -> float:
    """Share of the sentence's characters that the chain goes through as it walks (``rnr.chains.follow``), in [0, 1]; 0
    without a chain and for an answer that was not read."""
    if answer.error is not None or answer.reasoning is None:
        return 0.0
    return follow(answer.reasoning, example.sentence).covered / len(example.sentence)

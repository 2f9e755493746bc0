"""A user's own reward, as ``--reward.preset=tests.rewards:shortness`` names it."""

from rnr.types import Answer, Example


def shortness(example: Example, answer: Answer) -> float:
    """In (0, 1): the less reasoning, the more; a little for answers that cannot be read, by their sentence."""
    return 1 / (2 + len(answer.reasoning or "") + len(answer.mentions))

"""A user's own reward, as ``--reward.preset=tests.user_reward:checksum`` names it."""

from rnr.types import Answer, Example


def checksum(example: Example, answer: Answer) -> float:
    """In [0.25, 0.75): means nothing, but differs as soon as two answers do, so that every group has spread."""
    letters = (answer.reasoning or "") + "".join(mention.text for mention in answer.mentions)
    return 0.25 + sum(map(ord, letters)) % 50 / 100

"""Whether the mentions of an answer occur in its sentence."""

from rnr.types import Answer, Example


def grounding(_example: Example, answer: Answer) -> float:
    """Share of the mentions that occur in the sentence, in [0, 1]: 1 if there are none, 0 for an unparsable answer.

    A span given more often than it occurs is grounded only as often as it occurs.
    """
    if answer.error is not None:
        return 0.0
    if not answer.mentions:
        return 1.0
    return sum(mention.grounded for mention in answer.mentions) / len(answer.mentions)

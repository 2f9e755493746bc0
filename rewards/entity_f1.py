"""Entity F1 of an answer."""

from rnr.evaluation.metrics import exact_counts
from rnr.types import Answer, Example


def entity_f1(example: Example, answer: Answer) -> float:
    """Exact F1 of one sentence, in [0, 1]: 1 for an empty answer to an empty gold, 0 if it could not be parsed.

    A text hedged under several labels (``hedged_texts``) earns nothing, so that giving two labels to one
    annotation never pays more than guessing the likelier one.
    """
    if answer.error is not None:
        return 0.0
    return exact_counts(example, answer.mentions).sentence_f1

"""How many of the right entities an answer gives, and how few of the wrong."""

from rnr.evaluation.metrics import exact_counts
from rnr.types import Answer, Example


def entity_f1(example: Example, answer: Answer) -> float:
    """Exact F1 of one sentence, in [0, 1]: 1 for nothing found where nothing is, 0 if it was not read.

    A text hedged under several labels (``hedged_texts``) earns nothing, so that naming two labels for one
    annotation never pays more than guessing the likelier.
    """
    if answer.error is not None:
        return 0.0
    return exact_counts(example, answer.mentions).sentence_f1

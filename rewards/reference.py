"""The paper's reference rewards as its code computes them, defects included, so that results can be compared.

Where the reference raises and its trainer would die, the reward is 0, as where it catches errors. Tests compare this
with vectors from runs of the reference.
"""

import json

from rnr.evaluation.metrics import REFERENCE_DROPPED_LABELS, Counts, reference_pairs
from rnr.task.parsing import write
from rnr.task.reference_parsing import ReferenceRaisesError, read_mentions, strip_completion
from rnr.types import Example, Mention


def reference_f1(completion: str, gold: str) -> float:
    """The reference's F1 reward in [0, 1], 0 for empty on empty; ``gold`` is a completion too."""
    try:
        # Its reward strips the completion before it calls the scorer, which strips again.
        predicted = reference_pairs(read_mentions(strip_completion(completion)))
        wanted = reference_pairs(read_mentions(gold))
    except ReferenceRaisesError:
        return 0.0
    matched = len(predicted & wanted)
    return Counts(matched, len(predicted) - matched, len(wanted) - matched).f1


def reference_schema(completion: str, labels: tuple[str, ...]) -> float:
    """The reference's schema reward: 1 for any JSON that has no label outside ``labels``, else 0."""
    try:
        answer = strip_completion(completion)
        json.loads(answer)
        mentions = read_mentions(answer)
    except (ReferenceRaisesError, ValueError, RecursionError):
        return 0.0
    return float(all(mention.label in labels for mention in mentions))


def reference_labels(example: Example) -> tuple[str, ...]:
    """The example's schema as the reference loads it: lower-cased, sorted, without its dropped labels."""
    labels = sorted(label.lower().strip() for label in example.schema)
    return tuple(label for label in labels if label not in REFERENCE_DROPPED_LABELS)


def gold_completion(example: Example) -> str:
    """The example's gold answer as JSON, with the mentions that the reference keeps."""
    allowed = set(reference_labels(example))
    mentions = (Mention(text=mention.text.strip(), label=mention.label.lower().strip()) for mention in example.mentions)
    return write((mention for mention in mentions if mention.label in allowed), reasoning=None)

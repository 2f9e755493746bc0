"""The paper's reference rewards as its code computes them, defects included, so that results can be compared.

Where the reference raises and its trainer or evaluation would die, the value it swallows elsewhere holds:
a reward of 0, an evaluation without entities. The tests hold this to vectors made by running the reference.
"""

import json

from rnr.metrics import REFERENCE_DROPPED_LABELS, Counts, reference_counts, reference_pairs
from rnr.parsing import write
from rnr.types import Example, Mention

_OPEN, _CLOSE = "<think>", "</think>"


class _ReferenceRaisesError(Exception):
    """The reference's code raises here."""


def reference_f1(completion: str, gold: str) -> float:
    """The reference's F1 reward in [0, 1], 0 for empty on empty; ``gold`` is a completion too."""
    try:
        # Its reward strips the completion before it calls the scorer, which strips again.
        predicted = reference_pairs(_entities(_strip(completion)))
        wanted = reference_pairs(_entities(gold))
    except _ReferenceRaisesError:
        return 0.0
    matched = len(predicted & wanted)
    return Counts(matched, len(predicted) - matched, len(wanted) - matched).f1


def reference_schema(completion: str, labels: tuple[str, ...]) -> float:
    """The reference's schema reward: 1 for any JSON that has no label outside ``labels``, else 0."""
    try:
        answer = _strip(completion)
        json.loads(answer)
        entities = _entities(answer)
    except (_ReferenceRaisesError, ValueError, RecursionError):
        return 0.0
    return float(all(entity.label in labels for entity in entities))


def evaluation_mentions(completion: str) -> tuple[Mention, ...]:
    """The mentions that the reference's evaluation reads, labels lower-cased; none where it dies."""
    try:
        return tuple(_entities(completion))
    except _ReferenceRaisesError:
        return ()


def evaluation_counts(example: Example, completion: str) -> Counts:
    """Counts of one sentence under the reference's evaluation, for ``rnr.metrics.corpus_score``."""
    return reference_counts(example.mentions, evaluation_mentions(completion))


def reference_labels(example: Example) -> tuple[str, ...]:
    """The example's schema as the reference loads it: lower-cased, sorted, without its dropped labels."""
    labels = sorted(label.lower().strip() for label in example.schema)
    return tuple(label for label in labels if label not in REFERENCE_DROPPED_LABELS)


def gold_completion(example: Example) -> str:
    """The example's gold answer as JSON, with the mentions that the reference keeps."""
    allowed = set(reference_labels(example))
    mentions = (Mention(text=mention.text.strip(), label=mention.label.lower().strip()) for mention in example.mentions)
    return write((mention for mention in mentions if mention.label in allowed), reasoning=None)


def _strip(completion: str) -> str:
    """What the reference takes for the answer, each of its patterns searched for only once."""
    text = _without_reasoning(completion)
    start = text.find("<answer>")
    if start >= 0:
        start += len("<answer>")
        end = text.find("</answer>", start)
        if end < 0:
            raise _ReferenceRaisesError("unclosed <answer>")
        text = text[start:end]
    start = text.find("```json")
    if start >= 0:
        start += len("```json")
        end = text.find("```", start)
        if end < 0:
            raise _ReferenceRaisesError("unclosed fence")
        text = text[start:end]
    return text.strip()


def _without_reasoning(text: str) -> str:
    """The text without its closed reasoning blocks, and then without the tags left over."""
    kept: list[str] = []
    position = 0
    while (start := text.find(_OPEN, position)) >= 0:
        end = text.find(_CLOSE, start + len(_OPEN))
        if end < 0:
            break
        kept.append(text[position:start])
        position = end + len(_CLOSE)
    kept.append(text[position:])
    return "".join(kept).replace(_OPEN, "").replace(_CLOSE, "")


def _entities(completion: str) -> list[Mention]:
    """The entities that the reference reads: whatever can be iterated under a label, as far as it is text."""
    try:
        data = json.loads(_strip(completion))
    except (ValueError, RecursionError):
        return []
    groups = data.get("entities", {}) if isinstance(data, dict) else {}
    if not isinstance(groups, dict):
        raise _ReferenceRaisesError("entities is not an object")
    entities: list[Mention] = []
    for label, spans in groups.items():
        # A string is iterated by character and an object by key, as a for loop does it.
        if not isinstance(spans, (list, dict, str)):
            raise _ReferenceRaisesError("the value of a label cannot be iterated")
        entities += [Mention(text=span.strip(), label=label.lower().strip()) for span in spans if isinstance(span, str)]
    return entities

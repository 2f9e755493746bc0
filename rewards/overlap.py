"""Partial credit for near misses: a signal where exact F1 is 0 for every rollout of a group."""

from rnr.evaluation.metrics import hedged_texts
from rnr.task.labels import label_key
from rnr.types import Answer, Example, Mention


def overlap(example: Example, answer: Answer) -> float:
    """Soft F1 of one sentence, in [0, 1]: 2 * credit / (predicted + gold); 1 if both are empty, 0 if unparsable.

    Credit sums the intersection over union, in characters, of predictions and gold mentions of the same label one to
    one, best first. ``Obama`` for a lone gold ``Barack Obama``: 2 * (5 / 12) / 2 = 0.4167. A hedged text earns nothing.
    """
    if answer.error is not None:
        return 0.0
    total = len(answer.mentions) + len(example.mentions)
    if not total:
        return 1.0
    return min(1.0, 2 * _credit(example.mentions, answer.mentions) / total)


def _credit(gold: tuple[Mention, ...], predicted: tuple[Mention, ...]) -> float:
    hedged = hedged_texts(gold, predicted)
    # In order of their places, so that an answer in another order gets the same.
    gold, predicted = _in_order(gold), _in_order(predicted)
    pairs: list[tuple[float, int, int, int]] = []
    for row, mention in enumerate(predicted):
        if not mention.grounded or mention.text in hedged:
            continue
        for column, target in enumerate(gold):
            closeness = _closeness(mention, target)
            if closeness and label_key(mention.label) == label_key(target.label):
                pairs.append((-closeness, abs(mention.start - target.start), row, column))
    rows: set[int] = set()
    columns: set[int] = set()
    credit = 0.0
    for value, _, row, column in sorted(pairs):
        if row not in rows and column not in columns:
            rows.add(row)
            columns.add(column)
            credit -= value
    return credit


def _in_order(mentions: tuple[Mention, ...]) -> tuple[Mention, ...]:
    return tuple(sorted(mentions, key=lambda m: (m.start, m.end, label_key(m.label))))


def _closeness(mention: Mention, target: Mention) -> float:
    """Intersection over union in characters; 1 for the same text elsewhere, as answers do not say where."""
    if mention.text == target.text:
        return 1.0
    shared = max(0, min(mention.end, target.end) - max(mention.start, target.start))
    return shared / (mention.end - mention.start + target.end - target.start - shared)

"""Counts under the protocols ``partial`` and ``type`` of nervaluate, which credit overlapping spans."""

from collections.abc import Iterable, Sequence

from nervaluate.entities import Entity
from nervaluate.strategies import EntityTypeEvaluation, EvaluationStrategy, PartialEvaluation

from rnr.evaluation.metrics import Counts
from rnr.task.labels import label_key
from rnr.types import Example, Mention


def partial_counts(example: Example, mentions: Sequence[Mention]) -> Counts:
    """Spans alone, whatever the label, in halves: the right offsets count 2, an overlap counts 1.

    Precision, recall and F1 are ratios, so they are nervaluate's, which counts 1 and 0.5.
    """
    return _counts(PartialEvaluation(), example, mentions, unit=2)


def type_counts(example: Example, mentions: Sequence[Mention]) -> Counts:
    """An overlap of at least one per cent of the gold span under the gold label is right."""
    return _counts(EntityTypeEvaluation(), example, mentions, unit=1)


def _counts(strategy: EvaluationStrategy, example: Example, mentions: Sequence[Mention], *, unit: int) -> Counts:
    """Ungrounded mentions have no span: they are false positives."""
    result, _ = strategy.evaluate(_entities(example.mentions), _entities(mentions), tags=[])
    found = unit * result.correct + result.partial
    return Counts(found, unit * len(mentions) - found, unit * len(example.mentions) - found)


def _entities(mentions: Iterable[Mention]) -> list[Entity]:
    """In order of their places, because nervaluate pairs greedily; its ends are inclusive."""
    grounded = sorted((m for m in mentions if m.grounded), key=lambda m: (m.start, m.end, m.label))
    return [Entity(label_key(m.label), m.start, m.end - 1) for m in grounded]

"""Calibration of confidences: of all entities with confidence 0.8, four in five should be right."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rnr.evaluation.predictions import Prediction
from rnr.task.labels import mention_key

BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """The entities whose confidence is in (low, high]; the first bin includes 0."""

    low: float
    high: float
    count: int
    confidence: float
    """Their mean confidence."""
    right: float
    """The share of them that is right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A reliability curve, and how far it is from the diagonal."""

    bins: tuple[Bin, ...]
    """The bins that are not empty, in order."""
    error: float
    """Expected calibration error (Guo et al. 2017, arXiv 1706.04599): the mean of ``|right - confidence|`` over the
    bins, weighted by their counts; in [0, 1]."""
    brier: float
    """Mean of ``(confidence - right)`` squared over the entities; in [0, 1]."""
    unknown: int
    """Entities without a confidence, which are in no bin."""


def calibration(predictions: Iterable[Prediction]) -> Calibration | None:
    """The calibration of all predicted mentions with a confidence; right means annotated at this place with this label,
    as in the protocol strict. None if no mention has one."""
    pairs: list[tuple[float, bool]] = []
    unknown = 0
    for prediction in predictions:
        gold = {mention_key(m) for m in prediction.example.mentions if m.grounded}
        if not prediction.confidences:
            unknown += len(prediction.answer.mentions)
            continue
        for mention, confidence in zip(prediction.answer.mentions, prediction.confidences, strict=True):
            if confidence is None:
                unknown += 1
            else:
                pairs.append((confidence, mention_key(mention) in gold))
    return reliability(pairs, unknown=unknown) if pairs else None


def reliability(pairs: Sequence[tuple[float, bool]], *, unknown: int = 0) -> Calibration:
    """The calibration of at least one (confidence, whether it was right), in ten bins of equal width."""
    members: list[list[tuple[float, bool]]] = [[] for _ in range(BINS)]
    for confidence, right in pairs:
        # The bin is (low, high], so that shares of k samples, such as 0.5, are at the end of one.
        number = next(number for number in range(BINS) if confidence <= (number + 1) / BINS or number == BINS - 1)
        members[number].append((confidence, right))
    found = tuple(
        Bin(
            low=number / BINS,
            high=(number + 1) / BINS,
            count=len(part),
            confidence=sum(confidence for confidence, _ in part) / len(part),
            right=sum(right for _, right in part) / len(part),
        )
        for number, part in enumerate(members)
        if part
    )
    return Calibration(
        bins=found,
        error=sum(each.count * abs(each.right - each.confidence) for each in found) / len(pairs),
        brier=sum((confidence - right) ** 2 for confidence, right in pairs) / len(pairs),
        unknown=unknown,
    )

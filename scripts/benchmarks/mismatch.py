"""Mismatch between the probabilities of rollout worker and learner, by token position in the completion."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from rnr.digest import token_key
from rnr.types import Sample
from scripts.benchmarks.turns import Numbers

EDGES = (0, 16, 64, 128, 256, 512, 1024)


def by_position(
    samples: Sequence[Sample], values: Mapping[tuple[str, int], tuple[Sequence[float], Sequence[float]]]
) -> Numbers:
    """Mean |p_rollout - p_learner| over all completion tokens, and by ranges of positions (``EDGES``).

    Every token of these completions must be trained on. ``values`` are the learner's log-probabilities, as recorded by
    ``TokenRecorder``.
    """
    found: list[tuple[int, float]] = []
    for sample in samples:
        learner = values[sample.uid, token_key(sample.completion_ids)][0]
        pairs = zip(sample.logprobs, learner, strict=True)
        found += [(place, abs(math.exp(ours) - math.exp(theirs))) for place, (ours, theirs) in enumerate(pairs)]
    numbers: Numbers = {"tokens": len(found), "probs_diff": _mean([each for _, each in found])}
    for first, end in pairwise(EDGES):
        inside = [each for place, each in found if first <= place < end]
        if inside:
            numbers[f"probs_diff_{first}_{end}"] = _mean(inside)
    return numbers


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

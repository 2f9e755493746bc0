"""How far the sampler's probabilities are from the learner's, by how far a token is from its prompt."""

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
    """Mean |p_rollout - p_learner| of the tokens of completions that are trained on from end to end: of all, and of
    those at these positions of their completion. ``values`` are what the learner saw (``TokenRecorder``)."""
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

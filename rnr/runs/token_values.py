"""``tokens.jsonl``: values per token of a few rollouts of each step, which the report shows as colours.

All tokens of a large run would be larger than the rest of its folder, so ``GROUPS`` groups per step are kept. A line is
one rollout:

- ``ends``: by how many characters the text grows with each token; empty if unknown;
- ``advantage``: pairs of [value, number of tokens];
- ``mask``: pairs of [trained on or not, number of tokens];
- ``mismatch`` and ``entropy``, in thousandths of a nat: the learner's log-probability minus the sampler's, and the
  entropy of the learner's distribution, both before the step's update; null where a token is not trained on.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

from rnr.digest import token_key
from rnr.types import Rollout, Sample, ScoredGroup

GROUPS = 4
"""Groups of a step whose tokens are kept."""

Values = Mapping[tuple[str, int], tuple[Sequence[float], Sequence[float]]]
"""(uid, ``token_key`` of the completion) -> log-probabilities and entropies of the tokens that are trained on."""


def kept_groups(groups: Sequence[ScoredGroup], dropped: Mapping[str, str]) -> list[ScoredGroup]:
    """The groups of a step whose tokens are kept, those with a learning signal first."""
    return sorted(groups, key=lambda scored: scored.group.prompt.uid in dropped)[:GROUPS]


def token_rows(
    step: int, groups: Sequence[ScoredGroup], samples: Sequence[Sample], values: Values
) -> Iterator[dict[str, Any]]:
    """The lines of these groups."""
    taught = {(sample.uid, token_key(sample.completion_ids)): sample for sample in samples}
    for scored in groups:
        uid = scored.group.prompt.uid
        for number, rollout in enumerate(scored.group.rollouts):
            key = (uid, token_key(rollout.token_ids))
            row = {"step": step, "uid": uid, "rollout": number, "ends": _steps(rollout.ends)}
            sample = taught.get(key)
            if sample is None:
                yield row | {"mask": [[0, len(rollout.token_ids)]]}
                continue
            row |= {"mask": _runs(int(kept) for kept in sample.trained), "advantage": _runs(_short(sample.advantages))}
            yield row | (_against(rollout, sample, *values[key]) if key in values else {})


def _against(
    rollout: Rollout, sample: Sample, logprobs: Sequence[float], entropies: Sequence[float]
) -> dict[str, list[int | None]]:
    found = zip(logprobs, entropies, strict=True)
    mismatch: list[int | None] = []
    entropy: list[int | None] = []
    for sampled, trained in zip(rollout.logprobs, sample.trained, strict=True):
        learner, spread = next(found) if trained else (None, None)
        mismatch.append(None if learner is None else round(1000 * (learner - sampled)))
        entropy.append(None if spread is None else round(1000 * spread))
    return {"mismatch": mismatch, "entropy": entropy}


def _steps(ends: Sequence[int]) -> list[int]:
    return [after - before for before, after in pairwise((0, *ends))] if ends else []


def _short(values: Sequence[float]) -> Iterator[float]:
    return (round(value, 3) for value in values)


def _runs(values: Any) -> list[list[Any]]:
    """(1, 1, 0) -> [[1, 2], [0, 1]]."""
    return [[value, len(list(same))] for value, same in groupby(values)]

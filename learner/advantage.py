"""Scored groups -> training samples. Group-relative, pure numbers."""

from collections import Counter
from collections.abc import Sequence

from rnr.types import Sample, ScoredGroup


def samples_with_advantage(
    groups: Sequence[ScoredGroup], *, divide_by_std: bool = False, mask_unfinished: bool = False
) -> tuple[list[Sample], dict[str, str]]:
    """(samples, dropped): one sample per rollout that can teach something, and the uid of every group that cannot, with
    the reason.

    The advantage is the reward less the mean of its group, for example rewards (1, 0, 0.5) give (0.5, -0.5, 0). F1 is
    continuous, so dividing by the standard deviation would blow up near-ties; it is done only if asked. Rollouts whose
    reward is invalid take no part; groups with fewer than two valid rewards, or without spread, are dropped.
    """
    samples: list[Sample] = []
    dropped: dict[str, str] = {}
    for scored in groups:
        uid = scored.group.prompt.uid
        totals = [reward.total for reward in scored.rewards]
        valid = _valid(scored)
        if len(valid) < 2:
            dropped[uid] = "fewer than two valid rewards"
            continue
        if _flat(valid):
            dropped[uid] = "no spread"
            continue
        mean = sum(valid) / len(valid)
        scale = 1.0
        if divide_by_std:
            variance = sum((total - mean) ** 2 for total in valid) / (len(valid) - 1)
            scale = variance**0.5 + 1e-4
        if mask_unfinished and not any(rollout.finished for rollout in scored.group.rollouts):
            dropped[uid] = "no finished rollout"
            continue
        for total, rollout in zip(totals, scored.group.rollouts, strict=True):
            if total is None or (mask_unfinished and not rollout.finished):
                continue
            samples.append(
                Sample(
                    uid=uid,
                    prompt_ids=scored.group.prompt.token_ids,
                    completion_ids=rollout.token_ids,
                    logprobs=rollout.logprobs,
                    advantage=(total - mean) / scale,
                    policy_version=rollout.policy_version,
                )
            )
    return samples, dropped


def group_metrics(groups: Sequence[ScoredGroup]) -> dict[str, float]:
    """Reward and completion statistics of one step, by their field-standard names."""
    rewards = [reward for scored in groups for reward in scored.rewards]
    rollouts = [rollout for scored in groups for rollout in scored.group.rollouts]
    totals = [reward.total for reward in rewards if reward.total is not None]
    lengths = [len(rollout.token_ids) for rollout in rollouts]
    metrics = {
        "reward/invalid_frac": 1 - len(totals) / len(rewards),
        "reward/frac_zero_std": sum(_flat(_valid(scored)) for scored in groups) / len(groups),
        "response_length/mean": sum(lengths) / len(lengths),
        "response_length/max": max(lengths),
        "response_length/clip_ratio": sum(not rollout.finished for rollout in rollouts) / len(rollouts),
        "prompt_length/mean": sum(len(scored.group.prompt.token_ids) for scored in groups) / len(groups),
    }
    if totals:
        mean = sum(totals) / len(totals)
        metrics["reward/mean"] = mean
        metrics["reward/std"] = (sum((total - mean) ** 2 for total in totals) / len(totals)) ** 0.5
    for name in sorted({name for reward in rewards for name in reward.parts}):
        values = [reward.parts[name] for reward in rewards if name in reward.parts]
        metrics[f"rewards/{name}/mean"] = sum(values) / len(values)
    for cause, count in Counter(reward.invalid for reward in rewards if reward.invalid).items():
        metrics[f"reward/invalid/{cause.partition(':')[0]}"] = count
    return metrics


def _valid(scored: ScoredGroup) -> list[float]:
    return [reward.total for reward in scored.rewards if reward.total is not None]


def _flat(totals: Sequence[float]) -> bool:
    return not totals or max(totals) - min(totals) < 1e-9

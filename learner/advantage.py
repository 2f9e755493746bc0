"""Scored groups -> training samples. Group-relative, pure numbers."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from rnr.types import DEPARTURE, Credit, Sample, ScoredGroup

Method = Literal["centred", "scaled", "leave_one_out", "per_reward"]
_TINY = 1e-4
"""Added to standard deviations, as the field does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingBatch:
    """What one step's groups teach."""

    samples: list[Sample]
    """One for each rollout that can teach something."""
    dropped: dict[str, str]
    """Uid of every group that cannot -> the reason."""
    advantages: dict[str, list[float | None]]
    """Uid of every other group -> the mean advantage of the tokens of each answer, None where it is no sample."""


def training_batch(
    groups: Sequence[ScoredGroup],
    *,
    method: Method = "centred",
    weights: Mapping[str, float] = MappingProxyType({}),
    worth: Mapping[int, float] = MappingProxyType({}),
    mask_unfinished: bool = False,
) -> TrainingBatch:
    """The samples of a step. Rollouts whose reward is invalid take no part; groups with fewer than two valid rewards,
    without spread, or with nothing left by ``mask_unfinished`` are dropped.

    With rewards r of a group of n, mean m and standard deviation s (of the sample), the advantage is by ``method``

    - ``centred``: r - m; rewards (1, 0, 0.5) give (0.5, -0.5, 0). F1 is continuous, so dividing by s would blow up
      near-ties (Dr.GRPO, arXiv 2503.20783);
    - ``scaled``: (r - m) / s, as in GRPO (arXiv 2402.03300);
    - ``leave_one_out``: r less the mean of the others, which is (r - m) * n / (n - 1) (RLOO, arXiv 2402.14740);
    - ``per_reward``: each reward named in ``weights`` is scaled in its group before the weighted sum, so that one with
      a wide spread does not drown the others, and the sums are scaled again over the batch (GDPO, arXiv 2601.05242).

    Every token of a completion has this advantage. With ``worth``, a number for each verdict, completions with a credit
    (``rnr.types.Credit``) are taught by that instead: a token that is about a place has the worth of what was done
    there, less the mean over the completions of the group that have a credit; the token of a departure has its worth;
    all others have 0.
    """
    dropped: dict[str, str] = {}
    of_answers: dict[str, list[float | None]] = {}
    for scored in groups:
        reason = _why_useless(scored, list(weights) if method == "per_reward" else [], bool(worth), mask_unfinished)
        if reason:
            dropped[scored.group.prompt.uid] = reason
        else:
            of_answers[scored.group.prompt.uid] = _group_advantages(scored, method, weights)
    if method == "per_reward":
        _scale_over_batch(of_answers)
    samples: list[Sample] = []
    advantages: dict[str, list[float | None]] = {}
    for scored in groups:
        uid = scored.group.prompt.uid
        if uid in dropped:
            continue
        advantages[uid] = [None] * len(scored.rewards)
        for number, of_tokens in _token_advantages(scored, of_answers[uid], worth):
            rollout = scored.group.rollouts[number]
            if mask_unfinished and not rollout.finished:
                continue
            advantages[uid][number] = sum(of_tokens) / len(of_tokens)
            samples.append(
                Sample(
                    uid=uid,
                    prompt_ids=scored.group.prompt.token_ids,
                    completion_ids=rollout.token_ids,
                    logprobs=rollout.logprobs,
                    advantages=of_tokens,
                    loss_mask=rollout.loss_mask if not all(rollout.loss_mask) else (),
                    allowed=rollout.allowed,
                    policy_version=rollout.policy_version,
                )
            )
    return TrainingBatch(samples=samples, dropped=dropped, advantages=advantages)


def _token_advantages(
    scored: ScoredGroup, of_answers: Sequence[float | None], worth: Mapping[int, float]
) -> Iterator[tuple[int, tuple[float, ...]]]:
    """The number in the group of each rollout with a valid reward, and the advantages of its tokens."""
    taught = [
        (number, advantage, credit if worth else Credit())
        for number, (advantage, credit) in enumerate(zip(of_answers, scored.credits, strict=True))
        if advantage is not None
    ]
    values = [[worth[verdict] for verdict in credit.verdicts] for *_, credit in taught if credit.verdicts]
    means = [sum(column) / len(values) for column in zip(*values, strict=True)]
    for number, advantage, credit in taught:
        if credit.verdicts:
            found = [worth[credit.verdicts[place]] - means[place] if place >= 0 else 0.0 for place in credit.places]
            if credit.departure >= 0:
                found[credit.departure] = worth[DEPARTURE]
            yield number, tuple(found)
        else:
            yield number, (advantage,) * len(scored.group.rollouts[number].token_ids)


def _why_useless(scored: ScoredGroup, parts: Sequence[str], by_place: bool, mask_unfinished: bool) -> str:
    rollouts = zip(scored.group.rollouts, scored.rewards, scored.credits, strict=True)
    valid = [(rollout, reward, credit) for rollout, reward, credit in rollouts if reward.total is not None]
    if len(valid) < 2:
        return "fewer than two valid rewards"
    # Of rewards that are scaled one by one, equal sums may hide differing parts.
    by_part = [[reward.parts[name] for _, reward, _ in valid] for name in parts] or [_valid(scored)]
    flat = all(map(_flat, by_part))
    walks = [credit for *_, credit in valid if by_place and credit.verdicts]
    alike = len({credit.verdicts for credit in walks}) < 2 and all(credit.departure < 0 for credit in walks)
    if flat and alike:
        return "no spread"
    if mask_unfinished and not any(rollout.finished for rollout, *_ in valid):
        return "no finished rollout"
    return ""


def _group_advantages(scored: ScoredGroup, method: Method, weights: Mapping[str, float]) -> list[float | None]:
    valid = [reward for reward in scored.rewards if reward.total is not None]
    totals = _valid(scored)
    match method:
        case "centred":
            found = _centred(totals)
        case "scaled":
            found = _scaled(totals)
        case "leave_one_out":
            found = [value * len(totals) / (len(totals) - 1) for value in _centred(totals)]
        case "per_reward":
            found = [0.0] * len(valid)
            for name, weight in weights.items():
                parts = _scaled([reward.parts[name] for reward in valid])
                found = [value + weight * part for value, part in zip(found, parts, strict=True)]
    values = iter(found)
    return [None if reward.total is None else next(values) for reward in scored.rewards]


def _centred(values: Sequence[float]) -> list[float]:
    mean = sum(values) / len(values)
    return [value - mean for value in values]


def _scaled(values: Sequence[float]) -> list[float]:
    centred = _centred(values)
    deviation = (sum(value**2 for value in centred) / (len(values) - 1)) ** 0.5
    return [value / (deviation + _TINY) for value in centred]


def _scale_over_batch(advantages: dict[str, list[float | None]]) -> None:
    places = [(uid, place) for uid, row in advantages.items() for place, value in enumerate(row) if value is not None]
    if len(places) < 2:
        return
    scaled = _scaled([advantages[uid][place] or 0.0 for uid, place in places])
    for (uid, place), value in zip(places, scaled, strict=True):
        advantages[uid][place] = value


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

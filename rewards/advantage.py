"""Scored groups -> training samples: one advantage per token, independent of the task."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rewards.credit import MentionCredit, mention_advantages, mention_credits, mention_values
from rnr.config import GrpoConfig
from rnr.types import Sample, ScoredGroup

_TINY = 1e-4
"""Added to standard deviations, as is usual."""

_FLAT = 1e-9
"""Values that differ by less are equal up to rounding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingBatch:
    """The training samples of one step's groups."""

    samples: list[Sample]
    """One for each rollout with a learning signal."""
    dropped: dict[str, str]
    """Uid of each dropped group -> the reason."""
    advantages: dict[str, list[float | None]]
    """Uid of each other group -> the mean token advantage of each answer, None if it is not a sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kept:
    """A group with a learning signal: the advantage of each answer and the credit of each chain, or None."""

    scored: ScoredGroup
    of_answers: list[float | None]
    credits: Sequence[MentionCredit | None]


def training_batch(groups: Sequence[ScoredGroup], options: GrpoConfig, weights: Mapping[str, float]) -> TrainingBatch:
    """The samples of a step. Rollouts with an invalid reward are excluded. Groups with fewer than two valid rewards,
    with every rollout masked by ``mask_unfinished``, or with all advantages 0 are dropped: they carry no signal and
    would only count in the means of the loss.

    For a group of n rewards r with mean m and sample standard deviation s, the advantage by ``grpo.advantage`` is

    - ``dr_grpo``: r - m; rewards (1, 0, 0.5) give (0.5, -0.5, 0). F1 is continuous, so dividing by s would blow up
      near-ties (Dr.GRPO, arXiv 2503.20783);
    - ``grpo``: (r - m) / s (GRPO, arXiv 2402.03300);
    - ``rloo``: r minus the mean of the others, which is (r - m) * n / (n - 1) (RLOO, arXiv 2402.14740);
    - ``gdpo``: each reward named in ``weights`` (``reward.weights``) is divided by its standard deviation in its group
      before the weighted sum, so that one with a wide spread does not dominate, and the sums by theirs over the batch
      (GDPO, arXiv 2601.05242).

    Every token of a completion gets this advantage. Under ``grpo.credit = "mention"`` the tokens of tagged chains get
    that of ``rewards.credit.mention_advantages`` instead.
    """
    credits = [mention_credits(s) if options.credit == "mention" else [None] * len(s.rewards) for s in groups]
    values = mention_values([credit for row in credits for credit in row if credit is not None])
    dropped: dict[str, str] = {}
    kept: list[_Kept] = []
    for scored, row in zip(groups, credits, strict=True):
        if reason := _why_useless(scored, options):
            dropped[scored.group.prompt.uid] = reason
            continue
        group = _Kept(scored=scored, credits=row, of_answers=_answer_advantages(scored, options, weights))
        if _teaches(group, values, options):
            kept.append(group)
        else:
            dropped[scored.group.prompt.uid] = "no spread" if is_flat(_valid(scored)) else "no advantage"
    if options.advantage == "gdpo":
        _scale_over_batch([group.of_answers for group in kept])
    samples: list[Sample] = []
    advantages: dict[str, list[float | None]] = {}
    for group in kept:
        uid, of_tokens = group.scored.group.prompt.uid, _token_advantages(group, values, options.mask_unfinished)
        advantages[uid] = [None if found is None else sum(found) / len(found) for found in of_tokens]
        samples += _samples(group.scored, of_tokens)
    return TrainingBatch(samples=samples, dropped=dropped, advantages=advantages)


def _samples(scored: ScoredGroup, of_tokens: Sequence[tuple[float, ...] | None]) -> Iterator[Sample]:
    prompt = scored.group.prompt
    return (
        Sample(
            uid=prompt.uid,
            prompt_ids=prompt.token_ids,
            completion_ids=rollout.token_ids,
            logprobs=rollout.logprobs,
            advantages=found,
            loss_mask=() if all(rollout.loss_mask) else rollout.loss_mask,
            allowed=rollout.allowed,
            policy_version=rollout.policy_version,
        )
        for rollout, found in zip(scored.group.rollouts, of_tokens, strict=True)
        if found is not None
    )


def _token_advantages(group: _Kept, values: dict[int, float], mask_unfinished: bool) -> list[tuple[float, ...] | None]:
    """The token advantages of each rollout; None for rollouts that are not samples."""
    rollouts = group.scored.group.rollouts
    found = [
        None if advantage is None else (advantage,) * len(rollout.token_ids)
        for advantage, rollout in zip(group.of_answers, rollouts, strict=True)
    ]
    by_mention = {
        number: credit
        for number, credit in enumerate(group.credits)
        if credit is not None and group.of_answers[number] is not None
    }
    # Masked completions stay in the mean of a place, as they stay in the mean of the rewards.
    for number, of_tokens in zip(by_mention, mention_advantages(list(by_mention.values()), values), strict=True):
        found[number] = of_tokens
    kept = [bool(rollout.token_ids) and (rollout.finished or not mask_unfinished) for rollout in rollouts]
    return [row if taken else None for taken, row in zip(kept, found, strict=True)]


def _why_useless(scored: ScoredGroup, options: GrpoConfig) -> str:
    valid = [
        rollout
        for rollout, reward in zip(scored.group.rollouts, scored.rewards, strict=True)
        if reward.total is not None
    ]
    if len(valid) < 2:
        return "fewer than two valid rewards"
    if options.mask_unfinished and not any(rollout.finished for rollout in valid):
        return "no finished rollout"
    return ""


def _teaches(group: _Kept, values: dict[int, float], options: GrpoConfig) -> bool:
    """Whether a trained token has an advantage. Different rewards do not imply that: with ``gdpo`` they may cancel out
    or have weight 0, and per-mention credit does not depend on them."""
    samples = _samples(group.scored, _token_advantages(group, values, options.mask_unfinished))
    return any(
        trained and abs(value) >= _FLAT
        for sample in samples
        for value, trained in zip(sample.advantages, sample.trained, strict=True)
    )


def _answer_advantages(scored: ScoredGroup, options: GrpoConfig, weights: Mapping[str, float]) -> list[float | None]:
    valid = [reward for reward in scored.rewards if reward.total is not None]
    totals = _valid(scored)
    match options.advantage:
        case "dr_grpo":
            found = _centred(totals)
        case "grpo":
            found = _scaled(totals)
        case "rloo":
            found = [value * len(totals) / (len(totals) - 1) for value in _centred(totals)]
        case "gdpo":
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
    if is_flat(values):  # do not scale up rounding errors
        return [0.0] * len(values)
    centred = _centred(values)
    deviation = (sum(value**2 for value in centred) / (len(values) - 1)) ** 0.5
    return [value / (deviation + _TINY) for value in centred]


def _scale_over_batch(rows: list[list[float | None]]) -> None:
    places = [(row, place) for row in rows for place, value in enumerate(row) if value is not None]
    if len(places) < 2:
        return
    scaled = _scaled([row[place] or 0.0 for row, place in places])
    for (row, place), value in zip(places, scaled, strict=True):
        row[place] = value


def group_metrics(groups: Sequence[ScoredGroup]) -> dict[str, float]:
    """Reward and completion statistics of one step, by their field-standard names."""
    rewards = [reward for scored in groups for reward in scored.rewards]
    rollouts = [rollout for scored in groups for rollout in scored.group.rollouts]
    totals = [reward.total for reward in rewards if reward.total is not None]
    lengths = [len(rollout.token_ids) for rollout in rollouts]
    metrics = {
        "reward/invalid_frac": 1 - len(totals) / len(rewards),
        "reward/frac_zero_std": sum(is_flat(_valid(scored)) for scored in groups) / len(groups),
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
    kinds = Counter(reward.invalid.partition(":")[0] for reward in rewards if reward.invalid)
    return metrics | {f"reward/invalid/{kind}": float(count) for kind, count in kinds.items()}


def _valid(scored: ScoredGroup) -> list[float]:
    return [reward.total for reward in scored.rewards if reward.total is not None]


def is_flat(totals: Sequence[float]) -> bool:
    """Whether these rewards are all equal up to rounding, so that there is nothing to learn from them."""
    return not totals or max(totals) - min(totals) < _FLAT

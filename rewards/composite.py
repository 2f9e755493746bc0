"""The total reward of a rollout: small functions combined by a gate or by weights, the paper's reward, or the user's
own; parts that depend on the other rollouts of a group and on the token limit; the valid range."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from rewards import reference
from rewards.brevity import brevity
from rewards.entity_f1 import entity_f1
from rewards.faithfulness import faithfulness
from rewards.format import well_formed
from rewards.grounding import grounding
from rewards.overlap import overlap
from rewards.overlong import overlong
from rewards.schema import schema
from rewards.user import custom
from rewards.user.custom import Range, RewardFunction
from rnr.config import RewardConfig
from rnr.messages import did_you_mean
from rnr.task.labels import within
from rnr.task.parsing import ground, read
from rnr.types import Answer, Example, Group, Prompt, Reward, Rollout, ScoredGroup

REWARDS: dict[str, RewardFunction] = {
    "entity_f1": entity_f1,
    "schema": schema,
    "format": well_formed,
    "grounding": grounding,
    "overlap": overlap,
    "faithfulness": faithfulness,
}
"""The rewards of one answer that can be weighted, each in [0, 1]."""

BREVITY = "brevity"
"""Can be weighted too, but needs all rollouts of a group: ``score_group`` adds it."""

OF_EVERY_ANSWER = (*custom.OF_EVERY_REWARD, "overlong", "reference_f1", "reference_schema")
"""Names of other parts in the logs."""

NONE = "none"
WEIGHED = ("gated", "weighted")
"""The presets that use ``reward.weights``."""
PRESETS = (*WEIGHED, "paper", "paper_f1", NONE)


def score_group(group: Group, options: RewardConfig, *, max_new_tokens: int) -> ScoredGroup:
    """The group with an answer and the total reward of each rollout.

    The first part is from ``score``. The second is the weighted ``brevity``, if ``weights`` name it and the preset uses
    them; only finished answers with an entity F1 of 1 that pass the gate are rewarded for being short. The third is
    ``overlong``, in [-1, 0], if ``overlong_tokens`` is set. A total outside ``range`` makes the reward invalid. Raises
    ValueError as ``score`` does.
    """
    example, rollouts = group.prompt.example, group.rollouts
    if ":" in options.preset:
        answers, rewards = _custom(group, options)
    else:
        scored = [score(example, rollout.text, rollout.finished, options) for rollout in rollouts]
        answers, rewards = [answer for answer, _ in scored], [reward for _, reward in scored]
    rewards = _with_brevity(example, answers, rewards, rollouts, options)
    if options.overlong_tokens:
        lost = [overlong(len(r.token_ids), max_new_tokens, options.overlong_tokens) for r in rollouts]
        rewards = [_with_part(reward, "overlong", value) for reward, value in zip(rewards, lost, strict=True)]
    return ScoredGroup(
        group=group, answers=tuple(answers), rewards=tuple(_in_range(reward, options.range) for reward in rewards)
    )


def invalid_group(group: Group, cause: str) -> ScoredGroup:
    """The group with its answers and an invalid reward for each, which is counted and in no baseline and no loss."""
    example = group.prompt.example
    return ScoredGroup(
        group=group,
        answers=tuple(read_answer(example, rollout.text)[0] for rollout in group.rollouts),
        rewards=(Reward(total=None, invalid=cause),) * len(group.rollouts),
    )


def score(example: Example, text: str, finished: bool, options: RewardConfig) -> tuple[Answer, Reward]:
    """The answer in a completion, its mentions grounded, and its reward, with all parts that do not depend on the
    group.

    By ``reward.preset``:

    - ``gated``: weighted mean of the rewards in ``weights``, in [0, 1]; 0 for an answer that is unfinished, unparsable
      or outside the schema. A label listed without spans counts as used. Brevity counts as 0 here.
    - ``weighted``: weighted sum, in [0, sum of weights], without a gate.
    - ``paper``: 10 * reference F1 + reference schema reward, in [0, 11]; needs neither weights nor finished.
    - ``paper_f1``: the reference F1 alone, in [0, 1], as in the paper's verl script.
    - ``none``: 0, for a reward that is only the sum of ``scorers``.
    - ``module:function``: what the user's function returns; needs no weights. An exception in it, or a value that is
      not a number in ``range``, makes the reward invalid: ``total`` is None and ``invalid`` the cause.

    ``parts`` always has ``finished`` and ``parsed``. An unknown preset or weight raises ValueError.
    """
    preset = options.preset
    if ":" in preset:
        alone = (Rollout(segments=(), text=text, finished=finished),)
        answers, rewards = _custom(Group(prompt=Prompt(example=example, token_ids=()), rollouts=alone), options)
        return answers[0], rewards[0]
    answer, unused_labels = read_answer(example, text)
    parts = _parts(answer, finished)
    if preset in ("paper", "paper_f1"):
        return answer, _paper(example, text, preset, parts)
    if preset == NONE:
        return answer, Reward(total=0.0, parts=parts)
    if preset not in PRESETS:
        raise unknown_preset(preset)
    plan, divisor = plan_of_weights(preset, tuple(options.weights.items()))
    for name, _, function in plan:
        parts[name] = function(example, answer)
    total = sum(weight * parts[name] for name, weight, _ in plan) / divisor
    if preset == "gated":
        parts["schema"] = schema(example, answer) * within(example.schema, unused_labels)
        if not finished or not parts["schema"]:
            total = 0.0
    return answer, Reward(total=total, parts=parts)


def read_answer(example: Example, text: str) -> tuple[Answer, tuple[str, ...]]:
    """The answer with grounded mentions, and the labels that it lists without mentions."""
    parsed, unused_labels = read(text)
    mentions = ground(parsed.mentions, example.sentence)
    return Answer(reasoning=parsed.reasoning, mentions=mentions, error=parsed.error), unused_labels


def _paper(example: Example, text: str, preset: str, parts: dict[str, float]) -> Reward:
    parts["reference_f1"] = reference.reference_f1(text, reference.gold_completion(example))
    parts["reference_schema"] = reference.reference_schema(text, reference.reference_labels(example))
    both = 10 * parts["reference_f1"] + parts["reference_schema"]
    return Reward(total=both if preset == "paper" else parts["reference_f1"], parts=parts)


def _custom(group: Group, options: RewardConfig) -> tuple[list[Answer], list[Reward]]:
    """The answers of a group and the user's rewards for them."""
    answers = [read_answer(group.prompt.example, rollout.text)[0] for rollout in group.rollouts]
    parts = [_parts(answer, rollout.finished) for answer, rollout in zip(answers, group.rollouts, strict=True)]
    unscored = tuple(Reward(total=0.0, parts=each) for each in parts)
    values = custom.load(options.preset).values(
        ScoredGroup(group=group, answers=tuple(answers), rewards=unscored), options.range
    )
    name = options.preset.partition(":")[2]
    return answers, [
        Reward(total=None, parts=each, invalid=value)
        if isinstance(value, str)
        else Reward(total=value, parts={**each, name: value})
        for each, value in zip(parts, values, strict=True)
    ]


def _parts(answer: Answer, finished: bool) -> dict[str, float]:
    """The parts that every reward has."""
    return {"finished": float(finished), "parsed": float(answer.error is None)}


def _with_brevity(
    example: Example,
    answers: Sequence[Answer],
    rewards: Sequence[Reward],
    rollouts: Sequence[Rollout],
    options: RewardConfig,
) -> list[Reward]:
    if BREVITY not in options.weights or options.preset not in WEIGHED:
        return list(rewards)
    _, divisor = plan_of_weights(options.preset, tuple(options.weights.items()))
    right = [_right(example, answer, reward) for answer, reward in zip(answers, rewards, strict=True)]
    values = brevity(right, [len(rollout.token_ids) for rollout in rollouts])
    weight = options.weights[BREVITY] / divisor
    return [_with_part(r, BREVITY, value, weight=weight) for r, value in zip(rewards, values, strict=True)]


def _with_part(reward: Reward, name: str, value: float, *, weight: float = 1.0) -> Reward:
    """The reward with ``weight * value`` added to its total and the value to its parts; unchanged if it is invalid."""
    if reward.total is None:
        return reward
    return replace(reward, total=reward.total + weight * value, parts={**reward.parts, name: value})


def added(reward: Reward, name: str, value: float | str, *, weight: float, bounds: Range) -> Reward:
    """The reward plus ``weight * value`` of a scorer; invalid if the total leaves ``bounds``, or if the scorer returned
    a cause instead of a number."""
    if isinstance(value, str):
        return Reward(total=None, parts=reward.parts, invalid=value)
    return _in_range(_with_part(reward, name, value, weight=weight), bounds)


def _in_range(reward: Reward, bounds: Range) -> Reward:
    low, high = bounds
    if reward.total is None or low <= reward.total <= high:
        return reward
    cause = f"OutOfRange: the parts add up to {reward.total:g}, outside reward.range [{low:g}, {high:g}]"
    return replace(reward, total=None, invalid=cause)


def _right(example: Example, answer: Answer, reward: Reward) -> bool:
    in_schema = reward.parts.get("schema", 1.0)
    return bool(reward.parts["finished"] and in_schema) and entity_f1(example, answer) == 1.0


@lru_cache(maxsize=64)
def plan_of_weights(
    preset: str, weights: tuple[tuple[str, float], ...]
) -> tuple[tuple[tuple[str, float, RewardFunction], ...], float]:
    """(name, weight, function) of each reward of one answer, and the divisor of the weighted sum; checks the
    weights."""
    known = (*REWARDS, BREVITY)
    for name, weight in weights:
        if name not in known:
            raise ValueError(f"unknown reward {name!r} in reward.weights{_nearest(name, known)}")
        if not math.isfinite(weight):
            raise ValueError(f"the weight of reward {name!r} is {weight}")
    total = sum(weight for _, weight in weights)
    if not math.isfinite(total):
        raise ValueError(f"the weights of the rewards add up to {total}: {dict(weights)}")
    if not weights or (preset == "gated" and (total <= 0 or any(weight < 0 for _, weight in weights))):
        raise ValueError(f"preset {preset!r} needs weights that are not negative and not all 0: {dict(weights)}")
    return tuple((n, w, REWARDS[n]) for n, w in weights if n != BREVITY), total if preset == "gated" else 1.0


def unknown_preset(preset: str) -> ValueError:
    """The error for an unknown preset."""
    return ValueError(f"unknown reward preset {preset!r}{_nearest(preset, PRESETS)}")


def _nearest(name: str, known: tuple[str, ...]) -> str:
    return did_you_mean(name, known) or f"; known: {', '.join(known)}"

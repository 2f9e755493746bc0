"""The reward of a rollout: small functions joined by a gate or by weights, the paper's, or the user's own."""

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from types import MappingProxyType

from rewards import custom, reference
from rewards.brevity import brevity
from rewards.custom import RewardFunction
from rewards.entity_f1 import entity_f1
from rewards.faithfulness import faithfulness
from rewards.format import format
from rewards.grounding import grounding
from rewards.overlap import overlap
from rewards.schema import schema, within
from rnr.task.parsing import ground, read
from rnr.types import Answer, Example, Reward, Rollout

REWARDS: dict[str, RewardFunction] = {
    "entity_f1": entity_f1,
    "schema": schema,
    "format": format,
    "grounding": grounding,
    "overlap": overlap,
    "faithfulness": faithfulness,
}
"""The rewards of one answer that can be weighted, each in [0, 1]."""

BREVITY = "brevity"
"""Can be weighted too, but is only there among the rollouts of a group: ``score_group`` adds it."""

PRESETS = ("gated", "weighted", "paper", "paper_f1")

DEFAULT_WEIGHTS: Mapping[str, float] = MappingProxyType({"entity_f1": 1.0})


def check(preset: str, weights: Mapping[str, float]) -> None:
    """Raises ValueError, with the nearest name, for what ``score`` could not use: to be called at start.

    A user's own reward is called once, as ``rewards.custom.check`` says.
    """
    if ":" in preset:
        custom.check(preset)
    elif preset not in PRESETS:
        raise ValueError(f"unknown reward preset {preset!r}{_nearest(preset, PRESETS)}")
    else:
        _plan(preset, tuple(weights.items()))


def score_group(
    example: Example,
    rollouts: Sequence[Rollout],
    *,
    preset: str = "gated",
    weights: Mapping[str, float] = DEFAULT_WEIGHTS,
) -> list[tuple[Answer, Reward]]:
    """``score`` of each rollout of one prompt, with their brevity where the preset uses ``weights`` and they name it.

    Right, and so paid for being short, is a finished answer with an entity F1 of 1 that no gate has closed on. Totals
    keep the ranges of ``score``. Raises ValueError as it does.
    """
    scored = [score(example, r.text, r.finished, preset=preset, weights=weights) for r in rollouts]
    if BREVITY not in weights or preset not in ("gated", "weighted"):
        return scored
    _, divisor = _plan(preset, tuple(weights.items()))
    right = [_right(example, answer, reward) for answer, reward in scored]
    values = brevity(right, [len(rollout.token_ids) for rollout in rollouts])
    return [
        (answer, with_part(reward, BREVITY, value, weight=weights[BREVITY] / divisor))
        for (answer, reward), value in zip(scored, values, strict=True)
    ]


def with_part(reward: Reward, name: str, value: float, *, weight: float = 1.0) -> Reward:
    """The reward with ``weight * value`` added to its total and the value to its parts; as it is if it is invalid."""
    if reward.total is None:
        return reward
    return replace(reward, total=reward.total + weight * value, parts={**reward.parts, name: value})


def score(
    example: Example,
    text: str,
    finished: bool,
    *,
    preset: str = "gated",
    weights: Mapping[str, float] = DEFAULT_WEIGHTS,
) -> tuple[Answer, Reward]:
    """The answer in a completion, its mentions grounded, and its reward, with all parts that were computed.

    - ``gated``: weighted mean of the rewards in ``weights``, in [0, 1]; 0 for one that is unfinished,
      cannot be read or leaves the schema. A label listed without spans counts as used. Brevity counts as 0 here.
    - ``weighted``: weighted sum, in [0, sum of weights], without a gate.
    - ``paper``: 10 * reference F1 + reference schema reward, in [0, 11]; needs neither weights nor finished.
    - ``paper_f1``: the reference F1 alone, in [0, 1], as the paper's verl script has it.
    - ``module:function``: what the user's function returns; needs no weights. Whatever goes wrong in it makes
      the reward invalid: ``total`` None and ``invalid`` the cause.

    ``parts`` always has ``finished`` and ``parsed``. An unknown preset or weight raises ValueError.
    """
    parsed, unused_labels = read(text)
    answer = Answer(reasoning=parsed.reasoning, mentions=ground(parsed.mentions, example.sentence), error=parsed.error)
    parts = {"finished": float(finished), "parsed": float(answer.error is None)}
    if ":" in preset:
        return answer, _custom(example, answer, preset, parts)
    if preset in ("paper", "paper_f1"):
        return answer, _paper(example, text, preset, parts)
    if preset not in PRESETS:
        check(preset, weights)
    plan, divisor = _plan(preset, tuple(weights.items()))
    for name, _, function in plan:
        parts[name] = function(example, answer)
    total = sum(weight * parts[name] for name, weight, _ in plan) / divisor
    if preset == "gated":
        parts["schema"] = schema(example, answer) * within(example.schema, unused_labels)
        if not finished or not parts["schema"]:
            total = 0.0
    return answer, Reward(total=total, parts=parts)


def _paper(example: Example, text: str, preset: str, parts: dict[str, float]) -> Reward:
    parts["reference_f1"] = reference.reference_f1(text, reference.gold_completion(example))
    parts["reference_schema"] = reference.reference_schema(text, reference.reference_labels(example))
    both = 10 * parts["reference_f1"] + parts["reference_schema"]
    return Reward(total=both if preset == "paper" else parts["reference_f1"], parts=parts)


def _custom(example: Example, answer: Answer, path: str, parts: dict[str, float]) -> Reward:
    total, invalid = custom.call(path, example, answer)
    if total is not None:
        parts[path.partition(":")[2]] = total
    return Reward(total=total, parts=parts, invalid=invalid)


def _right(example: Example, answer: Answer, reward: Reward) -> bool:
    in_schema = reward.parts.get("schema", 1.0)
    return bool(reward.parts["finished"] and in_schema) and entity_f1(example, answer) == 1.0


@lru_cache(maxsize=64)
def _plan(
    preset: str, weights: tuple[tuple[str, float], ...]
) -> tuple[tuple[tuple[str, float, RewardFunction], ...], float]:
    """(name, weight, function) of each reward of one answer and what the weighted sum is divided by, checked."""
    known = (*REWARDS, BREVITY)
    for name, weight in weights:
        if name not in known:
            raise ValueError(f"unknown reward {name!r} in the weights{_nearest(name, known)}")
        if not math.isfinite(weight):
            raise ValueError(f"the weight of reward {name!r} is {weight}")
    total = sum(weight for _, weight in weights)
    if not weights or (preset == "gated" and (total <= 0 or any(weight < 0 for _, weight in weights))):
        raise ValueError(f"preset {preset!r} needs weights that are not negative and not all 0: {dict(weights)}")
    return tuple((n, w, REWARDS[n]) for n, w in weights if n != BREVITY), total if preset == "gated" else 1.0


def _nearest(name: str, known: tuple[str, ...]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {nearest[0]!r}?" if nearest else f"; known: {', '.join(known)}"

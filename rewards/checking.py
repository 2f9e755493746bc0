"""Checks of the reward options before anything starts."""

import inspect
import re
from collections.abc import Mapping
from contextlib import chdir

from rewards.composite import BREVITY, NONE, OF_EVERY_ANSWER, PRESETS, REWARDS, plan_of_weights, unknown_preset
from rewards.user import custom, trial
from rewards.user.exits import no_exit, own_streams, processes_ended
from rewards.user.lookup import find
from rnr.config import RewardConfig, ScorerConfig

WORKERS = ("reward", "rollout", "learner")
"""Names of workers in Ray, logs and metrics; a scorer's workers have its name."""


def check(options: RewardConfig) -> None:
    """Raises ValueError, with the nearest name, for options that ``score_group`` could not use; called at the start.

    Also refuses a ``reward.range`` smaller than what a preset can give, and scorers that would be logged under the same
    name. A user's own reward is called once (``rewards.user.trial``); one that is a class or needs a GPU is only
    inspected, and tried in its worker.
    """
    # A user's code may leave the working folder, to which the paths of a config are relative, and the process.
    with chdir("."), no_exit(), own_streams(), processes_ended():
        _check_scorers(options)
        _check_preset(options)


def _check_preset(options: RewardConfig) -> None:
    preset, (low, high) = options.preset, options.range
    if ":" in preset:
        custom.form_of(preset)
        if not inspect.isclass(find(preset)):
            trial.check(preset, options.range, seconds=options.trial_seconds)
        return
    if preset not in PRESETS:
        raise unknown_preset(preset)
    if options.weights:
        plan_of_weights(
            preset, tuple(options.weights.items())
        )  # an unknown name is an error even if the preset uses no weights
    if preset == NONE and not options.scorers:
        raise ValueError('reward.preset "none" is always 0: add reward.scorers')
    least, most = _attainable(preset, options.weights)
    least -= 1.0 if options.overlong_tokens else 0.0
    if least < low or most > high:
        raise ValueError(
            f"reward.preset {preset!r} can give [{least:g}, {most:g}], but rewards outside reward.range "
            f"[{low:g}, {high:g}] are invalid: widen the range, or lower reward.weights"
        )


def _check_scorers(options: RewardConfig) -> None:
    preset = options.preset.partition(":")[2]
    taken = {*REWARDS, BREVITY, *OF_EVERY_ANSWER, *WORKERS, *([preset] if preset else [])}
    for scorer in options.scorers:
        if not re.fullmatch(r"[\w.-]+", scorer.called):
            raise ValueError(
                f"reward.scorers: {scorer.called!r} is used in metric and log names: use letters, digits, '_', '.', '-'"
            )
        if scorer.called in taken:
            raise ValueError(
                f"reward.scorers: {scorer.use!r} would be logged as {scorer.called!r}, which is the name of another "
                "part of the reward or of other workers: give it another name"
            )
        taken.add(scorer.called)
        custom.form_of(scorer.use, scorer.arguments)
        if not scorer.gpus and not inspect.isclass(find(scorer.use)):
            parts = parts_before(options, scorer)
            trial.check(scorer.use, custom.ANY_NUMBER, scorer.arguments, seconds=options.trial_seconds, parts=parts)


def parts_before(options: RewardConfig, scorer: ScorerConfig) -> tuple[str, ...]:
    """The names of the parts that a reward has when this scorer sees it."""
    of_preset: dict[str, tuple[str, ...]] = {
        "gated": (*options.weights, "schema"),
        "weighted": tuple(options.weights),
        "paper": ("reference_f1", "reference_schema"),
        "paper_f1": ("reference_f1", "reference_schema"),
        NONE: (),
    }
    own = of_preset.get(options.preset, (options.preset.partition(":")[2],))
    late = ("overlong",) if options.overlong_tokens else ()
    earlier = (each.called for each in options.scorers[: options.scorers.index(scorer)])
    return (*custom.OF_EVERY_REWARD, *own, *late, *earlier)


def _attainable(preset: str, weights: Mapping[str, float]) -> tuple[float, float]:
    """The minimum and maximum of a preset, each of its rewards being in [0, 1]; checks the weights."""
    if preset == NONE:
        return 0.0, 0.0
    if preset in ("paper", "paper_f1"):
        return 0.0, 11.0 if preset == "paper" else 1.0
    plan_of_weights(preset, tuple(weights.items()))
    if preset == "gated":
        return 0.0, 1.0
    return sum(w for w in weights.values() if w < 0), sum(w for w in weights.values() if w > 0)

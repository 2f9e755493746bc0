"""Scoring: a chain of scorers, each with its own workers, deadline and resources.

The first is the reward preset. Those of ``reward.scorers`` come after it, such as a verifier with a model of its own:
each sees the group with all rewards so far and adds its weighted value. A reward that could not be computed is
invalid: it leaves the baseline and the loss, and is counted by its cause; it is never 0.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from actors.pool import LeaseFailed, Pool
from cluster.protocols import Metrics
from rewards.checking import parts_before
from rewards.composite import added, invalid_group
from rnr.config import DeadlineConfig, RewardConfig
from rnr.types import Group, ScoredGroup

if TYPE_CHECKING:
    from cluster.worker_factory import WorkerFactory

GROUPS_WITHOUT_REWARD = 3
"""After this many groups in a row without a computed reward the run ends: the groups are not to blame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorer:
    """One link of the chain."""

    name: str
    pool: Pool
    seconds: float
    """The deadline of one group."""
    weight: float = 1.0


class NoRewards(RuntimeError):
    """Rewards cannot be computed, so there is nothing to learn from."""


class ScoringService:
    """Groups of rollouts -> the same groups with rewards."""

    def __init__(self, preset: Scorer, further: Sequence[Scorer] = (), *, bounds: tuple[float, float]) -> None:
        """A reward that further scorers take out of ``bounds`` is invalid."""
        self._preset = preset
        self._further = tuple(further)
        self._bounds = bounds
        self._invalid_in_a_row = 0

    async def start(self) -> None:
        """Bring the workers of all scorers up at once, so that they share one ``deadlines.start``; each tries its
        reward. Raises a group with a ValueError for one that cannot be used."""
        async with asyncio.TaskGroup() as group:
            for scorer in (self._preset, *self._further):
                group.create_task(scorer.pool.start_all())

    async def score(self, group: Group) -> ScoredGroup:
        """The group with an answer and a reward for each rollout; invalid ones if every worker that had it hung or
        died. Raises LeaseFailed for the last of ``GROUPS_WITHOUT_REWARD`` such groups in a row, and NoRewards for the
        last of as many that came back without one valid reward."""
        preset = self._preset
        try:
            scored = await preset.pool.lease("score", lambda w: w.score.remote(group), seconds=preset.seconds)
        except LeaseFailed as failure:
            self._refuse_many(preset, group, failure)
            return invalid_group(group, f"LeaseFailed: {failure}")
        last = preset
        for scorer in self._further:
            last = scorer if any(reward.total is not None for reward in scored.rewards) else last
            scored = await self._add(scorer, scored)
        self._refuse_invalid(scored, last)
        return scored

    def _refuse_invalid(self, scored: ScoredGroup, last: Scorer) -> None:
        """``last`` is the link of the chain that still had a valid reward of the group."""
        causes = [reward.invalid for reward in scored.rewards if reward.total is None]
        self._invalid_in_a_row = self._invalid_in_a_row + 1 if len(causes) == len(scored.rewards) else 0
        if self._invalid_in_a_row >= GROUPS_WITHOUT_REWARD:
            raise NoRewards(
                f"{self._invalid_in_a_row} groups in a row have no valid reward after {last.name}; the cause "
                f"for the last one, {scored.group.prompt.uid}, was {causes[0]}"
            )

    async def _add(self, scorer: Scorer, scored: ScoredGroup) -> ScoredGroup:
        try:
            values = await scorer.pool.lease("score", lambda w: w.values.remote(scored), seconds=scorer.seconds)
        except LeaseFailed as failure:
            self._refuse_many(scorer, scored.group, failure)
            values = [f"LeaseFailed: {failure}"] * len(scored.rewards)
        rewards = tuple(
            added(reward, scorer.name, value, weight=scorer.weight, bounds=self._bounds)
            for reward, value in zip(scored.rewards, values, strict=True)
        )
        return ScoredGroup(group=scored.group, rewards=rewards, answers=scored.answers)

    def _refuse_many(self, scorer: Scorer, group: Group, failure: LeaseFailed) -> None:
        row = scorer.pool.consecutive_failures
        if row >= GROUPS_WITHOUT_REWARD:
            raise LeaseFailed(
                f"{scorer.name} failed on {row} groups in a row: it hangs, crashes, or takes more than its deadline of "
                f"{scorer.seconds:g} s for the {len(group.rollouts)} answers of a group. The last group was "
                f"{group.prompt.uid}: {failure}"
            ) from failure

    def metrics(self) -> Metrics:
        """Counters since the start."""
        return {
            name: value for scorer in (self._preset, *self._further) for name, value in scorer.pool.metrics().items()
        }

    def stop(self) -> None:
        for scorer in (self._preset, *self._further):
            scorer.pool.stop()


def scoring_service(
    reward: RewardConfig,
    workers: "WorkerFactory",
    *,
    max_new_tokens: int,
    reward_workers: int,
    deadlines: DeadlineConfig,
) -> ScoringService:
    """The chain of ``reward``. Workers that die while they start are started again for ``deadlines.restart``.

    A worker has one group at a time by default: one that hangs or kills its worker takes no other with it.
    """
    spawn = partial(workers.reward, reward=reward, max_new_tokens=max_new_tokens)
    preset = Scorer(
        name=f"reward.preset {reward.preset!r}",
        pool=Pool("reward", spawn=spawn, size=reward_workers, capacity=1, restart_seconds=deadlines.restart),
        seconds=deadlines.score,
    )
    further = [
        Scorer(
            name=scorer.called,
            pool=Pool(
                scorer.called,
                spawn=partial(
                    workers.scorer,
                    scorer=scorer,
                    trial_seconds=reward.trial_seconds,
                    parts=parts_before(reward, scorer),
                ),
                size=scorer.workers,
                capacity=scorer.groups_at_once,
                restart_seconds=deadlines.restart,
            ),
            seconds=scorer.deadline_seconds,
            weight=scorer.weight,
        )
        for scorer in reward.scorers
    ]
    return ScoringService(preset, further, bounds=reward.range)

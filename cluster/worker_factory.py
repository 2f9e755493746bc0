"""The interface that makes the workers of a run: with Ray (``cluster/workers.py``) or in this process
(``cluster/in_process.py``)."""

from collections.abc import Sequence
from typing import Protocol

from actors.engine import EngineSettings
from actors.pool import Handle
from cluster.ranks import LearnerRanks
from cluster.scaling import Cluster
from learner.settings import LearnerSettings
from rnr.config import RewardConfig, ScorerConfig


class WorkerFactory(Cluster, Protocol):
    """Makes the workers of one run, and knows how many more have a place."""

    async def rollout(self, name: str, settings: EngineSettings) -> Handle:
        """A rollout worker with a running engine; ``name`` is that of its slot and generation."""
        ...

    async def reward(self, name: str, reward: RewardConfig, max_new_tokens: int) -> Handle:
        """A worker for the reward preset, which has tried it."""
        ...

    async def scorer(self, name: str, scorer: ScorerConfig, trial_seconds: float, parts: Sequence[str]) -> Handle:
        """A worker for a further scorer, which has loaded it and tried it on rewards of these parts."""
        ...

    async def learner(self, settings: LearnerSettings, *, threads: int) -> LearnerRanks:
        """All ranks, joined and with their engines built."""
        ...

    def release(self, name: str) -> None:
        """Give up the place of a rollout worker that ended."""
        ...

    async def end(self) -> None:
        """Give back all places, and remove what dead workers have left."""
        ...

"""The workers of a run in this process, without Ray: ``cluster/workers.py`` for ``--debug``.

The worker classes are plain Python, so their handles here call them at once, on the event loop's own thread: a
breakpoint or a print in a reward, in a loss or in the loop is in the foreground. Only the core of vLLM's asynchronous
engine is in a child process.
"""

import math
import os
from collections.abc import Sequence
from typing import Any

import ray

from actors.engine import EngineSettings
from actors.local_handle import LocalHandle
from actors.reward import RewardWorker, ScorerWorker
from actors.rollout import RolloutWorker
from actors.vllm_engine import VllmEngine
from cluster.placement import IN_PROCESS, local_resources
from cluster.ranks import LearnerRanks
from cluster.ray_session import ELSEWHERE_ON_LOOPBACK
from cluster.workers import QUIET
from learner.settings import LearnerSettings
from rnr.config import ClusterConfig, DeadlineConfig, RewardConfig, ScorerConfig


def resources_in_process() -> dict[str, float]:
    """What the workers of one process may take together: they take turns, so whatever they ask of its cores, and one
    GPU at most, the first."""
    return {"CPU": math.inf, "GPU": min(1.0, local_resources()["GPU"])}


def cores_by_host(address: str) -> list[float]:
    """The cores of each host of the cluster that was joined that has any for workers; in one process this machine's."""
    if address == IN_PROCESS:
        return [local_resources()["CPU"]]
    cores = (node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"])
    return [count for count in cores if count] or [1.0]


class LocalWorkers:
    """Makes the workers of one run in this process, one of each kind (``WorkerFactory``)."""

    def __init__(self, cluster: ClusterConfig, deadlines: DeadlineConfig) -> None:
        """Gives this process the environment that workers of their own would have."""
        self._deadlines = deadlines
        os.environ.update(QUIET)
        # Its warnings, about how it runs on this device, go to a log file in a run, and here between the run's lines.
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
        for variable, value in ELSEWHERE_ON_LOOPBACK.items():
            os.environ.setdefault(variable, value)
        if not cluster.gpus_per_learner_rank:
            os.environ["DS_ACCELERATOR"] = "cpu"

    async def rollout(self, name: str, settings: EngineSettings) -> LocalHandle:
        """A rollout worker with a running engine."""
        return await _start(RolloutWorker(VllmEngine(settings)))

    async def reward(self, name: str, reward: RewardConfig, max_new_tokens: int) -> LocalHandle:
        """A worker for the reward preset; a custom reward has already been tried in this process."""
        return LocalHandle(RewardWorker(reward, max_new_tokens=max_new_tokens))

    async def scorer(self, name: str, scorer: ScorerConfig, trial_seconds: float, parts: Sequence[str]) -> LocalHandle:
        """A worker for a further scorer, which has loaded it and tried it on rewards of these parts."""
        return await _start(ScorerWorker(scorer, trial_seconds=trial_seconds, parts=parts, in_thread=False))

    async def learner(self, settings: LearnerSettings, *, threads: int) -> LearnerRanks:
        """The one rank, with its engine built."""
        from learner.worker import LearnerWorker

        ranks = LearnerRanks(
            [LocalHandle(LearnerWorker(rank=0, world_size=1, threads=threads))],
            deadlines=self._deadlines,
            max_tokens_per_microbatch=settings.optimizer.max_tokens_per_microbatch,
        )
        await ranks.start(settings)
        return ranks

    def room(self) -> int:
        """None: there is one worker of each kind."""
        return 0

    def placed(self, name: str) -> bool:
        """In this process."""
        return True

    def ranks_waiting(self) -> int:
        """None: the one rank holds no place."""
        return 0

    def release(self, name: str) -> None:
        """Nothing: it held no place."""

    async def end(self) -> None:
        """Nothing: there are no workers that could be killed alone."""


async def _start(worker: Any) -> LocalHandle:
    await worker.start()
    return LocalHandle(worker)

"""The one file that makes Ray actors of the plain worker classes: where they run, with what, and until when."""

import asyncio
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.deadline import FIRST_START, answer, called
from actors.engine import EngineSettings
from actors.locked_folder import move_temporary_files, sweep_host
from actors.pool import Handle, WorkerLost
from actors.reward import RewardWorker, ScorerWorker
from actors.rollout import RolloutWorker
from actors.vllm_engine import VllmEngine
from actors.worker_log import print_to
from cluster import ray_session
from cluster.nodes import elsewhere, unreachable
from cluster.placement import rollout_bundle
from cluster.ranks import LearnerRanks, RankDied
from cluster.reservations import Reservations, room
from cluster.start_errors import start_named
from learner.settings import LearnerSettings
from learner.worker import LearnerWorker
from rnr.config import ClusterConfig, DeadlineConfig, RewardConfig, ScorerConfig
from rnr.runs.log_handler import log_to

QUIET = {
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONWARNINGS": "ignore",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}

CPU_LEARNER = {
    "DS_ACCELERATOR": "cpu",
    # Activations of some hundred MB come and go with every micro-batch. By default each is mapped, zeroed page by page
    # and unmapped again; kept in the heap, in huge pages, a step was a fifth faster.
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(16 * 2**30),
    "MALLOC_TOP_PAD_": str(256 * 2**20),
    "MALLOC_ARENA_MAX": "1",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}


class RayWorkers:
    """Makes the workers of one run as Ray actors (``WorkerFactory``)."""

    def __init__(
        self, cluster: ClusterConfig, deadlines: DeadlineConfig, reservations: Reservations, logs: Path | None = None
    ) -> None:
        """``logs`` is where each worker writes what it prints, where its host has that folder."""
        self._cluster = cluster
        self._deadlines = deadlines
        self._reservations = reservations
        self._logs = logs
        self._learners = itertools.count()

    async def rollout(self, name: str, settings: EngineSettings) -> Handle:
        """A rollout worker with a running engine; ``name`` is that of its slot and generation."""
        slot = name.partition(".")[0]
        await self._reservations.claim(
            rollout_bundle(self._cluster, slot),
            seconds=self._deadlines.start,
            avoid=await unreachable(await self._called(f"{name}, phase start", ray.nodes)),
        )
        # Workers with one seed would draw alike.
        settings = replace(settings, seed=settings.seed + int(slot.rpartition("-")[2]))
        actor: Any = ray.remote(RolloutWorker).options(
            num_cpus=self._cluster.cpus_per_worker,
            num_gpus=self._cluster.gpus_per_rollout_worker,
            max_concurrency=1000,
            scheduling_strategy=self._reservations.strategy(slot),
            runtime_env={"env_vars": QUIET},
            name=name,
        )
        return await self._wait_for_start(name, lambda: actor.remote(VllmEngine(settings)), late=FIRST_START)

    async def sweep(self, seconds: float = 5.0) -> None:
        """Remove what workers that are no more have left on each node of a cluster, as far as it answers within
        ``seconds``; a local Ray removes it itself."""
        if ray_session.is_local():
            return
        nodes = [node["NodeID"] for node in await self._called("the end of the workers", ray.nodes) if node["Alive"]]
        task: Any = ray.remote(num_cpus=0, max_retries=0)(sweep_host)
        there = (NodeAffinitySchedulingStrategy(node_id=node, soft=False) for node in nodes)
        swept = [task.options(scheduling_strategy=strategy).remote() for strategy in there]
        await asyncio.to_thread(ray.wait, swept, num_returns=len(swept), timeout=seconds)

    async def end(self) -> None:
        """Give back all places, and ``sweep``."""
        self._reservations.release_all()
        await self.sweep()

    def room(self) -> int:
        """How many more rollout workers fit on the nodes as they are now."""
        return room(rollout_bundle(self._cluster, "").resources)

    def placed(self, name: str) -> bool:
        """Whether the rollout worker of this slot has a place on a node that is there."""
        return self._reservations.placed(name)

    def ranks_waiting(self) -> int:
        """How many learner ranks have lost their place and wait for one."""
        return self._reservations.ranks_waiting()

    def release(self, name: str) -> None:
        """Give up the place of a rollout worker that ended."""
        self._reservations.release(name)

    async def reward(self, name: str, reward: RewardConfig, max_new_tokens: int) -> Handle:
        """A worker for the reward preset, which has tried it."""
        actor: Any = ray.remote(RewardWorker).options(
            num_cpus=self._cluster.cpus_per_worker, scheduling_strategy="SPREAD", name=name
        )
        options = {"max_new_tokens": max_new_tokens, "import_path": tuple(sys.path), "heeds_ctrl_c": False}
        return await self._wait_for_start(name, lambda: actor.remote(reward, **options))

    async def scorer(self, name: str, scorer: ScorerConfig, trial_seconds: float, parts: Sequence[str]) -> Handle:
        """A worker for a further scorer, which has loaded it and tried it on rewards of these parts."""
        actor: Any = ray.remote(ScorerWorker).options(
            num_cpus=scorer.cpus, num_gpus=scorer.gpus, scheduling_strategy="SPREAD", name=name
        )
        tried = {"trial_seconds": trial_seconds, "parts": parts, "import_path": tuple(sys.path)}
        return await self._wait_for_start(name, lambda: actor.remote(scorer, **tried))

    async def _called(self, place: str, call: Callable[[], Any], lost: type[RuntimeError] = WorkerLost) -> Any:
        return await called(call, place=place, seconds=self._deadlines.start, lost=lost)

    async def _wait_for_start(self, name: str, make: Callable[[], Any], *, late: str = "") -> Handle:
        place = f"{name}, phase start"
        handle = await self._called(place, make)
        try:
            with start_named(place, self._log(name)):
                # An asynchronous actor may begin the later of two calls first.
                for call in (self._settle(name, handle), handle.start.remote):
                    await answer(call(), place=place, seconds=self._deadlines.start, lost=WorkerLost, late=late)
        except BaseException:
            ray.kill(handle)
            raise
        return handle

    def _settle(self, name: str, handle: Any) -> Callable[[], Any]:
        """The call that has an actor keep its temporary files to itself, print what it logs, and write what it prints
        to ``logs``, beside those of the others."""

        def settle(_worker: Any, file: str) -> None:
            move_temporary_files()
            log_to(partial(print, flush=True))
            if file:
                print_to(file)

        return partial(handle.__ray_call__.remote, settle, str(self._log(name) or ""))

    def _log(self, name: str) -> Path | None:
        return self._logs / f"{name}.log" if self._logs else None

    async def learner(self, settings: LearnerSettings, *, threads: int) -> LearnerRanks:
        """All ranks, joined and with their engines built."""
        count, gpus = self._cluster.learner_ranks, self._cluster.gpus_per_learner_rank
        env_vars = {**QUIET, **({} if gpus else CPU_LEARNER), "OMP_NUM_THREADS": str(threads)}
        generation = next(self._learners)
        names = [f"learner-{rank}.{generation}" for rank in range(count)]
        place = "learner, phase start"
        selector = elsewhere(await unreachable(await self._called(place, ray.nodes, RankDied)))

        def make() -> list[Any]:
            return [
                self._rank(rank, gpus, env_vars, name=name, label_selector=selector).remote(
                    rank=rank, world_size=count, threads=threads
                )
                for rank, name in enumerate(names)
            ]

        handles = await self._called(place, make, RankDied)
        for name, handle in zip(names, handles, strict=True):
            self._settle(name, handle)()
        ranks = LearnerRanks(
            handles,
            deadlines=self._deadlines,
            max_tokens_per_microbatch=settings.optimizer.max_tokens_per_microbatch,
        )
        try:
            with start_named(place, self._log(names[0])):
                await ranks.start(settings)
        except BaseException:
            ranks.stop()
            raise
        return ranks

    def _rank(self, rank: int, gpus: float | None, env_vars: Mapping[str, str], **options: Any) -> Any:
        return ray.remote(LearnerWorker).options(
            **options,
            num_cpus=self._cluster.cpus_per_worker,
            num_gpus=gpus,
            runtime_env={"env_vars": dict(env_vars)},
            scheduling_strategy=self._reservations.strategy(f"learner-{rank}") if gpus else "DEFAULT",
        )

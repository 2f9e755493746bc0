"""The one file that makes Ray actors of the plain worker classes: where they run, with what, and until when."""

import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from actors.deadline import answer
from actors.engine import EngineSettings
from actors.pool import Handle, WorkerLost
from actors.printing import print_to
from actors.reward import RewardWorker, ScorerWorker
from actors.rollout import RolloutWorker
from actors.vllm_engine import VllmEngine
from cluster.nodes import elsewhere, unreachable
from cluster.placement import Bundle
from cluster.ranks import LearnerRanks
from learner.engine import LearnerSettings
from learner.worker import LearnerWorker
from rnr.config import ClusterConfig, DeadlineConfig, RewardConfig, ScorerConfig

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


@dataclass(slots=True)
class Reservations:
    """Placement groups, one for each bundle, so that a worker that is replaced finds its place again."""

    groups: dict[str, PlacementGroup]

    def strategy(self, name: str) -> Any:
        """How Ray places the worker of this name: in its bundle, or spread over the nodes where there is none."""
        if name not in self.groups:
            return "SPREAD"
        return PlacementGroupSchedulingStrategy(placement_group=self.groups[name], placement_group_bundle_index=0)

    def release(self) -> None:
        """Give everything back."""
        for group in {id(group): group for group in self.groups.values()}.values():
            remove_placement_group(group)
        self.groups.clear()


async def reserve(bundles: Sequence[Bundle], *, seconds: float) -> Reservations:
    """Reserve the bundles; raises WorkerLost naming the first that no node had room for in time."""
    reservations = Reservations({})
    for bundle in bundles:
        group = placement_group([bundle.resources])
        reservations.groups |= dict.fromkeys(bundle.members, group)
        place = f"{' and '.join(bundle.members)}: a node with {bundle.resources}"
        await answer(group.ready(), place=place, seconds=seconds, lost=WorkerLost)
    return reservations


class Workers:
    """Makes the workers of one run."""

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
        # Workers with one seed would draw alike.
        settings = replace(settings, seed=settings.seed + int(slot.rpartition("-")[2]))
        actor: Any = ray.remote(RolloutWorker).options(
            num_cpus=self._cluster.cpus_per_worker,
            num_gpus=self._cluster.gpus_per_rollout_worker,
            max_concurrency=1000,
            scheduling_strategy=self._reservations.strategy(slot),
            label_selector=elsewhere(await unreachable(ray.nodes())),
            runtime_env={"env_vars": QUIET},
            name=name,
        )
        handle = actor.remote(VllmEngine(settings))
        return await self._started(name, handle)

    async def reward(self, name: str, reward: RewardConfig, max_new_tokens: int) -> Handle:
        """A worker for the reward preset, which has tried it."""
        actor: Any = ray.remote(RewardWorker).options(
            num_cpus=self._cluster.cpus_per_worker, scheduling_strategy="SPREAD", name=name
        )
        handle = actor.remote(reward, max_new_tokens=max_new_tokens, import_path=tuple(sys.path))
        return await self._started(name, handle)

    async def scorer(self, name: str, scorer: ScorerConfig, trial_seconds: float) -> Handle:
        """A worker for a further scorer, which has loaded and tried it."""
        actor: Any = ray.remote(ScorerWorker).options(
            num_cpus=scorer.cpus, num_gpus=scorer.gpus, scheduling_strategy="SPREAD", name=name
        )
        handle = actor.remote(scorer, trial_seconds=trial_seconds, import_path=tuple(sys.path))
        return await self._started(name, handle)

    async def _started(self, name: str, handle: Any) -> Handle:
        self._log(name, handle)
        try:
            place = f"{name}, phase start"
            await answer(handle.start.remote(), place=place, seconds=self._deadlines.start, lost=WorkerLost)
        except BaseException:
            ray.kill(handle)
            raise
        return handle

    def _log(self, name: str, handle: Any) -> None:
        """Have an actor write what it prints to ``logs``, beside those of the others. Nobody waits for it: calls of one
        caller are carried out in their order."""
        if self._logs is not None:
            handle.__ray_call__.remote(lambda _worker, file: print_to(file), str(self._logs / f"{name}.log"))

    async def learner(self, settings: LearnerSettings, *, threads: int) -> LearnerRanks:
        """All ranks, joined and with their engines built."""
        count, gpus = self._cluster.learner_ranks, self._cluster.gpus_per_learner_rank
        env_vars = {**QUIET, **({} if gpus else CPU_LEARNER), "OMP_NUM_THREADS": str(threads)}
        generation = next(self._learners)
        names = [f"learner-{rank}.{generation}" for rank in range(count)]
        selector = elsewhere(await unreachable(ray.nodes()))
        handles = [
            self._rank(rank, gpus, env_vars, name=name, label_selector=selector).remote(
                rank=rank, world_size=count, threads=threads
            )
            for rank, name in enumerate(names)
        ]
        for name, handle in zip(names, handles, strict=True):
            self._log(name, handle)
        ranks = LearnerRanks(
            handles,
            deadlines=self._deadlines,
            max_tokens_per_microbatch=settings.optimizer.max_tokens_per_microbatch,
        )
        try:
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

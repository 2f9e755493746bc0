"""Ray, and the actors made of our plain worker classes. Nothing is started before the resources have been checked."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import ray

from actors.deadline import answer
from actors.pool import Handle, Pool, Spawn, WorkerLost
from actors.reward import RewardWorker
from actors.rollout import RolloutSettings, RolloutWorker
from cluster import ray_session
from cluster.learner_group import LearnerGroup
from cluster.plan import check_resources, local_resources, placed, threads_per_worker
from cluster.weight_sync import WeightLink
from learner.engine import LearnerSettings
from learner.worker import LearnerWorker
from rnr.config import Config

ATTEMPTS = 3
"""How often one lease is handed out, and a learner built, before the run stops."""

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
class Cluster:
    """Everything that runs, as the controller uses it."""

    config: Config
    model_folder: str
    rollouts: Pool
    rewards: Pool
    learner: LearnerGroup
    link: WeightLink

    async def rebuild_learner(self) -> None:
        """New ranks in place of lost ones, with the weights of the model folder: a checkpoint has to be loaded next."""
        self.learner.stop()
        version = self.learner.version
        self.learner = await _start_learner(self.config, self.model_folder)
        self.learner.version = version
        self.link.learner = self.learner
        for member in self.rollouts.members:
            member.version = -1  # the same version number may now stand for other weights


def connect(config: Config) -> None:
    """Join the cluster of ``cluster.address`` or of the surrounding Ray job, or start Ray on this machine; then check
    that the run fits, before any worker is created."""
    address = config.cluster.address or os.environ.get("RAY_ADDRESS", "")
    if not address:
        check_resources(config, local_resources())
    ray_session.connect(address, seconds=config.deadlines.start)
    check_resources(config, ray.cluster_resources())


@asynccontextmanager
async def launched(
    config: Config, *, model_folder: str, stop_token_id: int, probe: Sequence[int]
) -> AsyncIterator[Cluster]:
    """The running cluster; every actor is ended on leaving, whatever happened."""
    config = placed(config, ray.cluster_resources().get("GPU", 0.0))
    options = config.cluster
    cluster: Cluster | None = None
    learner: LearnerGroup | None = None
    pools: list[Pool] = []
    try:
        rewards = Pool(
            "reward",
            spawn=_spawn_reward(config),
            size=options.reward_workers,
            leases_per_worker=1,  # a group that hangs or kills its worker takes no other with it
            deadline_seconds=config.deadlines.update,
            attempts=ATTEMPTS,
        )
        pools.append(rewards)
        link = WeightLink(probe, tolerance=config.sync.probe_tolerance)
        rollouts = Pool(
            "rollout",
            spawn=_spawn_rollout(config, model_folder, stop_token_id),
            size=options.rollout_workers,
            leases_per_worker=config.generation.max_num_seqs,
            deadline_seconds=config.deadlines.update,
            attempts=ATTEMPTS,
            prepare=link.pull,
        )
        pools.append(rollouts)
        link.pool = rollouts
        async with asyncio.TaskGroup() as group:
            starting = group.create_task(_start_learner(config, model_folder))
            group.create_task(rewards.everywhere())
            group.create_task(rollouts.everywhere())
        learner = link.learner = starting.result()
        cluster = Cluster(config, model_folder, rollouts, rewards, learner, link)
        yield cluster
    finally:
        for pool in pools:
            pool.stop()
        learner = cluster.learner if cluster is not None else learner
        if learner is not None:
            learner.stop()


def _spawn_rollout(config: Config, model_folder: str, stop_token_id: int) -> Spawn:
    options = config.cluster
    settings = RolloutSettings(
        model_folder=model_folder,
        stop_token_id=stop_token_id,
        context_tokens=config.model.context_tokens,
        concurrent_sequences=config.generation.max_num_seqs,
        kv_cache_gib=config.generation.kv_cache_gib,
        gpu_memory_fraction=config.generation.gpu_memory_fraction,
        lora_rank=config.model.lora_rank,
        lora_alpha=config.model.lora_alpha,
        threads=threads_per_worker(options.rollout_workers, ray.cluster_resources().get("CPU", 1)),
        use_gpu=bool(options.gpus_per_rollout_worker),
        seed=config.run.seed,
    )

    async def spawn(name: str) -> Handle:
        actor: Any = ray.remote(RolloutWorker).options(
            num_cpus=options.cpus_per_worker,
            num_gpus=options.gpus_per_rollout_worker,
            max_concurrency=1000,
            runtime_env={"env_vars": QUIET},
        )
        handle = actor.remote(settings)
        return await _come_up(name, handle, handle.start.remote(), config.deadlines.update)

    return spawn


def _spawn_reward(config: Config) -> Spawn:
    options = config.cluster

    async def spawn(name: str) -> Handle:
        actor: Any = ray.remote(RewardWorker).options(num_cpus=options.cpus_per_worker)
        handle = actor.remote(config.reward, max_new_tokens=config.sampling.max_new_tokens)
        return await _come_up(name, handle, handle.ping.remote(), config.deadlines.start)

    return spawn


async def _come_up(name: str, handle: Any, started: Any, deadline_seconds: float) -> Handle:
    try:
        await answer(started, place=f"{name}, phase start", seconds=deadline_seconds, lost=WorkerLost)
    except WorkerLost:
        ray.kill(handle)
        raise
    return handle


async def _start_learner(config: Config, model_folder: str) -> LearnerGroup:
    options = config.cluster
    ranks = options.learner_ranks
    threads = threads_per_worker(ranks, ray.cluster_resources().get("CPU", 1))
    environment = QUIET if options.gpus_per_learner_rank else {**QUIET, **CPU_LEARNER}
    actor: Any = ray.remote(LearnerWorker).options(
        num_cpus=options.cpus_per_worker,
        num_gpus=options.gpus_per_learner_rank,
        runtime_env={"env_vars": {**environment, "OMP_NUM_THREADS": str(threads)}},
    )
    handles = [actor.remote(rank=rank, world_size=ranks, threads=threads) for rank in range(ranks)]
    group = LearnerGroup(
        handles,
        deadline_seconds=config.deadlines.update,
        max_tokens_per_microbatch=config.optimizer.max_tokens_per_microbatch,
    )
    settings = LearnerSettings(
        model_folder=model_folder, model=config.model, optimizer=config.optimizer, seed=config.run.seed
    )
    up = False
    try:
        await group.start(settings)
        up = True
    finally:
        if not up:
            group.stop()
    return group

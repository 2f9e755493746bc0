"""The services of a run, made from its whole config: each is handed its own branches."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from cluster.generation import generation_service
from cluster.in_process import LocalWorkers, cores_by_host
from cluster.placement import IN_PROCESS, bundles, threads_per_worker
from cluster.policy import PolicyService
from cluster.reservations import reserve
from cluster.scaling import autoscaled
from cluster.scoring import scoring_service
from cluster.services import Services, Start
from cluster.settings import engine_settings, learner_settings
from cluster.shutdown import end_workers
from cluster.transport import make_transport
from cluster.transport.topology import topology_of
from cluster.worker_factory import WorkerFactory
from cluster.workers import RayWorkers
from rnr.config import Config
from rnr.runs.run_folder import run_folder
from rnr.runs.status import LOGS, StatusFile


@asynccontextmanager
async def run_services(
    config: Config, start: Start, *, status: StatusFile, folder: Path | None = None
) -> AsyncIterator[Services]:
    """The three services of a run whose GPUs are decided, on the cluster that was joined, all workers ended on leaving;
    ``folder`` is that of the run, if there is one: it holds requests, and the learner ranks have to see it, too."""
    cluster = config.cluster
    workers = await _workers(config, run_folder(config.run) / LOGS)
    services = _services(config, workers, start, hosts=cores_by_host(cluster.address), folder=folder)
    try:
        await services.start(status, policy_first=topology_of(cluster, config.model).gpus_shared)
        async with autoscaled(services.generation.pool, workers, cluster, folder):
            yield services
    finally:
        await end_workers(services, workers)


async def _workers(config: Config, logs: Path) -> WorkerFactory:
    """The factory of a run's workers; Ray has reserved their places."""
    cluster, deadlines = config.cluster, config.deadlines
    if cluster.address == IN_PROCESS:
        return LocalWorkers(cluster, deadlines)
    reservations = await reserve(bundles(cluster, config.reward.scorers), seconds=deadlines.start)
    return RayWorkers(cluster, deadlines, reservations, logs)


def _services(
    config: Config, workers: WorkerFactory, start: Start, *, hosts: Sequence[float], folder: Path | None
) -> Services:
    """The services, not yet started, of a run whose GPUs are decided."""
    cluster, decided = config.cluster, (config.cluster, config.generation)
    transport = make_transport(config.sync, topology_of(cluster, config.model))
    learner = learner_settings(start, config.model, config.optimizer, config.run.seed, decided, config.grpo, transport)
    policy = PolicyService(
        lambda: workers.learner(learner, threads=threads_per_worker(cluster.learner_ranks, hosts)),
        grpo=config.grpo,
        sampling=config.sampling,
        learning_rate=start.learning_rate,
        transport=transport,
        probe=start.probe,
        restart_seconds=config.deadlines.restart,
        engines_sleep=lambda: generation.sleep(),
        offloads=config.optimizer.offload,
        run_folder=folder,
    )
    generation = generation_service(
        workers,
        engine_settings(start.model_folder, start.stop_token_id, config.model, config.run.seed, decided, hosts),
        size=cluster.fewest_rollout_workers,
        sampling=config.sampling,
        sync=config.sync,
        deadlines=config.deadlines,
        probe=start.probe,
        seed=config.run.seed,
        make_room=policy.make_room,
    )
    tokens, count = config.sampling.max_new_tokens, cluster.reward_workers
    scoring = scoring_service(
        config.reward, workers, max_new_tokens=tokens, reward_workers=count, deadlines=config.deadlines
    )
    return Services(policy=policy, generation=generation, scoring=scoring)

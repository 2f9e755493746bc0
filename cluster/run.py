"""A whole run: validate the inputs, start the services, run the stages.

Below the scripts only this and ``cluster/run_services.py`` see the whole config; they hand each part its own branch.
"""

import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ray

from actors.vllm_on_gpu import refuse_division
from cluster import ray_session
from cluster.assignment import check_nodes
from cluster.checkpoint import Checkpoints, has_checkpoint, refuse_lost
from cluster.disk import Disk, check_disk, disk_gib
from cluster.dry_run import memory_missing, worker_gib
from cluster.durable_tracker import DurableTracker
from cluster.estimate import estimated_rates, stated_seconds
from cluster.evaluation import evaluate
from cluster.gpus import worker_gpus
from cluster.graceful_stop import GracefulStop, nothing_to_save
from cluster.host_checks import check_machine
from cluster.in_process import resources_in_process
from cluster.inputs import RunInputs, check_inputs, check_model, inputs_of, keep_inputs
from cluster.manifest import layout_of
from cluster.placement import (
    IN_PROCESS,
    check_resources,
    decide_gpus,
    local_resources,
    named_address,
    ray_address,
    roles,
)
from cluster.prepare import Prepared, prepare
from cluster.ray_watchdog import while_ray_lives
from cluster.run_services import run_services
from cluster.schedule import Schedule
from cluster.services import start_of
from cluster.settings import MemoryBranches, Settings
from cluster.shutdown import Ending
from cluster.sleep_mode import plan_memory
from cluster.stages import Stages
from cluster.transport import transport_name
from cluster.transport.topology import topology_of
from cluster.warm_start import take_over, warm_start
from rnr.config import Config
from rnr.runs.console import Console
from rnr.runs.forecast import Forecast
from rnr.runs.run_folder import open_run, run_folder
from rnr.runs.scale import clear_request
from rnr.runs.spans import record_to
from rnr.runs.status import LOGS, StatusFile
from rnr.runs.tensorboard_run import check_tensorboard
from rnr.runs.tracking import Tracker

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidatedRun:
    """A validated run: data, model and resources."""

    config: Config
    """With its GPUs decided."""
    tree: dict[str, Any]
    """The config as it was given, to be saved with the run."""
    prepared: Prepared
    schedule: Schedule
    folder: Path
    status: StatusFile


def load_inputs(config: Config) -> tuple[Prepared, Schedule]:
    """Data and model of a run, and the schedule of its steps; raises ValueError for unusable inputs."""
    prepared = prepare(
        model=config.model,
        data=config.data,
        sft=config.sft,
        grpo=config.grpo,
        sampling=config.sampling,
        reward=config.reward,
        evaluation=config.evaluation,
        seed=config.run.seed,
    )
    refuse_division(prepared.model_folder, config.cluster.gpus_per_rollout_worker)
    schedule = Schedule(
        prepared,
        sft=config.sft,
        grpo=config.grpo,
        prompts_per_step=config.sampling.prompts_per_step,
        final_rate=config.optimizer.final_rate,
        seed=config.run.seed,
        evaluate_every=config.evaluation.every_steps,
    )
    return prepared, schedule


def load_and_check(config: Config, *, resume: bool) -> RunInputs:
    """``load_inputs``, and every other check after ``check_run`` that does not depend on the machines, for start and
    plan. Raises ValueError, naming the place; writes nothing."""
    if config.tracking.tensorboard:
        check_tensorboard()
    start = warm_start(config.sft, config.run, config.model_dump(mode="json"), resume=resume)
    prepared, schedule = load_inputs(config)
    digests = inputs_of(prepared)
    if resume:
        check_inputs(run_folder(config.run), digests)
        refuse_lost(run_folder(config.run))
    if start:
        check_model(start.parents[1], digests)
    return RunInputs(prepared=prepared, schedule=schedule, digests=digests, warm_start=start)


def validate_run(config: Config, *, resume: bool, status: StatusFile) -> ValidatedRun:
    """Check everything a user can get wrong, join or start Ray, and open the run folder.

    Raises ValueError, naming the place, before any worker is started; a ValueError after that is a bug.
    """
    tree = config.model_dump(mode="json")
    with status.starting("data and model"):
        inputs = load_and_check(config, resume=resume)
    prepared, schedule = inputs.prepared, inputs.schedule
    for note in (prepared.contents, *prepared.notes, *schedule.notes, *config.notes):
        logger.info(note)
    if not resume:
        check_disk(run_folder(config.run), disk_gib(config.checkpoint, config.model, prepared.weights_gib))
    with status.starting("Ray"):
        config = connect(config)
    branches = memory_branches(config)
    generation, rows = plan_memory(worker_gpus(config.cluster), prepared.shape, **branches, longest=prepared.longest)
    config = config.model_copy(update={"generation": generation})
    for name, held in rows:
        logger.info(f"{name}: {held}")
    short = memory_missing(worker_gib(prepared, **branches), roles(config.cluster, config.reward.scorers))
    if short and ray_address(config.cluster) in ("", IN_PROCESS):
        logger.warning(f"memory: {short}")
    folder = open_run(config.run, tree, resume=resume)
    keep_inputs(folder, inputs.digests)
    status.open(folder)
    record_to(folder)
    clear_request(folder)
    if inputs.warm_start:
        take_over(inputs.warm_start, folder, inputs.digests)
    elif resume and not has_checkpoint(folder):
        logger.info("no checkpoint was written before: starting from the beginning")
    return ValidatedRun(config=config, tree=tree, prepared=prepared, schedule=schedule, folder=folder, status=status)


def connect(config: Config) -> Config:
    """Join the cluster of ``cluster.address`` or of the surrounding Ray job, or start Ray on this machine; then check
    that the run fits, before any worker is created. Returns the config with its GPUs decided, for all of the run."""
    address, seconds = ray_address(config.cluster), config.deadlines.start
    if address in ("", IN_PROCESS):
        here = _fit_to_resources(config, resources_in_process() if address else local_resources())
        for note in check_machine(here.cluster):
            logger.warning(note)
        if address:
            return here
    ray_session.connect(address, seconds=seconds, named=named_address(config.cluster))
    config = _fit_to_resources(config, ray.cluster_resources())
    check_nodes(config.cluster, ray.nodes(), config.reward.scorers)
    logger.info(f"weight transport: {transport_name(config.sync, topology_of(config.cluster, config.model))}")
    return config


def with_gpus(config: Config, resources: Mapping[str, float]) -> Config:
    """The config with its GPUs decided for these resources."""
    gpus = resources.get("GPU", 0.0)
    cluster, generation = decide_gpus(config.cluster, config.generation, gpus, config.reward.scorers)
    return config.model_copy(update={"cluster": cluster, "generation": generation})


def _fit_to_resources(config: Config, resources: Mapping[str, float]) -> Config:
    """``with_gpus``; raises ValueError, with what to change, if the resources are too few."""
    config = with_gpus(config, resources)
    check_resources(config.cluster, resources, config.reward.scorers)
    return config


def memory_branches(config: Config) -> MemoryBranches:
    """The branches that say what the GPUs hold."""
    return MemoryBranches(
        model=config.model,
        optimizer=config.optimizer,
        grpo=config.grpo,
        generation=config.generation,
        cluster=config.cluster,
        sync=config.sync,
    )


def stage_settings(config: Config) -> Settings:
    """The branches that say what the stages do."""
    return Settings(
        sft=config.sft,
        grpo=config.grpo,
        merging=config.applied_merging,
        sampling=config.sampling,
        evaluation=config.evaluation,
        reward_weights=config.reward.part_weights,
        difficulty_rollouts=config.data.difficulty_rollouts if config.grpo.steps else 0,
        checkpoint_every=config.checkpoint.every_steps,
        restart_seconds=config.deadlines.restart,
    )


async def run(ready: ValidatedRun, console: Console) -> dict[str, Any]:
    """Run all stages and return the summary, which is also written into the run folder."""
    config = ready.config
    settings, model, generation = stage_settings(config), config.model, config.generation
    found = estimated_rates(ready.prepared, settings, model=model, generation=generation, cluster=config.cluster)
    ready.status.forecast = Forecast(stated_seconds(ready.prepared, ready.schedule, settings, found))
    ending = Ending(ready.status)
    stopping = GracefulStop(config.checkpoint.grace_seconds)
    disk = Disk(ready.folder, seconds=config.deadlines.room)
    tracking, name = config.tracking, config.run.name
    tracker = Tracker(ready.folder, options=tracking, name=name, config=ready.tree)
    asked = partial(evaluate, ready.prepared, config.evaluation, context_tokens=config.model.context_tokens, disk=disk)
    durable = DurableTracker(tracker, disk)
    try:
        async with AsyncExitStack() as stack:
            stack.enter_context(stopping.listening())
            stack.enter_context(tracker)
            await durable.log_examples(prompt.example for prompt in ready.prepared.evaluation)
            keep, layout = config.checkpoint.keep, layout_of(ready.tree)
            checkpoints = Checkpoints(ready.folder / "checkpoints", keep=keep, layout=layout, disk=disk)
            start = start_of(ready.prepared, ready.schedule)
            starting = run_services(config, start, status=ready.status, folder=ready.folder)
            untrained = partial(nothing_to_save, resumed=bool(checkpoints.complete()))
            stack.callback(ending.end)
            async with while_ray_lives(ready.folder / LOGS):
                services = await stopping.run_until_stopped(stack.enter_async_context(starting), untrained)
            stack.callback(ending.begin)
            stages = Stages(
                settings=settings,
                prepared=ready.prepared,
                schedule=ready.schedule,
                policy=services.policy,
                generation=services.generation,
                scoring=services.scoring,
                evaluate=partial(asked, services.generation),
                checkpoints=checkpoints,
                folder=ready.folder,
                tracker=durable,
                status=ready.status,
                stopping=stopping,
                disk=disk,
                console=console,
            )
            with ready.status.until_the_end():  # ending the workers does not change the run's outcome
                async with while_ray_lives(ready.folder / LOGS):
                    return await stages.run_all(ready.status.seconds)
    finally:
        record_to(None)

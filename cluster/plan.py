"""What a run needs, worked out from the config alone, and whether a cluster has it."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rnr.config import Config
from rnr.runs.run_folder import run_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """All workers of one kind."""

    name: str
    count: int
    cpus: float
    gpus: float


SHARED_GPU_MEMORY = 0.4
"""What vLLM may take of a GPU's memory that it shares with the learner, unless the config says less."""


def placed(config: Config, gpus: float) -> Config:
    """The config with what it leaves open of the GPUs decided, for a cluster of ``gpus``."""
    cluster = config.cluster
    whole = gpus >= cluster.rollout_workers + cluster.learner_ranks
    share = 0.0 if not gpus else 1.0 if whole else 0.5
    open_keys = [key for key in ("gpus_per_rollout_worker", "gpus_per_learner_rank") if getattr(cluster, key) is None]
    decided: dict[str, float] = dict.fromkeys(open_keys, share)
    changed: dict[str, object] = {"cluster": cluster.model_copy(update=decided)}
    if decided.get("gpus_per_rollout_worker") == 0.5:
        fraction = min(SHARED_GPU_MEMORY, config.generation.gpu_memory_fraction)
        changed["generation"] = config.generation.model_copy(update={"gpu_memory_fraction": fraction})
    return config.model_copy(update=changed)


def roles(config: Config) -> tuple[Role, ...]:
    """The workers a run starts, with what each asks of Ray; GPUs that are still open count as none."""
    cluster = config.cluster
    cpus = cluster.cpus_per_worker
    return (
        Role(name="rollout", count=cluster.rollout_workers, cpus=cpus, gpus=cluster.gpus_per_rollout_worker or 0.0),
        Role(name="learner", count=cluster.learner_ranks, cpus=cpus, gpus=cluster.gpus_per_learner_rank or 0.0),
        Role(name="reward", count=cluster.reward_workers, cpus=cpus, gpus=0.0),
    )


def check_resources(config: Config, available: Mapping[str, float]) -> None:
    """Raise ValueError saying what is needed, what there is and what to change, when the roles do not fit."""
    config = placed(config, available.get("GPU", 0.0))
    for resource, key in (("CPU", "cpus"), ("GPU", "gpus")):
        needed = sum(role.count * getattr(role, key) for role in roles(config))
        has = available.get(resource, 0.0)
        if needed > has + 1e-6:
            parts = " + ".join(f"{role.count} {role.name} x {getattr(role, key):g}" for role in roles(config))
            raise ValueError(
                f"the run needs {needed:g} {resource}s ({parts}) and the cluster has {has:g}: lower "
                f"cluster.rollout_workers, cluster.learner_ranks or cluster.{key}_per_*, or add a node"
            )


def disk_gib(config: Config, weights_gib: float) -> float:
    """What the run folder grows to, in GiB: the checkpoints that are kept, the one after the warm start, the one being
    written, and the export."""
    # bf16 weights, and three times as many numbers in float32: master weights and two moments; an adapter has few.
    checkpoint = weights_gib * (0.2 if config.model.lora_rank else 7)
    return (config.checkpoint.keep + 2) * checkpoint + weights_gib


def check_disk(config: Config, weights_gib: float, free: float) -> None:
    """Raise ValueError when the disk of the run folder, with ``free`` GiB, has no room for what a run leaves there."""
    needed = disk_gib(config, weights_gib)
    if needed > free:
        raise ValueError(
            f"the run needs {needed:.1f} GiB for its checkpoints and export, and run.folder ({config.run.folder}) has "
            f"{free:.1f}: free some, name another run.folder, or lower checkpoint.keep"
        )


def check_room(config: Config, weights_gib: float, *, resume: bool) -> None:
    """``check_disk`` on the disk of the run folder; a run that is resumed has most of what it needs already."""
    if not resume:
        check_disk(config, weights_gib, free_gib(run_folder(config)))


def free_gib(folder: Path) -> float:
    """Free space on the disk on which this folder lies or will lie, in GiB."""
    there = next(place for place in (folder, *folder.parents) if place.is_dir())
    return shutil.disk_usage(there).free / 2**30


def local_resources() -> dict[str, float]:
    """CPUs and GPUs of this machine, without starting anything."""
    import torch

    return {"CPU": float(len(os.sched_getaffinity(0))), "GPU": float(torch.cuda.device_count())}


def threads_per_worker(workers: int, cpus: float) -> int:
    """Threads for each of ``workers`` of one kind on ``cpus`` cores; roles take turns, so each may use them all."""
    return max(1, int(cpus) // workers)

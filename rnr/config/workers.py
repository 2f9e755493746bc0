"""The processes of a run: their number, resources, weight sync and deadlines."""

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from rnr.config.section import Section


class ClusterConfig(Section):
    address: str = ""
    """Ray address to join; empty joins ``RAY_ADDRESS`` (set in a Ray job), or starts Ray on this machine.
    ``in_process`` runs everything in this process without Ray, as ``--debug`` does (``docs/debugging.md``)."""
    rollout_workers: int | str = 1
    """Number of vLLM engines, each in its own process, or a range such as ``"1..8"`` within which the run scales with
    the free resources of the cluster; ``python -m scripts.scale RUN N`` changes it by hand."""
    reward_workers: int = Field(default=1, ge=1)
    """Processes for the reward preset."""
    learner_ranks: int = Field(default=1, ge=1)
    """DeepSpeed ranks. May change on ``--resume``, as may ``optimizer.zero_stage``."""
    cpus_per_worker: float = Field(default=0.25, gt=0)
    """CPUs that each worker reserves in Ray. Workers rarely compute at the same time, so a fraction is enough."""
    gpus_per_rollout_worker: float | None = Field(default=None, ge=0)
    """GPUs per rollout worker; more than one is tensor parallelism on one host. Default: 1, or 0.5 if the cluster has
    fewer GPUs than workers and ranks, or 0 if it has none."""
    gpus_per_learner_rank: float | None = Field(default=None, ge=0, le=1)
    """GPUs per learner rank, with the same default and at most 1: for more GPUs, add ``learner_ranks``. If ranks share
    GPUs with rollout workers, a rank without a partner takes a whole GPU."""

    @field_validator("gpus_per_rollout_worker")
    @classmethod
    def _a_share_or_whole(cls, value: float | None) -> float | None:
        if value is not None and value > 1 and value != int(value):
            raise ValueError("must be a fraction of one GPU or a whole number of GPUs")
        return value

    @field_validator("rollout_workers")
    @classmethod
    def _a_range(cls, value: int | str) -> int | str:
        worker_range(value)
        return value

    @model_validator(mode="after")
    def _one_of_each_in_one_process(self) -> Self:
        counts = (self.most_rollout_workers, self.reward_workers, self.learner_ranks)
        if self.address == "in_process" and counts != (1, 1, 1):
            raise ValueError(
                'cluster.address "in_process" allows one worker of each kind: set cluster.rollout_workers, '
                "cluster.reward_workers and cluster.learner_ranks to 1"
            )
        return self

    @property
    def fewest_rollout_workers(self) -> int:
        """The lower end of the range; with fewer, the run does not start."""
        return worker_range(self.rollout_workers)[0]

    @property
    def most_rollout_workers(self) -> int:
        """The upper end of the range."""
        return worker_range(self.rollout_workers)[1]


def worker_range(value: int | str) -> tuple[int, int]:
    """``3`` or ``"3"`` as (3, 3), ``"1..8"`` as (1, 8); ValueError for anything else."""
    found = re.fullmatch(r"\s*(\d{1,6})\s*(?:\.\.\s*(\d{1,6})\s*)?", str(value), re.ASCII)
    fewest, most = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if not 1 <= fewest <= most:
        raise ValueError(f'must be a number such as 4 or a range such as "1..8", at least 1, not {value!r}')
    return fewest, most


class SyncConfig(Section):
    transport: Literal["auto", "object_store", "shared_memory", "cuda_ipc", "nccl"] = "auto"
    """How a published policy reaches the rollout workers (``cluster/transport``). ``object_store``: Ray's, for any
    placement; ``shared_memory``: for CPUs of one host; ``cuda_ipc``: for a learner and an engine on one GPU; ``nccl``:
    for learner and engines on separate GPUs. ``auto`` picks by placement, never ``nccl``; ``--dry-run`` shows which."""
    probe_tolerance: float = Field(default=0.15, gt=0)
    """Maximum mean difference of the probe's log-probabilities between learner and rollout worker, in nats."""


class DeadlineConfig(Section):
    """Deadlines in seconds, one per kind of wait. A worker that misses one is replaced and its work is reissued."""

    start: float = Field(default=900.0, gt=0)
    """Starting a worker: imports, weights, compilation."""
    restart: float = Field(default=900.0, ge=0)
    """How long failing workers or learner ranks are restarted without progress; at least three attempts are made."""
    room: float = Field(default=900.0, ge=0)
    """How long a run waits for space on a full disk before it stops."""
    generate: float = Field(default=600.0, gt=0)
    """Generating the rollouts of one prompt, including the time in the engine's queue."""
    score: float = Field(default=120.0, gt=0)
    """Scoring one group, or one probe of a weight sync."""
    load: float = Field(default=300.0, gt=0)
    """Loading a published policy into one engine."""
    update: float = Field(default=1800.0, gt=0)
    """One GRPO or SFT update, and gathering the weights."""
    save: float = Field(default=1800.0, gt=0)
    """Writing or reading a checkpoint or the export."""

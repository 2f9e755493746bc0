"""The processes of a run: how many, on what, how weights reach them, how long they may take."""

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from rnr.config.section import Section


class ClusterConfig(Section):
    address: str = ""
    """Ray address to join; empty joins the cluster of the Ray job, or starts Ray on this machine. ``in_process`` runs
    everything in this process without Ray, as ``--debug`` does (``docs/debugging.md``)."""
    rollout_workers: int | str = 1
    """vLLM engines, each in a process of its own: a number, or a range such as ``"1..8"``, which takes what the cluster
    has room for while the run goes on; ``python -m scripts.scale RUN N`` changes it by hand."""
    reward_workers: int = Field(default=1, ge=1)
    """Processes that score."""
    learner_ranks: int = Field(default=1, ge=1)
    """DeepSpeed ranks. A resumed run may have another number, and another ``optimizer.zero_stage``."""
    cpus_per_worker: float = Field(default=0.25, gt=0)
    """What each of our processes asks of Ray; they take turns, so a fraction does on a laptop."""
    gpus_per_rollout_worker: float | None = Field(default=None, ge=0)
    """What each asks of Ray. By default what the cluster has: a GPU for each worker and rank, or half a one where there
    are fewer, or none. Of several on one host the engine holds a part of the model each (tensor parallelism)."""
    gpus_per_learner_rank: float | None = Field(default=None, ge=0, le=1)
    """As ``gpus_per_rollout_worker``, but at most 1: for more, add ``learner_ranks``."""

    @field_validator("gpus_per_rollout_worker")
    @classmethod
    def _a_share_or_whole(cls, value: float | None) -> float | None:
        if value is not None and value > 1 and value != int(value):
            raise ValueError("an engine has a share of one GPU or whole ones")
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
                'cluster.address "in_process" has room for one worker of each kind: set cluster.rollout_workers, '
                "cluster.reward_workers and cluster.learner_ranks to 1"
            )
        return self

    @property
    def fewest_rollout_workers(self) -> int:
        """With fewer the run does not begin."""
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
        raise ValueError(f'must be a number such as 4 or a range such as "1..8", from 1 on, not {value!r}')
    return fewest, most


class SyncConfig(Section):
    transport: Literal["auto", "object_store", "shared_memory", "cuda_ipc", "nccl"] = "auto"
    """How a published policy reaches the rollout workers (``cluster/transport``): ``object_store``, Ray's, which serves
    any placement; ``shared_memory``, on the CPUs of one host; ``cuda_ipc``, a learner and an engine that share one GPU;
    ``nccl``, learner and engines that have GPUs to themselves. ``auto`` picks by placement, never ``nccl``;
    ``--dry-run`` says which."""
    probe_tolerance: float = Field(default=0.15, gt=0)
    """Largest mean difference, in nats, of log-probabilities between learner and rollout worker after a weight sync."""


class DeadlineConfig(Section):
    """Seconds, one for each kind of wait. A worker that misses one is replaced and its work is handed out again."""

    start: float = Field(default=900.0, gt=0)
    """From the creation of a worker until it can work: imports, weights, compilation."""
    restart: float = Field(default=900.0, ge=0)
    """How long what is lost again and again, without progress in between, is started anew: the learner's ranks, and a
    rollout worker. At least three times are tried however long they take."""
    room: float = Field(default=900.0, ge=0)
    """How long a run waits for room on a full disk before it ends, to be resumed."""
    generate: float = Field(default=600.0, gt=0)
    """The rollouts of one prompt, with what waits in the engine before them."""
    score: float = Field(default=120.0, gt=0)
    """The rewards of one group, and a probe of log-probabilities."""
    load: float = Field(default=300.0, gt=0)
    """A published policy into one engine."""
    update: float = Field(default=1800.0, gt=0)
    """One optimizer batch, and the collection of the weights."""
    save: float = Field(default=1800.0, gt=0)
    """A checkpoint or the export, written or read."""

"""What a run needs of a cluster, whether it is there, and where each worker goes."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rnr.config import ClusterConfig, GenerationConfig, ScorerConfig

IN_PROCESS = "in_process"
"""The value of ``cluster.address`` for all workers in one process, without Ray."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """All workers of one kind."""

    name: str
    count: int
    cpus: float
    gpus: float


SHARED_GPU_MEMORY = 0.4
"""What vLLM may take of the memory of a GPU that it has a share of, unless the config says otherwise."""
LONE_RANK = 1.0
"""GPUs of a rank that shares none where others do: Ray would put two halves on one GPU, and NCCL takes a rank a GPU."""


def decide_gpus(
    cluster: ClusterConfig, generation: GenerationConfig, gpus: float, scorers: Sequence[ScorerConfig] = ()
) -> tuple[ClusterConfig, GenerationConfig]:
    """The branches with the GPUs that they leave open decided, for a cluster of ``gpus``, of which the scorers take
    theirs first. Raises ValueError, with what to set, for shares by which too much would be put on one GPU."""
    judged = sum(role.count * role.gpus for role in _judges(cluster, scorers))
    whole = gpus - judged >= cluster.fewest_rollout_workers + cluster.learner_ranks
    share = 0.0 if not gpus else 1.0 if whole else 0.5
    open_keys = [key for key in ("gpus_per_rollout_worker", "gpus_per_learner_rank") if getattr(cluster, key) is None]
    decided: dict[str, float] = dict.fromkeys(open_keys, share)
    cluster = cluster.model_copy(update=decided)
    if 0 < (cluster.gpus_per_rollout_worker or 0.0) < 1 and not generation.changed("gpu_memory_fraction"):
        generation = generation.model_copy(update={"gpu_memory_fraction": SHARED_GPU_MEMORY})
    # What this machine has is all there will ever be; to a cluster a node may be added.
    _refuse_crowded(cluster, generation.gpu_memory_fraction, math.inf if ray_address(cluster) else gpus - judged)
    return cluster, generation


def pairs(cluster: ClusterConfig) -> int:
    """How many learner ranks share a GPU with a rollout worker, in a run whose GPUs are decided."""
    engine, rank = cluster.gpus_per_rollout_worker or 0.0, cluster.gpus_per_learner_rank or 0.0
    share = engine > 0 and rank > 0 and engine + rank <= 1
    return min(cluster.fewest_rollout_workers, cluster.learner_ranks) if share else 0


def _refuse_crowded(cluster: ClusterConfig, fraction: float, gpus: float) -> None:
    """Raise ValueError, with what to set, where Ray, which fills one GPU before it takes the next, would put two
    learner ranks on one, or engines of this memory fraction beside what leaves them no room."""
    engine, rank, paired = cluster.gpus_per_rollout_worker or 0.0, cluster.gpus_per_learner_rank or 0.0, pairs(cluster)
    held = rank + engine if paired else rank
    if cluster.learner_ranks > 1 and 0 < held <= 0.5:
        raise ValueError(
            f"cluster.gpus_per_learner_rank={rank:g}: {int(1 / held)} of the {cluster.learner_ranks} learner ranks "
            "would be put on one GPU, but NCCL allows one per GPU: set it to 1, or both cluster.gpus_per_learner_rank "
            "and cluster.gpus_per_rollout_worker to 0.5"
        )
    if not 0 < engine < 1:
        return
    free = gpus - paired * held - (cluster.learner_ranks - paired) * (LONE_RANK if paired else rank)
    alone = cluster.most_rollout_workers - paired
    if free < alone * engine:
        alone = int(free / engine)
    if alone < 1:
        return
    if paired and held + engine <= 1:
        raise ValueError(
            f"cluster.gpus_per_rollout_worker={engine:g}: a second engine would be put on the GPU of a learner rank, "
            f"which expects only one: set cluster.gpus_per_learner_rank to {1 - engine:g}"
        )
    together = min(alone, int(1 / engine))
    if together > 1 and together * fraction > 1:
        raise ValueError(
            f"cluster.gpus_per_rollout_worker={engine:g}: {together} engines would be put on one GPU, and each takes "
            f"{fraction:g} of its memory: set generation.gpu_memory_fraction to {95 // together / 100:g} or less, or "
            "cluster.gpus_per_rollout_worker to 1"
        )


def learner_memory_share(cluster: ClusterConfig, generation: GenerationConfig) -> float:
    """The share of a GPU's memory that a learner rank may take: what an engine leaves of the GPU that both are on."""
    gpus = cluster.gpus_per_learner_rank or 0.0
    apart = gpus >= 1 or not cluster.gpus_per_rollout_worker or generation.sleep_level
    return 0.95 if apart else 1 - generation.gpu_memory_fraction


def ray_address(cluster: ClusterConfig) -> str:
    """The Ray to join: that of ``cluster.address`` or of the surrounding Ray job; empty to start one here."""
    return cluster.address or os.environ.get("RAY_ADDRESS", "")


def named_address(cluster: ClusterConfig) -> str:
    """``ray_address``, with the setting it comes from."""
    source = "cluster.address" if cluster.address else "RAY_ADDRESS; without that variable Ray is started here"
    return f"{ray_address(cluster)} ({source})"


def roles(cluster: ClusterConfig, scorers: Sequence[ScorerConfig] = ()) -> tuple[Role, ...]:
    """The workers a run starts, with what each asks of Ray; GPUs that are still open count as none. Of a range of
    rollout workers they are the fewest: with those the run begins."""
    cpus = cluster.cpus_per_worker
    return (
        Role(
            name="rollout",
            count=cluster.fewest_rollout_workers,
            cpus=cpus,
            gpus=cluster.gpus_per_rollout_worker or 0.0,
        ),
        Role(name="learner", count=cluster.learner_ranks, cpus=cpus, gpus=cluster.gpus_per_learner_rank or 0.0),
        Role(name="reward", count=cluster.reward_workers, cpus=cpus, gpus=0.0),
        *_judges(cluster, scorers),
    )


def _judges(cluster: ClusterConfig, scorers: Sequence[ScorerConfig]) -> tuple[Role, ...]:
    """The workers of ``reward.scorers``; in one process they take what it has."""
    asked = () if cluster.address == IN_PROCESS else scorers
    return tuple(Role(name=each.called, count=each.workers, cpus=each.cpus, gpus=each.gpus) for each in asked)


def check_resources(
    cluster: ClusterConfig, available: Mapping[str, float], scorers: Sequence[ScorerConfig] = ()
) -> None:
    """Raise ValueError saying what is needed, what there is and what to change, when the roles of a run whose GPUs are
    decided do not fit."""
    theirs = " (or those of reward.scorers)" if scorers else ""
    for resource, key in (("CPU", "cpus"), ("GPU", "gpus")):
        needed, parts = _sum_needed(cluster, scorers, key)
        has = available.get(resource, 0.0)
        if needed > has + 1e-6:
            fewer = (cluster.model_copy(update={"learner_ranks": n}) for n in range(cluster.learner_ranks - 1, 0, -1))
            fitting = (each.learner_ranks for each in fewer if _sum_needed(each, scorers, key)[0] <= has + 1e-6)
            ranks = next((f"; cluster.learner_ranks={most} would fit" for most in fitting), "")
            raise ValueError(
                f"the run needs {needed:g} {resource}s ({parts}), but the cluster has {has:g}: lower "
                f"cluster.rollout_workers, cluster.learner_ranks or cluster.{key}_per_*{theirs}, or add a node{ranks}"
            )


def _sum_needed(cluster: ClusterConfig, scorers: Sequence[ScorerConfig], key: str) -> tuple[float, str]:
    """The ``cpus`` or ``gpus`` of all workers together, and by which of them."""
    parts = [(role.count, f"{role.name} x", getattr(role, key)) for role in roles(cluster, scorers)]
    if key == "gpus" and (paired := pairs(cluster)) and (alone := cluster.learner_ranks - paired):
        share = cluster.gpus_per_learner_rank or 0.0
        parts[1:2] = [(paired, "learner x", share), (alone, "learner beside no engine x", LONE_RANK)]
    named = " + ".join(f"{count} {who} {amount:g}" for count, who, amount in parts)
    return sum(count * amount for count, _, amount in parts), named


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """Resources on one node that are reserved together, and who takes them."""

    resources: dict[str, float]
    members: tuple[str, ...]
    """Names of workers such as ``rollout-0`` and ``learner-0``."""
    held: bool = True
    """Whether it is reserved; otherwise Ray places its worker, and it only has to be left room."""

    @property
    def ranks(self) -> int:
        """How many of its members are learner ranks."""
        return sum(member.startswith("learner-") for member in self.members)


def bundles(cluster: ClusterConfig, scorers: Sequence[ScorerConfig] = ()) -> tuple[Bundle, ...]:
    """What is reserved where GPUs are used, and what scorers need of them. A learner rank and a rollout worker that
    share a GPU are reserved as a pair, and a rank beside them that has no partner takes a whole one, so that no two
    ranks land on one; all others each have a bundle of their own."""
    rollout, learner, _ = roles(cluster)
    paired = pairs(cluster)
    both = {"CPU": rollout.cpus + learner.cpus, "GPU": rollout.gpus + learner.gpus}
    alone = {"CPU": learner.cpus, "GPU": LONE_RANK if paired else learner.gpus}
    found = (
        *(Bundle(resources=both, members=(f"learner-{number}", f"rollout-{number}")) for number in range(paired)),
        *(Bundle(resources=alone, members=(f"learner-{number}",)) for number in range(paired, learner.count)),
        *(rollout_bundle(cluster, f"rollout-{number}") for number in range(paired, rollout.count)),
        *(
            Bundle(resources={"CPU": judge.cpus, "GPU": judge.gpus}, members=(f"{judge.name}-{number}",), held=False)
            for judge in _judges(cluster, scorers)
            for number in range(judge.count)
        ),
    )
    return tuple(bundle for bundle in found if bundle.resources.get("GPU"))


def rollout_bundle(cluster: ClusterConfig, name: str) -> Bundle:
    """What the rollout worker of this name needs, on one node."""
    resources = {"CPU": cluster.cpus_per_worker, "GPU": cluster.gpus_per_rollout_worker or 0.0}
    return Bundle(resources={key: need for key, need in resources.items() if need}, members=(name,))


def fits(free: Mapping[str, float], need: Mapping[str, float]) -> int:
    """How often ``need`` fits into what is ``free`` on one node."""
    return min(int((free.get(key, 0.0) + 1e-6) / amount) for key, amount in need.items() if amount)


def local_resources() -> dict[str, float]:
    """CPUs and GPUs of this machine, without starting anything."""
    import torch

    return {"CPU": float(len(os.sched_getaffinity(0))), "GPU": float(torch.cuda.device_count())}


def threads_per_worker(workers: int, hosts: Sequence[float]) -> int:
    """Threads for each of ``workers`` of one kind on hosts with so many cores each: its share of all cores, and no more
    than the largest host has. Roles take turns, so each may use them all."""
    return max(1, min(int(sum(hosts)) // workers, int(max(hosts))))

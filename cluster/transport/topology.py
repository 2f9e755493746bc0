"""Where learner and engines of a run are, as far as it matters to a transport."""

from dataclasses import dataclass

from cluster.placement import ray_address
from rnr.config import ClusterConfig, ModelConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Learner and rollout workers of a run."""

    one_host: bool
    """Whether all are and will be on one host: Ray was started by the run itself, so that no other can join."""
    lora: bool
    """Whether adapters are sent in place of whole weights."""
    rollout_workers: int
    learner_ranks: int
    rollout_gpus: float
    learner_gpus: float

    @property
    def on_cpus(self) -> bool:
        """No worker has a GPU."""
        return not self.rollout_gpus and not self.learner_gpus

    @property
    def gpus_shared(self) -> bool:
        """Learner ranks and engines share GPUs."""
        return self.rollout_gpus > 0 and self.learner_gpus > 0 and self.rollout_gpus + self.learner_gpus <= 1

    @property
    def one_gpu(self) -> bool:
        """One learner rank and one engine share one GPU."""
        return self.gpus_shared and self.rollout_workers == self.learner_ranks == 1

    @property
    def gpus_apart(self) -> bool:
        """Every rank and every engine has a GPU, or several, to itself."""
        return self.rollout_gpus >= 1 and self.learner_gpus >= 1

    def __str__(self) -> str:
        what = "adapters" if self.lora else "weights"
        where = "one host" if self.one_host else "a cluster"
        return (
            f"{what} from {self.learner_ranks} learner ranks of {self.learner_gpus:g} GPUs to {self.rollout_workers} "
            f"engines of {self.rollout_gpus:g} GPUs on {where}"
        )


def topology_of(cluster: ClusterConfig, model: ModelConfig) -> Topology:
    """The topology of a run whose GPUs are decided (``cluster.placement.decide_gpus``)."""
    return Topology(
        one_host=not ray_address(cluster),
        lora=bool(model.lora_rank),
        rollout_workers=cluster.most_rollout_workers,
        learner_ranks=cluster.learner_ranks,
        rollout_gpus=cluster.gpus_per_rollout_worker or 0.0,
        learner_gpus=cluster.gpus_per_learner_rank or 0.0,
    )

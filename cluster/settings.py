"""Settings of the stages, the learner and the engines of a run: the branches of the config that each is given."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict

from actors.engine import EngineSettings
from cluster.memory_plan import ASLEEP
from cluster.placement import learner_memory_share, threads_per_worker
from cluster.services import Start
from cluster.transport import Transport
from cluster.transport.topology import topology_of
from learner.settings import LearnerSettings
from rnr.config import (
    ClusterConfig,
    EvaluationConfig,
    GenerationConfig,
    GrpoConfig,
    MergingConfig,
    ModelConfig,
    OptimizerConfig,
    SamplingConfig,
    SftConfig,
    SyncConfig,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The branches of the config that say what the stages do."""

    sft: SftConfig
    grpo: GrpoConfig
    merging: MergingConfig
    sampling: SamplingConfig
    evaluation: EvaluationConfig
    reward_weights: dict[str, float]
    difficulty_rollouts: int
    checkpoint_every: int
    restart_seconds: float
    """Seconds for which a learner that keeps dying without progress is rebuilt."""


class MemoryBranches(TypedDict):
    """The branches of the config that say what the GPUs hold, to be passed on by name: ``**branches``."""

    model: ModelConfig
    optimizer: OptimizerConfig
    grpo: GrpoConfig
    generation: GenerationConfig
    cluster: ClusterConfig
    sync: SyncConfig


def learner_settings(
    start: Start,
    model: ModelConfig,
    optimizer: OptimizerConfig,
    seed: int,
    decided: tuple[ClusterConfig, GenerationConfig],
    grpo: GrpoConfig,
    transport: Transport,
) -> LearnerSettings:
    """The settings of the learner in a run whose GPUs are decided."""
    cluster, generation = decided
    return LearnerSettings(
        model_folder=start.model_folder,
        model=model,
        optimizer=optimizer,
        seed=seed,
        gpu_memory_share=learner_memory_share(cluster, generation),
        gpu_gib_asleep=ASLEEP if generation.sleep_level else 0.0,
        reached_by_engines=transport.connects and not topology_of(cluster, model).one_host,
        copies=transport.copies + grpo.keeps_reference,
        longest=start.longest,
    )


def engine_settings(
    model_folder: str,
    stop_token_id: int,
    model: ModelConfig,
    seed: int,
    decided: tuple[ClusterConfig, GenerationConfig],
    hosts: Sequence[float],
) -> EngineSettings:
    """The settings of the engines in a run whose GPUs are decided, on ``hosts`` with so many cores each."""
    cluster, generation = decided
    return EngineSettings(
        model_folder=model_folder,
        stop_token_id=stop_token_id,
        model=model,
        generation=generation,
        threads=threads_per_worker(cluster.most_rollout_workers, hosts),
        gpus=cluster.gpus_per_rollout_worker or 0.0,
        seed=seed,
    )

"""What the stages of a run are told."""

from dataclasses import dataclass

from cluster.generation import GenerationService
from cluster.placement import learner_memory_share
from cluster.policy import PolicyService
from cluster.scoring import ScoringService
from learner.settings import LearnerSettings
from rnr.config import (
    ClusterConfig,
    EvaluationConfig,
    GenerationConfig,
    GrpoConfig,
    ModelConfig,
    OptimizerConfig,
    SamplingConfig,
    SftConfig,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The branches of the config that say what the stages do."""

    sft: SftConfig
    grpo: GrpoConfig
    sampling: SamplingConfig
    evaluation: EvaluationConfig
    reward_weights: dict[str, float]
    difficulty_rollouts: int
    checkpoint_every: int
    restart_seconds: float
    """How long a learner that is lost again and again, without a step in between, is rebuilt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that runs."""

    policy: PolicyService
    generation: GenerationService
    scoring: ScoringService


def learner_settings(
    model_folder: str,
    model: ModelConfig,
    optimizer: OptimizerConfig,
    seed: int,
    placed: tuple[ClusterConfig, GenerationConfig],
) -> LearnerSettings:
    """What the learner of a run is told, whose GPUs are decided."""
    share = learner_memory_share(*placed)
    return LearnerSettings(
        model_folder=model_folder, model=model, optimizer=optimizer, seed=seed, gpu_memory_share=share
    )

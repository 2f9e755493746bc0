"""What the stages of a run are told."""

from dataclasses import dataclass

from cluster.generation import GenerationService
from cluster.policy import PolicyService
from cluster.scoring import ScoringService
from rnr.config import EvaluationConfig, GrpoConfig, SamplingConfig, SftConfig


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

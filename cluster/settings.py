"""The settings and services that the stages of a run share."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actors.engine import EngineSettings
from cluster.generation import GenerationService
from cluster.memory_plan import ASLEEP, resolve_engine
from cluster.placement import learner_memory_share, threads_per_worker
from cluster.policy import PolicyService
from cluster.scoring import ScoringService
from cluster.transport import Transport
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
)
from rnr.runs.status import StatusFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What the services need to start."""

    model_folder: str
    stop_token_id: int
    probe: Sequence[int]
    learning_rate: Callable[[str, int], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The branches of the config that say what the stages do."""

    sft: SftConfig
    grpo: GrpoConfig
    merging: MergingConfig
    sampling: SamplingConfig
    evaluation: EvaluationConfig
    context_tokens: int
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

    async def start(self, status: StatusFile, *, policy_first: bool) -> None:
        """Start all services at once; the policy first where engines share its GPUs by sleeping."""
        services = {"policy": self.policy, "generation": self.generation, "scoring": self.scoring}
        if policy_first:
            await status.started("policy", services.pop("policy").start())
        async with asyncio.TaskGroup() as group:
            for name, service in services.items():
                group.create_task(status.started(name, service.start()))

    def stop(self) -> None:
        """End all workers."""
        for service in (self.policy, self.generation, self.scoring):
            service.stop()


def learner_settings(
    model_folder: str,
    model: ModelConfig,
    optimizer: OptimizerConfig,
    seed: int,
    placed: tuple[ClusterConfig, GenerationConfig],
    grpo: GrpoConfig,
    transport: Transport,
) -> LearnerSettings:
    """What the learner of a run is told, whose GPUs are decided."""
    return LearnerSettings(
        model_folder=model_folder,
        model=model,
        optimizer=optimizer,
        seed=seed,
        gpu_memory_share=learner_memory_share(*placed),
        gpu_gib_asleep=ASLEEP if placed[1].sleep_level else 0.0,
        copies=transport.copies + grpo.keeps_reference,
    )


def engine_settings(
    model_folder: str,
    stop_token_id: int,
    model: ModelConfig,
    seed: int,
    placed: tuple[ClusterConfig, GenerationConfig],
    hosts: Sequence[float],
) -> EngineSettings:
    """What the engines of a run are told, whose GPUs are decided, on ``hosts`` with so many cores each."""
    cluster, generation = placed
    return EngineSettings(
        model_folder=model_folder,
        stop_token_id=stop_token_id,
        model=model,
        generation=resolve_engine(generation, model, cluster, model_folder),
        threads=threads_per_worker(cluster.most_rollout_workers, hosts),
        gpus=cluster.gpus_per_rollout_worker or 0.0,
        seed=seed,
    )

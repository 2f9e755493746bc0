"""The three services of a run, started and ended together."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cluster.generation import GenerationService
from cluster.policy import PolicyService
from cluster.prepare import Prepared
from cluster.schedule import Schedule
from cluster.scoring import ScoringService
from rnr.runs.status import StatusFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What the services need to start."""

    model_folder: str
    stop_token_id: int
    probe: Sequence[int]
    learning_rate: Callable[[str, int], float]
    longest: int = 0
    """Tokens of the longest sequence that may be trained on; 0 if that is not known."""


def start_of(prepared: Prepared, schedule: Schedule) -> Start:
    """What the services of a run begin with."""
    return Start(
        model_folder=prepared.model_folder,
        stop_token_id=prepared.stop_token_id,
        probe=prepared.probe,
        learning_rate=schedule.learning_rate,
        longest=prepared.longest,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that runs."""

    policy: PolicyService
    generation: GenerationService
    scoring: ScoringService

    async def start(self, status: StatusFile, *, policy_first: bool) -> None:
        """Start all services at once; the policy first where engines share its GPUs. vLLM counts what others take of a
        GPU, while it measures what it needs itself, as its own, and has so much less room for its cache."""
        services = {"policy": self.policy, "generation": self.generation, "scoring": self.scoring}
        if policy_first:
            await status.started("policy", services.pop("policy").start())
        async with asyncio.TaskGroup() as group:
            for name, service in services.items():
                group.create_task(status.started(name, service.start()))

    def stop(self) -> None:
        for service in (self.policy, self.generation, self.scoring):
            service.stop()

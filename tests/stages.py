"""Stand-ins for the services of a run, with which its stages are tested."""

from types import SimpleNamespace
from typing import Any

from cluster.disk import Disk
from cluster.durable_tracker import DurableTracker
from cluster.graceful_stop import GracefulStop
from cluster.progress import Progress
from cluster.ranks import LearnerLost
from cluster.settings import Settings
from cluster.stages import Stages
from rnr.config import EvaluationConfig, GrpoConfig, MergingConfig, SamplingConfig, SftConfig, TrackingConfig
from rnr.runs.status import StatusFile
from rnr.runs.tracking import Tracker


class Policy:
    """Loses a rank in the SFT steps that it is told, each as often as it is told."""

    def __init__(self, losses: dict[int, int]) -> None:
        self._losses = dict(losses)
        self.version = 0
        self.starts = 0
        self.trained: list[int] = []
        self.did: list[str] = []

    async def start(self) -> None:
        self.starts += 1
        self.version = 0

    async def sft_step(self, _samples: Any, step: int) -> dict[str, float]:
        if self._losses.get(step, 0):
            self._losses[step] -= 1
            raise LearnerLost(f"learner rank 1, phase sft_step: the worker died in step {step}")
        self.version += 1
        self.trained.append(step)
        return {"sft/loss": 1.0}

    async def publish(self) -> str:
        self.did.append("publish")
        return f"version {self.version}"

    async def reset_optimizer(self) -> None: ...

    async def export(self, *_arguments: Any) -> None:
        self.did.append("export")


class Saved:
    """Checkpoints in memory."""

    def __init__(self) -> None:
        self.progress = Progress()

    async def restore(self, policy: Policy, *, freeze_reference: bool) -> Progress:
        policy.version = self.progress.version
        return Progress(stage=self.progress.stage, step=self.progress.step, version=self.progress.version)

    async def merge(self, policy: Policy, merging: MergingConfig) -> None:
        policy.did.append("merge")

    async def save(self, progress: Progress, policy: Policy) -> None:
        policy.did.append(f"save {progress.stage}")
        self.progress = Progress(stage=progress.stage, step=progress.step, version=policy.version)

    save_again = save


def make_stages(
    tmp_path,
    policy: Policy,
    monkeypatch,
    *,
    stopping: GracefulStop | None = None,
    checkpoint_every: int = 1,
    merging: MergingConfig | None = None,
) -> Any:
    """Four SFT steps and no GRPO on ``policy``."""

    async def adopt(_published: str) -> dict[str, float]:
        return {}

    async def evaluate(self: Stages, *_arguments: Any) -> None: ...

    monkeypatch.setattr(Stages, "_evaluate", evaluate)
    disk = Disk(tmp_path, seconds=0)
    tracker = Tracker(tmp_path, options=TrackingConfig(wandb_project=""), name="run", config={})
    nothing: Any = lambda *_, **__: None  # noqa: E731
    return Stages(
        settings=Settings(
            sft=SftConfig(),
            grpo=GrpoConfig(steps=0),
            merging=merging or MergingConfig(),
            sampling=SamplingConfig(),
            evaluation=EvaluationConfig(base=False),
            context_tokens=64,
            reward_weights={},
            difficulty_rollouts=0,
            checkpoint_every=checkpoint_every,
            restart_seconds=0.0,
        ),
        prepared=SimpleNamespace(held_out=(), files=lambda *_: {}, an_example=None),  # type: ignore[arg-type]
        schedule=SimpleNamespace(sft_steps=4, sft_samples=lambda step: [], prompts_but=iter),  # type: ignore[arg-type]
        policy=policy,  # type: ignore[arg-type]
        generation=SimpleNamespace(adopt=adopt, largest_difference=0.0),  # type: ignore[arg-type]
        scoring=SimpleNamespace(),  # type: ignore[arg-type]
        checkpoints=Saved(),  # type: ignore[arg-type]
        folder=tmp_path,
        tracker=DurableTracker(tracker, disk),
        disk=disk,
        status=StatusFile(),
        stopping=stopping or GracefulStop(1.0),
        console=SimpleNamespace(say=nothing, table=nothing, step=nothing, next_steps=nothing),  # type: ignore[arg-type]
    )

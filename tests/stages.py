"""Stand-ins for the services of a run, with which its stages are tested."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cluster.disk import Disk
from cluster.durable_tracker import DurableTracker
from cluster.graceful_stop import GracefulStop
from cluster.progress import Progress
from cluster.protocols import Evaluate, Metrics
from cluster.ranks import LearnerLost
from cluster.settings import Settings
from cluster.stages import Stages
from rnr.config import EvaluationConfig, GrpoConfig, MergingConfig, SamplingConfig, SftConfig, TrackingConfig
from rnr.evaluation.scoring import Evaluation
from rnr.runs.console import Console
from rnr.runs.status import StatusFile
from rnr.runs.tracking import Tracker
from rnr.types import Example, Group, Prompt, ScoredGroup


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

    async def sft_step(self, samples: Any, step: int) -> dict[str, float]:
        if self._losses.get(step, 0):
            self._losses[step] -= 1
            raise LearnerLost(f"learner rank 1, phase sft_step: the worker died in step {step}")
        self.version += 1
        self.trained.append(step)
        return {"sft/loss": 1.0}

    async def publish(self) -> str:
        self.did.append("publish")
        return f"version {self.version}"

    async def export(self, folder: str, extra_files: Any) -> None:
        self.did.append("export")

    async def merge(self, start: str, merging: MergingConfig) -> None:
        self.did.append("merge")

    async def update(self, samples: Any, *, step: int, sampled: int) -> Metrics:
        raise AssertionError("there are no steps of GRPO")

    async def held_out_loss(self, samples: Any) -> float:
        return 1.0

    async def token_values(self, uids: Any) -> Any:
        return {}

    async def save(self, folder: str) -> None: ...
    async def load(self, folder: str, version: int) -> None: ...
    async def reset_optimizer(self) -> None: ...
    async def freeze_reference(self) -> None: ...


class Services:
    """Generation and scoring, of which nothing is asked."""

    largest_difference = 0.0

    async def adopt(self, published: str) -> Metrics:
        return {}

    async def generate(self, prompt: Prompt, count: int | None = None) -> Group:
        raise AssertionError("there are no steps of GRPO")

    async def score(self, group: Group) -> ScoredGroup:
        raise AssertionError("there are no steps of GRPO")

    def metrics(self) -> Metrics:
        return {}


class Quiet(Console):
    """Does not say what to do with a run that there is not."""

    def next_steps(self, folder: Path, example: Example | None) -> None: ...


EVALUATION = Evaluation(
    f1=50.0, interval=(40.0, 60.0), exact_f1=50.0, finished=100.0, by_data_set={"people": {"f1": 50.0}}
)


async def evaluated(_file: Path) -> tuple[Evaluation, list[Any]]:
    return EVALUATION, []


class Saved:
    """Checkpoints in memory."""

    def __init__(self) -> None:
        self.progress = Progress()

    async def restore(self, policy: Policy, *, freeze_reference: bool) -> Progress:
        policy.version = self.progress.version
        return Progress(stage=self.progress.stage, step=self.progress.step, version=self.progress.version)

    async def merge(self, policy: Policy, merging: MergingConfig) -> None:
        await policy.merge("", merging)

    async def save(self, progress: Progress, policy: Policy) -> None:
        policy.did.append(f"save {progress.stage}")
        self.progress = Progress(stage=progress.stage, step=progress.step, version=policy.version)

    save_again = save


def make_stages(
    tmp_path,
    policy: Policy,
    *,
    stopping: GracefulStop | None = None,
    checkpoint_every: int = 1,
    merging: MergingConfig | None = None,
    evaluate: Evaluate = evaluated,
) -> Any:
    """Four SFT steps and no GRPO on ``policy``."""

    disk = Disk(tmp_path, seconds=0)
    tracker = Tracker(tmp_path, options=TrackingConfig(wandb_project=""), name="run", config={})
    prepared: Any = SimpleNamespace(held_out=(), files=lambda *_: {}, an_example=None)
    schedule: Any = SimpleNamespace(sft_steps=4, sft_samples=lambda step: [], prompts_but=iter)
    checkpoints: Any = Saved()
    return Stages(
        settings=Settings(
            sft=SftConfig(),
            grpo=GrpoConfig(steps=0),
            merging=merging or MergingConfig(),
            sampling=SamplingConfig(),
            evaluation=EvaluationConfig(base=False),
            reward_weights={},
            difficulty_rollouts=0,
            checkpoint_every=checkpoint_every,
            restart_seconds=0.0,
        ),
        prepared=prepared,
        schedule=schedule,
        policy=policy,
        generation=Services(),
        scoring=Services(),
        evaluate=evaluate,
        checkpoints=checkpoints,
        folder=tmp_path,
        tracker=DurableTracker(tracker, disk),
        disk=disk,
        status=StatusFile(),
        stopping=stopping or GracefulStop(1.0),
        console=Quiet(),
    )

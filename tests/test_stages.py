"""The stages of a run with stand-ins for its services: what happens when the learner is lost, and what is streamed."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from cluster.checkpoint import Progress
from cluster.ranks import LearnerLost
from cluster.stages import REBUILDS, Settings, Stages
from rnr.config import EvaluationConfig, GrpoConfig, SamplingConfig, SftConfig
from rnr.runs.status import StatusFile
from rnr.types import Example, Prompt


class Policy:
    """Loses a rank in the SFT steps that it is told, each as often as it is told."""

    def __init__(self, losses: dict[int, int]) -> None:
        self._losses = dict(losses)
        self.version = 0
        self.starts = 0
        self.trained: list[int] = []

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
        return f"version {self.version}"

    async def reset_optimizer(self) -> None: ...

    async def export(self, *_arguments: Any) -> None: ...


class Saved:
    """Checkpoints in memory."""

    def __init__(self) -> None:
        self.progress = Progress()

    async def restore(self, policy: Policy, *, freeze_reference: bool) -> Progress:
        policy.version = self.progress.version
        return Progress(stage=self.progress.stage, step=self.progress.step, version=self.progress.version)

    async def save(self, progress: Progress, policy: Policy) -> None:
        self.progress = Progress(stage=progress.stage, step=progress.step, version=policy.version)


def _stages(tmp_path, policy: Policy, monkeypatch) -> Any:
    async def adopt(_published: str) -> dict[str, float]:
        return {}

    async def evaluate(self: Stages, *_arguments: Any) -> None: ...

    monkeypatch.setattr(Stages, "_evaluate", evaluate)
    quiet = SimpleNamespace(
        say=lambda text: None, table=lambda scores: None, stage=lambda *_: SimpleNamespace(step=lambda *_: None)
    )
    nothing: Any = lambda *_: None  # noqa: E731
    return Stages(
        settings=Settings(
            sft=SftConfig(),
            grpo=GrpoConfig(steps=0),
            sampling=SamplingConfig(),
            evaluation=EvaluationConfig(base=False),
            reward_weights={},
            difficulty_rollouts=0,
            checkpoint_every=1,
        ),
        prepared=SimpleNamespace(held_out=(), prompt_file={}),  # type: ignore[arg-type]
        schedule=SimpleNamespace(sft_steps=4, sft_samples=lambda step: []),  # type: ignore[arg-type]
        policy=policy,  # type: ignore[arg-type]
        generation=SimpleNamespace(adopt=adopt, largest_difference=0.0),  # type: ignore[arg-type]
        scoring=SimpleNamespace(),  # type: ignore[arg-type]
        checkpoints=Saved(),  # type: ignore[arg-type]
        folder=tmp_path,
        tracker=SimpleNamespace(log=nothing, rewind=nothing),  # type: ignore[arg-type]
        status=StatusFile(),
        console=quiet,  # type: ignore[arg-type]
    )


def test_a_lost_learner_is_rebuilt_from_the_last_checkpoint_and_no_step_is_left_out(tmp_path, monkeypatch) -> None:
    # More losses than are allowed in a row, but each with steps in between.
    policy = Policy({0: 1, 1: 2, 2: 1, 3: REBUILDS})
    asyncio.run(_stages(tmp_path, policy, monkeypatch).to_the_end(1.0))
    assert policy.trained == [0, 1, 2, 3]
    assert policy.starts == 1 + 2 + 1 + REBUILDS


def test_a_loss_that_comes_again_at_once_ends_the_run(tmp_path, monkeypatch) -> None:
    policy = Policy({2: REBUILDS + 1})
    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(_stages(tmp_path, policy, monkeypatch).to_the_end(1.0))
    assert "the worker died in step 2" in str(raised.value.exceptions[0])
    assert policy.starts == REBUILDS


def test_a_resumed_run_asks_for_the_prompts_that_an_interrupted_one_left_out(tmp_path, monkeypatch) -> None:
    def prompt(place: int) -> Prompt:
        return Prompt(example=Example(uid=f"p{place}", sentence="x", schema=("a",), mentions=()), token_ids=(1,))

    stages = _stages(tmp_path, Policy({}), monkeypatch)
    stages.schedule = SimpleNamespace(prompt=prompt)
    # Groups end in another order than they began: 1 and 3 were still under way.
    stages._progress.consumed = ["p0", "p2", "p4"]
    stream = stages._prompts()
    assert [next(stream).uid for _ in range(4)] == ["p1", "p3", "p5", "p6"]

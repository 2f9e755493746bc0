"""The stages of a run with stand-ins for its services: what happens when the learner is lost."""

import asyncio
import gc
import itertools
import weakref
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from actors.deadline import KILLED_FOR_MEMORY
from cluster.graceful_stop import GracefulStop
from cluster.progress import Progress
from cluster.ranks import LearnerLost
from cluster.rebuilds import REBUILDS
from cluster.stages import Stages
from rnr.config import MergingConfig, SftConfig
from rnr.faults import Stopped
from tests.jsonl import read_jsonl
from tests.stages import EVALUATION, Policy, evaluated, make_stages


def test_a_lost_learner_is_rebuilt_from_the_last_checkpoint_and_no_step_is_left_out(tmp_path) -> None:
    # More losses than are allowed in a row, but each with steps in between.
    policy = Policy({0: 1, 1: 2, 2: 1, 3: REBUILDS})
    asyncio.run(make_stages(tmp_path, policy).run_all(1.0))
    assert policy.trained == [0, 1, 2, 3]
    assert policy.starts == 1 + 2 + 1 + REBUILDS


def test_a_loss_that_comes_again_at_once_ends_the_run(tmp_path) -> None:
    policy = Policy({2: REBUILDS + 1})
    with pytest.raises(LearnerLost, match=r"the worker died in step 2; .* See logs/learner-\*\.log"):
        asyncio.run(make_stages(tmp_path, policy).run_all(1.0))
    assert policy.starts == REBUILDS


class Killed(Policy):
    """Dies in step 3 and step 2 by turns, whenever it comes to them."""

    def __init__(self) -> None:
        super().__init__({})
        self._dies_in = itertools.cycle((3, 2))
        self._next = next(self._dies_in)

    async def sft_step(self, samples, step: int) -> dict[str, float]:
        if step == self._next:
            self._next = next(self._dies_in)
            raise LearnerLost(f"learner rank 0, phase sft_step: {KILLED_FOR_MEMORY}")
        return await super().sft_step(samples, step)


def test_steps_that_are_made_again_after_a_loss_are_no_progress(tmp_path) -> None:
    policy = Killed()
    with pytest.raises(LearnerLost) as raised:
        asyncio.run(make_stages(tmp_path, policy, checkpoint_every=2).run_all(1.0))
    assert policy.trained == [0, 1, 2, 2]
    assert policy.starts == REBUILDS
    said = str(raised.value)
    assert "Ray's memory monitor" in said
    assert "lost 4 times without progress beyond sft step 3" in said
    assert "lower optimizer.max_tokens_per_microbatch" in said
    assert said.endswith("resume with --resume")


def test_an_evaluation_that_fails_does_not_cost_the_warm_start(tmp_path) -> None:
    async def fail(_file: Path) -> Any:
        raise RuntimeError("the engines did not come back")

    stages = make_stages(tmp_path, Policy({}), checkpoint_every=3, evaluate=fail)
    with pytest.raises(RuntimeError, match="the engines"):
        asyncio.run(stages.run_all(1.0))
    assert (stages.checkpoints.progress.stage, stages.checkpoints.progress.step) == ("sft", 4)
    again = Policy({})
    resumed = make_stages(tmp_path, again)
    resumed.checkpoints = stages.checkpoints
    asyncio.run(resumed.run_all(1.0))
    assert again.trained == []
    assert resumed.checkpoints.progress.stage == "done"


def test_the_seconds_of_a_selection_are_not_those_of_grpo(tmp_path, monkeypatch) -> None:
    stages = make_stages(tmp_path, Policy({}))
    stages.settings = replace(stages.settings, difficulty_rollouts=2)

    async def select(self: Stages) -> None:
        await asyncio.sleep(0.5)

    monkeypatch.setattr(Stages, "_select", select)
    asyncio.run(stages.run_all(1.0))
    assert stages._progress.seconds["selection"] >= 0.5
    assert stages._progress.seconds["grpo"] < 0.5


def test_a_run_that_is_stopped_keeps_the_seconds_since_its_last_checkpoint(tmp_path) -> None:
    stopping = GracefulStop(1.0)
    stages = make_stages(tmp_path, Policy({}), stopping=stopping, checkpoint_every=100)

    async def slow(_samples, _step) -> dict[str, float]:
        stopping.ask()
        await asyncio.sleep(0.3)
        return {"sft/loss": 1.0}

    stages.policy.sft_step = slow
    with pytest.raises(Stopped):
        asyncio.run(stages.run_all(1.0))
    assert stages.checkpoints.progress.step == 1
    assert stages._progress.seconds["sft"] >= 0.3


@pytest.mark.parametrize(("scores", "names"), [({}, ["sft"]), ({"sft": asdict(EVALUATION)}, [])])
def test_a_warm_start_whose_scores_were_not_taken_over_is_evaluated_before_grpo(tmp_path, scores, names) -> None:
    made = []

    async def evaluate(file: Path) -> Any:
        made.append(file.stem)
        return await evaluated(file)

    stages = make_stages(tmp_path, Policy({}), evaluate=evaluate)
    stages.settings = replace(stages.settings, sft=SftConfig(from_run="runs/other"))

    async def restore(_policy, *, freeze_reference: bool) -> Progress:
        return Progress(stage="grpo", step=0, version=4, scores=dict(scores))

    stages.checkpoints.restore = restore
    asyncio.run(stages.run_all(1.0))
    assert made == names
    # In the stage before GRPO's, whose lines go when the run is resumed from its first checkpoint.
    file = tmp_path / "metrics.jsonl"
    lines = read_jsonl(file) if file.exists() else []
    assert [(row["stage"], row["step"]) for row in lines] == [("sft", 0)] * len(names)


def test_a_merged_policy_is_published_evaluated_and_exported_and_in_no_checkpoint(tmp_path) -> None:
    policy = Policy({})

    async def evaluate(file: Path) -> Any:
        policy.did.append(f"evaluate {file.stem}")
        return await evaluated(file)

    stages = make_stages(tmp_path, policy, merging=MergingConfig(grpo=1.5), evaluate=evaluate)
    asyncio.run(stages.run_all(1.0))
    assert policy.did[-5:] == ["save done", "merge", "publish", "evaluate merged", "export"]


def test_a_run_that_is_stopped_with_a_merged_policy_keeps_the_trained_one(tmp_path) -> None:
    policy, stopping = Policy({}), GracefulStop(1.0)

    async def evaluate(file: Path) -> Any:
        if file.stem == "merged":
            stopping.ask()
            await asyncio.sleep(60)
        return await evaluated(file)

    stages = make_stages(tmp_path, policy, stopping=stopping, merging=MergingConfig(grpo=1.5), evaluate=evaluate)
    with pytest.raises(Stopped):
        asyncio.run(stages.run_all(1.0))
    assert policy.did[-1] == "publish"  # of the merged policy; nothing was saved after that
    assert stages.checkpoints.progress.stage == "done"


def test_a_run_that_is_cancelled_while_a_task_group_ends_with_its_learner_rebuilds_none(tmp_path) -> None:
    """As when Ray dies: its learner is found lost first, and a task group that ends keeps a cancellation to itself."""
    policy, ending = Policy({}), asyncio.Event()

    async def takes_a_moment_to_end() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ending.set()
            await asyncio.sleep(0.05)

    async def lost(samples, step: int) -> dict[str, float]:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(takes_a_moment_to_end())
            await asyncio.sleep(0.01)
            raise LearnerLost(f"learner rank 0, phase grpo_step: the worker died in step {step}")

    policy.sft_step = lost

    async def scenario() -> None:
        running = asyncio.create_task(make_stages(tmp_path, policy).run_all(1.0))
        await ending.wait()
        running.cancel()
        await running

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(scenario())
    assert policy.starts == 0


class Batch:
    """Stands for what a step holds."""


def test_a_learner_that_was_lost_keeps_nothing_alive_of_the_step(tmp_path) -> None:
    policy, kept = Policy({}), []
    train = policy.sft_step

    async def lost_once(samples, step: int) -> dict[str, float]:
        if not policy.starts:
            batch = Batch()
            kept.append(weakref.ref(batch))
            raise LearnerLost(f"learner rank 0, phase sft_step: {batch} was lost")
        gc.collect()
        assert kept[0]() is None
        return await train(samples, step)

    policy.sft_step = lost_once
    asyncio.run(make_stages(tmp_path, policy).run_all(1.0))
    assert policy.trained == [0, 1, 2, 3]

"""The GRPO loop with fakes: the order of events, staleness, dropped groups, and what ends it."""

import asyncio
import itertools
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from cluster.loop import StepPlan, grpo
from rewards.advantage import TrainingBatch, training_batch
from rnr.config import GrpoConfig
from rnr.faults import causes
from rnr.types import Answer, Example, Group, Prompt, Reward, ScoredGroup
from tests.carriers import rollout as make_rollout


def _prompt(step: int) -> Prompt:
    return Prompt(example=Example(uid=f"prompt-{step}", sentence="x", schema=("a",), mentions=()), token_ids=(1,))


def _to_batch(groups) -> TrainingBatch:
    return training_batch(groups, GrpoConfig(), {})


def _first_alone_teaches_nothing(groups) -> TrainingBatch:
    """A group that is dropped by itself and kept beside another, as credit by mention can have it."""
    batch = training_batch(groups, GrpoConfig(), {})
    return (
        batch if len(groups) > 1 else replace(batch, samples=[], dropped={groups[0].group.prompt.uid: "no advantage"})
    )


class Fakes:
    """The four collaborators and the recorder in one, writing down what happens to which step and when."""

    def __init__(self, rewards: tuple[float, ...] = (1.0, 0.0)) -> None:
        self.events: list[tuple[str, int]] = []
        self.asked: list[int] = []
        self.records: dict[int, tuple[dict, dict]] = {}
        self.ages: dict[int, int] = {}
        self.version = 0
        self.dull: set[int] = set()
        """Positions of prompts whose rollouts all get the same reward."""
        self.uids: dict[int, list[str]] = {}
        self._rewards = rewards
        self._begun: dict[int, asyncio.Event] = {}
        self.wait_for_generation_of = lambda step: None

    def begun(self, step: int) -> asyncio.Event:
        return self._begun.setdefault(step, asyncio.Event())

    def prompt_at(self, position: int) -> Prompt:
        self.asked.append(position)
        return _prompt(position)

    async def generate(self, prompt) -> Group:
        number = int(prompt.uid.rpartition("-")[2])
        self.events.append(("generate", number))
        self.begun(number).set()
        version = self.version
        await asyncio.sleep(0)
        rollout = make_rollout(token_ids=(2,), logprobs=(-1.0,), text="", finished=True, policy_version=version)
        return Group(prompt=prompt, rollouts=(rollout,) * len(self._rewards))

    async def score(self, group) -> ScoredGroup:
        position = int(group.prompt.uid.rpartition("-")[2])
        self.events.append(("score", position))
        await asyncio.sleep(0)
        answers = (Answer(reasoning=None, mentions=()),) * len(self._rewards)
        rewards = (0.5,) * len(self._rewards) if position in self.dull else self._rewards
        return ScoredGroup(
            group=group,
            rewards=tuple(Reward(total=r) for r in rewards),
            answers=answers,
        )

    async def update(self, samples, *, step: int, sampled: int) -> dict[str, float]:
        self.events.append(("update", step))
        self.ages[step] = max(self.version - sample.policy_version for sample in samples)
        if (other := self.wait_for_generation_of(step)) is not None:
            await asyncio.wait_for(self.begun(other).wait(), 5)
        await asyncio.sleep(0)
        self.version += 1
        return {"actor/pg_loss": 0.5}

    async def publish(self) -> int:
        self.events.append(("publish", self.version - 1))
        await asyncio.sleep(0)
        return self.version

    async def adopt(self, published: int) -> dict[str, float]:
        await asyncio.sleep(0)
        return {"infra/weight_version": published}

    async def record(self, step, groups, batch, metrics) -> None:
        self.events.append(("record", step))
        self.records[step] = (batch.dropped, metrics)
        self.uids[step] = [scored.group.prompt.uid for scored in groups]
        await asyncio.sleep(0)

    def run(
        self,
        steps: range,
        max_staleness: int = 0,
        *,
        per_step: int = 1,
        rounds: int = 0,
        position: int | None = None,
        to_batch=_to_batch,
        **hooks: Any,
    ) -> None:
        loop = grpo(
            steps,
            map(self.prompt_at, itertools.count(steps.start * per_step if position is None else position)),
            plan=StepPlan(prompts_per_step=per_step, dynamic_sampling_rounds=rounds, max_staleness=max_staleness),
            generation=self,
            scoring=self,
            policy=self,
            record=self.record,
            to_batch=to_batch,
            on_phase=lambda _step, _phase: None,
            **hooks,
        )
        asyncio.run(asyncio.wait_for(loop, 10))


def test_a_synchronous_run_takes_every_call_of_a_step_before_the_next_step() -> None:
    fakes = Fakes()
    fakes.run(range(3))
    calls = ("generate", "score", "update", "publish", "record")
    assert fakes.events == [(call, step) for step in range(3) for call in calls]
    assert fakes.ages == {0: 0, 1: 0, 2: 0}


def test_prompts_are_asked_for_once_per_step_and_a_resumed_run_begins_where_it_is_told() -> None:
    fakes = Fakes()
    fakes.run(range(5, 8))
    assert fakes.asked == [5, 6, 7]
    assert sorted(fakes.records) == [5, 6, 7]


def test_groups_that_teach_nothing_are_replaced_as_often_as_is_allowed() -> None:
    fakes = Fakes()
    fakes.dull = {1, 3, 4, 5}
    fakes.run(range(2), per_step=2, rounds=2)
    # 1 is dull: 2 takes its place. In the next step 3 and 4 are: 5, again dull, and 6; then 7.
    assert fakes.uids == {0: ["prompt-0", "prompt-1", "prompt-2"], 1: [f"prompt-{n}" for n in (3, 4, 5, 6, 7)]}
    assert set(fakes.records[1][0]) == {"prompt-3", "prompt-4", "prompt-5"}


@pytest.mark.parametrize("staleness", [0, 1])
def test_a_resumed_run_gives_each_step_the_prompts_that_it_would_have_had(staleness) -> None:
    whole, first, second = Fakes(), Fakes(), Fakes()
    for fakes in (whole, first, second):
        fakes.dull = {1, 4, 5}
    whole.run(range(3), staleness, per_step=2, rounds=1)
    first.run(range(1), staleness, per_step=2, rounds=1)
    second.run(range(1, 3), staleness, per_step=2, rounds=1, position=len(first.uids[0]))
    assert first.uids | second.uids == whole.uids


def test_a_group_that_teaches_beside_the_one_in_its_place_ends_the_rounds() -> None:
    fakes = Fakes()
    fakes.run(range(2), rounds=3, to_batch=_first_alone_teaches_nothing)
    assert fakes.uids == {0: ["prompt-0", "prompt-1"], 1: ["prompt-2", "prompt-3"]}
    assert [fakes.records[step][0] for step in range(2)] == [{}, {}]


def test_rounds_are_bounded() -> None:
    fakes = Fakes()
    fakes.dull = set(range(100))
    fakes.run(range(1), per_step=2, rounds=3)
    assert fakes.asked == list(range(8))
    assert fakes.version == 0


def test_a_group_is_scored_while_others_are_still_generated() -> None:
    fakes = Fakes()
    slow = fakes.generate

    async def generate(prompt):
        if prompt.uid == "prompt-1":
            while ("score", 0) not in fakes.events:
                await asyncio.sleep(0)
        return await slow(prompt)

    fakes.generate = generate
    fakes.run(range(1), per_step=2)
    assert fakes.events[:3] == [("generate", 0), ("score", 0), ("generate", 1)]


def test_no_steps_are_no_work() -> None:
    fakes = Fakes()
    fakes.run(range(4, 4))
    assert fakes.events == []


@pytest.mark.parametrize("staleness", [1, 2])
def test_rollouts_run_ahead_by_the_staleness_that_is_allowed_and_no_further(staleness) -> None:
    fakes, steps = Fakes(), 6
    # Each update waits until generation is as far ahead as it may be: a loop that is not asynchronous would time out.
    fakes.wait_for_generation_of = lambda step: step + staleness if step + staleness < steps else None
    fakes.run(range(steps), staleness)
    published = 0
    for call, step in fakes.events:
        published += call == "publish"
        if call == "generate":
            assert step - published <= staleness
    assert max(fakes.ages.values()) == staleness
    assert [step for call, step in fakes.events if call == "record"] == list(range(steps))


def test_a_step_whose_groups_are_all_dropped_is_recorded_without_an_update() -> None:
    fakes = Fakes(rewards=(0.5, 0.5))
    fakes.run(range(2))
    assert [call for call, _ in fakes.events] == ["generate", "score", "record"] * 2
    dropped, metrics = fakes.records[1]
    assert dropped == {"prompt-1": "no spread"}
    assert "actor/pg_loss" not in metrics
    assert fakes.version == 0


@pytest.mark.parametrize(("rewards", "calls"), [((1.0, 0.0), ["update", "publish"]), ((0.5, 0.5), [])])
def test_a_step_is_updated_published_and_recorded_in_one_block_and_all_else_is_outside(rewards, calls) -> None:
    fakes = Fakes(rewards)

    @contextmanager
    def uninterrupted():
        fakes.events.append(("begin", 0))
        yield
        fakes.events.append(("end", 0))

    async def after_step(step: int) -> None:
        fakes.events.append(("after", step))

    fakes.run(range(1), uninterrupted=uninterrupted, after_step=after_step)
    assert [call for call, _ in fakes.events] == ["generate", "score", "begin", *calls, "record", "end", "after"]


def test_the_record_of_a_step_has_the_metrics_of_every_call() -> None:
    fakes = Fakes()
    fakes.run(range(1))
    dropped, metrics = fakes.records[0]
    assert dropped == {}
    assert (metrics["actor/pg_loss"], metrics["infra/weight_version"]) == (0.5, 1)
    for phase in ("gen", "reward", "wait_batch", "update_actor", "update_weights", "step"):
        assert metrics[f"timing_s/{phase}"] >= 0


@pytest.mark.parametrize("call", ["generate", "score", "update", "publish", "record"])
@pytest.mark.parametrize("staleness", [0, 1])
def test_an_exception_in_any_call_ends_the_loop_and_is_raised(call, staleness, monkeypatch) -> None:
    fakes = Fakes()

    async def fail(*_arguments, **_options) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(fakes, call, fail)
    with pytest.raises(ExceptionGroup) as raised:
        fakes.run(range(4), staleness)
    assert {str(cause) for cause in causes(raised.value)} == {"a bug"}
    assert len(fakes.asked) <= 1 + staleness + 1  # nothing new is begun after it

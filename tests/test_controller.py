"""The GRPO loop with fakes: the order of events, staleness, dropped groups, and what ends it."""

import asyncio

import pytest

from cluster.controller import grpo
from learner.advantage import training_batch
from rnr.types import Answer, Example, Group, Prompt, Reward, Rollout, ScoredGroup


def _prompt(step: int) -> Prompt:
    return Prompt(example=Example(uid=f"prompt-{step}", sentence="x", schema=("a",), mentions=()), token_ids=(1,))


class Fakes:
    """The four collaborators and the recorder in one, writing down what happens to which step and when."""

    def __init__(self, rewards: tuple[float, ...] = (1.0, 0.0)) -> None:
        self.events: list[tuple[str, int]] = []
        self.asked: list[int] = []
        self.records: dict[int, tuple[dict, dict]] = {}
        self.ages: dict[int, int] = {}
        self.version = 0
        self._rewards = rewards
        self._begun: dict[int, asyncio.Event] = {}
        self.wait_for_generation_of = lambda step: None

    def begun(self, step: int) -> asyncio.Event:
        return self._begun.setdefault(step, asyncio.Event())

    def prompts_of(self, step: int) -> list[Prompt]:
        self.asked.append(step)
        return [_prompt(step)]

    async def generate(self, prompts, step: int) -> list[Group]:
        self.events.append(("generate", step))
        self.begun(step).set()
        version = self.version
        await asyncio.sleep(0)
        rollout = Rollout(token_ids=(2,), logprobs=(-1.0,), text="", finished=True, policy_version=version)
        return [Group(prompt=prompt, rollouts=(rollout,) * len(self._rewards)) for prompt in prompts]

    async def score(self, groups) -> list[ScoredGroup]:
        (group,) = groups
        self.events.append(("score", int(group.prompt.uid.rpartition("-")[2])))
        await asyncio.sleep(0)
        answers = (Answer(reasoning=None, mentions=()),) * len(self._rewards)
        return [ScoredGroup(group=group, rewards=tuple(Reward(total=r) for r in self._rewards), answers=answers)]

    async def update(self, samples, step: int) -> dict[str, float]:
        self.events.append(("update", step))
        self.ages[step] = max(self.version - sample.policy_version for sample in samples)
        if (other := self.wait_for_generation_of(step)) is not None:
            await asyncio.wait_for(self.begun(other).wait(), 5)
        await asyncio.sleep(0)
        self.version += 1
        return {"actor/pg_loss": 0.5}

    async def publish(self) -> dict[str, float]:
        self.events.append(("publish", self.version - 1))
        await asyncio.sleep(0)
        return {"infra/weight_version": self.version}

    async def record(self, step, groups, batch, metrics) -> None:
        self.events.append(("record", step))
        self.records[step] = (batch.dropped, metrics)
        await asyncio.sleep(0)

    def run(self, steps: range, max_staleness: int = 0) -> None:
        loop = grpo(
            steps,
            self.prompts_of,
            rollouts=self,
            rewards=self,
            learner=self,
            weights=self,
            record=self.record,
            max_staleness=max_staleness,
            to_batch=training_batch,
        )
        asyncio.run(asyncio.wait_for(loop, 10))


def test_a_synchronous_run_takes_every_arrow_of_a_step_before_the_next_step() -> None:
    fakes = Fakes()
    fakes.run(range(3))
    arrows = ("generate", "score", "update", "publish", "record")
    assert fakes.events == [(arrow, step) for step in range(3) for arrow in arrows]
    assert fakes.ages == {0: 0, 1: 0, 2: 0}


def test_prompts_are_asked_for_once_per_step_and_a_resumed_run_begins_where_it_is_told() -> None:
    fakes = Fakes()
    fakes.run(range(5, 8))
    assert fakes.asked == [5, 6, 7]
    assert sorted(fakes.records) == [5, 6, 7]


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
    for arrow, step in fakes.events:
        published += arrow == "publish"
        if arrow == "generate":
            assert step - published <= staleness
    assert max(fakes.ages.values()) == staleness
    assert [step for arrow, step in fakes.events if arrow == "record"] == list(range(steps))


def test_a_step_whose_groups_are_all_dropped_is_recorded_without_an_update() -> None:
    fakes = Fakes(rewards=(0.5, 0.5))
    fakes.run(range(2))
    assert [arrow for arrow, _ in fakes.events] == ["generate", "score", "record"] * 2
    dropped, metrics = fakes.records[1]
    assert dropped == {"prompt-1": "no spread"}
    assert metrics["reward/frac_zero_std"] == 1
    assert "actor/pg_loss" not in metrics
    assert fakes.version == 0


def test_the_record_of_a_step_has_the_metrics_of_every_arrow() -> None:
    fakes = Fakes()
    fakes.run(range(1))
    dropped, metrics = fakes.records[0]
    assert dropped == {}
    assert (metrics["actor/pg_loss"], metrics["infra/weight_version"], metrics["reward/mean"]) == (0.5, 1, 0.5)
    for phase in ("gen", "reward", "wait_batch", "update_actor", "update_weights", "step"):
        assert metrics[f"timing_s/{phase}"] >= 0


@pytest.mark.parametrize("arrow", ["generate", "score", "update", "publish", "record"])
@pytest.mark.parametrize("staleness", [0, 1])
def test_an_exception_in_any_arrow_ends_the_loop_and_is_raised(arrow, staleness, monkeypatch) -> None:
    fakes = Fakes()

    async def fail(*_arguments) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(fakes, arrow, fail)
    with pytest.RaisesGroup(pytest.RaisesExc(ZeroDivisionError, match="a bug")):
        fakes.run(range(4), staleness)
    assert len(fakes.asked) <= 1 + staleness + 1  # nothing new is begun after it

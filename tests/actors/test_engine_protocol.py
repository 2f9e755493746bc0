"""A second engine behind the protocol, what a rollout worker makes of it, and a tree of rollouts over it."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from actors.delivery import Delivery
from actors.engine import Completion, Engine, EngineSettings, Sampling
from actors.rollout import RolloutWorker, rollout
from rnr.config import GenerationConfig
from rnr.faults import WorkerUnusable
from rnr.types import Example, Group, Prompt, Rollout, Segment

PROMPT = Prompt(example=Example(uid="a", sentence="a", schema=("b",), mentions=()), token_ids=(5, 6))
TWO = Sampling(count=2, temperature=1.0, max_new_tokens=3)


class CountingEngine:
    """Counts on from the last token of the prompt; the policy is the number that is added."""

    def __init__(self) -> None:
        self.version, self.step, self.broken = 0, 1, False

    async def start(self) -> None:
        self.step = 1

    async def load(self, delivery: Delivery) -> str:
        if self.broken:
            raise OSError("no space left on the device")
        assert delivery.receiver == Handed.receiver
        self.version, self.step = delivery.version, delivery.payload
        return f"digest of {delivery.payload}"

    async def sleep(self, level: int) -> None:
        if self.broken:
            raise AssertionError("Memory usage increased after sleeping.")

    async def generate(self, token_ids: Sequence[int], sampling: Sampling) -> list[Completion]:
        tokens = tuple(token_ids[-1] + self.step * (n + 1) for n in range(sampling.max_new_tokens))
        segment = Segment(token_ids=tokens, logprobs=(0.0,) * len(tokens), policy_version=self.version)
        return [Completion(segments=(segment,), text=str(tokens), finished=True)] * sampling.count

    async def score(self, token_ids: Sequence[int]) -> list[float]:
        return [0.0] * (len(token_ids) - 1)

    async def stop(self) -> None:
        pass


class Handed:
    """A transport whose one parcel is the payload itself."""

    receiver = "tests:receive"

    @contextmanager
    def staged(self, parcels: Sequence[Any]) -> Iterator[Any]:
        yield parcels[0]


def test_a_worker_samples_from_the_policy_that_it_loaded_last() -> None:
    async def work() -> tuple[Group, tuple[str, float], Group]:
        worker = RolloutWorker(CountingEngine())
        await worker.start()
        return (
            await worker.generate(PROMPT, TWO),
            await worker.load(Handed(), 4, 10),
            await worker.generate(PROMPT, TWO),
        )

    before, (digest, seconds), after = asyncio.run(work())
    assert [each.token_ids for each in before.rollouts] == [(7, 8, 9)] * 2
    assert [each.token_ids for each in after.rollouts] == [(16, 26, 36)] * 2
    assert [each.policy_version for each in (*before.rollouts, *after.rollouts)] == [0, 0, 4, 4]
    assert digest == "digest of 10"
    assert seconds >= 0


def test_whatever_goes_wrong_in_a_load_the_worker_is_unusable_and_says_why() -> None:
    engine = CountingEngine()
    engine.broken = True
    with pytest.raises(WorkerUnusable, match="version 2 was not loaded: OSError: no space left on the device"):
        asyncio.run(RolloutWorker(engine).load(Handed(), 2, 10))


def test_an_engine_that_cannot_fall_asleep_is_unusable_and_says_why() -> None:
    engine = CountingEngine()
    asyncio.run(RolloutWorker(engine).sleep(2))
    engine.broken = True
    with pytest.raises(WorkerUnusable, match="could not be put to sleep: AssertionError: Memory usage increased"):
        asyncio.run(RolloutWorker(engine).sleep(2))


async def tree(engine: Engine, prompt: Prompt, branches: int) -> Group:
    """A tree of two levels: a first thought, a tool's word that nobody is to learn, then ``branches`` ways to go on."""
    (first,) = await engine.generate(prompt.token_ids, Sampling(count=1, temperature=1.0, max_new_tokens=2))
    tool = Segment(token_ids=(0,), logprobs=(0.0,), policy_version=0, trained=False)
    trunk = (*first.segments, tool)
    so_far = (*prompt.token_ids, *(token for segment in trunk for token in segment.token_ids))
    leaves = await engine.generate(so_far, Sampling(count=branches, temperature=1.0, max_new_tokens=2))
    return Group(
        prompt=prompt,
        rollouts=tuple(
            Rollout(segments=(*trunk, *leaf.segments), text=leaf.text, finished=leaf.finished) for leaf in leaves
        ),
    )


def test_a_tree_of_rollouts_and_a_tool_need_no_other_carrier() -> None:
    group = asyncio.run(tree(CountingEngine(), PROMPT, 3))
    assert [each.token_ids for each in group.rollouts] == [(7, 8, 0, 1, 2)] * 3
    assert group.rollouts[0].loss_mask == (True, True, False, True, True)
    assert len(group.rollouts[0].logprobs) == 5


def test_the_plain_rollout_is_one_turn() -> None:
    group = asyncio.run(rollout(CountingEngine(), PROMPT, TWO))
    assert [len(each.segments) for each in group.rollouts] == [1, 1]


def test_an_engine_alone_has_the_cores_of_its_process_or_the_threads_that_were_asked_for(monkeypatch) -> None:
    def threads() -> int:
        generation = GenerationConfig(max_num_seqs=3)
        made = EngineSettings.alone("m", stop_token_id=2, context_tokens=99, generation=generation, use_gpu=False)
        assert (made.model.context_tokens, made.generation.max_num_seqs, made.use_gpu) == (99, 3, False)
        return made.threads

    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 2, 5})
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert threads() == 2

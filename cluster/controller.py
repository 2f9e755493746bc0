"""The GRPO loop: every arrow, in order.

Its four collaborators are named below by the one method each must have, so the loop is tested with fakes. Asynchrony is
the one bounded queue in front of it: rollouts may run ``max_staleness`` optimizer steps ahead, and 0 is synchronous.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from rewards.advantage import TrainingBatch, group_metrics
from rnr.types import Group, Prompt, Sample, ScoredGroup

Metrics = dict[str, float]
Result = TypeVar("Result")


class Rollouts(Protocol):
    async def generate(self, prompt: Prompt, step: int, position: int) -> Group:
        """All rollouts of one prompt, the one at ``position`` of the stream."""
        ...


class Rewards(Protocol):
    async def score(self, group: Group) -> ScoredGroup:
        """The same group with rewards."""
        ...


class Learner(Protocol):
    async def update(self, samples: Sequence[Sample], step: int, sampled: int) -> Metrics:
        """The optimizer steps of one batch, for which ``sampled`` sequences were sampled in all."""
        ...


class Weights(Protocol):
    async def publish(self) -> Metrics:
        """Bring the rollout workers to the learner's policy, verified."""
        ...


Record = Callable[[int, Sequence[ScoredGroup], TrainingBatch, Metrics], Awaitable[None]]
"""(step, scored groups, what they taught, metrics); called once after each step."""

ToBatch = Callable[[Sequence[ScoredGroup]], TrainingBatch]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much is sampled, and how far ahead."""

    prompts_per_step: int
    rounds: int
    """How often a step may sample again in place of groups that teach nothing."""
    max_staleness: int


async def grpo(
    steps: range,
    prompt_at: Callable[[int], Prompt],
    position: int,
    *,
    pace: Pace,
    rollouts: Rollouts,
    rewards: Rewards,
    learner: Learner,
    weights: Weights,
    record: Record,
    to_batch: ToBatch,
) -> None:
    """Train the steps of ``steps`` on the stream of prompts that ``prompt_at`` gives, from ``position`` on."""
    room = asyncio.Semaphore(pace.max_staleness + 1)
    scored_groups: asyncio.Queue[tuple[int, list[ScoredGroup], Metrics]] = asyncio.Queue()

    async def sample() -> None:
        place = position
        for step in steps:
            await room.acquire()
            begin = generated = time.monotonic()

            async def score(place: int, step: int = step) -> ScoredGroup:
                nonlocal generated
                group = await rollouts.generate(prompt_at(place), step, place)
                generated = time.monotonic()
                return await rewards.score(group)

            groups: list[ScoredGroup] = []
            for _ in range(1 + pace.rounds):
                missing = pace.prompts_per_step - len(groups) + len(to_batch(groups).dropped)
                groups += await together(score(place + number) for number in range(missing))
                place += missing
            timing = {"timing_s/gen": generated - begin, "timing_s/reward": time.monotonic() - generated}
            scored_groups.put_nowait((step, groups, timing))

    async def train() -> None:
        for _ in steps:
            begin = time.monotonic()
            step, scored, metrics = await scored_groups.get()
            metrics |= {"timing_s/wait_batch": time.monotonic() - begin} | group_metrics(scored)
            batch = to_batch(scored)
            sampled = sum(len(group.group.rollouts) for group in scored)
            if batch.samples:
                metrics |= await timed("timing_s/update_actor", learner.update(batch.samples, step, sampled))
                metrics |= await timed("timing_s/update_weights", weights.publish())
            await record(step, scored, batch, metrics | {"timing_s/step": time.monotonic() - begin})
            room.release()

    async with asyncio.TaskGroup() as group:
        group.create_task(sample())
        group.create_task(train())


async def together(calls: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """What the calls return, in their order; the first failure cancels the others and is raised."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(call) for call in calls]
    return [task.result() for task in tasks]


def causes(group: BaseExceptionGroup) -> list[BaseException]:
    """The plain exceptions inside a group of groups, as task groups raise them."""
    return [
        cause
        for error in group.exceptions
        for cause in (causes(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]


async def timed(name: str, call: Awaitable[Metrics]) -> Metrics:
    """The metrics of ``call`` with its seconds under ``name``."""
    begin = time.monotonic()
    metrics = await call
    return {**metrics, name: time.monotonic() - begin}

"""The GRPO loop: every arrow, in order.

Its four collaborators are named below by the one method each must have, so the loop is tested with fakes. Asynchrony is
the one bounded queue in front of it: rollouts may run ``max_staleness`` optimizer steps ahead, and 0 is synchronous.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from learner.advantage import TrainingBatch, group_metrics
from rnr.types import Group, Prompt, Sample, ScoredGroup

Metrics = dict[str, float]


class Rollouts(Protocol):
    async def generate(self, prompts: Sequence[Prompt], step: int) -> list[Group]:
        """All rollouts of each prompt, one group each."""
        ...


class Rewards(Protocol):
    async def score(self, groups: Sequence[Group]) -> list[ScoredGroup]:
        """The same groups with rewards."""
        ...


class Learner(Protocol):
    async def update(self, samples: Sequence[Sample], step: int) -> Metrics:
        """One optimizer step."""
        ...


class Weights(Protocol):
    async def publish(self) -> Metrics:
        """Bring the rollout workers to the learner's policy, verified."""
        ...


Record = Callable[[int, Sequence[ScoredGroup], TrainingBatch, Metrics], Awaitable[None]]
"""(step, scored groups, what they taught, metrics); called once after each step."""


async def grpo(
    steps: range,
    prompts_of: Callable[[int], Sequence[Prompt]],
    *,
    rollouts: Rollouts,
    rewards: Rewards,
    learner: Learner,
    weights: Weights,
    record: Record,
    max_staleness: int,
    to_batch: Callable[[Sequence[ScoredGroup]], TrainingBatch],
) -> None:
    """Train the steps of ``steps``; ``prompts_of`` gives the prompts of a step, the same ones each time it is asked."""
    room = asyncio.Semaphore(max_staleness + 1)
    scored_groups: asyncio.Queue[tuple[int, list[ScoredGroup], Metrics]] = asyncio.Queue()

    async def sample() -> None:
        for step in steps:
            await room.acquire()
            begin = time.monotonic()
            groups = await rollouts.generate(prompts_of(step), step)
            generated = time.monotonic()
            scored = await rewards.score(groups)
            timing = {"timing_s/gen": generated - begin, "timing_s/reward": time.monotonic() - generated}
            scored_groups.put_nowait((step, scored, timing))

    async def train() -> None:
        for _ in steps:
            begin = time.monotonic()
            step, scored, metrics = await scored_groups.get()
            metrics |= {"timing_s/wait_batch": time.monotonic() - begin} | group_metrics(scored)
            batch = to_batch(scored)
            if batch.samples:
                metrics |= await timed("timing_s/update_actor", learner.update(batch.samples, step))
                metrics |= await timed("timing_s/update_weights", weights.publish())
            await record(step, scored, batch, metrics | {"timing_s/step": time.monotonic() - begin})
            room.release()

    async with asyncio.TaskGroup() as group:
        group.create_task(sample())
        group.create_task(train())


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

"""The GRPO loop over three services: generation, scoring and policy.

They are named below by the methods that the loop calls, so it is tested with fakes. Asynchrony is the window of groups
under way: rollouts may be ``max_staleness`` GRPO steps older than the policy they train, and 0 is synchronous.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from cluster.window import Window
from rewards.advantage import TrainingBatch
from rnr.types import Group, Prompt, Sample, ScoredGroup

Metrics = dict[str, float]
Result = TypeVar("Result")


class Generation(Protocol):
    async def generate(self, prompt: Prompt) -> Group:
        """All rollouts of one prompt, from the newest policy that was adopted."""
        ...

    async def adopt(self, published: Any) -> Metrics:
        """Sample from this policy from now on."""
        ...


class Scoring(Protocol):
    async def score(self, group: Group) -> ScoredGroup:
        """The same group with rewards."""
        ...


class Policy(Protocol):
    async def update(self, samples: Sequence[Sample], *, step: int, sampled: int) -> Metrics:
        """The optimizer steps of one batch."""
        ...

    async def publish(self) -> Any:
        """The policy as it is now."""
        ...


Record = Callable[[int, Sequence[ScoredGroup], TrainingBatch, Metrics], Awaitable[None]]
"""(step, scored groups, training batch, metrics): called once after each step."""

ToBatch = Callable[[Sequence[ScoredGroup]], TrainingBatch]

Watch = Callable[[int, str], None]
"""(step, phase): called when a phase of a step begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """Prompts per step, resampling rounds and maximum staleness."""

    prompts_per_step: int
    dynamic_sampling_rounds: int
    """How often a step may sample again in place of groups that teach nothing."""
    max_staleness: int


async def grpo(
    steps: range,
    prompts: Iterator[Prompt],
    *,
    pace: Pace,
    generation: Generation,
    scoring: Scoring,
    policy: Policy,
    record: Record,
    to_batch: ToBatch,
    watch: Watch,
) -> None:
    """Train ``steps`` on a stream of prompts."""
    window = Window(per_step=pace.prompts_per_step, max_staleness=pace.max_staleness)
    async with asyncio.TaskGroup() as tasks:

        async def roll(place: int, prompt: Prompt) -> None:
            group = await generation.generate(prompt)
            window.generated(place)
            await window.put(place, await scoring.score(group))

        def ask(step: int, count: int) -> None:
            for _ in range(count):
                tasks.create_task(roll(window.ask(step), next(prompts)))

        for step in steps:
            begin = time.monotonic()
            first = min(1 + pace.max_staleness, len(steps)) if step == steps.start else 1
            if step == steps.start or step + pace.max_staleness < steps.stop:
                ask(step, first * pace.prompts_per_step)
            watch(step, "rollout")
            groups, metrics = await window.take(pace.prompts_per_step, step)
            for _ in range(pace.dynamic_sampling_rounds):
                if not (missing := pace.prompts_per_step - len(groups) + len(to_batch(groups).dropped)):
                    break
                ask(step, missing)
                more, waited = await window.take(missing, step)
                groups, metrics = groups + more, {name: metrics[name] + waited[name] for name in metrics}
            batch = to_batch(groups)
            if batch.samples:
                watch(step, "update")
                sampled = sum(len(scored.group.rollouts) for scored in groups)
                update = policy.update(batch.samples, step=step, sampled=sampled)
                metrics |= await timed("timing_s/update_actor", update)
                watch(step, "sync")
                metrics |= await timed("timing_s/update_weights", _handed_on(policy, generation))
            await record(step, groups, batch, metrics | {"timing_s/step": time.monotonic() - begin})


async def _handed_on(policy: Policy, generation: Generation) -> Metrics:
    return await generation.adopt(await policy.publish())


async def together(calls: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """What the calls return, in their order; the first failure cancels the others and is raised."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(call) for call in calls]
    return [task.result() for task in tasks]


async def timed(name: str, call: Awaitable[Metrics]) -> Metrics:
    """The metrics of ``call`` with its seconds under ``name``."""
    begin = time.monotonic()
    metrics = await call
    return {**metrics, name: time.monotonic() - begin}

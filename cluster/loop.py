"""The GRPO loop over three services: generation, scoring and policy.

They are the protocols of ``cluster/protocols.py``, so it is tested with fakes. Asynchrony is the window of groups
under way: rollouts may be ``max_staleness`` GRPO steps older than the policy they train, and 0 is synchronous.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from cluster.protocols import Generation, Metrics, Policy, Scoring
from cluster.window import Window
from rewards.advantage import TrainingBatch
from rnr.types import Prompt, ScoredGroup

Record = Callable[[int, Sequence[ScoredGroup], TrainingBatch, Metrics], Awaitable[None]]
"""(step, scored groups, training batch, metrics): called once for each step, after its update."""

ToBatch = Callable[[Sequence[ScoredGroup]], TrainingBatch]

OnPhase = Callable[[int, str], None]
"""(step, phase): called when a phase of a step begins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPlan:
    """Prompts per step, resampling rounds and maximum staleness."""

    prompts_per_step: int
    dynamic_sampling_rounds: int
    """How often a step may sample again in place of groups that teach nothing."""
    max_staleness: int


async def nothing_more(_step: int) -> None:
    """After a step."""


async def grpo(
    steps: range,
    prompts: Iterator[Prompt],
    *,
    plan: StepPlan,
    generation: Generation,
    scoring: Scoring,
    policy: Policy,
    record: Record,
    to_batch: ToBatch,
    on_phase: OnPhase,
    uninterrupted: Callable[[], AbstractContextManager[None]] = nullcontext,
    after_step: Callable[[int], Awaitable[None]] = nothing_more,
) -> None:
    """Train ``steps`` on a stream of prompts. The update, the sync and the record of each are in one ``uninterrupted``
    block, after which ``after_step`` is called."""
    window = Window(per_step=plan.prompts_per_step, max_staleness=plan.max_staleness)
    async with asyncio.TaskGroup() as tasks:

        async def sample_and_score(place: int, prompt: Prompt) -> None:
            group = await generation.generate(prompt)
            window.generated(place)
            await window.put(place, await scoring.score(group))

        def request(step: int, count: int) -> None:
            for _ in range(count):
                tasks.create_task(sample_and_score(window.ask(step), next(prompts)))

        # The prompts of the first step, and of the steps that may be sampled ahead of it.
        request(steps.start, min(1 + plan.max_staleness, len(steps)) * plan.prompts_per_step)
        for step in steps:
            begin = time.monotonic()
            if step > steps.start and step + plan.max_staleness < steps.stop:
                request(step, plan.prompts_per_step)
            on_phase(step, "rollout")
            groups, metrics = await window.take(plan.prompts_per_step, step)
            batch = to_batch(groups)
            for _ in range(plan.dynamic_sampling_rounds):
                # Negative where a group that taught nothing does beside those that were sampled in its place.
                if (missing := plan.prompts_per_step - len(groups) + len(batch.dropped)) <= 0:
                    break
                request(step, missing)
                more, waited = await window.take(missing, step)
                metrics = {name: seconds + waited[name] for name, seconds in metrics.items()}
                batch = to_batch(groups := groups + more)
            with uninterrupted():
                if batch.samples:
                    metrics |= await _train(step, groups, batch, policy, generation, on_phase)
                await record(step, groups, batch, metrics | {"timing_s/step": time.monotonic() - begin})
            await after_step(step)


async def _train(
    step: int,
    groups: Sequence[ScoredGroup],
    batch: TrainingBatch,
    policy: Policy,
    generation: Generation,
    on_phase: OnPhase,
) -> Metrics:
    """Update the policy and sample from it from now on."""
    on_phase(step, "update")
    sampled = sum(len(scored.group.rollouts) for scored in groups)
    metrics = await timed("timing_s/update_actor", policy.update(batch.samples, step=step, sampled=sampled))
    on_phase(step, "sync")
    return metrics | await timed("timing_s/update_weights", _sync(policy, generation))


async def _sync(policy: Policy, generation: Generation) -> Metrics:
    return await generation.adopt(await policy.publish())


async def timed(name: str, call: Awaitable[Metrics]) -> Metrics:
    """The metrics of ``call`` with its seconds under ``name``."""
    begin = time.monotonic()
    metrics = await call
    return {**metrics, name: time.monotonic() - begin}

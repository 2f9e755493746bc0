"""Simulated workers that only wait, with the real driver: loop, window, pool and services.

``cluster.simulation`` and the controller benchmark run them in virtual time.
"""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from actors.pool import Pool
from cluster.generation import GenerationService
from cluster.loop import StepPlan, grpo
from cluster.policy import Published
from cluster.scoring import Scorer, ScoringService
from cluster.transport.object_store import ObjectStore
from rewards.advantage import TrainingBatch, training_batch
from rnr.config import DeadlineConfig, GrpoConfig, SamplingConfig, SyncConfig
from rnr.digest import Manifest
from rnr.types import Answer, Example, Group, Prompt, Reward, Rollout, ScoredGroup, Segment

FOR_EVER = 1e9
"""Deadline in seconds that no simulated worker misses."""


class Method:
    """Makes a coroutine function callable like a method of a Ray actor."""

    def __init__(self, call: Any) -> None:
        self.remote = call


class Engine:
    """A simulated engine: each decoding step makes one token of every running sequence."""

    def __init__(self, *, step: float, step_each: float, load: float, max_num_seqs: int) -> None:
        """A step with n sequences takes ``step + n * step_each`` seconds, loading new weights ``load`` seconds."""
        self._step, self._step_each, self._load = step, step_each, load
        self._room = asyncio.Semaphore(max_num_seqs)
        self._ends: list[tuple[float, int, asyncio.Future[None]]] = []
        """Heap of the running sequences, by the step at which they end."""
        self._numbers = itertools.count()
        self._steps = 0.0
        self._since = 0.0
        self._loading = 0
        self._timer: asyncio.TimerHandle | None = None
        self._busy = 0.0

    async def decode(self, tokens: float) -> None:
        """Decode one sequence of ``tokens`` tokens."""
        async with self._room:
            end = asyncio.get_running_loop().create_future()
            self._advance()
            heapq.heappush(self._ends, (self._steps + tokens, next(self._numbers), end))
            self._wait()
            await end

    async def load(self) -> None:
        """Load new weights; nothing is decoded meanwhile."""
        self._advance()
        self._loading += 1
        self._wait()
        await asyncio.sleep(self._load)
        self._advance()
        self._loading -= 1
        self._wait()

    def busy(self) -> float:
        """Seconds spent decoding so far."""
        self._advance()
        return self._busy

    @property
    def _step_seconds(self) -> float:
        return self._step + len(self._ends) * self._step_each

    def _advance(self) -> None:
        """Account for the steps since the last change; the running sequences were the same in all of them."""
        now = asyncio.get_running_loop().time()
        if self._ends and not self._loading:
            self._steps += (now - self._since) / self._step_seconds
            self._busy += now - self._since
        self._since = now

    def _wait(self) -> None:
        """Set the timer to the end of the next sequence."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._ends and not self._loading:
            seconds = max(0.0, self._ends[0][0] - self._steps) * self._step_seconds
            self._timer = asyncio.get_running_loop().call_later(seconds, self._end)

    def _end(self) -> None:
        self._advance()
        while self._ends and self._ends[0][0] <= self._steps + 1e-6:
            heapq.heappop(self._ends)[2].set_result(None)
        self._wait()


class Driver:
    """The parts of a run that live in the driver."""

    def __init__(
        self,
        *,
        spawn: Callable[[str], Awaitable[Any]],
        workers: int,
        capacity: int,
        judges: int,
        judge_seconds: float,
        samples: int,
    ) -> None:
        """``spawn`` creates the rollout worker with a given name."""
        deadlines = DeadlineConfig(generate=FOR_EVER, load=FOR_EVER, update=FOR_EVER)
        self.generation = GenerationService(
            spawn,
            size=workers,
            capacity=capacity,
            sampling=SamplingConfig(samples_per_prompt=max(2, samples)),
            sync=SyncConfig(),
            deadlines=deadlines,
            probe=(1,),
            seed=0,
        )

        async def judge(_name: str) -> RewardWorker:
            return RewardWorker(judge_seconds)

        pool = Pool("reward", spawn=judge, size=judges, capacity=1)
        self.scoring = ScoringService(Scorer(name="reward", pool=pool, seconds=FOR_EVER), bounds=(-100.0, 100.0))

    async def train(
        self,
        steps: int,
        per_step: int,
        max_staleness: int,
        *,
        policy: Any,
        record: Callable[..., Awaitable[None]],
        to_batch: Callable[[Sequence[ScoredGroup]], TrainingBatch] | None = None,
    ) -> None:
        """Start the services and run the loop for ``steps`` steps."""
        await self.generation.start()
        await self.scoring.start()
        await grpo(
            range(steps),
            prompts(),
            plan=StepPlan(prompts_per_step=per_step, dynamic_sampling_rounds=0, max_staleness=max_staleness),
            generation=self.generation,
            scoring=self.scoring,
            policy=policy,
            record=record,
            to_batch=to_batch or taught,
            on_phase=lambda _step, _phase: None,
        )


def taught(groups: Sequence[ScoredGroup]) -> TrainingBatch:
    """The training batch of the groups, with default settings."""
    return training_batch(groups, GrpoConfig(), {})


class Learner:
    """A simulated learner: an optimizer step takes as long as ``update``; the published weights are always the same."""

    def __init__(self, update: Callable[[], Awaitable[None]]) -> None:
        self._update = update
        self._numbers = itertools.count(1)

    async def update(self, samples: Sequence[Any], *, step: int, sampled: int) -> dict[str, float]:
        """Wait for ``update``; returns no metrics."""
        await self._update()
        return {}

    async def publish(self) -> Published:
        """The same weights under the next version number."""
        number = next(self._numbers)
        manifest = Manifest(digest="digest", tensors={})
        return Published(version=number, manifest=manifest, transport=ObjectStore(), parcels=(), probe_logprobs=(-1.0,))


class RolloutWorker:
    """A simulated rollout worker: an engine with the methods that the generation service calls."""

    def __init__(self, engine: Engine, *, samples: int, prefill: float, length: Callable[[], float]) -> None:
        """A prompt takes ``prefill`` seconds, then ``samples`` samples of ``length()`` tokens each are decoded."""
        self._engine, self._length, self._prefill = engine, length, prefill
        self._rollouts = rollouts_of(samples, 1)
        self.generate, self.load, self.score = Method(self._generate), Method(self._load), Method(self._score)

    async def _generate(self, prompt: Prompt, _sampling: Any) -> Group:
        if self._prefill:
            await asyncio.sleep(self._prefill)
        await asyncio.gather(*(self._engine.decode(self._length()) for _ in self._rollouts))
        return Group(prompt=prompt, rollouts=self._rollouts)

    async def _load(self, *_: Any) -> tuple[str, float]:
        await self._engine.load()
        return "digest", 1.0

    async def _score(self, _probe: Any) -> list[float]:
        return [-1.0]


class RewardWorker:
    """A simulated reward worker: the rollouts of a group get rewards that alternate between 0 and 1."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.score = Method(self._score)

    async def _score(self, group: Group) -> ScoredGroup:
        await asyncio.sleep(self._seconds)
        rewards = tuple(Reward(total=float(number % 2), parts={}) for number in range(len(group.rollouts)))
        answers = (Answer(reasoning=None, mentions=()),) * len(group.rollouts)
        return ScoredGroup(group=group, rewards=rewards, answers=answers)


def rollouts_of(samples: int, tokens: int) -> tuple[Rollout, ...]:
    """``samples`` made-up rollouts of ``tokens`` tokens each."""
    segment = Segment(token_ids=tuple(range(tokens)), logprobs=(-0.5,) * tokens, policy_version=0)
    return (Rollout(segments=(segment,), text="x" * 3 * tokens, finished=True),) * samples


def prompts() -> Iterator[Prompt]:
    """An endless stream of prompts, each with its own uid."""
    for number in itertools.count():
        example = Example(uid=f"prompt-{number}", sentence="x", schema=("a",), mentions=())
        yield Prompt(example=example, token_ids=(1,) * 100)

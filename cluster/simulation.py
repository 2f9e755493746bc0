"""Simulates a run in virtual time: step times and idle shares for any number of engines and learner ranks.

The loop, the window, the pool and the services are the real ones; the workers only wait. A ``Speed`` says how long they
wait. It is measured (``measured``) or derived from datasheets (``cluster.stated_speed``). An engine decodes its
sequences concurrently: a step with n sequences takes ``step + n * step_each`` seconds.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from cluster.simulated_workers import Driver, Engine, Learner, RolloutWorker
from cluster.virtual_time import run_virtually


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """Durations of the parts of a run, in seconds."""

    step: float
    """Fixed time of a decoding step, regardless of the number of sequences."""
    step_each: float
    """Additional time of a decoding step per sequence."""
    prompt_token: float = 0.0
    """Prefill time per prompt token; the samples of a prompt share it."""
    position: float
    """Time per position in an optimizer step, on one rank."""
    update: float = 0.0
    """Minimum time of an optimizer step."""
    load: float
    """Weight sync: from the end of an optimizer step until an engine has the new weights. It does not decode then."""
    score: float = 0.01
    """Time to score a group in a reward worker."""
    max_num_seqs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The work of one step."""

    prompts: int
    samples: int
    prompt_tokens: float
    """Mean tokens per prompt."""
    tokens: float
    """Mean tokens per completion."""
    spread: float = 0.5
    """Completions have between (1 - spread) and (1 + spread) times ``tokens`` tokens."""

    @property
    def positions(self) -> float:
        """Positions that the learner computes: each prompt once, and its completions."""
        return self.prompts * (self.prompt_tokens + self.samples * self.tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedRun:
    """The steady state of a simulated run."""

    step_seconds: float
    samples_per_second: float
    rollout_idle: float
    """Mean share of the time in which an engine has nothing to decode."""
    learner_idle: float


def measured(benches: Sequence[Mapping[str, Any]], *, max_num_seqs: int) -> Speed:
    """The speed measured by ``bench step``, from its JSON.

    Two measurements with different numbers of samples separate the fixed time of a decoding step from the time per
    sequence; with only one, all time is attributed to the sequences. Raises ValueError for JSON of another benchmark.
    """
    needed = ("samples", "completion_tokens", "sampling_seconds", "training_seconds", "positions_computed")
    for bench in benches:
        if missing := [name for name in needed if name not in bench]:
            raise ValueError(f"--bench takes the JSON of `bench step`; one file lacks {', '.join(missing)}")
    points = [_decoding_step(bench, max_num_seqs) for bench in benches]
    step, each = _line(points)
    return Speed(
        step=step,
        step_each=each,
        position=mean(bench["training_seconds"] / bench["positions_computed"] for bench in benches),
        load=mean(bench.get("publish_seconds", 0.0) for bench in benches),
        score=mean(bench.get("reward_seconds", 0.0) for bench in benches),
        max_num_seqs=max_num_seqs,
    )


def _decoding_step(bench: Mapping[str, Any], max_num_seqs: int) -> tuple[float, float]:
    """(concurrent sequences, seconds of a decoding step); all completions of a benchmark have the same length."""
    rounds = -(-bench["samples"] // max_num_seqs)
    steps = rounds * bench["completion_tokens"] / bench["samples"]
    return bench["samples"] / rounds, bench["sampling_seconds"] / steps


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Intercept and slope of the least-squares line through (x, y), both at least 0; with a single x, the line passes
    through the origin."""
    x, y = mean(x for x, _ in points), mean(y for _, y in points)
    over = sum((each - x) ** 2 for each, _ in points)
    slope = sum((each - x) * (value - y) for each, value in points) / over if over else y / x
    slope = min(max(slope, 0.0), y / x)
    return y - slope * x, slope


def simulate(speed: Speed, load: Load, *, engines: int, ranks: int, max_staleness: int, steps: int = 8) -> SimulatedRun:
    """Simulate ``steps`` steps of a run with ``engines`` engines and ``ranks`` learner ranks in steady state.

    Warm-up steps do not count, nor do the last ones, for which nothing is sampled ahead any more.
    """
    world = World(load=load, speed=speed, engines=engines, ranks=ranks)
    warm_up = 1 + max_staleness
    run_virtually(world.train(warm_up + steps + max_staleness, max_staleness))
    begin, end = world.snapshots[warm_up - 1], world.snapshots[warm_up + steps - 1]
    seconds = end.at - begin.at
    return SimulatedRun(
        step_seconds=seconds / steps,
        samples_per_second=steps * load.prompts * load.samples / seconds,
        rollout_idle=max(0.0, 1 - (end.decoding - begin.decoding) / seconds / engines),
        learner_idle=max(0.0, 1 - (end.training - begin.training) / seconds),
    )


@dataclass(frozen=True, slots=True)
class _Snapshot:
    at: float
    decoding: float
    training: float


class World:
    """Simulated engines and learner at a given ``Speed``, and the driver over them."""

    def __init__(self, *, load: Load, speed: Speed, engines: int, ranks: int) -> None:
        self._load, self._speed, self._ranks = load, speed, ranks
        self._draw = random.Random(0)
        self._engines: list[Engine] = []
        self._training = 0.0
        self.snapshots: list[_Snapshot] = []
        """Time, busy seconds of engines and of the learner after each step."""
        self._driver = Driver(
            spawn=self._worker,
            workers=engines,
            capacity=max(speed.max_num_seqs, load.samples),
            judges=max(1, engines // 8),
            judge_seconds=speed.score,
            samples=load.samples,
        )

    async def train(self, steps: int, max_staleness: int) -> None:
        """Run the loop for ``steps`` steps."""
        await self._driver.train(
            steps, self._load.prompts, max_staleness, policy=Learner(self._update), record=self._record
        )

    async def _update(self) -> None:
        seconds = max(self._speed.update, self._load.positions * self._speed.position / self._ranks)
        await asyncio.sleep(seconds)
        self._training += seconds

    async def _record(self, *_: Any) -> None:
        now = asyncio.get_running_loop().time()
        self.snapshots.append(_Snapshot(now, sum(engine.busy() for engine in self._engines), self._training))

    async def _worker(self, _name: str) -> RolloutWorker:
        engine = Engine(
            step=self._speed.step,
            step_each=self._speed.step_each,
            load=self._speed.load,
            max_num_seqs=self._speed.max_num_seqs,
        )
        self._engines.append(engine)
        prefill = self._load.prompt_tokens * self._speed.prompt_token
        return RolloutWorker(engine, samples=self._load.samples, prefill=prefill, length=self._length)

    def _length(self) -> float:
        spread = self._load.spread
        return self._load.tokens * self._draw.uniform(1 - spread, 1 + spread)

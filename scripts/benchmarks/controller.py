"""CPU cost of the controller: the real loop, window, pool and services, with simulated workers that only wait.

python -m scripts.benchmarks.controller --workers 1000 --groups 100000

Time is virtual, so the CPU seconds are those of the driver alone. They do not include Ray's cost per call. That is
measured separately, as the pickling of one group, which the driver does twice (from the rollout worker, to the scorer).
"""

import asyncio
import pickle
import random
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cluster.simulated_workers import Driver, Learner, Method, prompts, rollouts_of, taught
from cluster.virtual_time import run_virtually
from rewards.advantage import TrainingBatch
from rnr.files.jsonl import strict_json
from rnr.files.whole import write_whole
from rnr.messages import plain_console
from rnr.types import Group, Prompt, Rollout, ScoredGroup
from scripts.benchmarks.turns import table
from scripts.command_line import as_written, new_app, run, within

app = new_app()


def main(argv: list[str]) -> int:
    return run(app, argv)


class Worker:
    """A simulated rollout worker: 5 to 30 virtual seconds per group, 1 second per weight sync."""

    def __init__(self, seed: int, rollouts: tuple[Rollout, ...]) -> None:
        self._draw = random.Random(seed)
        self._rollouts = rollouts
        self.generate, self.load, self.score = Method(self._generate), Method(self._load), Method(self._score)

    async def _generate(self, prompt: Prompt, _sampling: Any) -> Group:
        await asyncio.sleep(self._draw.uniform(5, 30))
        return Group(prompt=prompt, rollouts=self._rollouts)

    async def _load(self, *_: Any) -> tuple[str, float]:
        await asyncio.sleep(1.0)
        return "digest", 1.0

    async def _score(self, _probe: Any) -> list[float]:
        return [-1.0]


class Controller:
    """The driver with simulated workers, and the CPU seconds spent on building batches."""

    def __init__(self, *, workers: int, judges: int, samples: int, tokens: int) -> None:
        rollouts = rollouts_of(samples, tokens)

        async def spawn(name: str) -> Worker:
            return Worker(hash(name), rollouts)

        self.driver = Driver(
            spawn=spawn, workers=workers, capacity=16 * samples, judges=judges, judge_seconds=0.01, samples=samples
        )
        self.records: list[float] = []
        self.virtual_seconds = 0.0

    async def train(self, steps: int, per_step: int, max_staleness: int) -> None:
        """Run the loop for ``steps`` steps; an optimizer step takes 10 virtual seconds."""
        learner = Learner(lambda: asyncio.sleep(10.0))
        await self.driver.train(
            steps, per_step, max_staleness, policy=learner, record=self._record, to_batch=self._to_batch
        )
        self.virtual_seconds = asyncio.get_running_loop().time()

    def _to_batch(self, groups: Sequence[ScoredGroup]) -> TrainingBatch:
        begin = time.process_time()
        batch = taught(groups)
        self.records.append(time.process_time() - begin)
        return batch

    async def _record(self, *_: Any) -> None:
        return None


def pickling(samples: int, tokens: int) -> float:
    """CPU seconds to pickle and unpickle one group."""
    # One rollout at a time, because pickle writes an object that occurs several times only once.
    each = [Group(prompt=next(prompts()), rollouts=rollouts_of(1, tokens)) for _ in range(samples)]
    begin = time.process_time()
    for one in each:
        pickle.loads(pickle.dumps(one, protocol=5))
    return time.process_time() - begin


def measure(*, workers: int, groups: int, samples: int, tokens: int, max_staleness: int) -> dict[str, Any]:
    """CPU time of the driver per group, its peak memory, and the CPU time to pickle one group."""
    per_step = min(groups, 16 * workers)
    steps = max(1, groups // per_step)
    controller = Controller(workers=workers, judges=max(1, workers // 8), samples=samples, tokens=tokens)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin, wall = time.process_time(), time.perf_counter()
    run_virtually(controller.train(steps, per_step, max_staleness))
    seconds = time.process_time() - begin
    done = steps * per_step
    pickled = pickling(samples, tokens)
    batches = sum(controller.records)
    return {
        "workers": workers,
        "groups": done,
        "steps": steps,
        "driver_ms_per_group": 1000 * (seconds - batches) / done,
        "batch_ms_per_group": 1000 * batches / done,
        "pickle_ms_per_group": 1000 * pickled,
        "driver_seconds": seconds,
        "wall_seconds": time.perf_counter() - wall,
        "memory_mib": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024,
        "virtual_seconds": controller.virtual_seconds,
        "reissued": controller.driver.generation.pool.reissued,
    }


@app.command(help=as_written(__doc__))
def controller(
    workers: Annotated[int, typer.Option(callback=within(1))] = 1000,
    groups: Annotated[int, typer.Option(callback=within(1))] = 100_000,
    samples: Annotated[int, typer.Option(callback=within(2), help="rollouts per group")] = 16,
    tokens: Annotated[int, typer.Option(callback=within(1), help="tokens per rollout")] = 256,
    max_staleness: Annotated[int, typer.Option(callback=within(0))] = 1,
    json_file: Annotated[Path | None, typer.Option("--json", help="also write the numbers to this file")] = None,
) -> None:
    """Print the cost of a group in the driver."""
    numbers = measure(workers=workers, groups=groups, samples=samples, tokens=tokens, max_staleness=max_staleness)
    plain_console().print(table("controller", numbers))
    if json_file:
        write_whole(json_file, strict_json(numbers, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

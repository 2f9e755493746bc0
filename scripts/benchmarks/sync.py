"""``bench sync``: the learner's weights on a rollout worker, verified, as after every step of a run."""

import argparse
import time
from collections.abc import Callable
from typing import Any

import ray

from cluster.launch import Cluster
from rnr.model_folder import resolve
from scripts.benchmarks.live import Run, config_of, running_cluster
from scripts.benchmarks.prompts import prompts
from scripts.benchmarks.turns import Numbers, spread

PHASES = {"gather": "gather", "score": "learner_probe", "load weights": "load", "probe": "worker_probe"}
"""What is waited for -> its name in the numbers."""


def measure(options: argparse.Namespace) -> Numbers:
    """Seconds of a whole sync and of its phases: the weights gathered from the ranks into the object store, the probe
    scored by the learner, the weights loaded by the engine, the probe scored by the engine."""
    folder = resolve(options.model)
    asked = prompts(folder, 1, options.prompt_tokens)
    with running_cluster(config_of(options, folder), folder, asked) as (cluster, run):
        rounds = _rounds(cluster, run, options.rounds)
        references = cluster.link.newest.buckets if cluster.link.newest else ()
        buckets: list[Any] = [ray.get(reference, timeout=options.deadline) for reference in references]
        size = sum(tensor.nbytes for bucket in buckets for tensor in bucket.values())
        difference = cluster.link.largest_difference
    numbers = spread("seconds", [seconds["total"] for seconds in rounds])
    for phase in PHASES.values():
        numbers |= spread(f"{phase}_seconds", [seconds[phase] for seconds in rounds])
    return numbers | {
        "bytes": size,
        "buckets": len(buckets),
        "bytes_per_second": size / numbers["seconds"],
        "largest_probe_difference": difference,
    }


def _rounds(cluster: Cluster, run: Run, count: int) -> list[dict[str, float]]:
    """Seconds by phase of each sync but the first."""
    seconds: dict[str, float] = {}
    _clock(cluster.learner, "weights", seconds, lambda *_: "gather")
    _clock(cluster.learner, "score", seconds, lambda *_: "score")
    _clock(cluster.rollouts, "wait", seconds, lambda _member, phase, _reference: phase)
    rounds = []
    for version in range(1, count + 2):
        seconds.clear()
        begin = time.perf_counter()
        run(cluster.link.publish(version))
        total = time.perf_counter() - begin
        rounds.append({name: seconds[phase] for phase, name in PHASES.items()} | {"total": total})
    return rounds[1:]


def _clock(owner: Any, method: str, seconds: dict[str, float], name_of: Callable[..., str]) -> None:
    """Let ``owner`` note in ``seconds`` how long its async ``method`` takes, under the name its arguments give."""
    original = getattr(owner, method)

    async def clocked(*arguments: Any) -> Any:
        begin = time.perf_counter()
        result = await original(*arguments)
        seconds[name_of(*arguments)] = time.perf_counter() - begin
        return result

    setattr(owner, method, clocked)

"""``bench sync``: weight sync from the learner to a rollout worker, verified, as after every step of a run."""

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

from cluster.services import Services
from rnr.model_folder import resolve
from scripts.benchmarks.live import Run, config_of, hand_on, running_services
from scripts.benchmarks.peak import device_name
from scripts.benchmarks.prompts import prompts
from scripts.benchmarks.turns import Numbers, spread

PHASES = {"send": "gather", "score": "learner_probe", "load": "load", "probe": "worker_probe"}
"""Phase that the services wait for -> its name in the numbers."""


def measure(options: argparse.Namespace) -> Numbers:
    """Seconds of a complete weight sync and of its phases: gathering the weights from the ranks into the object store,
    scoring the probe on the learner, loading the weights in the engine, scoring the probe in the engine."""
    folder = resolve(options.model)
    asked = prompts(folder, 1, options.prompt_tokens)
    never_sampled = {"prompts": 1, "samples": 8, "completion_tokens": 128}
    config = config_of(argparse.Namespace(**vars(options), **never_sampled), folder)
    with running_services(config, asked) as (services, run):
        return sync_numbers(services, run, rounds_of(services, run, options.rounds))


def sync_numbers(services: Services, run: Run, rounds: list[dict[str, float]]) -> Numbers:
    """The numbers of these rounds, as timed by ``rounds_of``."""
    published = run(services.policy.publish())
    size = 2 * sum(math.prod(shape) for shape in published.manifest.tensors.values())
    difference = services.generation.largest_difference
    numbers = spread("seconds", [seconds["total"] for seconds in rounds])
    for phase in PHASES.values():
        numbers |= spread(f"{phase}_seconds", [seconds[phase] for seconds in rounds])
    return numbers | {
        "bytes": size,
        "parcels": len(published.parcels),
        "bytes_per_second": size / numbers["seconds"],
        "largest_probe_difference": difference,
        "device": device_name(),
    }


def rounds_of(services: Services, run: Run, count: int) -> list[dict[str, float]]:
    """Seconds by phase of ``count`` weight syncs, after one warm-up sync."""
    seconds: dict[str, float] = {}
    ranks, pool = services.policy.ranks, services.generation.pool
    _clock(ranks, "send", seconds, lambda *_: "send")
    _clock(ranks, "score", seconds, lambda *_: "score")
    _clock(pool, "wait", seconds, lambda _slot, phase, _reference: phase.split()[0])
    rounds = []
    for _ in range(count + 1):
        seconds.clear()
        begin = time.perf_counter()
        run(hand_on(services))
        total = time.perf_counter() - begin
        rounds.append({name: seconds[phase] for phase, name in PHASES.items()} | {"total": total})
    return rounds[1:]


def _clock(owner: Any, method: str, seconds: dict[str, float], name_of: Callable[..., str]) -> None:
    """Patch the async ``method`` of ``owner`` so that each call writes its seconds into ``seconds``, under the name
    that ``name_of`` gives for its arguments."""
    original = getattr(owner, method)

    async def clocked(*arguments: Any, **options: Any) -> Any:
        begin = time.perf_counter()
        result = await original(*arguments, **options)
        seconds[name_of(*arguments)] = time.perf_counter() - begin
        return result

    setattr(owner, method, clocked)

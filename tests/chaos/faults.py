"""The faults of a campaign: seeded, each with the way it is done and the way it is undone."""

import random
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.chaos.hosts import Host

KILLS = {
    "rollout worker killed": "ray::RolloutWorker",
    "engine killed": "VLLM::EngineCor",
    "learner rank killed": "ray::LearnerWorker",
    "reward worker killed": "ray::RewardWorker",
}
STOPS = {"rollout worker stopped": "ray::RolloutWorker", "learner rank stopped": "ray::LearnerWorker"}
KINDS = (
    *KILLS,
    "raylet killed, node added",
    *STOPS,
    "cable cut and plugged in",
    "disk full",
    "shared memory full",
    "node added and removed",
    "SIGTERM, resumed",
    "driver killed, resumed",
)
OF_DRIVER = KINDS[-2:]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    kind: str
    delay: float
    """Seconds after the last recovery."""
    lasts: float
    """Seconds until it is undone, where it is."""
    choice: float
    """In [0, 1): which of those it can befall."""


def plan(seed: int, count: int) -> list[Fault]:
    """So many faults, every kind once before any comes again."""
    draw = random.Random(seed)
    kinds: list[str] = []
    while len(kinds) < count:
        kinds += draw.sample(KINDS, len(KINDS))
    return [
        Fault(kind=kind, delay=draw.uniform(0, 4), lasts=draw.uniform(3, 40), choice=draw.random())
        for kind in kinds[:count]
    ]


def pick(options: Sequence[Any], choice: float) -> Any:
    return options[int(choice * len(options))]


def strike(fault: Fault, hosts: Sequence[Host], disk: Path) -> Callable[[], None] | None:
    """Do it, unless it is the driver's; what undoes it, or None if there was nothing that it could befall."""
    workers = hosts[1:3]
    if name := KILLS.get(fault.kind) or STOPS.get(fault.kind):
        victims = [process for host in workers for process in host.processes(name)]
        if not victims:
            return None
        victim = pick(victims, fault.choice)
        return _signal(victim, signal.SIGKILL if fault.kind in KILLS else signal.SIGSTOP)
    host = pick(workers, fault.choice)
    match fault.kind:
        case "raylet killed, node added":
            host.end_node()
            return host.start_node
        case "cable cut and plugged in":
            host.cut()
            return host.plug
        case "disk full":
            return _fill(disk)
        case "shared memory full":
            return _fill(host.shared_memory)
        case "node added and removed":
            hosts[3].start_node()
            return lambda: hosts[3].end_node(signal.SIGTERM)
    raise ValueError(fault.kind)


def _signal(victim: psutil.Process, number: int) -> Callable[[], None]:
    with suppress(psutil.NoSuchProcess):
        victim.send_signal(number)

    def undo() -> None:
        with suppress(psutil.NoSuchProcess):
            if number == signal.SIGSTOP:
                victim.send_signal(signal.SIGCONT)

    return undo


def _fill(folder: Path) -> Callable[[], None]:
    """Write to a disk until nothing more fits, again and again until it is undone."""
    file = folder / "chaos-fills"
    end = time.monotonic() + 5
    with file.open("wb", buffering=0) as stream, suppress(OSError):
        while time.monotonic() < end:
            stream.write(b"\0" * 2**20)
    return lambda: file.unlink(missing_ok=True)

"""The memory that this process may use: the machine's, or what the control groups it is in (of a container, a pod, a
job of Slurm) leave of it."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")

FILES = {
    "": ("memory.max", "memory.current", ("inactive_file", "active_file")),
    "memory": ("memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
}
"""Of the second version of control groups and of the first: the files with the limit and with what is used, and the
rows of ``memory.stat`` with the cached files among the latter, which make room when it is needed."""


@dataclass(frozen=True, slots=True)
class HostMemory:
    """In bytes."""

    total: int
    free: int
    limited: bool
    """Whether a control group allows less than the machine has."""


def host_memory() -> HostMemory:
    """What this process may use now, together with the others of its machine or control group."""
    machine = psutil.virtual_memory()
    total, free = machine.total, machine.available
    for limit, left in _limits():
        total, free = min(total, limit), min(free, left)
    return HostMemory(total, free, limited=total < machine.total)


def _limits() -> Iterator[tuple[int, int]]:
    """(limit, what is left of it) of each control group of this process that has one."""
    with suppress(OSError):
        for line in OWN.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers in FILES:
                root = CGROUPS / controllers
                own = root / path.strip("/")
                # A container may see its own group as the root, and the host's path of it.
                yield from (found for group in (own, *own.parents) if (found := _limit(group, *FILES[controllers])))


def _limit(group: Path, most: str, used: str, cached: tuple[str, ...]) -> tuple[int, int] | None:
    try:
        limit = int((group / most).read_text())
        rows = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
        return limit, max(0, limit - int((group / used).read_text()) + sum(int(rows.get(name, 0)) for name in cached))
    except (OSError, ValueError):  # no such group, or no limit ("max")
        return None

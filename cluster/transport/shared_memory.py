"""Through memory that learner and engine share on one host: packed once, mapped by the engine, copied nowhere else.

The memory has no name in /dev/shm or anywhere (memfd): other processes open it through the learner's own entry in
/proc, and the kernel frees it with the last process that has it, however that one ends.
"""

import itertools
import mmap
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from cluster.transport.buckets import Buckets, unpack
from cluster.transport.topology import Topology
from rnr.faults import PolicyGone

Parcel = dict[str, Any]


class SharedMemory:
    """For a learner and engines on the CPUs of one host."""

    in_place = True
    copies = 2  # two versions take turns
    connects = False
    receiver = f"{__name__}:receive"

    @staticmethod
    def why_unsupported(topology: Topology) -> str:
        """Why it does not support this topology; empty if it does."""
        if not topology.one_host:
            return "learner and rollout workers must be on one host, but a cluster may have or add others"
        if not topology.on_cpus:
            return "it is for CPUs only: weights on a GPU would be copied through host memory"
        return "adapters are sent through the object store" if topology.lora else ""

    def send(self, weights: Iterable[tuple[str, torch.Tensor]]) -> Iterator[Parcel]:
        """One parcel: which memory of this process to open, and what lies where."""
        buffers = next(_turns)
        layout = buffers.buckets.pack(weights)
        if layout:
            yield {"process": os.getpid(), "buckets": buffers.opened, "layout": layout}

    @contextmanager
    def staged(self, parcels: Sequence[Parcel]) -> Iterator[Parcel]:
        """Nothing is copied: the engine's process opens the learner's memory itself. Raises PolicyGone if it is not
        there any more."""
        (parcel,) = parcels
        for file, name, _ in parcel["buckets"]:
            _entry(parcel["process"], file, name)
        yield parcel


class _Memory:
    """Buckets of this process that others can open."""

    def __init__(self) -> None:
        self.opened: list[tuple[int, str, int]] = []
        """File descriptor, name and bytes of each bucket."""
        self.buckets = Buckets(self._make)

    def _make(self, numbers: int) -> torch.Tensor:
        name, size = f"rnr-weights-{secrets.token_hex(8)}", numbers * torch.bfloat16.itemsize
        file = os.memfd_create(name)
        os.ftruncate(file, size)  # uses no memory until it is written
        self.opened.append((file, name, size))
        return torch.frombuffer(mmap.mmap(file, size), dtype=torch.bfloat16)


_turns = itertools.cycle([_Memory(), _Memory()])
"""Two versions take turns, so that a worker which is still loading one is not disturbed by the next."""


def receive(parcel: Parcel) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of the learner's memory, mapped for reading."""
    buckets = []
    for file, name, size in parcel["buckets"]:
        with _entry(parcel["process"], file, name).open("rb") as opened:
            # A private mapping: torch wants a writable one, and writes would stay in this process.
            mapped = mmap.mmap(opened.fileno(), size, access=mmap.ACCESS_COPY)
        buckets.append(torch.frombuffer(mapped, dtype=torch.bfloat16))
    yield from unpack(parcel["layout"], buckets)


def _entry(process: int, file: int, name: str) -> Path:
    """Where the memory can be opened; raises PolicyGone unless it has this name."""
    entry = Path(f"/proc/{process}/fd/{file}")
    try:
        found = os.readlink(entry)
    except OSError as error:
        raise PolicyGone(f"cannot open the memory of the learner's process {process}: {error}") from None
    if name not in found:
        raise PolicyGone(f"the learner's process {process} has been replaced: {entry} is {found}")
    return entry

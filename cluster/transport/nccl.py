"""By NCCL, for a learner and engines with GPUs of their own: the policy is packed into flat buckets on the learner's
GPU, and each engine's process is sent them when it asks.

A group is the learner and one process of an engine, so a late joiner or a replacement makes a group with the learner
alone: membership changes rebuild nothing, and nothing waits for a dead process. The two meet at a store that the
learner keeps; its key is a secret that only parcels carry.

The same code runs over gloo and CPU tensors, on loopback alone: for tests.
"""

import itertools
import logging
import os
import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch.distributed import PrefixStore, TCPStore  # pyright: ignore[reportPrivateImportUsage]

from cluster.nodes import LOOPBACK
from cluster.transport.buckets import BucketLayout, Buckets, unpack
from cluster.transport.topology import Topology
from learner.rendezvous import open_store
from rnr.faults import PolicyGone

logger = logging.getLogger(__name__)

Parcel = dict[str, Any]

TRANSFER = timedelta(seconds=120)
"""For one bucket, and for the two sides to meet."""
MISSED = 3
"""Versions that an engine has not asked for, after which its group is given up."""
NEVER = timedelta(days=30)
ANSWER = timedelta(seconds=10)
"""For the learner to accept a connection."""


@dataclass(frozen=True, slots=True)
class Nccl:
    """For learner ranks and engines with whole GPUs."""

    backend: str = "nccl"
    device: str = "cuda"
    in_place = True
    copies = 2  # two versions take turns
    connects = True
    receiver = f"{__name__}:receive"

    @staticmethod
    def why_unsupported(topology: Topology) -> str:
        """Why it does not support this topology; empty if it does."""
        if not topology.gpus_apart:
            return "each learner rank and each engine must have a GPU or several to itself"
        return "adapters are sent through the object store" if topology.lora else ""

    def send(self, weights: Iterable[tuple[str, torch.Tensor]]) -> Iterator[Parcel]:
        """One parcel: where to ask for the buckets, and what lies where in them."""
        number, layout = _sending.pack(self, weights)
        if layout:
            yield _sending.open(self) | {"version": number, "layout": layout, "sizes": _sending.sizes(number)}

    @contextmanager
    def staged(self, parcels: Sequence[Parcel]) -> Iterator[Parcel]:
        """Nothing is sent yet: the engine's process asks for it. Raises PolicyGone if the learner is gone."""
        (parcel,) = parcels
        try:
            _store(parcel, ANSWER)
        except (RuntimeError, OSError) as error:
            where = f"{parcel['address']}:{parcel['port']}"
            raise PolicyGone(f"the learner does not answer at {where}: {' '.join(str(error).split())[:200]}") from None
        yield parcel


class _Sending:
    """The learner's side: two versions take turns in the buckets, and a thread for each engine process sends them."""

    def __init__(self) -> None:
        self._turns: list[tuple[Buckets, threading.Lock]] = []
        self._number = 0
        self._asking: dict[int, tuple[int, int]] = {}
        """Member -> its last version, and the turn that it is waited for."""
        self._door: Parcel = {}
        self._master: Any = None

    def pack(self, transport: Nccl, weights: Iterable[tuple[str, torch.Tensor]]) -> tuple[int, BucketLayout]:
        """Pack the weights as the next version: its number, and what lies where. Waits while the version before the
        last, whose place it takes, is being sent."""
        if not self._turns:
            self._turns = [(Buckets(lambda size: _empty(size, transport.device)), threading.Lock()) for _ in range(2)]
        buckets, lock = self._turns[(self._number + 1) % 2]
        with lock:
            layout = buckets.pack(weights)
            if layout:
                self._number += 1
                settle(transport.device)
        self._give_up()
        return self._number, layout

    def _give_up(self) -> None:
        """End the threads of engine processes that have not asked for a long time."""
        for member, (last, turn) in list(self._asking.items()):
            if self._number - last >= MISSED:
                _store(self._door).set(f"asked/{member}/{turn}", "0")

    def sizes(self, number: int) -> list[int]:
        """Numbers in each bucket of a version."""
        return [bucket.numel() for bucket in self._turns[number % 2][0].filled]

    def open(self, transport: Nccl) -> Parcel:
        """Where engines ask; opened with the first version."""
        if not self._door:
            address = LOOPBACK if transport.backend == "gloo" else own_address()
            self._master, port = open_store(address, timeout=TRANSFER)
            backend, secret = transport.backend, secrets.token_hex(16)
            self._door = {"address": address, "port": port, "secret": secret, "backend": backend}
            threading.Thread(target=self._welcome, args=(transport.device,), daemon=True).start()
        return self._door

    def _welcome(self, device: str) -> None:
        store = _store(self._door)
        for member in itertools.count(1):
            store.wait([f"member/{member}"], NEVER)
            threading.Thread(target=self._serve, args=(member, device), daemon=True).start()

    def _serve(self, member: int, device: str) -> None:
        """Send one engine process every version it asks for, until it stops asking."""
        store = _store(self._door)
        self._asking[member] = (self._number, 0)
        try:
            group = _group(self._door["backend"], store, member, rank=0)
            group.send([_empty(1, device)], 1, 0).wait(TRANSFER)  # connects, while it holds no version
            for turn in itertools.count():
                asked = f"asked/{member}/{turn}"
                store.wait([asked], NEVER)
                version = int(store.get(asked))
                if not version:
                    break
                self._asking[member] = (version, turn + 1)
                self._send(group, store, asked, version, device)
        except (RuntimeError, OSError) as error:  # the process is gone: its worker reports that to the run
            logger.warning(f"weights: stopped sending to engine process {member}: {' '.join(str(error).split())}")
        del self._asking[member]

    def _send(self, group: Any, store: Any, asked: str, number: int, device: str) -> None:
        buckets, lock = self._turns[number % 2]
        with lock:
            there = number in (self._number, self._number - 1)
            store.set(f"{asked}/answer", "sent" if there else "gone")
            for bucket in buckets.filled if there else ():
                group.send([bucket], 1, 0).wait(TRANSFER)
            settle(device)


class _Receiving:
    """The engine's side: the group with one learner."""

    def __init__(self, parcel: Parcel) -> None:
        self._store = _store(parcel)
        self._member = self._store.add("members", 1)
        # The learner counts up, so it does not wait for an earlier process that died right after getting its number.
        for member in (self._member - 1, self._member):
            self._store.set(f"member/{member}", "here")
        self._group = _group(parcel["backend"], self._store, self._member, rank=1)
        self._group.recv([_empty(1, _device(parcel))], 0, 0).wait(TRANSFER)
        self._turns = itertools.count()
        self._last = parcel["version"]

    def is_given_up(self, version: int) -> bool:
        """Whether the learner may have stopped waiting for this process."""
        return version - self._last >= MISSED - 1

    def buckets(self, version: int, sizes: Sequence[int], device: str) -> Iterator[torch.Tensor]:
        """The buckets of a version, one after the other."""
        asked = f"asked/{self._member}/{next(self._turns)}"
        self._last = version
        self._store.set(asked, str(version))
        if self._store.get(f"{asked}/answer") != b"sent":
            raise RuntimeError(f"sync.transport nccl: version {version} is no longer available on the learner")
        for size in sizes:
            bucket = _empty(size, device)
            self._group.recv([bucket], 0, 0).wait(TRANSFER)
            yield bucket


_sending = _Sending()
_receiving: dict[str, _Receiving] = {}


def receive(parcel: Parcel) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of the learner's buckets, on this process's own device, bucket by bucket."""
    secret, version = parcel["secret"], parcel["version"]
    if secret not in _receiving or _receiving[secret].is_given_up(version):
        _receiving.clear()  # that of a learner that has been rebuilt
        _receiving[secret] = _Receiving(parcel)
    layout = parcel["layout"]
    for number, bucket in enumerate(_receiving[secret].buckets(version, parcel["sizes"], _device(parcel))):
        inside = [(name, shape, 0, start) for name, shape, place, start in layout if place == number]
        yield from unpack(inside, [bucket])


def _device(parcel: Parcel) -> str:
    """Where an engine has the buckets."""
    return "cpu" if parcel["backend"] == "gloo" else "cuda"


def _store(door: Parcel, timeout: timedelta = TRANSFER) -> Any:
    """A client of the learner's store, for one thread: a call that waits holds up every other of the same client."""
    store = TCPStore(door["address"], door["port"], is_master=False, wait_for_workers=False, timeout=timeout)
    return PrefixStore(door["secret"], store)


def _group(backend: str, store: Any, member: int, *, rank: int) -> Any:
    """The group of the learner (rank 0) and one process of an engine (rank 1)."""
    meeting = PrefixStore(f"group/{member}", store)
    if backend == "gloo":
        from torch.distributed import ProcessGroupGloo  # pyright: ignore[reportPrivateImportUsage]

        options = ProcessGroupGloo._Options()  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
        options._devices = [ProcessGroupGloo.create_device(hostname=LOOPBACK)]  # pyright: ignore[reportPrivateUsage]
        options._timeout = TRANSFER  # pyright: ignore[reportPrivateUsage]
        return ProcessGroupGloo(meeting, rank, 2, options)
    return nccl_group(meeting, rank)


def nccl_group(meeting: Any, rank: int) -> Any:
    """An NCCL group whose lost peer does not end the whole process: every wait has a deadline, and NCCL's own watchdog,
    which would end the process, is disabled for this group."""
    from torch.distributed import ProcessGroupNCCL  # type: ignore[attr-defined]  # not in builds for CPUs

    options = ProcessGroupNCCL.Options()
    options._timeout = NEVER
    name = "TORCH_NCCL_ASYNC_ERROR_HANDLING"
    before = os.environ.get(name)
    os.environ[name] = "0"  # read when the group is made
    try:
        return ProcessGroupNCCL(meeting, rank, 2, options)
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _empty(numbers: int, device: str) -> torch.Tensor:
    return torch.empty(numbers, dtype=torch.bfloat16, device=device)


def settle(device: str) -> None:
    """Wait until the device has finished: another thread or process cannot wait for it there."""
    if device != "cpu":
        torch.cuda.current_stream().synchronize()


def own_address() -> str:
    """The address of this host within the cluster; loopback where Ray was started for itself."""
    import ray

    return ray.util.get_node_ip_address() if ray.is_initialized() else LOOPBACK

"""Transports of a published policy from the learner to the rollout workers: one file each, with both ends in it.

A transport is picked by ``sync.transport``. To add one, write a class with what ``Transport`` has in a file of its own
and name it in ``TRANSPORTS`` and in the config's choices; the contract is in ``tests/cluster/test_transport.py``.

vLLM has engines for this too (``vllm.distributed.weight_transfer``). Their trainer's side imports vLLM into the
learner and waits without a deadline, they change with every release, and nothing verifies what arrived; what they do on
the GPU is what is done here, by the calls of torch that they use: flat buckets, a handle or a broadcast for each, and
vLLM's own reload by layers (``actors/weight_receiver.py``).
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch

from cluster.transport.cuda_ipc import CudaIpc
from cluster.transport.nccl import Nccl
from cluster.transport.object_store import ObjectStore
from cluster.transport.shared_memory import SharedMemory
from cluster.transport.topology import Topology
from rnr.config import SyncConfig


class Transport(Protocol):
    """Picklable: the same object goes to the learner rank and to the rollout worker."""

    in_place: bool
    """Whether the weights are lent to it on the learner's device, each until the next is asked for, or copied to the
    CPU."""
    copies: int
    """Of the whole policy that it keeps where the learner has its weights, on its GPU or in its process's memory."""
    connects: bool
    """Whether engines open connections to the learner's processes, which then have to be reached from their hosts."""
    receiver: str
    """``module:function`` that the engine's process calls (``actors.delivery``)."""

    @staticmethod
    def why_unsupported(topology: Topology, /) -> str:
        """Why it does not support a run with this topology; empty if it does."""
        ...

    def send(self, weights: Iterable[tuple[str, torch.Tensor]]) -> Iterator[Any]:
        """On every learner rank, with the weights on rank 0 and none elsewhere: parcels, each yielded as soon as it is
        full. Ray keeps them; the driver never holds them."""
        ...

    def staged(self, parcels: Sequence[Any]) -> AbstractContextManager[Any]:
        """On a rollout worker: the parcels put where the engine's own process can take them; what ``receiver`` is given
        there. Raises PolicyGone if they were on a learner that is gone."""
        ...


TRANSPORTS: dict[str, type[Transport]] = {
    "object_store": ObjectStore,
    "shared_memory": SharedMemory,
    "cuda_ipc": CudaIpc,
    "nccl": Nccl,
}

BY_ITSELF = ("shared_memory", "cuda_ipc", "object_store")
"""What ``auto`` takes: the first that supports the topology. ``nccl`` is left out until it has run on GPUs."""


def transport_name(sync: SyncConfig, topology: Topology) -> str:
    """The name of the run's transport; raises ValueError saying why a requested one does not support it."""
    if sync.transport == "auto":
        return next(name for name in BY_ITSELF if not TRANSPORTS[name].why_unsupported(topology))
    why = TRANSPORTS[sync.transport].why_unsupported(topology)
    if why:
        raise ValueError(
            f'sync.transport="{sync.transport}" does not fit {topology}: {why}. "auto" takes '
            f"{transport_name(SyncConfig(), topology)!r} here"
        )
    return sync.transport


def weight_copies(sync: SyncConfig, topology: Topology) -> int:
    """How many copies of the policy the transport of this run keeps beside the learner's weights. One that is named is
    counted without a look at the topology: whether it serves it is for ``transport_name`` to say."""
    return TRANSPORTS[transport_name(sync, topology) if sync.transport == "auto" else sync.transport].copies


def make_transport(sync: SyncConfig, topology: Topology) -> Transport:
    return TRANSPORTS[transport_name(sync, topology)]()

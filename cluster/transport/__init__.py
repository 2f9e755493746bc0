"""Ways of a published policy from the learner to the rollout workers: one file each, with both ends in it.

A transport is picked by ``sync.transport``. To add one, write a class with the three methods of ``Transport`` in a file
of its own and name it in ``TRANSPORTS`` and in the config's choices; the contract is in ``tests/test_transport.py``.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch

from actors.delivery import Delivery
from cluster.transport.object_store import ObjectStore
from rnr.config import SyncConfig


class Transport(Protocol):
    """Picklable: the same object goes to the learner rank and to the rollout worker."""

    def send(self, weights: Iterable[tuple[str, torch.Tensor]]) -> Iterator[Any]:
        """On learner rank 0: the weights as parcels, each yielded as soon as it is full. Ray keeps them; the driver
        never holds them."""
        ...

    def staged(self, version: int, parcels: Sequence[Any]) -> AbstractContextManager[Delivery]:
        """On a rollout worker: the parcels put where the engine's own process can take them."""
        ...


TRANSPORTS: dict[str, type[Transport]] = {"object_store": ObjectStore}


def choose(sync: SyncConfig) -> Transport:
    """The transport of this run; ``auto`` is the object store, which serves any placement."""
    return TRANSPORTS["object_store" if sync.transport == "auto" else sync.transport]()

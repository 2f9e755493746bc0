"""Through Ray's object store: learner rank -> parcels of bf16 arrays -> /dev/shm of the worker's host -> engine.

Supports any placement and any number of workers, late ones too. The engine's process reads the tensors as safetensors
mapped from memory, so they are copied once on the worker's host.
"""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from actors.locked_folder import held_for_a_while
from cluster.transport.topology import Topology
from learner.files import read_weights
from rnr.digest import bits

Parcel = dict[str, NDArray[numpy.int16]]
"""Tensor name -> bf16 weights, their bits seen as int16."""

PARCEL_BYTES = 2**30
SHARED_MEMORY = Path("/dev/shm")


class ObjectStore:
    """The transport that supports any topology."""

    in_place = False
    copies = 0
    connects = False
    receiver = f"{__name__}:receive"

    @staticmethod
    def why_unsupported(_topology: Topology) -> str:
        """Empty: it supports every topology."""
        return ""

    def send(self, weights: Iterable[tuple[str, torch.Tensor]]) -> Iterator[Parcel]:
        """Parcels of about ``PARCEL_BYTES``."""
        parcel: Parcel = {}
        size = 0
        for name, tensor in weights:
            parcel[name] = bits(tensor)
            size += parcel[name].nbytes
            if size > PARCEL_BYTES:
                yield parcel
                parcel, size = {}, 0
        if parcel:
            yield parcel

    @contextmanager
    def staged(self, parcels: Sequence[Parcel]) -> Iterator[str]:
        """The parcels as safetensors in a folder of shared memory; raises OSError, naming the place and the need, when
        it has no room for them."""
        place = SHARED_MEMORY if SHARED_MEMORY.is_dir() else Path(tempfile.gettempdir())
        # First remove what a killed worker had staged.
        with held_for_a_while(place) as folder:
            needed = sum(array.nbytes for parcel in parcels for array in parcel.values())
            free = shutil.disk_usage(place).free
            if needed > free:
                raise OSError(f"{place} has {free / 2**30:.2f} GiB free, but the weights need {needed / 2**30:.2f}")
            for number, parcel in enumerate(parcels):
                tensors = {name: torch.from_numpy(array.copy()).view(torch.bfloat16) for name, array in parcel.items()}
                save_file(tensors, folder / f"weights-{number:05d}.safetensors")
            yield str(folder)


def receive(folder: str) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of a staged folder."""
    yield from read_weights(Path(folder))

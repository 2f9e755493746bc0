"""By CUDA IPC, for a learner and an engine on one GPU: the policy is packed into flat buckets there, and the engine
reads them where they are.

A bucket is exported once in the learner's life and mapped once in the engine's: torch pairs one export with one mapping
that is given back, and opening it again for every version would leave the learner's memory counted as in use. An engine
that takes the place of another maps it again.
"""

import os
import pickle
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.multiprocessing.reductions import rebuild_cuda_tensor, reduce_tensor

from cluster.transport.buckets import Buckets, unpack
from cluster.transport.topology import Topology
from rnr.faults import PolicyGone

Parcel = dict[str, Any]

DEVICE = "cuda"

DEVICE_ARGUMENT = 6
"""Place among what ``rebuild_cuda_tensor`` takes of the device's number, which each process counts for itself."""


class CudaIpc:
    """For one learner rank and one engine that share a GPU."""

    in_place = True
    copies = 1
    connects = False
    receiver = f"{__name__}:receive"

    @staticmethod
    def why_unsupported(topology: Topology) -> str:
        """Why it does not support this topology; empty if it does."""
        if not topology.one_gpu:
            return "one learner rank and one engine must share one GPU (gpus_per_rollout_worker and _learner_rank 0.5)"
        return "adapters are sent through the object store" if topology.lora else ""

    def send(self, weights: Iterable[tuple[str, torch.Tensor]]) -> Iterator[Parcel]:
        """One parcel: handles of the buckets, and what lies where."""
        layout = _exported.buckets.pack(weights)
        if layout:
            torch.cuda.current_stream().synchronize()  # another process cannot wait for this one's copies
            yield {"process": os.getpid(), "gpu": _uuid(), "handles": list(_exported.handles), "layout": layout}

    @contextmanager
    def staged(self, parcels: Sequence[Parcel]) -> Iterator[Parcel]:
        """Nothing is copied. Raises PolicyGone if the learner is gone."""
        (parcel,) = parcels
        if not Path(f"/proc/{parcel['process']}").exists():
            raise PolicyGone(f"the learner's process {parcel['process']} is gone, and its GPU memory with it")
        yield parcel


class _Exported:
    """Buckets of this process on its GPU, and what others need to open them."""

    def __init__(self) -> None:
        self.handles: list[bytes] = []
        self.buckets = Buckets(self._make)

    def _make(self, numbers: int) -> torch.Tensor:
        bucket = torch.empty(numbers, dtype=torch.bfloat16, device=DEVICE)
        _, arguments = reduce_tensor(bucket)
        self.handles.append(pickle.dumps(arguments))
        return bucket


_exported = _Exported()
_mapped: dict[bytes, torch.Tensor] = {}


def receive(parcel: Parcel) -> Iterator[tuple[str, torch.Tensor]]:
    """The tensors of the learner's buckets, on the GPU that both are on."""
    if parcel["gpu"] != _uuid():
        raise ValueError(
            f"sync.transport cuda_ipc: the learner is on GPU {parcel['gpu']}, this engine on {_uuid()}; "
            "sync.transport=object_store serves both"
        )
    for handle in _mapped.keys() - set(parcel["handles"]):
        del _mapped[handle]  # of a learner that has been rebuilt
    for handle in parcel["handles"]:
        if handle not in _mapped:
            arguments = list(pickle.loads(handle))
            arguments[DEVICE_ARGUMENT] = torch.cuda.current_device()
            _mapped[handle] = rebuild_cuda_tensor(*arguments)
    yield from unpack(parcel["layout"], [_mapped[handle] for handle in parcel["handles"]])


def _uuid() -> str:
    """The UUID of this process's GPU, the same in all processes."""
    return str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)

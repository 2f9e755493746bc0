"""Offload master weights and moments to host memory between optimizer steps.

A step needs them when the activations are gone, and a forward pass makes activations when no step is taken. So a GPU
that holds them only while it steps needs room for the larger of the two, not for both. They come back as they went: a
run with it takes the same steps, bit for bit.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from learner.reshard import masters


def optimizer_state(engine: Any) -> Iterator[torch.Tensor]:
    """The master weights and moments of this rank as DeepSpeed's ``engine`` keeps them; moments once there are any."""
    states = engine.optimizer.optimizer.state
    for master in masters(engine, int(engine.zero_optimization_stage())):
        yield master
        yield from (value for value in states.get(master, {}).values() if torch.is_tensor(value) and value.dim())


class HostState:
    """Tensors whose numbers are in host memory but within ``on_device``: those that ``tensors`` names at the time.

    Their storages are emptied and filled again in place, as FSDP does it, so every view of them stays good.
    """

    def __init__(self, tensors: Callable[[], Iterable[torch.Tensor]]) -> None:
        self._tensors = tensors
        self._away: list[tuple[torch.Tensor, torch.Tensor]] = []
        """(bytes of a storage, now none; the same in host memory)."""
        self._free: dict[int, list[torch.Tensor]] = {}
        """Host memory by size, kept for the next time: to pin it takes longer than to copy."""

    def put_away(self) -> None:
        """Bring into host memory what is not there yet."""
        found = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage() for tensor in self._tensors()}
        for storage in found.values():
            # What a checkpoint was read into on a CPU has a storage of its own kind, and is in host memory anyway.
            if not storage.nbytes() or not storage.resizable():
                continue
            own = torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)
            free = self._free.get(storage.nbytes())
            host = free.pop() if free else torch.empty(own.shape, dtype=own.dtype, pin_memory=own.is_cuda)
            self._away.append((own, host.copy_(own, non_blocking=True)))
        if self._away and self._away[0][0].is_cuda:
            torch.cuda.synchronize()
        for own, _ in self._away:
            own.untyped_storage().resize_(0)

    @contextmanager
    def on_device(self) -> Iterator[None]:
        """The tensors are where they belong within this context, and are put away at its end."""
        for own, host in self._away:
            own.untyped_storage().resize_(host.numel())
            own.copy_(host, non_blocking=True)
            self._free.setdefault(host.numel(), []).append(host)
        # Of one stream, so a copy back into the same host memory comes after these.
        self._away.clear()
        try:
            yield
        finally:
            self.put_away()

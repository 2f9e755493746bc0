"""Copies arrays to the device: one asynchronous copy per dtype, from pinned memory."""

from collections.abc import Sequence

import numpy as np
import torch


def on_device(arrays: Sequence[np.ndarray], device: torch.device | str) -> list[torch.Tensor]:
    """The arrays as tensors on ``device``; those of one type are parts of one tensor there, and travel together."""
    if torch.device(device).type != "cuda":
        return [torch.from_numpy(array).to(device) for array in arrays]
    found: list[torch.Tensor] = [torch.empty(0)] * len(arrays)
    for kind in {array.dtype for array in arrays}:
        places = [place for place, array in enumerate(arrays) if array.dtype == kind]
        whole = torch.from_numpy(np.concatenate([arrays[place].ravel() for place in places]))
        # The allocator of pinned memory hands this block out again only after the copy.
        parts = whole.pin_memory().to(device, non_blocking=True).split([arrays[place].size for place in places])
        for place, part in zip(places, parts, strict=True):
            found[place] = part.view(arrays[place].shape)
    return found

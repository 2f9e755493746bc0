"""Weights packed into a few large flat buckets, for transports that share or send memory as it is.

One handle or one message per bucket, never one per tensor. A layout says where each tensor is; buckets are made when
first needed and reused for every later version.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch

BUCKET_NUMBERS = 2**27
"""bf16 numbers of one bucket (256 MiB); a larger tensor has a bucket of its own size."""

ALIGNED = 8
"""A tensor begins at a multiple of so many numbers, 16 bytes: kernels read that much at once."""

BucketLayout = list[tuple[str, list[int], int, int]]
"""Name, shape, number of the bucket and first number in it of each tensor: plain values, which travel anywhere."""


class Buckets:
    """What one learner rank packs its policy into."""

    def __init__(self, make: Callable[[int], torch.Tensor]) -> None:
        """``make`` returns a flat bf16 tensor of that many numbers."""
        self._make = make
        self.filled: list[torch.Tensor] = []

    def pack(self, weights: Iterable[tuple[str, torch.Tensor]]) -> BucketLayout:
        """Copy the weights, each before the next is asked for, in place of those that were packed before."""
        layout: BucketLayout = []
        number, used = 0, 0
        for name, tensor in weights:
            size = tensor.numel()
            if used and used + size > self._bucket(number, size).numel():
                number, used = number + 1, 0
            bucket = self._bucket(number, size)
            bucket[used : used + size].view(tensor.shape).copy_(tensor)
            layout.append((name, list(tensor.shape), number, used))
            used += -(-size // ALIGNED) * ALIGNED
        return layout

    def _bucket(self, number: int, size: int) -> torch.Tensor:
        if number == len(self.filled):
            self.filled.append(self._make(max(BUCKET_NUMBERS, size)))
        return self.filled[number]


def unpack(layout: Sequence[Any], buckets: Sequence[torch.Tensor]) -> Iterator[tuple[str, torch.Tensor]]:
    """(name, tensor) of everything in the layout; the tensors are views of the buckets."""
    for name, shape, number, start in layout:
        size = torch.Size(shape).numel()
        yield name, buckets[number][start : start + size].view(shape)

"""One digest for a whole set of weights, the same on every side that holds the same bits.

SHA-256, because the processors that matter have instructions for it: 270 MB (135 million bf16 weights) cost 0.15 s of
one core, with BLAKE2b 0.20 s; and it is what manifests of files use. ``hashlib`` lets other threads run while it works,
so tensors are taken several at a time.

Weights that never leave a GPU are summed there instead (``word_sums``): to bring them to the processor takes longer
than everything else about a sync.
"""

import hashlib
import os
from array import array
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any
from zlib import crc32

import numpy
from numpy.typing import NDArray

_THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a published policy consists of."""

    digest: str
    """Of all tensors, as ``weights_digest`` gives it."""
    tensors: Mapping[str, tuple[int, ...]]
    """Name -> shape; all are bf16."""


def weights_digest(weights: Iterable[tuple[str, NDArray[numpy.generic]]]) -> str:
    """64 hexadecimal digits over the names, shapes, types and bytes of all tensors, whatever order they come in.

    bf16 weights are given as their ``bits``, as they travel in a weight bucket. Tensors of an iterator may arrive
    faster than they are digested, so all may be in memory at once. Raises ValueError if a name comes twice.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        pending = [(name, pool.submit(tensor_digest, name, tensor)) for name, tensor in weights]
    names = sorted(name for name, _ in pending)
    twice = [name for name, following in pairwise(names) if name == following]
    if twice:
        raise ValueError(f"duplicate weights: {', '.join(sorted(set(twice)))}")
    return combined({name: digest.result() for name, digest in pending})


def combined(digests: Mapping[str, bytes]) -> str:
    """The digest of a set of weights from those of its tensors (``tensor_digest``), by name."""
    whole = hashlib.sha256()
    for _, digest in sorted(digests.items()):
        whole.update(digest)
    return whole.hexdigest()


def tensor_digest(name: str, tensor: NDArray[numpy.generic]) -> bytes:
    """The 32 bytes that stand for one tensor under its name."""
    header = repr((name, tensor.dtype.str, tensor.shape)).encode()
    digest = hashlib.sha256(len(header).to_bytes(8, "little") + header)
    digest.update(numpy.ascontiguousarray(tensor).reshape(-1).view(numpy.uint8).data)
    return digest.digest()


def bits(tensor: Any) -> Any:
    """The bits of a torch tensor in bf16 as int16, which numpy knows: a numpy array, or on the GPU where it is. A
    contiguous tensor that is bf16 already is not copied."""
    whole = tensor.detach().bfloat16().contiguous()
    seen = whole.view(whole.new_empty(0).short().dtype)  # torch.int16: rnr/ imports no torch
    return seen if seen.is_cuda else seen.numpy()


BLOCK = 2**22
"""Numbers of a tensor on a device that are summed at once: what is in between fits the cache of a GPU."""


@cache
def factors() -> NDArray[numpy.int64]:
    """``BLOCK`` odd numbers of 64 bits, the same everywhere (SplitMix64, Steele, Lea and Flood 2014)."""
    state = numpy.arange(1, BLOCK + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return ((state ^ (state >> numpy.uint64(31))) | numpy.uint64(1)).view(numpy.int64)


def word_sums(words: Any, factors_here: Any) -> list[Any]:
    """For each block of a flat tensor of int16, the sum of number times factor modulo 2**64, left on its device.

    A factor is odd, so any one number that differs changes its sum; several that differ leave it with a probability of
    about 2**-64. Integers wrap alike on every device and in every order of summation. ``factors_here`` is ``factors()``
    on that device.
    """
    starts = range(0, max(1, words.shape[0]), BLOCK)
    blocks = (words[start : start + BLOCK] for start in starts)
    return [(block * factors_here[: block.shape[0]]).sum() for block in blocks]


class Digest:
    """The digest of weights that come one by one. Sums of tensors on a GPU are asked for at the end: nothing waits for
    it in between."""

    def __init__(self) -> None:
        self._digests: dict[str, bytes] = {}
        self._sums: dict[str, tuple[str, list[Any]]] = {}
        self._factors: Any = None
        self.shapes: dict[str, tuple[int, ...]] = {}

    def add(self, name: str, bits: Any) -> None:
        """``bits`` as int16: a numpy array, or a torch tensor on its device."""
        self.shapes[name] = tuple(bits.shape)
        if isinstance(bits, numpy.ndarray):
            self._digests[name] = tensor_digest(name, bits)
            return
        if self._factors is None:
            self._factors = bits.new_empty(0).long().new_tensor(factors())
        self._sums[name] = (repr((name, self.shapes[name])), word_sums(bits.reshape(-1), self._factors))

    def result(self) -> str:
        """The digest of all of them; it depends on the kind of device, which is one for a whole set of weights."""
        for name, (header, sums) in self._sums.items():
            words = [int(each) for each in sums]
            self._digests[name] = hashlib.sha256(f"{header} {words}".encode()).digest()
        return combined(self._digests)


def token_key(token_ids: Sequence[int]) -> int:
    """A number by which a completion is found again on another side: equal for equal tokens, hardly ever otherwise."""
    return crc32(array("q", token_ids).tobytes())

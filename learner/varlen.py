"""Attention on a GPU: one call of torch's variable-length flash attention a layer, whatever the lengths.

The row is cut into *segments*. A prompt and its first completion stand one after the other and are one causal segment.
Every further completion is a segment whose keys are its prompt's and its own, gathered by index, with causality aligned
to the lower right: its first token sees the whole prompt and itself. Packs of one completion gather nothing.

Shape letters: T tokens of the row, S segments, Y keys of all segments, H heads, D numbers of a head.
"""

import importlib.util
import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import pad

from learner.copying import on_device

WIDEST_HEAD = 256
"""Numbers of a head that the flash kernels take at most; they also ask for a multiple of ``STEP``."""
STEP = 8
GROUPED: dict[str, Any] = {"enable_gqa": True} if "enable_gqa" in inspect.signature(varlen_attn).parameters else {}
"""What tells the kernel that several query heads share a key head: torch 2.11 needs not be told, later ones do."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segments:
    """The segments of a row, none of them empty."""

    starts_S1: torch.Tensor
    """int32: where the queries of each segment begin in the row, and T."""
    key_starts_S1: torch.Tensor
    """int32: where the keys of each segment begin among all keys, and Y."""
    longest: int
    """Queries of the longest segment."""
    reach: int
    """Keys of the longest segment: how many tokens a token may look back on, itself included."""
    keys_Y: torch.Tensor | None
    """The columns of all keys; None where the keys are the row itself."""


def segment(packs: Sequence[tuple[range, Sequence[range]]], device: torch.device | str = "cpu") -> Segments:
    """The segments of a row in which these columns are prompts, each with its completions; together they are the row,
    in this order."""
    queries: list[int] = []
    keys: list[tuple[range, ...]] = []
    for prompt, completions in packs:
        first, *others = [columns for columns in completions if columns] or [range(prompt.stop, prompt.stop)]
        queries += [len(prompt) + len(first), *map(len, others)]
        keys += [(prompt, first), *((prompt, columns) for columns in others)]
    reaches = [sum(map(len, columns)) for columns in keys]
    starts = [_starts(queries)]
    if reaches != queries:
        starts += [
            _starts(reaches),
            np.concatenate([np.arange(part.start, part.stop) for columns in keys for part in columns]),
        ]
    starts_S1, *rest = on_device(starts, device)
    return Segments(
        starts_S1=starts_S1,
        key_starts_S1=rest[0] if rest else starts_S1,
        longest=max(queries),
        reach=max(reaches),
        keys_Y=rest[1] if rest else None,
    )


def _starts(lengths: Sequence[int]) -> np.ndarray:
    return np.cumsum([0, *lengths], dtype=np.int32)


def attend_segments(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segments: Segments, scaling: float
) -> torch.Tensor:
    """(query, key, value), each (T, heads, D), -> (T, heads, D)."""
    if segments.keys_Y is not None:
        # As index_select, because the gradient of plain indexing is a slow sum on a GPU.
        key, value = (rows.index_select(0, segments.keys_Y) for rows in (key, value))
    own = value.shape[-1]
    width = -(-max(query.shape[-1], own) // STEP) * STEP
    # Zeros beside queries and keys add nothing to a score, and those beside values are cut off again.
    query, key, value = (_widened(rows, width) for rows in (query, key, value))
    output = varlen_attn(
        query,
        key,
        value,
        segments.starts_S1,
        segments.key_starts_S1,
        segments.longest,
        segments.reach,
        scale=scaling,
        window_size=(-1, 0),
        **GROUPED,
    )
    return output[..., :own] if own < width else output  # type: ignore[index]


def _widened(rows: torch.Tensor, width: int) -> torch.Tensor:
    return rows if rows.shape[-1] == width else pad(rows, (0, width - rows.shape[-1]))


def obstacle(device: torch.device, widths: frozenset[int]) -> str | None:
    """Why attention on this device cannot be one call a layer for heads of these widths; None where it can."""
    if device.type != "cuda":
        return f"it runs on {device.type}"
    major, minor = torch.cuda.get_device_capability(device)
    if major < 8:
        return f"the flash kernels need compute capability 8.0, and this device has {major}.{minor}"
    if max(widths) > WIDEST_HEAD:
        return f"its heads have {max(widths)} numbers, and the flash kernels take at most {WIDEST_HEAD}"
    return None


def activate_fastest(device: torch.device) -> str:
    """Have torch use FlashAttention 3 where it is installed and the device is a Hopper; returns which one it uses."""
    if torch.cuda.get_device_capability(device)[0] == 9 and importlib.util.find_spec("flash_attn_interface"):
        from torch.nn.attention import activate_flash_attention_impl

        activate_flash_attention_impl("FA3")
        return "FA3"
    return "FA2"

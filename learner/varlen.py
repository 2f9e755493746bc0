"""Attention on a GPU: one call of torch's variable-length flash attention a layer, whatever the lengths.

Shape letters: T tokens of the row, D numbers of a head.
"""

import importlib.util
import inspect
from typing import Any

import torch
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import pad

from learner.varlen_layout import VarlenLayout

WIDEST_HEAD = 256
"""Largest head dimension of the flash kernels; they also need a multiple of ``STEP``."""
STEP = 8
GROUPED: dict[str, Any] = {"enable_gqa": True} if "enable_gqa" in inspect.signature(varlen_attn).parameters else {}
"""The argument for several query heads per key head: torch 2.11 does not need it, later releases do."""


def attend_varlen(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: VarlenLayout, scaling: float
) -> torch.Tensor:
    """(query, key, value), each (T, heads, D), -> (T, heads, D)."""
    if layout.keys_Y is not None:
        # As index_select, because the gradient of plain indexing is a slow sum on a GPU.
        key, value = (rows.index_select(0, layout.keys_Y) for rows in (key, value))
    own = value.shape[-1]
    width = -(-max(query.shape[-1], own) // STEP) * STEP
    # Zeros beside queries and keys add nothing to a score, and those beside values are cut off again.
    query, key, value = (_pad_width(rows, width) for rows in (query, key, value))
    output = varlen_attn(
        query,
        key,
        value,
        layout.starts_S1,
        layout.key_starts_S1,
        layout.longest,
        layout.reach,
        scale=scaling,
        window_size=(-1, 0),
        **GROUPED,
    )
    return output[..., :own] if own < width else output  # type: ignore[index]


def _pad_width(rows: torch.Tensor, width: int) -> torch.Tensor:
    return rows if rows.shape[-1] == width else pad(rows, (0, width - rows.shape[-1]))


def obstacle(device: torch.device, widths: frozenset[int]) -> str | None:
    """Why attention on this device cannot be one call per layer for heads of these dimensions; None if it can."""
    if device.type != "cuda":
        return f"it runs on {device.type}"
    major, minor = torch.cuda.get_device_capability(device)
    if major < 8:
        return f"the flash kernels need compute capability 8.0, but this device has {major}.{minor}"
    if max(widths) > WIDEST_HEAD:
        return f"its head dimension is {max(widths)}, but the flash kernels support at most {WIDEST_HEAD}"
    return None


def activate_fastest(device: torch.device) -> str:
    """Have torch use FlashAttention 3 where it is installed and the device is a Hopper; returns which one it uses."""
    if torch.cuda.get_device_capability(device)[0] == 9 and importlib.util.find_spec("flash_attn_interface"):
        from torch.nn.attention import activate_flash_attention_impl

        activate_flash_attention_impl("FA3")
        return "FA3"
    return "FA2"

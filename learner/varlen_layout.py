"""The row of a micro-batch cut into segments, for attention in one call (``learner.varlen``).

A prompt and its first completion are one causal segment. Every further completion is a
segment whose keys are its prompt's and its own, gathered by index, with causality aligned to the lower right: its first
token sees the whole prompt and itself. Packs of one completion gather nothing.

Shape letters: S segments, Y keys of all segments.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from learner.transfer import on_device


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VarlenLayout:
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


def varlen_layout(packs: Sequence[tuple[range, Sequence[range]]], device: torch.device | str = "cpu") -> VarlenLayout:
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
    return VarlenLayout(
        starts_S1=starts_S1,
        key_starts_S1=rest[0] if rest else starts_S1,
        longest=max(queries),
        reach=max(reaches),
        keys_Y=rest[1] if rest else None,
    )


def _starts(lengths: Sequence[int]) -> np.ndarray:
    return np.cumsum([0, *lengths], dtype=np.int32)

"""``Sample``s -> micro-batches of padded tensors.

Shape letters: B sequences of one micro-batch, T padded tokens, N completion tokens of all B sequences together.
Padding stands on the right and attention is causal, so no real token ever attends to it and no mask is needed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from rnr.types import Sample

Normaliser = Literal["tokens", "sequences", "constant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One micro-batch; its completion tokens are listed flat, as rows and columns of the logits that predict them."""

    input_ids_BT: torch.Tensor
    rows_N: torch.Tensor
    columns_N: torch.Tensor
    targets_N: torch.Tensor
    weights_N: torch.Tensor
    """What each token's objective is multiplied by before all are summed over the optimizer batch: the normaliser is
    already in it, so any split into micro-batches and ranks gives the same gradient. 0 for filler."""
    advantages_N: torch.Tensor
    sampler_logprobs_N: torch.Tensor
    """Zeros for supervised samples."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """A sample with the weight of each of its completion tokens (0: filler that keeps ranks in step)."""

    sample: Sample
    weight: float


def weigh(samples: Sequence[Sample], normaliser: Normaliser, max_new_tokens: int) -> list[Weighted]:
    """Token weights that sum the loss to: its mean over tokens, the mean over sequences of the mean over tokens, or
    the sum over tokens divided by ``len(samples) * max_new_tokens`` (Dr.GRPO, arXiv 2503.20783)."""
    match normaliser:
        case "tokens":
            total = sum(len(sample.completion_ids) for sample in samples)
            return [Weighted(sample=sample, weight=1 / total) for sample in samples]
        case "sequences":
            return [
                Weighted(sample=sample, weight=1 / (len(sample.completion_ids) * len(samples))) for sample in samples
            ]
        case "constant":
            return [Weighted(sample=sample, weight=1 / (len(samples) * max_new_tokens)) for sample in samples]


def plan_microbatches(
    samples: Sequence[Weighted], *, ranks: int, max_tokens: int
) -> tuple[tuple[tuple[Weighted, ...], ...], ...]:
    """For each rank the same number of micro-batches, each of at most ``max_tokens`` padded tokens.

    Sequences of similar length share a micro-batch, so little is padded; the micro-batches are dealt out so that ranks
    do about the same work. A rank that would have one fewer repeats a short sequence with weight 0, because every rank
    must take part in every collective.
    """
    micro: list[tuple[Weighted, ...]] = []
    current: list[Weighted] = []
    for item in sorted(samples, key=lambda item: item.sample.length):
        if current and item.sample.length * (len(current) + 1) > max_tokens:
            micro.append(tuple(current))
            current = []
        current.append(item)
    micro.append(tuple(current))
    shortest = min(samples, key=lambda item: item.sample.length)
    filler = (Weighted(sample=shortest.sample, weight=0.0),)
    micro += [filler] * (-len(micro) % ranks)
    # Lengths ascend, so dealing the micro-batches out in turn gives every rank short and long ones alike.
    return tuple(tuple(micro[rank::ranks]) for rank in range(ranks))


def collate(items: Sequence[Weighted], device: torch.device | str = "cpu") -> Batch:
    """The tensors of one micro-batch, on ``device``."""
    width = max(item.sample.length for item in items)
    input_ids = torch.zeros(len(items), width, dtype=torch.long)
    rows, columns, targets, weights, advantages, logprobs = [], [], [], [], [], []
    for row, item in enumerate(items):
        sample, count = item.sample, len(item.sample.completion_ids)
        input_ids[row, : sample.length] = torch.tensor(sample.prompt_ids + sample.completion_ids)
        rows += [row] * count
        # The logits at column c predict the token at c + 1.
        columns += range(len(sample.prompt_ids) - 1, sample.length - 1)
        targets += sample.completion_ids
        weights += [item.weight] * count
        advantages += [sample.advantage] * count
        logprobs += sample.logprobs or (0.0,) * count
    return Batch(
        input_ids_BT=input_ids.to(device),
        rows_N=torch.tensor(rows, device=device),
        columns_N=torch.tensor(columns, device=device),
        targets_N=torch.tensor(targets, device=device),
        weights_N=torch.tensor(weights, dtype=torch.float32, device=device),
        advantages_N=torch.tensor(advantages, dtype=torch.float32, device=device),
        sampler_logprobs_N=torch.tensor(logprobs, dtype=torch.float32, device=device),
    )

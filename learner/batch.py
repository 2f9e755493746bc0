"""``Sample``s -> micro-batches of padded tensors.

A group's prompt is as long as its answers and the same for all of them. So the samples of one prompt share one row: the
prompt once, then each completion, which sees the prompt and itself but not its siblings. Positions start anew after the
prompt, so every log-probability is the one that the sample would have in a row of its own.

Shape letters: B rows of one micro-batch, T padded tokens, N completion tokens of all rows together. Padding stands on
the right, where no real token attends to it.
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
    position_ids_BT: torch.Tensor | None
    """None where no row has more than one completion: positions are then the columns, and attention plain causal."""
    mask_B1TT: torch.Tensor | None
    """True where the token of the third axis may attend to that of the fourth."""
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


Pack = tuple[Weighted, ...]
"""Samples of one prompt, which share a row."""

MicroBatch = tuple[Pack, ...]
"""Rows that go through the model together."""


def pack_length(pack: Pack) -> int:
    """Tokens of the row: the prompt once, and every completion."""
    return len(pack[0].sample.prompt_ids) + sum(len(item.sample.completion_ids) for item in pack)


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
) -> tuple[tuple[MicroBatch, ...], ...]:
    """For each rank the same number of micro-batches, each of at most ``max_tokens`` padded tokens.

    Rows of similar length share a micro-batch, so little is padded; the micro-batches are dealt out so that ranks do
    about the same work. A rank that would have one fewer repeats a short sequence with weight 0, because every rank
    must take part in every collective.
    """
    share = -(-sum(item.sample.length for item in samples) // ranks)
    room = min(max_tokens, share)  # more would leave other ranks without work
    micro: list[MicroBatch] = []
    current: list[Pack] = []
    for pack in sorted(_packs(samples, room), key=pack_length):
        if current and pack_length(pack) * (len(current) + 1) > room:
            micro.append(tuple(current))
            current = []
        current.append(pack)
    micro.append(tuple(current))
    shortest = min(samples, key=lambda item: item.sample.length)
    filler = ((Weighted(sample=shortest.sample, weight=0.0),),)
    micro += [filler] * (-len(micro) % ranks)
    # Lengths ascend, so dealing the micro-batches out in turn gives every rank short and long ones alike.
    return tuple(tuple(micro[rank::ranks]) for rank in range(ranks))


def _packs(samples: Sequence[Weighted], max_tokens: int) -> list[Pack]:
    """The samples with those of one prompt together, as many as fit in ``max_tokens``."""
    by_prompt: dict[tuple[int, ...], list[Weighted]] = {}
    for item in samples:
        by_prompt.setdefault(item.sample.prompt_ids, []).append(item)
    packs: list[Pack] = []
    for items in by_prompt.values():
        pack: Pack = ()
        for item in items:
            if pack and pack_length((*pack, item)) > max_tokens:
                packs.append(pack)
                pack = ()
            pack = (*pack, item)
        packs.append(pack)
    return packs


def collate(packs: MicroBatch, device: torch.device | str = "cpu") -> Batch:
    """The tensors of one micro-batch, on ``device``."""
    width = max(pack_length(pack) for pack in packs)
    input_ids = torch.zeros(len(packs), width, dtype=torch.long)
    positions = torch.zeros(len(packs), width, dtype=torch.long)
    # 0 for the prompt, 1, 2, ... for its completions, -1 for padding.
    branches = torch.full((len(packs), width), -1)
    rows, columns, targets, weights, advantages, logprobs = [], [], [], [], [], []
    for row, pack in enumerate(packs):
        prompt = pack[0].sample.prompt_ids
        input_ids[row, : len(prompt)] = torch.tensor(prompt)
        positions[row, : len(prompt)] = torch.arange(len(prompt))
        branches[row, : len(prompt)] = 0
        start = len(prompt)
        for branch, item in enumerate(pack, 1):
            sample, count = item.sample, len(item.sample.completion_ids)
            place = slice(start, start + count)
            input_ids[row, place] = torch.tensor(sample.completion_ids)
            positions[row, place] = torch.arange(len(prompt), len(prompt) + count)
            branches[row, place] = branch
            rows += [row] * count
            # The logits at one token predict the next; the end of the prompt predicts the start of every completion.
            columns += [len(prompt) - 1, *range(start, start + count - 1)]
            targets += sample.completion_ids
            weights += [item.weight] * count
            advantages += [sample.advantage] * count
            logprobs += sample.logprobs or (0.0,) * count
            start += count
    shared = any(len(pack) > 1 for pack in packs)
    return Batch(
        input_ids_BT=input_ids.to(device),
        position_ids_BT=positions.to(device) if shared else None,
        mask_B1TT=_mask(branches.to(device)) if shared else None,
        rows_N=torch.tensor(rows, device=device),
        columns_N=torch.tensor(columns, device=device),
        targets_N=torch.tensor(targets, device=device),
        weights_N=torch.tensor(weights, dtype=torch.float32, device=device),
        advantages_N=torch.tensor(advantages, dtype=torch.float32, device=device),
        sampler_logprobs_N=torch.tensor(logprobs, dtype=torch.float32, device=device),
    )


def _mask(branches_BT: torch.Tensor) -> torch.Tensor:
    """Causal attention along each branch: to the prompt, and to one's own completion."""
    query, key = branches_BT[:, :, None], branches_BT[:, None, :]
    causal = torch.ones(branches_BT.shape[1], branches_BT.shape[1], dtype=torch.bool, device=branches_BT.device).tril()
    return (((key == 0) | (key == query)) & causal)[:, None]

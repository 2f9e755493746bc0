"""``Sample``s -> micro-batches as packed tensors.

A group's prompt is as long as its answers and the same for all of them. So the samples of one prompt are a pack: the
prompt once, then each completion, which sees the prompt and itself but not its siblings. Positions start anew after the
prompt, so every log-probability is the one that the sample would have alone. The packs of a micro-batch stand one after
the other in a single row, so nothing is padded but the small products inside ``learner.attention``.

Shape letters: T tokens of the row, N completion tokens that are trained on.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch

from learner.layout import Layout, lay_out
from learner.masked_head import Allowed, allowed_tensors
from learner.varlen import Segments
from rnr.types import Sample

Item = TypeVar("Item")
Arrange = Callable[[Sequence[tuple[range, Sequence[range]]], torch.device | str], Layout | Segments]
"""``learner.layout.lay_out`` or ``learner.varlen.segment``."""
LossAggregation = Literal["token_mean", "sequence_mean", "constant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One micro-batch; its N trained completion tokens are listed by the columns of the logits that predict them."""

    input_ids_1T: torch.Tensor
    position_ids_1T: torch.Tensor
    layout: Layout | Segments
    """Who attends to whom."""
    columns_N: torch.Tensor
    targets_N: torch.Tensor
    sequences_N: torch.Tensor
    """Which completion of the micro-batch the token belongs to, counted from 0."""
    weights_N: torch.Tensor
    """What each token's objective is multiplied by before all are summed over the optimizer batch: its divisor is
    already in it, so any split into micro-batches and ranks gives the same gradient. 0 for filler."""
    advantages_N: torch.Tensor
    """Ones for supervised samples."""
    sampler_logprobs_N: torch.Tensor
    """Zeros for supervised samples."""
    allowed: Allowed | None
    """The ids among which tokens were chosen; None where all were chosen from the whole vocabulary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """A sample with the weight of each of its completion tokens (0: filler that keeps ranks in step)."""

    sample: Sample
    weight: float


Pack = tuple[Weighted, ...]
"""Samples of one prompt."""

MicroBatch = tuple[Pack, ...]
"""What goes through the model together."""


def pack_length(pack: Pack) -> int:
    """Tokens of the pack: the prompt once, and every completion."""
    return len(pack[0].sample.prompt_ids) + sum(len(item.sample.completion_ids) for item in pack)


def weigh(
    samples: Sequence[Sample], aggregation: LossAggregation, *, max_new_tokens: int, sampled: float
) -> list[Weighted]:
    """Token weights that sum the loss to: its mean over tokens, the mean over sequences of the mean over tokens, or
    the sum over tokens divided by ``sampled * max_new_tokens`` (Dr.GRPO, arXiv 2503.20783), where ``sampled`` counts
    all sequences that were sampled, those of dropped groups included."""
    match aggregation:
        case "token_mean":
            total = max(1, sum(sample.trained_tokens for sample in samples))
            return [Weighted(sample=sample, weight=1 / total) for sample in samples]
        case "sequence_mean":
            return [
                Weighted(sample=sample, weight=1 / (max(1, sample.trained_tokens) * len(samples))) for sample in samples
            ]
        case "constant":
            return [Weighted(sample=sample, weight=1 / (sampled * max_new_tokens)) for sample in samples]


def mini_batches(samples: Sequence[Sample], count: int) -> list[list[Sample]]:
    """The samples in at most ``count`` parts of about as many prompts each, the samples of a prompt together."""
    groups = _by_prompt(samples, lambda sample: sample.prompt_ids)
    parts = ([sample for group in groups[number::count] for sample in group] for number in range(count))
    return [part for part in parts if part]


def plan_microbatches(
    samples: Sequence[Weighted], *, ranks: int, max_tokens: int
) -> tuple[tuple[MicroBatch, ...], ...]:
    """For each rank the same number of micro-batches, each of at most ``max_tokens`` tokens.

    Packs of similar length share a micro-batch, and all micro-batches are of about the same size. A rank that would
    have one fewer repeats a short sequence with weight 0, because every rank must take part in every collective.
    """
    whole = sum(map(pack_length, _packs(samples)))
    packs = sorted(_packs(samples, min(max_tokens, -(-whole // ranks))), key=pack_length)
    whole = sum(map(pack_length, packs))
    count = ranks * max(1, -(-whole // (ranks * max_tokens)))
    parts = _divided(packs, count)
    while any(len(part) > 1 and sum(map(pack_length, part)) > max_tokens for part in parts):
        count += ranks
        parts = _divided(packs, count)
    micro = [tuple(part) for part in parts if part]
    shortest = min(samples, key=lambda item: item.sample.length)
    filler = ((Weighted(sample=shortest.sample, weight=0.0),),)
    micro += [filler] * (-len(micro) % ranks)
    # Lengths ascend, so dealing the micro-batches out in turn gives every rank short and long ones alike.
    return tuple(tuple(micro[rank::ranks]) for rank in range(ranks))


def _divided(packs: Sequence[Pack], count: int) -> list[list[Pack]]:
    """The packs, in their order, in ``count`` parts of about the same number of tokens; some may be empty."""
    whole = sum(map(pack_length, packs))
    parts: list[list[Pack]] = [[] for _ in range(count)]
    before = 0
    for pack in packs:
        # A pack belongs where its middle lies.
        parts[(2 * before + pack_length(pack)) * count // (2 * whole)].append(pack)
        before += pack_length(pack)
    return parts


def _by_prompt(items: Sequence[Item], prompt_of: Callable[[Item], tuple[int, ...]]) -> list[list[Item]]:
    """The items with those of one prompt together, in the order in which the prompts first occur."""
    groups: dict[tuple[int, ...], list[Item]] = {}
    for item in items:
        groups.setdefault(prompt_of(item), []).append(item)
    return list(groups.values())


def _packs(samples: Sequence[Weighted], max_tokens: float = math.inf) -> list[Pack]:
    """The samples with those of one prompt together, as many as fit in ``max_tokens``."""
    packs: list[Pack] = []
    for items in _by_prompt(samples, lambda item: item.sample.prompt_ids):
        pack: Pack = ()
        for item in items:
            if pack and pack_length((*pack, item)) > max_tokens:
                packs.append(pack)
                pack = ()
            pack = (*pack, item)
        packs.append(pack)
    return packs


def collate(packs: MicroBatch, device: torch.device | str = "cpu", arrange: Arrange = lay_out) -> Batch:
    """The tensors of one micro-batch, on ``device``, its attention arranged in length buckets or segments."""
    row: list[tuple[range, list[range]]] = []
    input_ids, positions, columns, targets, sequences, weights, advantages, logprobs, allowed = ([] for _ in range(9))
    for pack in packs:
        start, prompt = len(input_ids), pack[0].sample.prompt_ids
        row.append((range(start, start + len(prompt)), []))
        last = start + len(prompt) - 1
        input_ids += prompt
        positions += range(len(prompt))
        for item in pack:
            sample, count = item.sample, len(item.sample.completion_ids)
            start = len(input_ids)
            row[-1][1].append(range(start, start + count))
            input_ids += sample.completion_ids
            positions += range(len(prompt), len(prompt) + count)
            # The logits at one token predict the next; the end of the prompt predicts the start of every completion.
            kept = [place for place, trained in enumerate(sample.trained) if trained]
            columns += [last if place == 0 else start + place - 1 for place in kept]
            targets += [sample.completion_ids[place] for place in kept]
            sequences += [sequences[-1] + 1 if sequences else 0] * len(kept)
            weights += [item.weight] * len(kept)
            advantages += [sample.advantages[place] if sample.advantages else 1.0 for place in kept]
            logprobs += [sample.logprobs[place] if sample.logprobs else 0.0 for place in kept]
            allowed += [sample.allowed[place] if sample.allowed else () for place in kept]
    return Batch(
        input_ids_1T=torch.tensor([input_ids], device=device),
        position_ids_1T=torch.tensor([positions], device=device),
        layout=arrange(row, device),
        columns_N=torch.tensor(columns, dtype=torch.long, device=device),
        targets_N=torch.tensor(targets, dtype=torch.long, device=device),
        sequences_N=torch.tensor(sequences, dtype=torch.long, device=device),
        weights_N=torch.tensor(weights, dtype=torch.float32, device=device),
        advantages_N=torch.tensor(advantages, dtype=torch.float32, device=device),
        sampler_logprobs_N=torch.tensor(logprobs, dtype=torch.float32, device=device),
        allowed=allowed_tensors(allowed, targets, device),
    )

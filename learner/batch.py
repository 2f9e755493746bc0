"""``Sample``s -> micro-batches as packed tensors.

A group's prompt is as long as its answers and the same for all of them. So the samples of one prompt are a pack: the
prompt once, then each completion, which sees the prompt and itself but not its siblings. Positions start over after the
prompt, so every log-probability is the one that the sample would have alone. The packs of a micro-batch follow one
another in a single row, so nothing is padded but the small products inside ``learner.attention``.

Shape letters: T tokens of the row, N completion tokens that are trained on.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from learner.bucketed_layout import BucketedLayout, bucketed_layout
from learner.masked_head import Allowed, allowed_tensors
from learner.transfer import on_device
from learner.varlen_layout import VarlenLayout
from rnr.config import LossAggregation
from rnr.types import Sample

Item = TypeVar("Item")
Arrange = Callable[[Sequence[tuple[range, Sequence[range]]], torch.device | str], BucketedLayout | VarlenLayout]
"""``bucketed_layout`` or ``varlen_layout``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """One micro-batch; its N trained completion tokens are listed by the columns of the logits that predict them."""

    input_ids_1T: torch.Tensor
    position_ids_1T: torch.Tensor
    layout: BucketedLayout | VarlenLayout
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
    parts = _divide(packs, count)
    while any(len(part) > 1 and sum(map(pack_length, part)) > max_tokens for part in parts):
        count += ranks
        parts = _divide(packs, count)
    micro = [tuple(part) for part in parts if part]
    shortest = min(samples, key=lambda item: item.sample.length)
    filler = ((Weighted(sample=shortest.sample, weight=0.0),),)
    micro += [filler] * (-len(micro) % ranks)
    # Lengths ascend, so dealing the micro-batches out in turn gives every rank short and long ones alike.
    return tuple(tuple(micro[rank::ranks]) for rank in range(ranks))


def _divide(packs: Sequence[Pack], count: int) -> list[list[Pack]]:
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


def collate(packs: MicroBatch, device: torch.device | str = "cpu", arrange: Arrange = bucketed_layout) -> Batch:
    """The tensors of one micro-batch, on ``device``, its attention arranged in length buckets or segments."""
    row: list[tuple[range, list[range]]] = []
    ids: list[Sequence[int]] = []
    positions: list[np.ndarray] = []
    trained: list[_Trained] = []
    end = 0
    for pack in packs:
        prompt = len(pack[0].sample.prompt_ids)
        last, end = end + prompt - 1, end + prompt
        row.append((range(end - prompt, end), []))
        ids.append(pack[0].sample.prompt_ids)
        positions.append(np.arange(prompt))
        for item in pack:
            start, end = end, end + len(item.sample.completion_ids)
            row[-1][1].append(range(start, end))
            ids.append(item.sample.completion_ids)
            positions.append(np.arange(prompt, prompt + end - start))
            trained.append(_trained_tokens(item, last, start))
    trained = [tokens for tokens in trained if len(tokens.targets)]
    targets, counts = _join([tokens.targets for tokens in trained]), [len(tokens.targets) for tokens in trained]
    numbers = [np.empty((3, 0)), *(tokens.numbers for tokens in trained)]
    moved = on_device(
        [
            _join([np.array(part, dtype=np.int64) for part in ids])[None],
            np.concatenate(positions)[None],
            _join([tokens.columns for tokens in trained]),
            targets,
            np.repeat(np.arange(len(counts)), counts),
            *np.concatenate(numbers, 1).astype(np.float32),
        ],
        device,
    )
    allowed = [ids for tokens in trained for ids in tokens.allowed]
    return Batch(
        input_ids_1T=moved[0],
        position_ids_1T=moved[1],
        layout=arrange(row, device),
        columns_N=moved[2],
        targets_N=moved[3],
        sequences_N=moved[4],
        weights_N=moved[5],
        advantages_N=moved[6],
        sampler_logprobs_N=moved[7],
        allowed=allowed_tensors(allowed, targets.tolist(), device) if any(allowed) else None,
    )


@dataclass(frozen=True, slots=True)
class _Trained:
    """The tokens of one completion that are trained on."""

    columns: np.ndarray
    targets: np.ndarray
    numbers: np.ndarray
    """Weights, advantages and the sampler's log-probabilities, (3, tokens)."""
    allowed: list[tuple[int, ...]]


def _trained_tokens(item: Weighted, last: int, start: int) -> _Trained:
    """Of a completion that begins at column ``start`` and whose prompt ends at column ``last``."""
    sample, kept = item.sample, np.flatnonzero(item.sample.trained)
    count = len(kept)
    advantages = np.array(sample.advantages)[kept] if sample.advantages else np.ones(count)
    logprobs = np.array(sample.logprobs)[kept] if sample.logprobs else np.zeros(count)
    return _Trained(
        # The logits at one token predict the next; the end of the prompt predicts the start of every completion.
        columns=np.where(kept == 0, last, start + kept - 1),
        targets=np.array(sample.completion_ids, dtype=np.int64)[kept],
        numbers=np.stack([np.full(count, item.weight), advantages, logprobs]),
        allowed=[sample.allowed[place] for place in kept] if sample.allowed else [()] * count,
    )


def _join(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int64), *parts])

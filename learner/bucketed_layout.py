"""Where the prompts and completions of a micro-batch are in its row, and which of them attention takes together.

Attention is computed in rectangles. So completions of about the same length share length buckets: one that
hit the token limit does not pad the short ones to its own length.

Shape letters: T tokens of the row, B packs in it, P tokens of the longest prompt; in a bucket, S parts of packs, K
completions of the largest part, L tokens of the longest completion.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

SAME_LENGTH = 0.75
"""Completions of a pack share a bucket if the shortest has at least this share of the longest one's tokens."""
FILLING = 0.8
"""Parts of several packs do if they fill at least this share of the rectangle that holds them all."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LengthBucket:
    """Completions of about the same length."""

    packs_S: torch.Tensor
    """The pack to which each part belongs."""
    completions_SKL: torch.Tensor
    """Columns of each part's completions; T, a column beyond the row, for padding."""
    prompt: int
    """Tokens of the longest prompt of these packs."""

    @property
    def reach(self) -> int:
        """How many tokens the last token of the longest completion may look back on, itself included."""
        return self.prompt + self.completions_SKL.shape[2]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BucketedLayout:
    """Where the prompts and completions of a row are."""

    prompts_BP: torch.Tensor
    """Columns of each pack's prompt; T for padding."""
    buckets: tuple[LengthBucket, ...]
    places_T: torch.Tensor
    """The place of each token in ``columns``, all flattened one after the other."""

    @property
    def reach(self) -> int:
        """How many tokens any token may look back on, itself included."""
        return max([self.prompts_BP.shape[1], *(bucket.reach for bucket in self.buckets)])

    @property
    def columns(self) -> tuple[torch.Tensor, ...]:
        """The prompts, (B, 1, P), and the completions of each bucket, (S, K, L)."""
        return (self.prompts_BP[:, None], *(bucket.completions_SKL for bucket in self.buckets))


def bucketed_layout(
    packs: Sequence[tuple[range, Sequence[range]]], device: torch.device | str = "cpu"
) -> BucketedLayout:
    """The layout of a row in which these columns are prompts, each with its completions; together they are the row."""
    tokens = sum(len(columns) for prompt, completions in packs for columns in (prompt, *completions))
    prompts = _pad([prompt for prompt, _ in packs], tokens)
    buckets = tuple(_bucket(parts, tokens, device) for parts in _bucket_parts(packs))
    occupants = torch.cat([prompts.flatten(), *(bucket.completions_SKL.flatten().cpu() for bucket in buckets)])
    places = torch.zeros(tokens + 1, dtype=torch.long)
    places[occupants] = torch.arange(len(occupants))
    return BucketedLayout(prompts_BP=prompts.to(device), buckets=buckets, places_T=places[:tokens].to(device))


@dataclass(frozen=True, slots=True)
class _Part:
    """Completions of one pack of about the same length."""

    pack: int
    prompt: int
    completions: list[range]


def _bucket_parts(packs: Sequence[tuple[range, Sequence[range]]]) -> list[list[_Part]]:
    """All completions, in the parts of each bucket."""
    parts = [
        _Part(number, len(prompt), alike)
        for number, (prompt, completions) in enumerate(packs)
        for alike in _alike(completions)
    ]
    buckets: list[list[_Part]] = []
    for part in sorted(parts, key=lambda part: (len(part.completions[0]), len(part.completions)), reverse=True):
        wider = [*buckets[-1], part] if buckets else []
        if wider and sum(_area([each]) for each in wider) >= FILLING * _area(wider):
            buckets[-1] = wider
        else:
            buckets.append([part])
    return buckets


def _alike(completions: Sequence[range]) -> Iterator[list[range]]:
    """The completions that have tokens, longest first, cut where the length has fallen too far."""
    alike: list[range] = []
    for columns in sorted(filter(len, completions), key=len, reverse=True):
        if alike and len(columns) < SAME_LENGTH * len(alike[0]):
            yield alike
            alike = []
        alike.append(columns)
    if alike:
        yield alike


def _size(parts: Sequence[_Part]) -> tuple[int, int, int]:
    """The most completions of a part, the tokens of the longest one, which comes first, and those of the longest
    prompt."""
    most = max(len(part.completions) for part in parts)
    return most, len(parts[0].completions[0]), max(part.prompt for part in parts)


def _area(parts: Sequence[_Part]) -> int:
    """The pairs of tokens in the rectangle that holds these parts."""
    most, longest, prompt = _size(parts)
    return len(parts) * most * longest * (prompt + longest)


def _bucket(parts: Sequence[_Part], tokens: int, device: torch.device | str) -> LengthBucket:
    most, longest, prompt = _size(parts)
    places = torch.full((len(parts), most, longest), tokens)
    for row, part in zip(places, parts, strict=True):
        padded = _pad(part.completions, tokens)
        row[: padded.shape[0], : padded.shape[1]] = padded
    return LengthBucket(
        packs_S=torch.tensor([part.pack for part in parts], device=device),
        completions_SKL=places.to(device),
        prompt=prompt,
    )


def _pad(rows: Sequence[range], filler: int) -> torch.Tensor:
    """The ranges as rows of a tensor as long as the longest of them."""
    padded = torch.full((len(rows), max(map(len, rows))), filler)
    for row, columns in zip(padded, rows, strict=True):
        row[: len(columns)] = torch.arange(columns.start, columns.stop)
    return padded

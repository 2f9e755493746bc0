"""Attention in a row where the completions of a group follow their prompt, which stands there once.

A dense mask would have every token look at every other and throw most of it away. Here each prompt attends to itself
and each completion to its prompt and itself, in a few large matrix products, and nothing else is computed. The
backward pass recomputes the probabilities instead of keeping them, as in FlashAttention (arXiv 2205.14135).

Shape letters: T tokens of the row, B packs in it, P tokens of the longest prompt, K completions of the largest pack,
L tokens of the longest completion, H key heads, R query heads that share one key head, D numbers of a head.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from transformers import AttentionInterface

NAME = "shared_prefix"
"""The attention implementation by which transformers knows ``attend``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where the prompts and completions of a row stand."""

    prompts_BP: torch.Tensor
    """Columns of each pack's prompt; T, a column beyond the row, for padding."""
    completions_BKL: torch.Tensor
    """Columns of each pack's completions; T for padding."""
    places_T: torch.Tensor
    """The place of each token in the two tensors above, flattened one after the other."""

    def mask(self) -> torch.Tensor:
        """The same as a dense mask of shape (1, 1, T, T), True where the token of the third axis may attend to that of
        the fourth."""
        (packs, prompt), (_, completions, length) = self.prompts_BP.shape, self.completions_BKL.shape
        in_prompt = self.places_T < packs * prompt
        place = self.places_T - packs * prompt
        pack = torch.where(in_prompt, self.places_T // prompt, place // (completions * length))
        branch = torch.where(in_prompt, -1, place // length)
        causal = torch.ones(len(place), len(place), dtype=torch.bool, device=place.device).tril()
        seen = in_prompt[None, :] | (branch[:, None] == branch[None, :])
        return (causal & seen & (pack[:, None] == pack[None, :]))[None, None]


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    layout: Layout,
    scaling: float,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **_unused: Any,
) -> tuple[torch.Tensor, None]:
    """The attention of one layer, (1, T, heads, D), as transformers asks for it: ``query`` is (1, heads, T, D).

    Raises ValueError for a model whose attention is not the plain one of ``scaling`` alone.
    """
    reach = layout.prompts_BP.shape[1] + layout.completions_BKL.shape[2]
    if dropout or _unused.get("softcap") or _unused.get("s_aux") is not None or (sliding_window or reach) < reach:
        raise ValueError(f"{type(module).__name__}: dropout, soft caps, sinks and sliding windows are not supported")
    columns = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    return _SharedPrefix.apply(*columns, layout, scaling)[None], None  # type: ignore[index]


AttentionInterface.register(NAME, attend)


class _SharedPrefix(torch.autograd.Function):
    """(query, key, value), each (T, heads, D), a layout and a scale -> (T, heads, D)."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout, scaling: float
    ) -> torch.Tensor:
        heads = key.shape[1]
        values_p, values_c = _split(value, layout, heads)
        trunk, prefix, own = _scores(_split(query, layout, heads), _split(key, layout, heads), layout, scaling)
        peak_p = trunk.amax(-1, keepdim=True)
        peak_c = torch.maximum(prefix.amax(-1, keepdim=True), own.amax(-1, keepdim=True))
        for scores, peak in ((trunk, peak_p), (prefix, peak_c), (own, peak_c)):
            scores.sub_(peak).exp_()
        sum_p = trunk.sum(-1, keepdim=True)
        sum_c = prefix.sum(-1, keepdim=True) + own.sum(-1, keepdim=True)
        trunk, prefix, own = (weights.to(value.dtype) for weights in (trunk, prefix, own))
        output = _join(
            (trunk @ values_p) / sum_p,
            (_from_all(prefix, values_p) + own @ values_c) / sum_c,
            layout,
            query,
        )
        ctx.layout, ctx.scaling = layout, scaling
        ctx.save_for_backward(query, key, value, output, peak_p + sum_p.log(), peak_c + sum_c.log())
        return output

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        query, key, value, output, logsum_p, logsum_c = ctx.saved_tensors
        layout, scaling, heads, dtype = ctx.layout, ctx.scaling, key.shape[1], query.dtype
        queries, keys = _split(query, layout, heads), _split(key, layout, heads)
        (query_p, query_c), (key_p, key_c), (value_p, value_c) = queries, keys, _split(value, layout, heads)
        out_p, out_c = _split(gradients[0], layout, heads)
        # The sum of each output's gradient times itself is what the softmax takes off the gradient of every weight.
        drift = (gradients[0].to(logsum_p.dtype) * output).sum(-1, keepdim=True)
        drift_p, drift_c = _split(drift, layout, heads)
        weights = trunk, prefix, own = _scores(queries, keys, layout, scaling)
        for scores, logsum in ((trunk, logsum_p), (prefix, logsum_c), (own, logsum_c)):
            scores.sub_(logsum).exp_()
        slopes = (
            (out_p @ value_p.mT - drift_p) * trunk,
            (_from_all(out_c, value_p.mT) - drift_c) * prefix,
            (out_c @ value_c.mT - drift_c) * own,
        )
        trunk, prefix, own = (part.to(dtype) for part in weights)
        trunk_s, prefix_s, own_s = (part.mul_(scaling).to(dtype) for part in slopes)
        return (
            _join(trunk_s @ key_p, _from_all(prefix_s, key_p) + own_s @ key_c, layout, query),
            _join(trunk_s.mT @ query_p + _to_all(prefix_s, query_c), own_s.mT @ query_c, layout, key),
            _join(trunk.mT @ out_p + _to_all(prefix, out_c), own.mT @ out_c, layout, value),
            None,
            None,
        )


Parts = tuple[torch.Tensor, torch.Tensor]
"""What belongs to the prompts, (BH, RP, ...), and to the completions, (BH, K, RL, ...); R is 1 for keys and values."""


def _split(rows_THD: torch.Tensor, layout: Layout, heads: int) -> Parts:
    """The tokens where they belong, heads that share a key head one after the other; zeros for padding."""
    grouped = rows_THD.reshape(rows_THD.shape[0], heads, -1, rows_THD.shape[-1])  # (T, H, R, D)
    padded = torch.cat([grouped, grouped.new_zeros(1, *grouped.shape[1:])])
    prompt = padded[layout.prompts_BP].permute(0, 2, 3, 1, 4)
    completion = padded[layout.completions_BKL].permute(0, 3, 1, 4, 2, 5)
    return prompt.flatten(2, 3).flatten(0, 1), completion.flatten(3, 4).flatten(0, 1)


def _join(prompt: torch.Tensor, completion: torch.Tensor, layout: Layout, like_THD: torch.Tensor) -> torch.Tensor:
    """The inverse of ``_split``, shaped and typed as ``like_THD``."""
    (packs, length_p), (_, count, length_c) = layout.prompts_BP.shape, layout.completions_BKL.shape
    size = like_THD.shape[-1]
    heads = prompt.shape[0] // packs
    prompt = prompt.reshape(packs, heads, -1, length_p, size).permute(0, 3, 1, 2, 4)
    completion = completion.reshape(packs, heads, count, -1, length_c, size).permute(0, 2, 4, 1, 3, 5)
    shape = (-1, *like_THD.shape[1:])
    places = torch.cat([part.to(like_THD.dtype).reshape(shape) for part in (prompt, completion)])
    return places[layout.places_T]


def _scores(queries: Parts, keys: Parts, layout: Layout, scaling: float) -> tuple[torch.Tensor, ...]:
    """Scores of the prompts, of the completions on their prompts, and of the completions on themselves; -inf where a
    token may not look. Their products are taken in float32 at least: a bf16 result would be off by a hundredth."""
    dtype = torch.promote_types(queries[0].dtype, torch.float32)
    (query_p, query_c), (key_p, key_c) = ((p.to(dtype), c.to(dtype)) for p, c in (queries, keys))
    query_p, query_c = query_p * scaling, query_c * scaling
    trunk, prefix, own = query_p @ key_p.mT, _from_all(query_c, key_p.mT), query_c @ key_c.mT
    missing = layout.prompts_BP == len(layout.places_T)
    prefix.unflatten(0, (len(missing), -1)).masked_fill_(missing[:, None, None, None], -torch.inf)
    for square in (trunk, own):
        length = square.shape[-1]
        future = torch.ones(length, length, dtype=torch.bool, device=square.device).triu(1)
        square.unflatten(-2, (-1, length)).masked_fill_(future, -torch.inf)
    return trunk, prefix, own


def _from_all(completions: torch.Tensor, shared: torch.Tensor) -> torch.Tensor:
    """(BH, K, X, Y) @ (BH, Y, Z): the completions of a pack in one product with what belongs to their prompt."""
    return (completions.flatten(1, 2) @ shared).unflatten(1, completions.shape[1:3])


def _to_all(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """(BH, K, X, Y) and (BH, K, X, Z) -> (BH, Y, Z): summed over the completions of a pack and their tokens."""
    return left.flatten(1, 2).mT @ right.flatten(1, 2)

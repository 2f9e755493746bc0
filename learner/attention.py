"""Attention in a row where the completions of a group follow their prompt, which stands there once.

A dense mask would have every token look at every other and throw most of it away. Here each prompt attends to itself
and each completion to its prompt and itself, in a few large products, and nothing else is computed. On a CPU the
products are our own, and the backward pass recomputes the probabilities instead of keeping them, as in FlashAttention
(arXiv 2205.14135); on a GPU torch's fused kernels do the same.

Shape letters: T tokens of the row, B packs in it, P tokens of the longest prompt, K completions of the largest pack,
L tokens of the longest completion, H key heads, R query heads that share one key head, D numbers of a head.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "shared_prefix"
"""The attention implementation by which transformers knows ``attend``."""


Parts = tuple[torch.Tensor, torch.Tensor]
"""What belongs to the prompts, (BH, 1, RP, D), and to the completions, (BH, K, RL, D); R is 1 for keys and values."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """Where the prompts and completions of a row stand."""

    prompts_BP: torch.Tensor
    """Columns of each pack's prompt; T, a column beyond the row, for padding."""
    completions_BKL: torch.Tensor
    """Columns of each pack's completions; T for padding."""
    places_T: torch.Tensor
    """The place of each token in the two tensors above, flattened one after the other."""


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
    combine = fused if query.is_cuda else _SharedPrefix.apply
    return combine(*columns, layout, scaling)[None], None  # type: ignore[index]


AttentionInterface.register(NAME, attend)


def fused(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout, scaling: float) -> torch.Tensor:
    """(query, key, value), each (T, heads, D), -> (T, heads, D), by torch's fused kernels."""
    packs, heads = len(layout.prompts_BP), key.shape[1]
    problems = _problems(query, key, value, layout)
    masks = _masks(layout, query.shape[1] // heads, query.dtype)
    prompts, completions = (
        scaled_dot_product_attention(
            # The heads of all completions of a pack stand in one axis, over which the kernels spread the pack's mask.
            *(part.reshape(packs, -1, *part.shape[2:]) for part in problem),
            attn_mask=mask[:, None],
            scale=scaling,
        ).reshape(problem[0].shape)
        for problem, mask in zip(problems, masks, strict=True)
    )
    return _join(prompts, completions, layout, heads)


class _SharedPrefix(torch.autograd.Function):
    """The same as ``fused``, by our own products."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout, scaling: float
    ) -> torch.Tensor:
        ctx.layout, ctx.scaling, ctx.heads = layout, scaling, key.shape[1]
        prompts, completions = _problems(query, key, value, layout)
        ctx.save_for_backward(*prompts, *completions)
        mask_p, mask_c = _masks(layout, query.shape[1] // key.shape[1], _wide(query.dtype))
        return _join(
            _attention(*prompts, mask_p, scaling), _attention(*completions, mask_c, scaling), layout, ctx.heads
        )

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        layout, heads, scaling = ctx.layout, ctx.heads, ctx.scaling
        queries_p, keys_p, values_p, queries_c, keys_c, values_c = ctx.saved_tensors
        mask_p, mask_c = _masks(layout, gradients[0].shape[1] // heads, _wide(gradients[0].dtype))
        slope_p, slope_c = _split(gradients[0], layout, heads)
        query_p, key_p, value_p = _attention_backward(queries_p, keys_p, values_p, mask_p, slope_p, scaling)
        query_c, key_c, value_c = _attention_backward(queries_c, keys_c, values_c, mask_c, slope_c, scaling)
        prompt = layout.prompts_BP.shape[1]
        (prefix_k, own_k), (prefix_v, own_v) = (
            (slope[:, :, :prompt].sum(1, keepdim=True), slope[:, :, prompt:]) for slope in (key_c, value_c)
        )
        return (
            _join(query_p, query_c, layout, heads),
            _join(key_p + prefix_k, own_k, layout, heads),
            _join(value_p + prefix_v, own_v, layout, heads),
            None,
            None,
        )


Problem = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Plain attention: queries (BH, K, RX, D), keys and values (BH, K, Y, D)."""


def _problems(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: Layout) -> tuple[Problem, Problem]:
    """The attention of the prompts, one for each pack, and that of the completions, whose keys are those of their
    prompt and their own."""
    (query_p, query_c), (key_p, key_c), (value_p, value_c) = (
        _split(rows, layout, key.shape[1]) for rows in (query, key, value)
    )
    count = key_c.shape[1]
    keys, values = (
        torch.cat([shared.expand(-1, count, -1, -1), own], 2) for shared, own in ((key_p, key_c), (value_p, value_c))
    )
    return (query_p, key_p, value_p), (query_c, keys, values)


@lru_cache(maxsize=2)
def _masks(layout: Layout, repeats: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """What the scores of the two problems get added, (B, RX, Y): 0, and -inf where a token may not look. The layers of
    a model share them."""
    (packs, prompt), length = layout.prompts_BP.shape, layout.completions_BKL.shape[2]
    causal_p, causal_c = (
        torch.full((size, size), -torch.inf, dtype=dtype, device=layout.places_T.device).triu(1).expand(packs, -1, -1)
        for size in (prompt, length)
    )
    missing = (layout.prompts_BP == len(layout.places_T))[:, None].expand(-1, length, -1)
    prefix = torch.zeros_like(missing, dtype=dtype).masked_fill_(missing, -torch.inf)
    return causal_p.repeat(1, repeats, 1), torch.cat([prefix, causal_c], -1).repeat(1, repeats, 1)


def _wide(dtype: torch.dtype) -> torch.dtype:
    """The type of scores and weights in our own products, which is that of their mask."""
    return torch.promote_types(dtype, torch.float32)


def _attention(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, masks: torch.Tensor, scaling: float
) -> torch.Tensor:
    """Plain attention, shaped as the queries. One head of one pack at a time, so that its weights stay in the cache."""
    output = torch.empty_like(queries)
    for place, (query, key, value) in enumerate(zip(queries, keys, values, strict=True)):
        weights = _weights(query, key, masks[place * len(masks) // len(queries)], scaling)
        torch.bmm(weights.to(query.dtype), value, out=output[place])
    return output


def _attention_backward(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    masks: torch.Tensor,
    slopes: torch.Tensor,
    scaling: float,
) -> tuple[torch.Tensor, ...]:
    """The gradients of queries, keys and values from the ``slopes`` along the output of plain attention."""
    gradients = tuple(torch.empty_like(part) for part in (queries, keys, values))
    for place, (query, key, value, slope) in enumerate(zip(queries, keys, values, slopes, strict=True)):
        weights = _weights(query, key, masks[place * len(masks) // len(queries)], scaling)
        along_weights = (slope @ value.mT).to(weights.dtype)
        along_scores = torch.ops.aten._softmax_backward_data(along_weights, weights, -1, weights.dtype)
        along_scores = along_scores.mul_(scaling).to(query.dtype)
        torch.bmm(along_scores, key, out=gradients[0][place])
        torch.bmm(along_scores.mT, query, out=gradients[1][place])
        torch.bmm(weights.to(query.dtype).mT, slope, out=gradients[2][place])
    return gradients


def _weights(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor, scaling: float) -> torch.Tensor:
    """What each query, (K, RX, D), takes of each value, (K, RX, Y), in the type of the mask, float32 at least: from a
    bf16 score it would be off by a hundredth."""
    added = mask.expand(len(query), -1, -1)
    return torch.baddbmm(added, query.to(mask.dtype), key.mT.to(mask.dtype), alpha=scaling).softmax(-1)


def _split(rows_THD: torch.Tensor, layout: Layout, heads: int) -> Parts:
    """The tokens where they belong, heads that share a key head one after the other; zeros for padding."""
    grouped = rows_THD.reshape(rows_THD.shape[0], heads, -1, rows_THD.shape[-1])  # (T, H, R, D)
    padded = torch.cat([grouped, grouped.new_zeros(1, *grouped.shape[1:])])
    # As index_select, because the gradient of plain indexing is a slow sum on a GPU.
    prompt, completion = (
        padded.index_select(0, places.flatten()).unflatten(0, places.shape)
        for places in (layout.prompts_BP, layout.completions_BKL)
    )
    prompt = prompt.permute(0, 2, 3, 1, 4)
    completion = completion.permute(0, 3, 1, 4, 2, 5)
    return prompt.flatten(2, 3).flatten(0, 1)[:, None], completion.flatten(3, 4).flatten(0, 1)


def _join(prompt: torch.Tensor, completion: torch.Tensor, layout: Layout, heads: int) -> torch.Tensor:
    """The inverse of ``_split``: (T, HR, D)."""
    (packs, length_p), (_, count, length_c) = layout.prompts_BP.shape, layout.completions_BKL.shape
    size = prompt.shape[-1]
    prompt = prompt.reshape(packs, heads, -1, length_p, size).permute(0, 3, 1, 2, 4)
    completion = completion.reshape(packs, heads, count, -1, length_c, size).permute(0, 2, 4, 1, 3, 5)
    repeats = prompt.shape[3]
    places = torch.cat([part.reshape(-1, heads * repeats, size) for part in (prompt, completion)])
    return places.index_select(0, layout.places_T)

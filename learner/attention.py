"""Attention in a row where the completions of a group follow their prompt, which is there once.

A dense mask would have every token look at every other and throw most of it away. Here each prompt attends to itself
and each completion to its prompt and itself, in a few large products, and nothing else is computed. On a CPU the
products are computed here, and the backward pass recomputes the probabilities instead of keeping them, as in
FlashAttention (arXiv 2205.14135). On a GPU attention is one call of a flash kernel (``learner.varlen``); where that
kernel does not support the device or the heads, torch's fused kernels take the same parts as on a CPU.

Shape letters: those of ``learner.bucketed_layout``, H key heads, R query heads that share one key head, D numbers of a
head.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, PreTrainedModel

from learner.architecture import UnsupportedModel
from learner.bucketed_layout import BucketedLayout
from learner.varlen import attend_varlen
from learner.varlen_layout import VarlenLayout

NAME = "shared_prefix"
"""The name under which transformers knows ``attend``."""


def take_over(model: PreTrainedModel) -> None:
    """Make ``attend`` the attention of the whole model; raises UnsupportedModel for a model that keeps its own, because
    its completions would see their siblings."""
    model.set_attn_implementation(NAME)
    for part in model.modules():
        kept = part.config._attn_implementation if isinstance(part, PreTrainedModel) else NAME
        if kept != NAME:
            raise UnsupportedModel(
                f"{type(part).__name__} keeps its attention implementation {kept!r}: it does not go through "
                "transformers' AttentionInterface, so completions cannot be kept from seeing each other"
            )


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    layout: BucketedLayout | VarlenLayout | None = None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """The attention of one layer, (1, T, heads, D), as transformers asks for it: ``query`` is (1, heads, T, D).
    Raises UnsupportedModel for a model with anything but plain attention scaled by ``scaling``.
    """
    layout = _plainly(module, attention_mask, layout=layout, **options)
    q, k, v = (tensor.squeeze(0).transpose(0, 1) for tensor in (query, key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    if isinstance(layout, VarlenLayout):
        return attend_varlen(q, k, v, layout, scale)[None], None
    combine = fused if query.is_cuda else _SharedPrefix.apply
    return combine(q, k, v, layout, scale)[None], None  # type: ignore[index]


def _plainly(
    module: torch.nn.Module,
    attention_mask: torch.Tensor | None,
    *,
    layout: BucketedLayout | VarlenLayout | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    **options: Any,
) -> BucketedLayout | VarlenLayout:
    """The layout. Raises UnsupportedModel for anything but plain attention."""
    if layout is None:
        raise UnsupportedModel(f"{type(module).__name__}: its layers do not pass on the arguments of attention")
    unknown = {
        "attention dropout": dropout,
        "a soft cap in attention": options.get("softcap"),
        "attention sinks": options.get("s_aux") is not None,
        "a sliding window": sliding_window is not None and sliding_window < layout.reach,
        "a custom mask or bias in attention": attention_mask is not None,
        "attention to later tokens": options.get("is_causal") is False,
    }
    if any(unknown.values()):
        found = ", ".join(name for name, there in unknown.items() if there).replace(
            "sliding window", f"sliding window ({sliding_window}) smaller than the sequence ({layout.reach})"
        )
        raise UnsupportedModel(f"{type(module).__name__} has {found}, which the learner does not support")
    return layout


AttentionInterface.register(NAME, attend)


@contextmanager
def noted_widths() -> Iterator[set[int]]:
    """Records the head dimensions of all layers that attend during the block."""
    found: set[int] = set()

    def noting(module: torch.nn.Module, *tensors: Any, **options: Any) -> tuple[torch.Tensor, None]:
        found.update(tensor.shape[-1] for tensor in tensors[:3])
        return attend(module, *tensors, **options)

    with _registered(noting):
        yield found


@contextmanager
def without_numbers() -> Iterator[None]:
    """Attention in the block only raises what ``attend`` would raise, for a model without memory."""

    def checking(module: Any, query: torch.Tensor, _key: Any, value: torch.Tensor, mask: Any, **options: Any) -> Any:
        _plainly(module, mask, **options)
        return query.new_empty(1, query.shape[2], query.shape[1], value.shape[-1]), None

    with _registered(checking):
        yield


@contextmanager
def _registered(attention: Callable[..., Any]) -> Iterator[None]:
    AttentionInterface.register(NAME, attention)
    try:
        yield
    finally:
        AttentionInterface.register(NAME, attend)


def fused(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: BucketedLayout, scaling: float
) -> torch.Tensor:
    """(query, key, value), each (T, heads, D), -> (T, heads, D), by torch's fused kernels."""
    heads = key.shape[1]
    problems = _problems(query, key, value, layout)
    masks = _masks(layout, query.shape[1] // heads, query.dtype)
    parts = [
        scaled_dot_product_attention(
            # The heads of all completions of a pack share one axis, over which the kernels broadcast the pack's mask.
            *(part.reshape(len(mask), -1, *part.shape[2:]) for part in problem),
            attn_mask=mask[:, None],
            scale=scaling,
        ).reshape(*problem[0].shape[:-1], -1)
        for problem, mask in zip(problems, masks, strict=True)
    ]
    return _join(parts, layout, heads)


class _SharedPrefix(torch.autograd.Function):
    """The same as ``fused``, without the fused kernels."""

    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: BucketedLayout, scaling: float
    ) -> torch.Tensor:
        ctx.layout, ctx.scaling, ctx.heads = layout, scaling, key.shape[1]
        problems = _problems(query, key, value, layout)
        ctx.save_for_backward(*(tensor for problem in problems for tensor in problem))
        masks = _masks(layout, query.shape[1] // key.shape[1], _wide(query.dtype))
        parts = [_attention(*problem, mask, scaling) for problem, mask in zip(problems, masks, strict=True)]
        return _join(parts, layout, ctx.heads)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *gradients: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        layout, heads, saved = ctx.layout, ctx.heads, ctx.saved_tensors
        masks = _masks(layout, gradients[0].shape[1] // heads, _wide(gradients[0].dtype))
        grads = _split(gradients[0], layout, heads)
        problems = zip(saved[0::3], saved[1::3], saved[2::3], masks, grads, strict=True)
        # From here on by query, key and value: what the prompts have, then what each bucket has.
        queries, keys, values = zip(*(_attention_backward(*problem, ctx.scaling) for problem in problems), strict=True)
        for parts in (keys, values):
            _give_prefixes_back(parts, layout, heads)
        own = (
            [prompts, *(part[:, :, bucket.prompt :] for part, bucket in zip(parts, layout.buckets, strict=True))]
            for prompts, *parts in (keys, values)
        )
        return (_join(queries, layout, heads), *(_join(parts, layout, heads) for parts in own), None, None)


Problem = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Plain attention: queries (SH, K, RX, D), keys and values (SH, K, Y, D)."""


def _problems(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, layout: BucketedLayout) -> list[Problem]:
    """The attention of the prompts, one for each pack, and for each bucket that of its completions, whose keys are
    those of their prompt and their own."""
    heads = key.shape[1]
    queries, keys, values = (_split(rows, layout, heads) for rows in (query, key, value))
    keys, values = (_with_prefixes(parts, layout, heads) for parts in (keys, values))
    return list(zip(queries, keys, values, strict=True))


def _with_prefixes(parts: Sequence[torch.Tensor], layout: BucketedLayout, heads: int) -> list[torch.Tensor]:
    """Keys or values of the completions after those of their prompts."""
    prompts = parts[0].unflatten(0, (-1, heads))
    joined = [parts[0]]
    for bucket, own in zip(layout.buckets, parts[1:], strict=True):
        shared = prompts[..., : bucket.prompt, :].index_select(0, bucket.packs_S).flatten(0, 1)
        joined.append(torch.cat([shared.expand(-1, own.shape[1], -1, -1), own], 2))
    return joined


def _give_prefixes_back(parts: Sequence[torch.Tensor], layout: BucketedLayout, heads: int) -> None:
    """Add the gradients of prefixes, on all buckets, to those of the prompts they were taken from, in place."""
    prompts = parts[0].unflatten(0, (-1, heads))[:, :, 0]
    for bucket, grads in zip(layout.buckets, parts[1:], strict=True):
        prefixes = grads[:, :, : bucket.prompt].sum(1).unflatten(0, (-1, heads))
        prompts[:, :, : bucket.prompt].index_add_(0, bucket.packs_S, prefixes)


@lru_cache(maxsize=2)
def _masks(layout: BucketedLayout, repeats: int, dtype: torch.dtype) -> list[torch.Tensor]:
    """What is added to the scores of each problem, (S, RX, Y): 0, and -inf where a token may not attend. The layers
    of a model share them."""

    def causal(size: int) -> torch.Tensor:
        return torch.full((size, size), -torch.inf, dtype=dtype, device=layout.places_T.device).triu(1)

    packs, prompt = layout.prompts_BP.shape
    masks = [causal(prompt).expand(packs, -1, -1).repeat(1, repeats, 1)]
    missing_BP = layout.prompts_BP == len(layout.places_T)
    for bucket in layout.buckets:
        parts, _, length = bucket.completions_SKL.shape
        missing = missing_BP[bucket.packs_S, : bucket.prompt][:, None].expand(-1, length, -1)
        prefix = torch.zeros_like(missing, dtype=dtype).masked_fill_(missing, -torch.inf)
        masks.append(torch.cat([prefix, causal(length).expand(parts, -1, -1)], -1).repeat(1, repeats, 1))
    return masks


def _wide(dtype: torch.dtype) -> torch.dtype:
    """The type of scores and weights without fused kernels, which is that of their mask."""
    return torch.promote_types(dtype, torch.float32)


def _attention(
    queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, masks: torch.Tensor, scaling: float
) -> torch.Tensor:
    """Plain attention, shaped as the queries. One head of one pack at a time, so that its weights stay in the cache."""
    output = queries.new_empty(*queries.shape[:-1], values.shape[-1])
    for place, (query, key, value) in enumerate(zip(queries, keys, values, strict=True)):
        weights = _weights(query, key, masks[place * len(masks) // len(queries)], scaling)
        torch.bmm(weights.to(query.dtype), value, out=output[place])
    return output


def _attention_backward(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    masks: torch.Tensor,
    grads: torch.Tensor,
    scaling: float,
) -> tuple[torch.Tensor, ...]:
    """The gradients of queries, keys and values from the ``grads`` along the output of plain attention."""
    gradients = tuple(torch.empty_like(part) for part in (queries, keys, values))
    for place, (query, key, value, grad) in enumerate(zip(queries, keys, values, grads, strict=True)):
        weights = _weights(query, key, masks[place * len(masks) // len(queries)], scaling)
        along_weights = (grad @ value.mT).to(weights.dtype)
        along_scores = torch.ops.aten._softmax_backward_data(along_weights, weights, -1, weights.dtype)
        along_scores = along_scores.mul_(scaling).to(query.dtype)
        torch.bmm(along_scores, key, out=gradients[0][place])
        torch.bmm(along_scores.mT, query, out=gradients[1][place])
        torch.bmm(weights.to(query.dtype).mT, grad, out=gradients[2][place])
    return gradients


def _weights(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor, scaling: float) -> torch.Tensor:
    """What each query, (K, RX, D), takes of each value, (K, RX, Y), in the type of the mask, float32 at least: from a
    bf16 score it would be off by a hundredth."""
    added = mask.expand(len(query), -1, -1)
    return torch.baddbmm(added, query.to(mask.dtype), key.mT.to(mask.dtype), alpha=scaling).softmax(-1)


def _split(rows_THD: torch.Tensor, layout: BucketedLayout, heads: int) -> list[torch.Tensor]:
    """The tokens where they belong, heads that share a key head one after the other, zeros for padding: the prompts,
    (BH, 1, RP, D), and the completions of each bucket, (SH, K, RL, D); R is 1 for keys and values."""
    grouped = rows_THD.reshape(rows_THD.shape[0], heads, -1, rows_THD.shape[-1])  # (T, H, R, D)
    padded = torch.cat([grouped, grouped.new_zeros(1, *grouped.shape[1:])])
    parts = []
    for columns in layout.columns:
        # As index_select, because the gradient of plain indexing is a slow sum on a GPU.
        found = padded.index_select(0, columns.flatten()).unflatten(0, columns.shape)  # (S, K, L, H, R, D)
        parts.append(found.permute(0, 3, 1, 4, 2, 5).flatten(3, 4).flatten(0, 1))
    return parts


def _join(parts: Sequence[torch.Tensor], layout: BucketedLayout, heads: int) -> torch.Tensor:
    """The inverse of ``_split``: (T, HR, D)."""
    flat = []
    for part, columns in zip(parts, layout.columns, strict=True):
        rows, count, length = columns.shape
        found = part.reshape(rows, heads, count, -1, length, part.shape[-1]).permute(0, 2, 4, 1, 3, 5)
        flat.append(found.reshape(rows * count * length, -1, part.shape[-1]))
    return torch.cat(flat).index_select(0, layout.places_T)

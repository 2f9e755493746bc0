"""Gradients summed, measured and clipped in a few kernels, where DeepSpeed launches several for each parameter."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from deepspeed import comm
from deepspeed.runtime.utils import mask_nan_or_inf_with_val_inplace

AT_ONCE = 2**26
"""Elements that are joined before they are added; a larger gradient is added alone."""


def use_few_kernels(optimizer: Any) -> bool:
    """Patch DeepSpeed's optimizer of ZeRO stage 1 or 2 to do this; returns whether it does. Other stages and gradients
    kept in host memory are left as they are."""
    if hasattr(optimizer, "fp32_groups_gradients_flat") and not optimizer.has_moe_layers:
        _use_flat_sums(optimizer)
        return True
    if not hasattr(optimizer, "get_grad_norm_direct") or getattr(optimizer, "cpu_offload", True):
        return False

    def norm(gradients: Iterable[torch.Tensor], _parameters: Any, norm_type: float = 2) -> torch.Tensor:
        own = [each.detach() for each in gradients if not getattr(each, "_zero_padding", False)]
        total = torch.nn.utils.get_total_norm(own, norm_type) if own else torch.zeros((), device=optimizer.device)
        total = total.float().pow(norm_type)
        comm.all_reduce(total, group=optimizer.dp_process_group)
        total = total.pow(1 / norm_type)
        # As DeepSpeed does: -1 stands for a norm that is not finite.
        mask_nan_or_inf_with_val_inplace(total, device=optimizer.device)
        return total

    optimizer.get_grad_norm_direct = norm
    return True


def _use_flat_sums(optimizer: Any) -> None:
    """Of ``BF16_Optimizer``, which keeps the float32 sums of a group one after another in a flat tensor that ends with
    zeros: the gradients of a micro-batch are joined and added to it, and it is measured and clipped as it is."""

    @torch.no_grad()
    def add(clear_lp_grads: bool = False) -> None:
        for number, group in enumerate(optimizer.bf16_groups):
            sums, flat = optimizer.fp32_groups_gradients[number], optimizer.fp32_groups_gradients_flat[number]
            for first, grads in _runs([parameter.grad for parameter in group]):
                start = sums[first].storage_offset() - flat.storage_offset()
                joined = torch.cat([grad.flatten() for grad in grads])
                flat[start : start + len(joined)].add_(joined)
            for place, (parameter, own) in enumerate(zip(group, sums, strict=True)):
                if parameter.grad is not None:
                    parameter._hp_grad = own
                    optimizer.fp32_groups_has_gradients[number][place] = True
        if clear_lp_grads:
            optimizer.clear_lp_grads()

    def whole(for_clipping: bool = False) -> Any:
        flat = list(optimizer.fp32_groups_gradients_flat)
        return flat if for_clipping else (flat, {})

    optimizer.update_hp_grads = add
    optimizer.get_grads_for_norm = whole


def _runs(grads: Sequence[torch.Tensor | None]) -> Iterator[tuple[int, list[torch.Tensor]]]:
    """Gradients that follow one another without a gap, of ``AT_ONCE`` numbers at most unless one alone has more, with
    the place of the first."""
    run: list[torch.Tensor] = []
    for place, grad in enumerate(grads):
        full = grad is None or sum(each.numel() for each in run) + grad.numel() > AT_ONCE
        if run and full:
            yield place - len(run), run
            run = []
        if grad is not None:
            run = [*run, grad]
    if run:
        yield len(grads) - len(run), run

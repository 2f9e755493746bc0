"""The norm of all gradients in a few kernels, where DeepSpeed launches several for each parameter."""

from collections.abc import Iterable
from typing import Any

import torch
from deepspeed import comm
from deepspeed.runtime.utils import mask_nan_or_inf_with_val_inplace


def use_one_norm(optimizer: Any) -> bool:
    """Have DeepSpeed's optimizer of ZeRO stage 1 or 2 take its gradient norm so, and tell whether it does: other stages
    and gradients kept in host memory have ways of their own."""
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

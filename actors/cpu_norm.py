"""vLLM's fused norms on a CPU: it ships the kernels but computes norms operation by operation, a seventh of sampling.

Importing this module registers them under the name by which ``actors.vllm_engine`` asks for them. The worker extension
imports it, which happens in the engine's worker process before the worker looks the name up.
"""

import torch
from vllm import ir

NAME = "fused_on_cpu"
PRIORITY = {"rms_norm": [NAME], "fused_add_rms_norm": [NAME]}
"""vLLM itself falls back to its own operations for arguments that the kernels do not take."""


def _norm_takes(x: torch.Tensor, weight: torch.Tensor | None, epsilon: float, variance_size: int | None = None) -> bool:
    return variance_size is None and x.dim() == 2 and (weight is None or weight.dtype == x.dtype)


def _add_norm_takes(
    x: torch.Tensor,
    x_residual: torch.Tensor,
    weight: torch.Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> bool:
    return _norm_takes(x, weight, epsilon, variance_size)


@ir.ops.rms_norm.register_impl(NAME, supports_args=_norm_takes)
def rms_norm(
    x: torch.Tensor, weight: torch.Tensor | None, epsilon: float, variance_size: int | None = None
) -> torch.Tensor:
    """``x`` divided by the root mean square of its last axis, times ``weight``."""
    output = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    torch.ops._C.rms_norm(output, x, weight, epsilon)
    return output


@ir.ops.fused_add_rms_norm.register_impl(NAME, supports_args=_add_norm_takes, inplace=True)
def fused_add_rms_norm(
    x: torch.Tensor,
    x_residual: torch.Tensor,
    weight: torch.Tensor | None,
    epsilon: float,
    variance_size: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(norm of the sum, sum), both in place."""
    torch.ops._C.fused_add_rms_norm(x, x_residual, weight, epsilon)
    return x, x_residual

"""The policy as the learner runs it: token ids in, log-probabilities of the completion tokens out.

Logits are the largest tensors of a small model: 50,000 numbers for each token. They exist for one chunk of completion
tokens at a time, forward and backward, so memory does not grow with vocabulary times tokens.
"""

from typing import Any

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from learner.attention import NAME, Layout

CHUNK = 512
"""Completion tokens whose logits exist at the same time."""

BLOCK = 64
"""Rows of logits that are turned into probabilities at the same time, so that they stay in the cache."""


class PolicyModel(nn.Module):
    """A causal language model that projects only the hidden states from which a completion token is predicted."""

    def __init__(self, model: Any, *, dense: bool = False) -> None:
        """``dense`` is for GPUs, whose fused kernels take a mask faster than our products take the layout."""
        super().__init__()
        self._dense = dense
        model.set_attn_implementation("sdpa" if dense else NAME)
        self.model = model

    def forward(
        self,
        input_ids_1T: torch.Tensor,
        position_ids_1T: torch.Tensor,
        layout: Layout,
        columns_N: torch.Tensor,
        targets_N: torch.Tensor,
        temperature: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Float32 log-probabilities of ``targets_N`` at ``temperature``, and the entropy in nats of each distribution,
        both of shape N; the arguments are those of ``learner.batch.Batch``."""
        causal = self.model.get_base_model() if hasattr(self.model, "peft_config") else self.model
        attention = {"attention_mask": layout.mask()} if self._dense else {"layout": layout}
        hidden_1TD = causal.base_model(
            input_ids=input_ids_1T, position_ids=position_ids_1T, use_cache=False, **attention
        ).last_hidden_state
        hidden_ND = hidden_1TD[0, columns_N]
        head = causal.get_output_embeddings()
        parts = [
            checkpoint(token_logprobs, head, hidden_MD, targets_M, temperature, use_reentrant=False)
            for hidden_MD, targets_M in zip(hidden_ND.split(CHUNK), targets_N.split(CHUNK), strict=True)
        ]
        logprobs, entropies = zip(*parts, strict=True)
        return torch.cat(logprobs), torch.cat(entropies)


def token_logprobs(
    head: nn.Module, hidden_ND: torch.Tensor, targets_N: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(log-probabilities of the targets, entropies in nats), float32 of shape N."""
    return _Logprobs.apply(head(hidden_ND), targets_N, temperature)  # type: ignore[return-value]


class _Logprobs(torch.autograd.Function):
    """(logits NV, targets N, temperature) -> (log-probabilities N, entropies N), block by block."""

    @staticmethod
    def forward(
        ctx: Any, logits_NV: torch.Tensor, targets_N: torch.Tensor, temperature: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        logsums, entropies = [], []
        for logits_MV in logits_NV.split(BLOCK):
            scaled_MV = _scaled(logits_MV, temperature)
            logsum_M = scaled_MV.logsumexp(-1)
            # Entropy is the log of the sum less the mean of the logits.
            mean_M = (scaled_MV - logsum_M[:, None]).exp_().mul_(scaled_MV).sum(-1)
            logsums.append(logsum_M)
            entropies.append(logsum_M - mean_M)
        logsum_N = torch.cat(logsums)
        chosen_N = _scaled(logits_NV.gather(1, targets_N[:, None])[:, 0], temperature)
        entropy_N = torch.cat(entropies)
        ctx.save_for_backward(logits_NV, targets_N, logsum_N, entropy_N)
        ctx.temperature = temperature
        ctx.set_materialize_grads(False)  # None tells that the entropies are a metric only
        return chosen_N - logsum_N, entropy_N

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, slopes_N: torch.Tensor | None, entropy_slopes_N: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, ...]:
        """With probabilities p, of a target's log-probability: (1 where the target is, else 0) - p; of the entropy H:
        -p * (log p + H)."""
        logits_NV, targets_N, logsum_N, entropy_N = ctx.saved_tensors
        given_N = torch.zeros_like(logsum_N) if slopes_N is None else slopes_N / ctx.temperature
        gradient_NV = torch.empty_like(logits_NV)
        for start in range(0, len(logits_NV), BLOCK):
            block = slice(start, start + BLOCK)
            log_MV = _scaled(logits_NV[block], ctx.temperature).sub_(logsum_N[block, None])
            slope_MV = -given_N[block, None]
            if entropy_slopes_N is not None:
                share_M1 = entropy_slopes_N[block, None] / ctx.temperature
                slope_MV = slope_MV - (log_MV + entropy_N[block, None]) * share_M1
            # Added before rounding: of a sure token 1 - p is smaller than the last bit of p in bf16.
            log_MV.exp_().mul_(slope_MV).scatter_add_(1, targets_N[block, None], given_N[block, None])
            gradient_NV[block] = log_MV
        return gradient_NV, None, None


def _scaled(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """A float32 (or wider) copy of the logits at ``temperature``."""
    copy = logits.to(torch.promote_types(logits.dtype, torch.float32), copy=True)
    return copy if temperature == 1 else copy.div_(temperature)

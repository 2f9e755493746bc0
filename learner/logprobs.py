"""The policy as the learner runs it: token ids in, log-probabilities of the completion tokens out.

Logits are the largest tensors of a small model: 50,000 numbers for each token. They exist for one chunk of completion
tokens at a time, forward and backward, so memory does not grow with vocabulary times tokens.
"""

from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from learner.attention import NAME, Layout

CHUNK = 512
"""Completion tokens whose logits exist at the same time."""

BLOCK = 64
"""Rows of logits that are turned into probabilities at the same time, so that they stay in the cache."""


class PolicyModel(nn.Module):
    """A causal language model that projects only the hidden states from which a completion token is predicted."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        # On a GPU the fused kernels take a dense mask faster than our products take the layout.
        self._dense = next(model.parameters()).is_cuda
        model.set_attn_implementation("sdpa" if self._dense else NAME)
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
        """Float32 log-probabilities of ``targets_N`` at ``temperature``, and the entropy of each distribution (no
        gradient), both of shape N; the arguments are those of ``learner.batch.Batch``."""
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
    """(log-probabilities of the targets, entropies in nats without gradient), float32 of shape N."""
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
        ctx.save_for_backward(logits_NV, targets_N, logsum_N)
        ctx.temperature = temperature
        ctx.mark_non_differentiable(entropy_N)
        return chosen_N - logsum_N, entropy_N

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Of the log of a softmax: (1 where the target is, else 0) less the probabilities."""
        logits_NV, targets_N, logsum_N = ctx.saved_tensors
        slopes_N = (gradients[0] / ctx.temperature)[:, None]
        gradient_NV = torch.empty_like(logits_NV)
        blocks = zip(*(tensor.split(BLOCK) for tensor in (logits_NV, logsum_N, slopes_N, gradient_NV)), strict=True)
        for logits_MV, logsum_M, slopes_M, gradient_MV in blocks:
            probabilities_MV = _scaled(logits_MV, ctx.temperature).sub_(logsum_M[:, None]).exp_()
            gradient_MV.copy_(probabilities_MV.mul_(-slopes_M))
        gradient_NV.scatter_add_(1, targets_N[:, None], slopes_N.to(gradient_NV.dtype))
        return gradient_NV, None, None


def _scaled(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    """A float32 (or wider) copy of the logits at ``temperature``."""
    copy = logits.to(torch.promote_types(logits.dtype, torch.float32), copy=True)
    return copy if temperature == 1 else copy.div_(temperature)

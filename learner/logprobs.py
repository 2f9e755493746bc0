"""The policy as the learner runs it: token ids in, log-probabilities of the completion tokens out."""

from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

CHUNK = 2048
"""Completion tokens whose logits exist at the same time."""


class PolicyModel(nn.Module):
    """A causal language model that projects only the hidden states from which a completion token is predicted."""

    def __init__(self, model: Any, *, recompute: bool) -> None:
        super().__init__()
        self.model = model
        self._recompute = recompute

    def forward(
        self,
        input_ids_BT: torch.Tensor,
        position_ids_BT: torch.Tensor | None,
        mask_B1TT: torch.Tensor | None,
        rows_N: torch.Tensor,
        columns_N: torch.Tensor,
        targets_N: torch.Tensor,
        temperature: float,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Float32 log-probabilities of ``targets_N`` at ``temperature``, and the entropy of each distribution (no
        gradient), both of shape N; the arguments are those of ``learner.batch.Batch``."""
        causal = self.model.get_base_model() if hasattr(self.model, "peft_config") else self.model
        hidden_BTD = causal.base_model(
            input_ids=input_ids_BT, attention_mask=mask_B1TT, position_ids=position_ids_BT, use_cache=False
        ).last_hidden_state
        hidden_ND = hidden_BTD[rows_N, columns_N]
        head = causal.get_output_embeddings()
        parts = []
        for start in range(0, len(targets_N), CHUNK):
            arguments = (head, hidden_ND[start : start + CHUNK], targets_N[start : start + CHUNK], temperature)
            if self._recompute and torch.is_grad_enabled():
                parts.append(checkpoint(token_logprobs, *arguments, use_reentrant=False))
            else:
                parts.append(token_logprobs(*arguments))
        logprobs, entropies = zip(*parts, strict=True)
        return torch.cat(logprobs), torch.cat(entropies)


def token_logprobs(
    head: nn.Module, hidden_ND: torch.Tensor, targets_N: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(log-probabilities of the targets, entropies in nats without gradient), float32 of shape N."""
    logits_NV = head(hidden_ND).float() / temperature
    all_NV = logits_NV.log_softmax(dim=-1)
    with torch.no_grad():
        entropy_N = -(all_NV.exp() * all_NV).sum(dim=-1)
    return all_NV.gather(1, targets_N[:, None])[:, 0], entropy_N

"""The policy as the learner runs it: token ids in, log-probabilities of the completion tokens out.

Logits are the largest tensors of a small model: 50,000 numbers for each token. In float32, with their gradients, they
exist for one chunk of completion tokens at a time. What the head computes, in the type of the weights, is kept for the
backward pass, unless layers are checkpointed: then memory does not grow with vocabulary times tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from learner.architecture import UnsupportedModel, train_every_embedding, turn_off_noise
from learner.attention import take_over
from learner.bucketed_layout import BucketedLayout
from learner.joined_linears import JoinedLinears
from learner.logits import PLAIN, Logits
from learner.masked_head import Allowed, masked_logprobs
from learner.varlen_layout import VarlenLayout

CHUNK = 512
"""Completion tokens whose logits exist at the same time on a CPU."""

BLOCK = 64
"""Rows of logits that are turned into probabilities at the same time there, so that they stay in the cache."""

GPU_BYTES = 2**29
"""Of float32 logits that exist at the same time on a GPU, in one block: smaller ones are done before the next kernel is
launched."""


class PolicyModel(nn.Module):
    """A causal language model that projects only the hidden states from which a completion token is predicted."""

    def __init__(self, model: Any, logits: Logits) -> None:
        """``model`` is taken over: its attention and its head change, its dropout is off.

        Raises UnsupportedModel for a model that cannot be taken over; ``learner.preflight`` finds out its ``logits``
        and whether the outcome is still the model.
        """
        super().__init__()
        self.head_widths: frozenset[int] = frozenset()
        """Numbers of the heads of its attention, as ``learner.preflight`` finds them."""
        self.joined: Sequence[JoinedLinears] = ()
        take_over(model)
        turn_off_noise(model)
        train_every_embedding(model)
        self.model = model
        self._use_logits(replace(logits, kept=not causal_model(model).is_gradient_checkpointing))

    def _use_logits(self, logits: Logits) -> None:
        self.logits = logits
        head = causal_model(self.model).get_output_embeddings()
        head.forward = partial(token_logprobs, head, logits=logits)

    def fuse_head(self) -> None:
        """Have the passes over the logits compiled, when they first run."""
        self._use_logits(replace(self.logits, fused=True))

    def forward(
        self,
        input_ids_1T: torch.Tensor,
        position_ids_1T: torch.Tensor,
        layout: BucketedLayout | VarlenLayout,
        columns_N: torch.Tensor,
        targets_N: torch.Tensor,
        temperature: float,
        allowed: Allowed | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Float32 log-probabilities of ``targets_N`` at ``temperature``, and the entropy in nats of each distribution,
        both of shape N; the arguments are those of ``learner.batch.Batch``."""
        for linears in self.joined:
            linears.check()
        causal = causal_model(self.model)
        hidden_1TD = body(causal)(
            input_ids=input_ids_1T, position_ids=position_ids_1T, use_cache=False, layout=layout
        ).last_hidden_state
        # Called as a module, so that ZeRO-3's hooks gather its weight.
        return causal.get_output_embeddings()(hidden_1TD[0, columns_N], targets_N, temperature, allowed)


def causal_model(model: Any) -> Any:
    """The language model itself, without the wrapper of an adapter."""
    return model.get_base_model() if hasattr(model, "peft_config") else model


def body(causal: Any) -> Any:
    """The part of a causal language model that ends in the hidden states which its head projects."""
    found = causal.base_model if causal.base_model is not causal else getattr(causal, "model", None)
    if found is None:
        raise UnsupportedModel(f"{type(causal).__name__}: cannot separate its body from its head")
    return found


def token_logprobs(
    head: Any,
    hidden_ND: torch.Tensor,
    targets_N: torch.Tensor,
    temperature: float,
    allowed: Allowed | None = None,
    logits: Logits = PLAIN,
) -> tuple[torch.Tensor, torch.Tensor]:
    """(log-probabilities of the targets, entropies in nats), float32 of shape N, under the ``logits`` that a model
    makes of what its linear layer ``head`` makes of the hidden states, or, for the tokens that ``allowed`` restricts,
    under those of their allowed ids."""
    if allowed is None:
        keep = logits.kept and torch.is_grad_enabled()
        return _HeadLogprobs.apply(hidden_ND, head.weight, head.bias, targets_N, temperature, logits, keep)  # type: ignore[return-value]
    restricted = masked_logprobs(head, hidden_ND[allowed.rows_R], allowed, temperature, logits)
    if not len(allowed.free_F):
        return restricted
    free = token_logprobs(head, hidden_ND[allowed.free_F], targets_N[allowed.free_F], temperature, logits=logits)
    order_N = torch.cat([allowed.rows_R, allowed.free_F]).argsort()
    logprobs_N, entropies_N = (torch.cat(pair)[order_N] for pair in zip(restricted, free, strict=True))
    return logprobs_N, entropies_N


def at_once(device: torch.device, vocabulary: int) -> tuple[int, int]:
    """(completion tokens whose logits exist at the same time, rows of them that are worked on at the same time)."""
    if device.type == "cpu":
        return CHUNK, BLOCK
    rows = max(1, GPU_BYTES // (4 * vocabulary))
    return rows, rows


def _blocks(rows_MV: torch.Tensor, size: int) -> Sequence[torch.Tensor]:
    """The rows in blocks; one that is all of them as it is, because what is compiled tells a view from a whole."""
    return (rows_MV,) if len(rows_MV) <= size else rows_MV.split(size)


class _HeadLogprobs(torch.autograd.Function):
    """(hidden states ND, weight VD, bias V or None, targets N, temperature, Logits, whether to keep the head's output)
    -> (log-probabilities N, entropies N).

    The backward pass turns the kept output into gradients in place, or makes it again, a chunk at a time.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: torch.Tensor,
        weight_VD: torch.Tensor,
        bias_V: torch.Tensor | None,
        targets_N: torch.Tensor,
        temperature: float,
        logits: Logits,
        keep: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        chosen, logsums, entropies, kept = [], [], [], []
        chunk, rows = at_once(hidden_ND.device, len(weight_VD))
        passes = passes_over(logits, temperature)
        for hidden_MD, targets_M in zip(hidden_ND.split(chunk), targets_N.split(chunk), strict=True):
            output_MV = functional.linear(hidden_MD, weight_VD, bias_V)
            chosen.append(logits.at(output_MV.gather(1, targets_M[:, None])[:, 0], temperature))
            for block in _blocks(output_MV, rows):
                logsum, entropy = passes.summed(block)
                logsums.append(logsum)
                entropies.append(entropy)
            if keep:
                kept.append(output_MV)
        logsum_N, entropy_N = torch.cat(logsums), torch.cat(entropies)
        ctx.save_for_backward(hidden_ND, weight_VD, bias_V, targets_N, logsum_N, entropy_N, *kept)
        ctx.temperature, ctx.logits = temperature, logits
        ctx.set_materialize_grads(False)  # None tells that the entropies are a metric only
        return torch.cat(chosen) - logsum_N, entropy_N

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, grads_N: torch.Tensor | None, entropy_grads_N: torch.Tensor | None
    ) -> tuple[torch.Tensor | None, ...]:
        hidden_ND, weight_VD, bias_V, targets_N, logsum_N, entropy_N, *kept = ctx.saved_tensors
        hidden_grad_ND = torch.empty_like(hidden_ND)
        weight_grad_VD = torch.zeros_like(weight_VD) if ctx.needs_input_grad[1] else None
        bias_grad_V = torch.zeros_like(bias_V) if ctx.needs_input_grad[2] else None
        # By how much a scaled logit grows with the head's output, but for the cap.
        factor = ctx.logits.scale / ctx.temperature
        given_N = torch.zeros_like(logsum_N) if grads_N is None else grads_N * factor
        size, height = at_once(hidden_ND.device, len(weight_VD))
        passes = passes_over(ctx.logits, ctx.temperature)
        for number, start in enumerate(range(0, len(hidden_ND), size)):
            chunk = slice(start, start + size)
            grad_MV = kept[number] if kept else functional.linear(hidden_ND[chunk], weight_VD, bias_V)
            first = start
            for rows in _blocks(grad_MV, height):
                block = slice(first, first := first + len(rows))
                passes.to_grads(
                    rows,
                    logsum_N[block],
                    targets_N[block],
                    given_N[block],
                    entropy_N[block],
                    None if entropy_grads_N is None else entropy_grads_N[block] * factor,
                )
            torch.mm(grad_MV, weight_VD, out=hidden_grad_ND[chunk])
            if weight_grad_VD is not None:
                weight_grad_VD.addmm_(grad_MV.mT, hidden_ND[chunk])
            if bias_grad_V is not None:
                bias_grad_V += grad_MV.sum(0)
        return hidden_grad_ND, weight_grad_VD, bias_grad_V, None, None, None, None


class Passes(NamedTuple):
    """What is done with a block of a head's output."""

    summed: Callable[..., tuple[torch.Tensor, torch.Tensor]]
    to_grads: Callable[..., None]


@cache
def passes_over(logits: Logits, temperature: float) -> Passes:
    """The passes over logits at a temperature, compiled where ``logits`` are fused."""

    def summed(output_MV: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The log of the sum and the entropy of each row."""
        scaled = logits.at(output_MV, temperature)
        logsum = scaled.logsumexp(-1)
        # Entropy is the log of the sum less the mean of the logits.
        mean = torch.linalg.vecdot(scaled.softmax(-1), scaled)
        return logsum, logsum - mean

    def to_grads(
        output_MV: torch.Tensor,
        logsum_M: torch.Tensor,
        targets_M: torch.Tensor,
        given_M: torch.Tensor,
        entropy_M: torch.Tensor,
        entropy_grad_M: torch.Tensor | None,
    ) -> None:
        """Make the head's output, in place, the grad of the loss along it."""
        scaled = logits.at(output_MV, temperature)
        cap_grads = logits.cap_grads(scaled, temperature)
        grads = _logit_grads(scaled.sub_(logsum_M[:, None]), targets_M, given_M, entropy_M, entropy_grad_M)
        output_MV.copy_(grads if cap_grads is None else grads.mul_(cap_grads))

    if logits.fused:
        return Passes(torch.compile(summed, dynamic=True), torch.compile(to_grads, dynamic=True))
    return Passes(summed, to_grads)


def _logit_grads(
    logs_MV: torch.Tensor,
    targets_M: torch.Tensor,
    given_M: torch.Tensor,
    entropy_M: torch.Tensor,
    entropy_grad_M: torch.Tensor | None,
) -> torch.Tensor:
    """The grad of the loss along each logit, from all log-probabilities (overwritten) and the grads along those of
    the targets and along the entropies.

    With probabilities p, the derivative of a target's log-probability is (1 where the target is, else 0) - p, that of
    the entropy H is -p * (log p + H).
    """
    grad_MV = -given_M[:, None]
    if entropy_grad_M is not None:
        grad_MV = grad_MV - (logs_MV + entropy_M[:, None]) * entropy_grad_M[:, None]
    if torch.compiler.is_compiling():
        # The same in one pass over the logits, where a scatter would need one of its own.
        columns_V = torch.arange(logs_MV.shape[1], device=logs_MV.device)
        chosen_MV = columns_V == targets_M[:, None]
        return logs_MV.exp() * grad_MV + torch.where(chosen_MV, given_M[:, None], 0.0)
    # Added before rounding: of a sure token 1 - p is smaller than the last bit of p in bf16.
    return logs_MV.exp_().mul_(grad_MV).scatter_add_(1, targets_M[:, None], given_M[:, None])

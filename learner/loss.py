"""Losses: tensors in, ``(loss, sums)`` out. No config lookup, no device, no data.

Each loss is a *sum* over the tokens of one micro-batch, weighted by ``Batch.weights_N``; adding the losses of all
micro-batches and ranks gives the loss of the optimizer batch. ``sums`` holds, by metric name, (sum, count), to be added
over micro-batches and ranks and divided once.
"""

from dataclasses import dataclass

import torch

Sums = dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpoSettings:
    """The numbers in the GRPO objective; see ``rnr.config.GrpoConfig`` for their meaning."""

    clip_low: float
    clip_high: float
    dual_clip: float
    kl_coefficient: float
    importance_cap: float


def sft_loss(logprobs_N: torch.Tensor, weights_N: torch.Tensor) -> tuple[torch.Tensor, Sums]:
    """Weighted negative log-likelihood, and its plain mean per token as ``sft/loss``."""
    real = weights_N > 0
    nll = -logprobs_N.detach()[real]
    return -(weights_N * logprobs_N).sum(), {"sft/loss": (float(nll.sum()), float(real.sum()))}


def grpo_loss(
    logprobs_N: torch.Tensor,
    *,
    entropy_N: torch.Tensor,
    old_logprobs_N: torch.Tensor | None,
    sampler_logprobs_N: torch.Tensor,
    reference_logprobs_N: torch.Tensor | None,
    advantages_N: torch.Tensor,
    weights_N: torch.Tensor,
    settings: GrpoSettings,
) -> tuple[torch.Tensor, Sums]:
    """Clipped policy-gradient loss with a truncated importance weight and, if asked, a KL term.

    Per token: ``-w * min(r * A, clip(r, 1 - low, 1 + high) * A)`` with ``r = policy / old`` and the detached
    ``w = min(old / sampler, cap)``. ``old_logprobs_N`` None means old is the current policy (one optimizer step per
    batch), so ``r`` is 1 in value and carries the gradient.
    """
    old = logprobs_N.detach() if old_logprobs_N is None else old_logprobs_N
    # Clamped for exp only: a log-ratio beyond +-20 is clipped either way, and exp would overflow.
    ratio = (logprobs_N - old).clamp(-20, 20).exp()
    importance = (old - sampler_logprobs_N).clamp(-20, 20).exp().clamp(max=settings.importance_cap).detach()
    clipped = ratio.clamp(1 - settings.clip_low, 1 + settings.clip_high)
    objective = torch.minimum(ratio * advantages_N, clipped * advantages_N)
    if settings.dual_clip:
        floor = settings.dual_clip * advantages_N
        objective = torch.where(advantages_N < 0, torch.maximum(objective, floor), objective)
    loss_N = -importance * objective
    kl_N = torch.zeros_like(logprobs_N)
    if reference_logprobs_N is not None:
        kl_N = kl_to_reference(logprobs_N, reference_logprobs_N)
        loss_N = loss_N + settings.kl_coefficient * kl_N
    sums = _sums(
        weights_N,
        {
            "actor/pg_loss": -importance * objective,
            "actor/kl_loss": kl_N,
            "actor/entropy": entropy_N,
            "actor/ppo_kl": old - logprobs_N,
            "actor/clip_low": (ratio < 1 - settings.clip_low) & (advantages_N < 0),
            "actor/clip_high": (ratio > 1 + settings.clip_high) & (advantages_N > 0),
            "rollout_corr/rollout_is_mean": importance,
            "rollout_corr/kl": sampler_logprobs_N - old,
            "training/rollout_probs_diff_mean": (old.exp() - sampler_logprobs_N.exp()).abs(),
        },
    )
    return (weights_N * loss_N).sum(), sums


def kl_to_reference(logprobs_N: torch.Tensor, reference_N: torch.Tensor) -> torch.Tensor:
    """The k3 estimate ``exp(d) - d - 1`` with ``d = reference - policy`` as value, and the gradient of ``d**2 / 2``,
    which unlike k3's own is an unbiased estimate of the KL's gradient (http://joschu.net/blog/kl-approx.html)."""
    difference = (reference_N - logprobs_N).clamp(-20, 20)
    value = difference.exp() - difference - 1
    gradient = 0.5 * difference**2
    return gradient - gradient.detach() + value.detach()


def _sums(weights_N: torch.Tensor, per_token: dict[str, torch.Tensor]) -> Sums:
    real = weights_N > 0
    count = float(real.sum())
    return {name: (float(values.detach().float()[real].sum()), count) for name, values in per_token.items()}

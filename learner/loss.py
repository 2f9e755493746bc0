"""Losses: tensors in, ``(loss, sums)`` out. No device, no data, and of the config the GRPO branch alone.

Each loss is a *sum* over the tokens of one micro-batch, weighted by ``Batch.weights_N``; adding the losses of all
micro-batches and ranks gives the loss of the optimizer batch. ``sums`` holds, by metric name, (sum, count), to be added
over micro-batches and ranks and divided once.
"""

from collections.abc import Iterator, Mapping

import torch

from rnr.config import GrpoConfig

Sums = Mapping[str, tuple[float, float]]
"""Metric -> (sum, count)."""

LARGEST_LOG_RATIO = 20.0
"""Log-ratios are cut to this before ``exp``: one as large is clipped either way, and exp would overflow."""


def sft_loss(logprobs_N: torch.Tensor, weights_N: torch.Tensor) -> tuple[torch.Tensor, Sums]:
    """Weighted negative log-likelihood, and its plain mean per token as ``sft/loss``."""
    return -(weights_N * logprobs_N).sum(), TokenSums(weights_N, {"sft/loss": -logprobs_N})


def grpo_loss(
    logprobs_N: torch.Tensor,
    *,
    entropy_N: torch.Tensor,
    old_logprobs_N: torch.Tensor | None,
    sampler_logprobs_N: torch.Tensor,
    reference_logprobs_N: torch.Tensor | None,
    advantages_N: torch.Tensor,
    weights_N: torch.Tensor,
    sequences_N: torch.Tensor,
    config: GrpoConfig,
) -> tuple[torch.Tensor, Sums]:
    """Policy-gradient loss with a rollout correction, less an entropy bonus, plus a KL term.

    Per token: ``-w * objective - entropy_coefficient * H + kl_coefficient * KL``, where the detached ``w`` corrects for
    the sampler (``correction_weights``) and the objective holds the policy to the old one (``policy_objective``).
    ``old_logprobs_N`` None means old is the current policy (one optimizer step per batch), so that the ratio of the two
    is 1 in value and carries the gradient. ``sequences_N`` numbers the completions of the micro-batch.
    """
    old = logprobs_N.detach() if old_logprobs_N is None else old_logprobs_N
    log_ratio = logprobs_N - old
    if config.policy_loss == "gspo":
        log_ratio = over_sequence(log_ratio, sequences_N, mean=True)
    ratio = _exp(log_ratio)
    objective = policy_objective(ratio, logprobs_N, advantages_N, config)
    correction = correction_weights((old - sampler_logprobs_N).detach(), sequences_N, config)
    loss_N = -correction * objective
    if config.entropy_coefficient:
        loss_N = loss_N - config.entropy_coefficient * entropy_N
    kl_N = torch.zeros_like(logprobs_N)
    if reference_logprobs_N is not None:
        kl_N = kl_to_reference(logprobs_N, reference_logprobs_N, config.kl_estimator)
        loss_N = loss_N + config.kl_coefficient * kl_N
    low, high = bounds_in_force(ratio, advantages_N, config)
    sums = TokenSums(
        weights_N,
        {
            "actor/pg_loss": -correction * objective,
            "actor/kl_loss": kl_N,
            "actor/entropy": entropy_N,
            "actor/ppo_kl": old - logprobs_N,
            "actor/pg_clipfrac": low | high,
            "actor/clip_low": low,
            "actor/clip_high": high,
            "rollout_corr/rollout_is_mean": correction,
            "rollout_corr/kl": sampler_logprobs_N - old,
            "training/rollout_probs_diff_mean": (old.exp() - sampler_logprobs_N.exp()).abs(),
        },
    )
    return (weights_N * loss_N).sum(), sums


def policy_objective(
    ratio_N: torch.Tensor, logprobs_N: torch.Tensor, advantages_N: torch.Tensor, config: GrpoConfig
) -> torch.Tensor:
    """What each token should make large, of shape N.

    - ``ppo``: ``min(r * A, clip(r, 1 - low, 1 + high) * A)`` (arXiv 1707.06347, 2503.14476), and for negative A at
      least ``dual_clip * A`` if there is one (arXiv 1912.09729);
    - ``gspo``: the same, where ``r`` is one ratio for the whole sequence (arXiv 2507.18071);
    - ``cispo``: ``clip(r, ...) * A * log-probability`` with the clipped ratio detached, so that no token's gradient is
      ever lost (arXiv 2506.13585).
    """
    clipped = ratio_N.clamp(1 - config.clip_low, 1 + config.clip_high)
    if config.policy_loss == "cispo":
        return clipped.detach() * advantages_N * logprobs_N
    objective = torch.minimum(ratio_N * advantages_N, clipped * advantages_N)
    if config.dual_clip:
        floor = config.dual_clip * advantages_N
        objective = torch.where(advantages_N < 0, torch.maximum(objective, floor), objective)
    return objective


def bounds_in_force(
    ratio_N: torch.Tensor, advantages_N: torch.Tensor, config: GrpoConfig
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the lower and the upper bound on the ratio are in force, booleans of shape N: wherever it is crossed with
    ``cispo``, and only where the minimum takes the bounded product with the others."""
    low, high = ratio_N < 1 - config.clip_low, ratio_N > 1 + config.clip_high
    if config.policy_loss == "cispo":
        return low, high
    return low & (advantages_N < 0), high & (advantages_N > 0)


def correction_weights(log_ratio_N: torch.Tensor, sequences_N: torch.Tensor, config: GrpoConfig) -> torch.Tensor:
    """Weights that correct for having sampled from another policy, of shape N, from ``log(old / sampler)``.

    - ``tis``: the ratio, at most ``rollout_correction_cap`` (truncated importance sampling);
    - ``sequence_tis``: the product of the ratios of the whole sequence, at most the cap;
    - ``icepop``: the ratio where it lies between 1 / cap and cap, 0 elsewhere;
    - ``none``: 1.
    """
    match config.rollout_correction:
        case "tis":
            return _exp(log_ratio_N).clamp(max=config.rollout_correction_cap)
        case "sequence_tis":
            return _exp(over_sequence(log_ratio_N, sequences_N, mean=False)).clamp(max=config.rollout_correction_cap)
        case "icepop":
            ratio = _exp(log_ratio_N)
            inside = (ratio >= 1 / config.rollout_correction_cap) & (ratio <= config.rollout_correction_cap)
            return torch.where(inside, ratio, 0.0)
        case "none":
            return torch.ones_like(log_ratio_N)


def over_sequence(values_N: torch.Tensor, sequences_N: torch.Tensor, *, mean: bool) -> torch.Tensor:
    """The sum or mean of the values over each token's own sequence, of shape N: values (1, 3, 5) of sequences
    (0, 0, 1) have the means (2, 2, 5)."""
    # Room for as many sequences as there are tokens: to ask how many there are would wait for the device.
    totals = torch.zeros_like(values_N).index_add(0, sequences_N, values_N)
    if mean:
        sizes = torch.zeros_like(values_N).index_add(0, sequences_N, torch.ones_like(values_N))
        totals = totals / sizes.clamp(min=1)
    return totals[sequences_N]


def kl_to_reference(logprobs_N: torch.Tensor, reference_N: torch.Tensor, estimator: str) -> torch.Tensor:
    """Estimates of the KL from the policy to the reference, of shape N, with ``d = reference - policy``
    (http://joschu.net/blog/kl-approx.html).

    ``k1`` is ``-d`` (as a loss its gradient is 0 on average), ``k2`` is ``d**2 / 2``, ``k3`` is ``exp(d) - d - 1``, and
    ``k3_unbiased`` has the value of k3 and the gradient of k2, which unlike k3's own is an unbiased estimate of the
    KL's gradient where the tokens are the policy's own; further steps on the same batch make both estimates stale.
    """
    difference = reference_N - logprobs_N
    if estimator == "k1":
        return -difference
    squared = 0.5 * difference**2
    if estimator == "k2":
        return squared
    # Cut as a whole: with the exponential alone cut, its grad would end and that of -d push away from the reference.
    cut = difference.clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)
    value = cut.exp() - cut - 1
    return value if estimator == "k3" else squared - squared.detach() + value.detach()


def _exp(log_ratio_N: torch.Tensor) -> torch.Tensor:
    return log_ratio_N.clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO).exp()


class TokenSums(Mapping[str, tuple[float, float]]):
    """Each metric's sum over the tokens whose weight is not 0, and how many they are.

    They stay on the device until the first is read, so that nobody waits for a micro-batch while others are to come.
    """

    def __init__(self, weights_N: torch.Tensor, per_token: Mapping[str, torch.Tensor]) -> None:
        real = weights_N > 0
        totals = [torch.where(real, values.detach().float(), 0.0).sum() for values in per_token.values()]
        self._names = tuple(per_token)
        self._pending = torch.stack([real.sum().float(), *totals])
        self._read: dict[str, tuple[float, float]] | None = None

    def __getitem__(self, name: str) -> tuple[float, float]:
        if self._read is None:
            count, *totals = self._pending.tolist()
            self._read = {each: (total, count) for each, total in zip(self._names, totals, strict=True)}
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def add_sums(left: Sums, right: Sums) -> dict[str, tuple[float, float]]:
    """Metric sums added by name."""
    merged = dict(left)
    for name, (total, count) in right.items():
        before = merged.get(name, (0.0, 0.0))
        merged[name] = (before[0] + total, before[1] + count)
    return merged

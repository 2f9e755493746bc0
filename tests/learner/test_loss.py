"""Losses and log-probabilities against values and gradients worked out by hand."""

import math
from copy import deepcopy
from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from learner import attention
from learner import logprobs as logprobs_module
from learner.batch import Weighted, collate, plan_microbatches, weigh
from learner.logits import PLAIN, Logits
from learner.logprobs import CHUNK, PolicyModel, token_logprobs
from learner.loss import correction_weights, grpo_loss, kl_to_reference, over_sequence, sft_loss
from learner.memory import kept_bytes
from rnr.config import GrpoConfig
from rnr.runs.metric_names import meaning_of
from rnr.types import Sample
from scripts.benchmarks.launches import operations

SETTINGS = GrpoConfig(clip_low=0.2, clip_high=0.28, rollout_correction_cap=2.0)


def _with(**changes) -> GrpoConfig:
    return SETTINGS.model_copy(update=changes)


def _grpo(
    logprobs,
    *,
    old=None,
    sampler=None,
    reference=None,
    advantages=None,
    weights=None,
    sequences=None,
    config=SETTINGS,
):
    """(loss, gradient by log-probability, sums) of lists of numbers; each token a sequence if nothing else is said."""
    leaf = torch.tensor(logprobs, dtype=torch.float64, requires_grad=True)
    ones = [1.0] * len(logprobs)

    def tensor(values):
        return torch.tensor(values, dtype=torch.float64)

    loss, sums = grpo_loss(
        leaf,
        entropy_N=torch.zeros(len(logprobs)),
        old_logprobs_N=None if old is None else tensor(old),
        sampler_logprobs_N=tensor(logprobs if sampler is None else sampler),
        reference_logprobs_N=None if reference is None else tensor(reference),
        advantages_N=tensor(ones if advantages is None else advantages),
        weights_N=tensor(ones if weights is None else weights),
        sequences_N=torch.tensor(range(len(logprobs)) if sequences is None else sequences, dtype=torch.long),
        config=config,
    )
    (gradient,) = torch.autograd.grad(loss, leaf)
    return loss.item(), gradient.tolist(), sums


def _mean(sums, name) -> float:
    total, count = sums[name]
    return total / count


# Supervised


def test_the_supervised_loss_is_the_weighted_negative_log_likelihood() -> None:
    logprobs = torch.tensor([-1.0, -2.0, -8.0], requires_grad=True)
    loss, sums = sft_loss(logprobs, torch.tensor([0.5, 0.25, 0.0]))
    # 0.5 * 1 + 0.25 * 2 = 1; the filler of weight 0 counts nowhere.
    assert loss.item() == pytest.approx(1.0)
    assert sums == {"sft/loss": (3.0, 2.0)}
    (gradient,) = torch.autograd.grad(loss, logprobs)
    assert gradient.tolist() == [-0.5, -0.25, 0.0]


# GRPO


def test_on_the_first_step_nothing_is_clipped_and_the_policy_is_where_it_was() -> None:
    loss, gradient, sums = _grpo([-1.0, -2.0], advantages=[0.5, -0.5], weights=[0.1, 0.1])
    # Ratio and correction are 1: the loss is -0.1 * (0.5 - 0.5) = 0, its gradient -weight * advantage.
    assert loss == pytest.approx(0.0)
    assert gradient == pytest.approx([-0.05, 0.05])
    for name in ("actor/ppo_kl", "actor/clip_low", "actor/clip_high", "training/rollout_probs_diff_mean"):
        assert _mean(sums, name) == 0.0
    assert _mean(sums, "rollout_corr/rollout_is_mean") == 1.0


@pytest.mark.parametrize(
    ("ratio", "advantage", "objective", "grad", "clipped"),
    [
        (1.5, 1.0, 1.28, 0.0, "actor/clip_high"),  # no more reward for going further
        (1.2, 1.0, 1.2, 1.2, None),  # within 1.28
        (0.5, 1.0, 0.5, 0.5, None),  # it may always come back
        (0.5, -1.0, -0.8, 0.0, "actor/clip_low"),
        (0.9, -1.0, -0.9, -0.9, None),  # within 0.8
        (1.5, -1.0, -1.5, -1.5, None),
    ],
)
def test_the_clip_kills_the_gradient_only_on_the_side_it_guards(ratio, advantage, objective, grad, clipped) -> None:
    loss, gradient, sums = _grpo(
        [-1.0], old=[-1.0 - math.log(ratio)], sampler=[-1.0 - math.log(ratio)], advantages=[advantage]
    )
    assert loss == pytest.approx(-objective)
    assert gradient == pytest.approx([-grad])  # d ratio / d logprob = ratio
    assert {name for name in ("actor/clip_low", "actor/clip_high") if sums[name][0]} == (
        {clipped} if clipped else set()
    )
    assert _mean(sums, "actor/ppo_kl") == pytest.approx(-math.log(ratio))


def test_the_rollout_correction_is_truncated_above_only_and_carries_no_gradient() -> None:
    # old / sampler = e^3, cut to 2; and e^-1 = 0.3679, left alone. Gradient: -weight * correction * advantage.
    loss, gradient, sums = _grpo([-1.0, -3.0], sampler=[-4.0, -2.0])
    assert gradient == pytest.approx([-2.0, -math.exp(-1)])
    assert loss == pytest.approx(-2.0 - math.exp(-1))
    assert _mean(sums, "rollout_corr/rollout_is_mean") == pytest.approx((2.0 + math.exp(-1)) / 2)
    # Its k1, sampler less old; k3 would be e^3 - 3 - 1 = 16.1 and e^-1 + 1 - 1 = 0.4, and never negative.
    assert _mean(sums, "rollout_corr/kl") == pytest.approx((-3.0 + 1.0) / 2)
    said = meaning_of("rollout_corr/kl")
    assert said is not None
    assert said.how.startswith("k1 estimate")


def test_the_rollout_correction_compares_the_sampler_with_the_old_policy_not_the_current_one() -> None:
    _, gradient, _ = _grpo([-1.0], old=[-1.1], sampler=[-1.1 - math.log(1.5)])
    # correction 1.5, ratio e^0.1 = 1.105 within the clip.
    assert gradient == pytest.approx([-1.5 * math.exp(0.1)])


def test_the_dual_clip_bounds_what_one_bad_token_can_do() -> None:
    settings = _with(dual_clip=3.0)
    old = [-1.0 - math.log(5.0)]
    # Ratio 5, advantage -1: the objective -5 is raised to -3 and has no grad.
    assert _grpo([-1.0], old=old, sampler=old, advantages=[-1.0], config=settings)[:2] == (pytest.approx(3.0), [0.0])
    # Off, and for positive advantages, it does nothing.
    assert _grpo([-1.0], old=old, sampler=old, advantages=[-1.0])[0] == pytest.approx(5.0)
    assert _grpo([-1.0], old=old, sampler=old, advantages=[1.0], config=settings)[0] == pytest.approx(-1.28)


def test_an_absurd_log_ratio_does_not_overflow() -> None:
    loss, gradient, _ = _grpo([-1.0, -1.0], old=[-500.0, -500.0], sampler=[0.0, -1000.0], advantages=[1.0, -1.0])
    assert math.isfinite(loss)
    assert all(math.isfinite(value) for value in gradient)


def test_filler_moves_neither_loss_nor_gradient_nor_metrics() -> None:
    plain = _grpo([-1.0, -2.0], sampler=[-1.5, -2.5], advantages=[1.0, -1.0])
    filled = _grpo([-1.0, -2.0, -9.0], sampler=[-1.5, -2.5, -0.1], advantages=[1.0, -1.0, 5.0], weights=[1.0, 1.0, 0.0])
    assert filled[0] == pytest.approx(plain[0])
    assert filled[1] == pytest.approx([*plain[1], 0.0])
    assert filled[2] == plain[2]


def test_one_ratio_for_the_sequence_is_clipped_as_one() -> None:
    settings = _with(policy_loss="gspo", rollout_correction="none")
    # Log-ratios 0.3 and -0.1 of one sequence have the mean 0.1; the other sequence has 0.4, beyond log 1.28 = 0.247.
    loss, gradient, sums = _grpo(
        [-1.0, -2.0, -3.0], old=[-1.3, -1.9, -3.4], advantages=[1.0, 1.0, 1.0], sequences=[0, 0, 1], config=settings
    )
    assert loss == pytest.approx(-2 * math.exp(0.1) - 1.28)
    # Each token of the first moves the mean by half, and the mean stands twice in the sum.
    assert gradient == pytest.approx([-math.exp(0.1), -math.exp(0.1), 0.0])
    assert _mean(sums, "actor/clip_high") == pytest.approx(1 / 3)


def test_a_clipped_weight_leaves_every_token_its_gradient() -> None:
    settings = _with(policy_loss="cispo", rollout_correction="none")
    # Ratios e^0.5 = 1.649, cut to 1.28; e^-0.5 = 0.607, raised to 0.8; and e^0.1, left alone.
    _, gradient, _ = _grpo([-1.0, -1.0, -1.0], old=[-1.5, -0.5, -1.1], advantages=[1.0, -2.0, 1.0], config=settings)
    assert gradient == pytest.approx([-1.28, 0.8 * 2.0, -math.exp(0.1)])


@pytest.mark.parametrize(("policy_loss", "share"), [("ppo", 0.0), ("cispo", 0.5)])
def test_a_bound_counts_where_it_changes_something(policy_loss, share) -> None:
    settings = _with(policy_loss=policy_loss, rollout_correction="none")
    # Above the bound and bad, below it and good: PPO's minimum takes the plain product, CISPO cuts the weight.
    _, _, sums = _grpo([-1.0, -1.0], old=[-1.5, -0.5], advantages=[-1.0, 1.0], config=settings)
    assert (_mean(sums, "actor/clip_high"), _mean(sums, "actor/clip_low")) == (share, share)


@pytest.mark.parametrize(
    ("correction", "expected"),
    [
        # Ratios by token: e^0.5 = 1.65, e^0.4 = 1.49; e^1 = 2.72, e^-2 = 0.135.
        ("tis", [math.exp(0.5), math.exp(0.4), 2.0, math.exp(-2.0)]),
        ("sequence_tis", [2.0, 2.0, math.exp(-1.0), math.exp(-1.0)]),  # e^0.9 = 2.46 is cut; e^-1 is not
        ("icepop", [math.exp(0.5), math.exp(0.4), 0.0, 0.0]),  # 2.72 > 2 and 0.135 < 1/2
        ("none", [1.0, 1.0, 1.0, 1.0]),
    ],
)
def test_correction_weights_by_hand(correction, expected) -> None:
    weights = correction_weights(
        torch.tensor([0.5, 0.4, 1.0, -2.0]), torch.tensor([0, 0, 1, 1]), _with(rollout_correction=correction)
    )
    assert weights.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("correction", ["tis", "sequence_tis", "icepop", "none"])
def test_a_sampler_that_is_the_policy_has_the_weight_one(correction) -> None:
    weights = correction_weights(torch.zeros(3), torch.tensor([0, 0, 1]), _with(rollout_correction=correction))
    assert weights.tolist() == [1.0, 1.0, 1.0]


def test_sums_and_means_over_sequences() -> None:
    values, sequences = torch.tensor([1.0, 3.0, 5.0]), torch.tensor([0, 0, 1])
    assert over_sequence(values, sequences, mean=True).tolist() == [2.0, 2.0, 5.0]
    assert over_sequence(values, sequences, mean=False).tolist() == [4.0, 4.0, 5.0]


@given(st.integers(1, 40), st.integers(0, 2**31))
def test_a_mean_over_a_sequence_is_torchs_own_to_the_last_bit_and_so_is_its_gradient(tokens, seed) -> None:
    torch.manual_seed(seed)
    values = torch.randn(tokens, requires_grad=True)
    sequences = torch.randint(1, tokens + 1, (tokens,)).unique(return_inverse=True)[1].sort().values
    found = over_sequence(values, sequences, mean=True)
    parts = values.split(sequences.bincount().tolist())
    expected = torch.cat([(sum(part.unbind(), torch.zeros(())) / len(part)).expand(len(part)) for part in parts])
    assert found.tolist() == expected.tolist()
    along = torch.randn(tokens)
    (ours,), (theirs,) = (torch.autograd.grad(each, values, along) for each in (found, expected))
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("policy_loss", ["ppo", "gspo", "cispo"])
@pytest.mark.parametrize("correction", ["tis", "sequence_tis", "icepop", "none"])
def test_a_micro_batch_without_a_token_that_is_trained_on_has_a_loss_of_0(policy_loss, correction) -> None:
    loss, gradient, sums = _grpo([], config=_with(policy_loss=policy_loss, rollout_correction=correction))
    assert (loss, gradient) == (0.0, [])
    assert sums["actor/pg_loss"] == (0.0, 0.0)


@pytest.mark.parametrize(
    ("estimator", "values", "grads"),
    [
        # d = reference - policy = -1 and 0.5.
        ("k1", [1.0, -0.5], [1.0, 1.0]),
        ("k2", [0.5, 0.125], [1.0, -0.5]),
        ("k3", [math.exp(-1), math.exp(0.5) - 1.5], [1 - math.exp(-1), 1 - math.exp(0.5)]),
        ("k3_unbiased", [math.exp(-1), math.exp(0.5) - 1.5], [1.0, -0.5]),
    ],
)
def test_the_estimates_of_the_kl_by_hand(estimator, values, grads) -> None:
    policy = torch.tensor([-1.0, -3.0], dtype=torch.float64, requires_grad=True)
    estimates = kl_to_reference(policy, torch.tensor([-2.0, -2.5], dtype=torch.float64), estimator)
    assert estimates.tolist() == pytest.approx(values)
    (gradient,) = torch.autograd.grad(estimates.sum(), policy)
    assert gradient.tolist() == pytest.approx(grads)


@pytest.mark.parametrize(
    ("estimator", "unbiased_value", "unbiased_grad"),
    [("k1", True, False), ("k2", False, True), ("k3", True, False), ("k3_unbiased", True, True)],
)
def test_which_estimates_have_the_value_and_which_the_grad_of_the_true_kl(
    estimator, unbiased_value, unbiased_grad
) -> None:
    logits = torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64, requires_grad=True)
    reference = torch.log_softmax(torch.tensor([1.0, 0.2, -0.4], dtype=torch.float64), 0)
    logprobs = torch.log_softmax(logits, 0)
    exact = (logprobs.exp() * (logprobs - reference)).sum()
    (exact_grad,) = torch.autograd.grad(exact, logits, retain_graph=True)
    # The expectations of the estimate and of its grad over tokens drawn from the policy.
    expected = (logprobs.detach().exp() * kl_to_reference(logprobs, reference, estimator)).sum()
    (grad,) = torch.autograd.grad(expected, logits)
    assert torch.allclose(expected, exact) == unbiased_value
    assert torch.allclose(grad, exact_grad) == unbiased_grad


def test_a_policy_far_from_the_reference_is_still_drawn_to_it() -> None:
    policy = torch.tensor([-30.0], requires_grad=True)
    (grad,) = torch.autograd.grad(kl_to_reference(policy, torch.tensor([-5.0]), "k3_unbiased").sum(), policy)
    assert grad.item() == -25.0
    # The exponential alone cut at 20 would leave a grad of +1, away from the reference.
    (grad,) = torch.autograd.grad(kl_to_reference(policy, torch.tensor([-5.0]), "k3").sum(), policy)
    assert grad.item() == 0.0


def test_the_entropy_bonus_enters_with_its_coefficient_and_its_gradient() -> None:
    logits = torch.tensor([[0.3, -0.7, 1.1], [0.0, 0.5, -0.5]], dtype=torch.float64, requires_grad=True)
    settings = _with(entropy_coefficient=0.1)
    weights = torch.tensor([0.5, 0.25], dtype=torch.float64)

    def gradient(logprobs, entropies):
        loss, _ = grpo_loss(
            logprobs,
            entropy_N=entropies,
            old_logprobs_N=None,
            sampler_logprobs_N=logprobs.detach(),
            reference_logprobs_N=None,
            advantages_N=torch.tensor([1.0, -1.0]),
            weights_N=weights,
            sequences_N=torch.tensor([0, 1]),
            config=settings,
        )
        return torch.autograd.grad(loss, logits)[0]

    plain = (logits / 0.7).log_softmax(-1)
    expected = gradient(plain[[0, 1], [2, 0]], -(plain.exp() * plain).sum(-1))
    ours = gradient(*token_logprobs(_identity(3, torch.float64), logits, torch.tensor([2, 0]), 0.7))
    torch.testing.assert_close(ours, expected)


def test_the_kl_enters_the_loss_with_its_coefficient_and_without_rollout_correction() -> None:
    settings = _with(kl_coefficient=0.1)
    loss, gradient, sums = _grpo(
        [-1.0], sampler=[-1.0 - math.log(1.5)], reference=[-2.0], advantages=[0.0], weights=[0.5], config=settings
    )
    assert loss == pytest.approx(0.5 * 0.1 * math.exp(-1))
    assert gradient == pytest.approx([0.5 * 0.1 * 1.0])
    assert _mean(sums, "actor/kl_loss") == pytest.approx(math.exp(-1))


# Log-probabilities


def _identity(size: int, dtype: torch.dtype) -> nn.Linear:
    """A head whose logits are its input."""
    head = nn.Linear(size, size, bias=False, dtype=dtype)
    with torch.no_grad():
        head.weight.copy_(torch.eye(size))
    return head.requires_grad_(False)


def test_log_probabilities_and_entropy_are_those_of_the_softmax_at_the_temperature() -> None:
    hidden = torch.tensor([[0.0, math.log(2.0), math.log(5.0)]])
    logprobs, entropy = token_logprobs(_identity(3, torch.float32), hidden, torch.tensor([2]), 1.0)
    # Probabilities 1/8, 2/8, 5/8.
    assert logprobs.item() == pytest.approx(math.log(5 / 8))
    assert entropy.item() == pytest.approx(-sum(p * math.log(p) for p in (1 / 8, 2 / 8, 5 / 8)))
    logprobs, entropy = token_logprobs(_identity(3, torch.float32), hidden, torch.tensor([1]), 0.5)
    # Temperature 1/2 squares the odds: 1, 4, 25 of 30.
    assert logprobs.item() == pytest.approx(math.log(4 / 30))
    assert entropy.item() == pytest.approx(-sum(p * math.log(p) for p in (1 / 30, 4 / 30, 25 / 30)))


@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("rows", [1, CHUNK, CHUNK + 130])
@pytest.mark.parametrize("kept", [True, False])
def test_the_gradients_of_log_probabilities_and_entropies_are_those_of_autograd(rows, temperature, kept) -> None:
    torch.manual_seed(0)
    head = nn.Linear(5, 11, dtype=torch.float64)
    hidden = torch.randn(rows, 5, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(11, (rows,))
    grads, entropy_grads = torch.randn(2, rows, dtype=torch.float64)
    leaves = [hidden, head.weight, head.bias]
    for entropies_count in (False, True):
        ours = token_logprobs(head, hidden, targets, temperature, logits=Logits(kept=kept))
        logs = (head(hidden) / temperature).log_softmax(-1)
        theirs = logs.gather(1, targets[:, None])[:, 0], -(logs.exp() * logs).sum(-1)
        torch.testing.assert_close(ours, theirs)
        found, expected = (
            torch.autograd.grad(one @ grads + (other @ entropy_grads if entropies_count else 0.0), leaves)
            for one, other in (ours, theirs)
        )
        torch.testing.assert_close(found, expected)


def test_the_output_of_the_head_is_kept_for_one_backward_pass_unless_layers_are_checkpointed() -> None:
    head = nn.Linear(5, 11, bias=False, dtype=torch.float64)
    hidden = torch.randn(CHUNK + 1, 5, dtype=torch.float64, requires_grad=True)
    targets = torch.zeros(CHUNK + 1, dtype=torch.long)

    def found(*, kept: bool) -> torch.Tensor:
        return token_logprobs(head, hidden, targets, 1.0, logits=Logits(kept=kept))[0]

    output = 8 * 11 * (CHUNK + 1)  # bytes of its logits
    saved, remade = (kept_bytes(partial(found, kept=kept), head.parameters()) for kept in (True, False))
    assert saved == remade + output
    logprobs = found(kept=True).sum()
    logprobs.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        logprobs.backward()


def test_a_model_whose_layers_are_checkpointed_makes_its_logits_again(llama) -> None:
    model = deepcopy(llama)
    assert PolicyModel(model, PLAIN).logits.kept
    model.gradient_checkpointing_enable({"use_reentrant": False})
    assert not PolicyModel(model, PLAIN).logits.kept


def test_on_a_gpu_logits_are_worked_on_in_large_blocks_with_few_launches_and_equal_results(monkeypatch) -> None:
    assert logprobs_module.at_once(torch.device("cpu"), 151_936) == (CHUNK, logprobs_module.BLOCK)
    # 512 MiB of float32: 883 rows of Qwen3's vocabulary, 2,730 of SmolLM2's.
    assert logprobs_module.at_once(torch.device("cuda"), 151_936) == (883, 883)
    assert logprobs_module.at_once(torch.device("cuda"), 49_152) == (2730, 2730)
    torch.manual_seed(0)
    head = nn.Linear(5, 11, bias=False, dtype=torch.float64)
    hidden = torch.randn(2730, 5, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(11, (2730,))

    def outcome() -> list[torch.Tensor]:
        found = token_logprobs(head, hidden, targets, 0.7)
        return [*found, *torch.autograd.grad(found[0].sum(), [hidden, head.weight])]

    in_small, small = outcome(), operations(outcome).total()
    monkeypatch.setattr(logprobs_module, "at_once", lambda _device, _vocabulary: (2730, 2730))
    torch.testing.assert_close(outcome(), in_small)
    # 43 blocks of 64 rows, each with a dozen operations, against one.
    assert operations(outcome).total() < 40 < 500 < small


def test_a_token_that_is_nearly_certain_keeps_its_gradient_in_bf16() -> None:
    logits = torch.tensor([[math.log(0.999 / 0.001), 0.0]], dtype=torch.bfloat16, requires_grad=True)
    logprobs, _ = token_logprobs(_identity(2, torch.bfloat16), logits, torch.tensor([0]), 1.0)
    (gradient,) = torch.autograd.grad(logprobs.sum(), logits)
    # 1 - p and p - 1: about 0.001, which would be lost beside a 1 in bf16.
    assert gradient[0].tolist() == pytest.approx([0.001, -0.001], rel=0.05)


@pytest.fixture(scope="module")
def llama() -> nn.Module:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=64,
        initializer_range=0.5,  # far from uniform, so that a wrong column would show
    )
    return LlamaForCausalLM(config).eval()


def _sample(prompt: int, completion: int, seed: int, advantage: float = 1.0) -> Sample:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, 50, (prompt + completion,), generator=generator).tolist()
    logprobs = (-torch.rand(completion, generator=generator) - 3.0).tolist()
    return Sample(
        uid=str(seed),
        prompt_ids=tuple(tokens[:prompt]),
        completion_ids=tuple(tokens[prompt:]),
        logprobs=tuple(logprobs),
        advantages=(advantage,) * completion,
    )


def _plain(model: nn.Module, sample: Sample, temperature: float) -> torch.Tensor:
    """Log-probabilities of the completion by one forward pass of the whole sequence, alone."""
    model.set_attn_implementation("sdpa")
    tokens = torch.tensor([sample.prompt_ids + sample.completion_ids])
    logits = model.model(tokens).last_hidden_state @ model.lm_head.weight.T
    logprobs = (logits.float() / temperature).log_softmax(-1)[0]
    start = len(sample.prompt_ids)
    return torch.stack([logprobs[place - 1, tokens[0, place]] for place in range(start, tokens.shape[1])])


def _policy(model: nn.Module, batch, temperature: float = 1.0):
    return PolicyModel(model, PLAIN)(
        batch.input_ids_1T,
        batch.position_ids_1T,
        batch.layout,
        batch.columns_N,
        batch.targets_N,
        temperature,
    )


def _rows(*packs):
    return collate(tuple(tuple(Weighted(sample=sample, weight=1.0) for sample in pack) for pack in packs))


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_a_sequence_has_the_log_probabilities_of_a_plain_pass_alone_and_beside_another(llama, temperature) -> None:
    short, long = _sample(4, 3, 1), _sample(6, 20, 2)
    alone, beside = _rows([short]), _rows([short], [long])
    with torch.no_grad():
        expected = _plain(llama, short, temperature)
        torch.testing.assert_close(_policy(llama, alone, temperature)[0], expected, rtol=1e-5, atol=1e-5)
        packed = _policy(llama, beside, temperature)[0]
        torch.testing.assert_close(packed[:3], expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(packed[3:], _plain(llama, long, temperature), rtol=1e-5, atol=1e-5)


def _outcome(model: nn.Module, batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities, and the gradient of all weights along fixed grads."""
    model.zero_grad()
    logprobs, _ = _policy(model, batch)
    (logprobs * torch.linspace(-1, 1, len(logprobs))).sum().backward()
    return logprobs.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])


def _assert_same(ours: tuple[torch.Tensor, torch.Tensor], theirs: tuple[torch.Tensor, torch.Tensor]) -> None:
    (our_logprobs, our_gradient), (their_logprobs, their_gradient) = ours, theirs
    torch.testing.assert_close(our_logprobs, their_logprobs, rtol=1e-5, atol=1e-5)
    assert (our_gradient - their_gradient).norm() < 1e-5 * their_gradient.norm()


GROUP = [replace(_sample(12, length, length), prompt_ids=_sample(12, 1, 0).prompt_ids) for length in (5, 1, 9)]
OTHER = _sample(7, 4, 9)


def test_a_prompt_shared_by_its_completions_gives_what_a_repeated_prompt_gives(llama) -> None:
    shared, repeated = _rows(GROUP, [OTHER]), _rows(*([sample] for sample in (*GROUP, OTHER)))
    assert shared.input_ids_1T.numel() < repeated.input_ids_1T.numel()
    _assert_same(_outcome(llama, shared), _outcome(llama, repeated))


def test_what_is_only_read_costs_nothing_and_teaches_nothing(llama) -> None:
    # A completion with no trained token, and one with no token at all.
    silent, empty = replace(OTHER, loss_mask=(False,) * 4), replace(GROUP[0], completion_ids=(), logprobs=())
    logprobs, gradient = _outcome(llama, _rows([replace(silent, advantages=())], [empty]))
    assert (logprobs.tolist(), gradient.abs().max()) == ([], 0.0)
    beside = _rows([silent], [GROUP[0], empty])
    _assert_same(_outcome(llama, beside), _outcome(llama, _rows([GROUP[0]])))
    _assert_same(_outcome(llama, _rows([empty], GROUP[:1])), _outcome(llama, _rows(GROUP[:1])))
    assert _outcome(llama, _rows([empty]))[0].tolist() == []


def test_our_own_products_give_what_a_gpu_gets_from_fused_kernels(llama, monkeypatch) -> None:
    batch = _rows(GROUP, [OTHER])
    ours = _outcome(llama, batch)
    monkeypatch.setattr(attention._SharedPrefix, "apply", attention.fused)
    _assert_same(ours, _outcome(llama, batch))


def test_the_chunks_in_which_logits_exist_change_no_log_probability(llama, monkeypatch) -> None:
    batch = _rows([_sample(3, 9, 3)])
    with torch.no_grad():
        whole = _policy(llama, batch)
        monkeypatch.setattr("learner.logprobs.CHUNK", 4)
        for ours, theirs in zip(_policy(llama, batch), whole, strict=True):
            torch.testing.assert_close(ours, theirs)


SAMPLES = [
    _sample(prompt, completion, seed, advantage)
    for seed, (prompt, completion, advantage) in enumerate(
        [(3, 2, 0.5), (5, 7, -0.5), (2, 4, 1.0), (8, 1, -1.0), (4, 9, 0.25), (3, 3, -0.25)]
    )
]
SAMPLES += [replace(SAMPLES[1], completion_ids=(7, 8, 9), logprobs=(-3.0,) * 3, advantages=(0.5, -0.5, 0.1))]
SAMPLES += [replace(SAMPLES[1], advantages=(0.75,) * 7)]


def _gradient(model: nn.Module, ranks: int, max_tokens: int, aggregation):
    """The gradient of the optimizer batch, summed over all micro-batches of all ranks, as one vector."""
    model.zero_grad()
    settings_ = _with(kl_coefficient=0.05)
    for rank in plan_microbatches(
        weigh(SAMPLES, aggregation, max_new_tokens=10, sampled=len(SAMPLES)), ranks=ranks, max_tokens=max_tokens
    ):
        for packs in rank:
            batch = collate(packs)
            logprobs, entropies = _policy(model, batch)
            loss, _ = grpo_loss(
                logprobs,
                entropy_N=entropies,
                old_logprobs_N=None,
                sampler_logprobs_N=batch.sampler_logprobs_N,
                reference_logprobs_N=logprobs.detach() - 0.1,
                advantages_N=batch.advantages_N,
                weights_N=batch.weights_N,
                sequences_N=batch.sequences_N,
                config=settings_,
            )
            loss.backward()
    return torch.cat([parameter.grad.flatten() for parameter in model.parameters()])


@pytest.mark.parametrize("aggregation", ["token_mean", "sequence_mean", "constant"])
def test_any_split_into_micro_batches_and_ranks_gives_the_same_gradient(llama, aggregation) -> None:
    whole = _gradient(llama, ranks=1, max_tokens=10_000, aggregation=aggregation)
    assert whole.norm() > 0

    @settings(max_examples=8, deadline=None)
    @given(ranks=st.integers(1, 4), max_tokens=st.integers(1, 60))
    def same(ranks, max_tokens) -> None:
        torch.testing.assert_close(_gradient(llama, ranks, max_tokens, aggregation), whole, rtol=1e-4, atol=1e-6)

    same()


def test_the_chunks_in_which_logits_exist_change_no_gradient(llama, monkeypatch) -> None:
    whole = _gradient(llama, 1, 10_000, "token_mean")
    monkeypatch.setattr("learner.logprobs.CHUNK", 5)
    monkeypatch.setattr("learner.logprobs.BLOCK", 2)
    torch.testing.assert_close(_gradient(llama, 1, 10_000, "token_mean"), whole, rtol=1e-4, atol=1e-6)

"""Log-probabilities among allowed ids against a whole vocabulary in which all other ids have no chance."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learner.logprobs import token_logprobs
from learner.masked_head import ROWS, allowed_tensors, masked_logprobs

VOCABULARY, WIDTH = 23, 5
allowed_ids = st.sets(st.integers(0, VOCABULARY - 1), max_size=6).map(sorted).map(tuple)


def _head(dtype: torch.dtype, *, bias: bool = True) -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(WIDTH, VOCABULARY, bias=bias, dtype=dtype)


def _reference(head, hidden, targets, allowed, temperature):
    """The whole vocabulary in float64, minus infinity where an id is not allowed."""
    logits = torch.nn.functional.linear(hidden.double(), head.weight.double(), None if head.bias is None else head.bias)
    keep = torch.zeros(len(targets), VOCABULARY, dtype=torch.bool)
    for row, ids in enumerate(allowed):
        keep[row, list(ids) or slice(None)] = True
    logs = (logits / temperature).masked_fill(~keep, -torch.inf).log_softmax(-1)
    entropy = -torch.where(keep, logs.exp() * logs.masked_fill(~keep, 0.0), 0.0).sum(-1)
    return logs.gather(1, targets[:, None])[:, 0], entropy


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(allowed_ids, st.integers(0, 100)), min_size=1, max_size=12),
    st.sampled_from([1.0, 0.7]),
    st.booleans(),
)
def test_values_and_gradients_are_those_of_a_whole_vocabulary_without_the_rest(rows, temperature, bias) -> None:
    allowed = [ids for ids, _ in rows]
    targets = torch.tensor([ids[chance % len(ids)] if ids else chance % VOCABULARY for ids, chance in rows])
    found = []
    for ours in (True, False):
        head = _head(torch.float64, bias=bias)
        hidden = torch.randn(len(rows), WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        hidden.requires_grad_()
        if ours:
            values = token_logprobs(head, hidden, targets, temperature, allowed_tensors(allowed, targets.tolist()))
        else:
            values = _reference(head, hidden, targets, allowed, temperature)
        grads = torch.arange(1.0, len(rows) + 1)
        ((values[0] * grads).sum() + (values[1] * grads.flip(0)).sum()).backward()
        parameters = [hidden.grad, head.weight.grad, *([head.bias.grad] if bias else [])]
        found.append([*(value.detach() for value in values), *parameters])
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs.to(mine.dtype), rtol=1e-9, atol=1e-9)


def test_gradients_are_finite_differences() -> None:
    head, allowed = _head(torch.float64), allowed_tensors([(1, 4, 7), (2, 3)], [4, 3])
    assert allowed is not None

    def values(hidden, weight, bias):
        return masked_logprobs(SimpleNamespace(weight=weight, bias=bias), hidden, allowed, 0.8)

    hidden = torch.randn(2, WIDTH, dtype=torch.float64, requires_grad=True)
    weight, bias = (parameter.detach().requires_grad_() for parameter in (head.weight, head.bias))
    assert torch.autograd.gradcheck(values, (hidden, weight, bias))


def test_a_token_without_a_choice_has_no_log_probability_no_entropy_and_no_gradient() -> None:
    head, hidden = _head(torch.float32), torch.randn(2, WIDTH, requires_grad=True)
    logprobs, entropies = token_logprobs(head, hidden, torch.tensor([3, 9]), 1.0, allowed_tensors([(3,), (9,)], [3, 9]))
    assert logprobs.tolist() == entropies.tolist() == [0.0, 0.0]
    (logprobs.sum() + entropies.sum()).backward()
    assert hidden.grad is not None
    assert not hidden.grad.any()
    assert head.weight.grad is not None
    assert not head.weight.grad.any()


def test_all_ids_allowed_is_the_free_distribution_and_no_restriction_takes_the_free_way() -> None:
    head, targets = _head(torch.bfloat16), torch.tensor([3, 9])
    hidden = torch.randn(2, WIDTH, dtype=torch.bfloat16)
    everything = allowed_tensors([tuple(range(VOCABULARY))] * 2, targets.tolist())
    free = token_logprobs(head, hidden, targets, 0.9)
    for mine, theirs in zip(token_logprobs(head, hidden, targets, 0.9, everything), free, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-6)
    assert allowed_tensors([(), ()], [3, 9]) is None


def test_more_tokens_than_fit_at_once_are_each_given_their_own_ids() -> None:
    head, count = _head(torch.float32), ROWS + 3
    allowed = [(row % VOCABULARY, (row + 1 + row % 5) % VOCABULARY) for row in range(count)]
    targets = torch.tensor([ids[row % 2] for row, ids in enumerate(allowed)])
    hidden = torch.randn(count, WIDTH)
    found, _ = token_logprobs(head, hidden, targets, 1.0, allowed_tensors(allowed, targets.tolist()))
    expected, _ = _reference(head.double(), hidden, targets, allowed, 1.0)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_a_chosen_id_that_was_not_allowed_is_an_error() -> None:
    with pytest.raises(ValueError, match="completion token 1 is 5, not one of its allowed"):
        allowed_tensors([(), (3, 4)], [1, 5])

"""Linear layers of one input as one product: the same numbers, and only where their weights are one matrix."""

from typing import Any

import pytest
import torch
from torch import nn

from learner.joined_linears import join_linears
from scripts.benchmarks.launches import operations


def flattened(model):
    """The model with its weights one after another in memory, as DeepSpeed keeps them."""
    flat = torch.cat([parameter.data.flatten() for parameter in model.parameters()])
    for parameter in model.parameters():
        parameter.data, flat = flat[: parameter.numel()].view_as(parameter), flat[parameter.numel() :]
    return model


class Layer(nn.Module):
    """Two products of one input, and one of another."""

    def __init__(self, *, bias=False, between=False):
        super().__init__()
        self.first = nn.Linear(4, 3, bias=bias)
        self.norm = nn.LayerNorm(4) if between else None
        self.second = nn.Linear(4, 2, bias=bias)
        self.last = nn.Linear(3, 4, bias=False)

    def forward(self, given):
        one, other = self.first(given), self.second(given)
        return self.last(one) * other.sum(-1, keepdim=True)


def _layers(**options: bool) -> Any:
    torch.manual_seed(0)
    return flattened(nn.ModuleList([Layer(**options), Layer(**options)]))


GIVEN = torch.arange(24.0).view(2, 3, 4) / 10


def _run(layers):
    hidden = GIVEN
    for layer in layers:
        hidden = layer(hidden)
    return hidden


def test_two_products_of_one_input_are_one_with_the_same_outcome_and_gradients() -> None:
    plain, joined = _layers(), _layers()
    names = dict(joined.named_parameters()).keys()
    found = join_linears(joined, lambda: _run(joined))
    assert len(found) == 2
    assert dict(joined.named_parameters()).keys() == names
    outcomes = []
    for layers in (plain, joined):
        _run(layers).square().sum().backward()
        outcomes.append([_run(layers), *(parameter.grad for parameter in layers.parameters())])
    torch.testing.assert_close(*outcomes)
    products = [operations(lambda layers=layers: _run(layers)) for layers in (plain, joined)]
    assert [each["aten::mm"] + each["aten::addmm"] for each in products] == [6, 4]
    # What an optimizer writes in place is what is multiplied.
    with torch.no_grad():
        for layers in (plain, joined):
            layers[1].second.weight.mul_(2)
    torch.testing.assert_close(_run(plain), _run(joined))


@pytest.mark.parametrize(
    "layers",
    [
        pytest.param(_layers(bias=True), id="biases"),
        pytest.param(_layers(between=True), id="other weights between them"),
        pytest.param(nn.ModuleList([Layer(), Layer()]), id="weights that are not flattened"),
        pytest.param(_layers().requires_grad_(False), id="weights that are not trained"),
    ],
)
def test_what_is_not_one_matrix_stays_as_it_is(layers) -> None:
    expected = _run(layers)
    assert join_linears(layers, lambda: _run(layers)) == []
    assert torch.equal(_run(layers), expected)


def test_a_layer_that_is_called_twice_stays_as_it_is() -> None:
    layers = _layers()
    assert join_linears(layers, lambda: (_run(layers), _run(layers))) == []


def test_nothing_of_an_input_is_kept_after_its_last_product() -> None:
    layers = _layers()
    found = join_linears(layers, lambda: _run(layers))
    layers[0].first(GIVEN)
    assert len(found[0]._parts) == 2
    layers[0].second(GIVEN)
    assert found[0]._given is None
    assert found[0]._parts == ()


def test_another_input_before_the_last_product_is_multiplied_anew() -> None:
    layers = _layers()
    expected = layers[0].second(GIVEN + 1)
    join_linears(layers, lambda: _run(layers))
    layers[0].first(GIVEN)
    torch.testing.assert_close(layers[0].second(GIVEN + 1), expected)


def test_weights_that_were_moved_are_an_error() -> None:
    layers = _layers()
    found = join_linears(layers, lambda: _run(layers))
    for joined in found:
        joined.check()
    layers[1].second.weight.data = layers[1].second.weight.data.clone()
    found[0].check()
    with pytest.raises(RuntimeError, match="moved in memory"):
        found[1].check()

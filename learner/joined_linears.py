"""Linear layers of one input as one matrix product: queries, keys and values; gate and up.

DeepSpeed keeps the weights of a policy one after another, so theirs are one matrix without a copy. Such a group takes
one product forward and two backward, where its layers by themselves take two or three and four or six.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

import torch
from torch import nn
from torch.nn import functional


class JoinedLinears:
    """Linear layers without a bias, in the order of their calls, whose weights are one matrix in memory."""

    def __init__(self, linears: Sequence[nn.Linear]) -> None:
        """Takes the layers over: each now returns its part of the product."""
        self._weights = [linear.weight for linear in linears]
        first = self._weights[0].detach()
        rows = sum(len(weight) for weight in self._weights)
        self._joined_OI = first.as_strided((rows, first.shape[1]), first.stride())
        self._given: torch.Tensor | None = None
        self._parts: Sequence[torch.Tensor] = ()
        """The outputs of all of them, from the first call to the last."""
        for place, linear in enumerate(linears):
            # Their class, not their ``forward``: a compiled layer would serve only the instance with this function.
            linear.__class__ = _Part
            linear.joined, linear.place = self, place  # type: ignore[assignment]

    def check(self) -> None:
        """Raise RuntimeError if the weights are not where they were joined."""
        if self._weights[0].data_ptr() != self._joined_OI.data_ptr() or not _one_after_another(self._weights):
            raise RuntimeError("weights that are multiplied as one were moved in memory")

    def part(self, place: int, given: torch.Tensor) -> torch.Tensor:
        if given is not self._given:
            self._given, self._parts = given, _Product.apply(given, self._joined_OI, *self._weights)  # type: ignore[assignment]
        part = self._parts[place]
        if place + 1 == len(self._weights):
            self._given, self._parts = None, ()
        return part


class _Part(nn.Linear):
    joined: JoinedLinears
    place: int

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return self.joined.part(self.place, input)


class _Product(torch.autograd.Function):
    """(input, joined weights, the weights) -> the output of each."""

    @staticmethod
    def forward(ctx: Any, given: torch.Tensor, joined_OI: torch.Tensor, *weights: torch.Tensor) -> Any:
        ctx.save_for_backward(given, joined_OI)
        return functional.linear(given, joined_OI).split([len(weight) for weight in weights], -1)

    @staticmethod
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx: Any, *grads: torch.Tensor
    ) -> tuple[torch.Tensor | None, ...]:
        given, joined_OI = ctx.saved_tensors
        grad = torch.cat(grads, -1)
        of_weights_OI = grad.flatten(0, -2).T @ given.flatten(0, -2)
        return grad @ joined_OI, None, *of_weights_OI.split([each.shape[-1] for each in grads])


def join_linears(layers: nn.ModuleList, run: Callable[[], object]) -> list[JoinedLinears]:
    """Join what can be joined in ``layers``: linear layers that are called one after another with one input while
    ``run`` runs, each once."""
    calls: list[tuple[Any, torch.Tensor]] = []
    handles = [
        linear.register_forward_pre_hook(lambda linear, given: calls.append((linear, given[0])))
        for linear in layers.modules()
        if type(linear) is nn.Linear
    ]
    try:
        with torch.no_grad():
            run()
    finally:
        for handle in handles:
            handle.remove()
    times = Counter(linear for linear, _ in calls)
    groups = ([linear for linear, _ in group] for _, group in groupby(calls, key=lambda call: id(call[1])))
    return [JoinedLinears(each) for each in groups if len(each) > 1 and _can_be_joined(each, times)]


def _can_be_joined(linears: Sequence[nn.Linear], times: Mapping[nn.Linear, int]) -> bool:
    plain = all(times[each] == 1 and each.bias is None and each.weight.requires_grad for each in linears)
    return plain and _one_after_another([each.weight for each in linears])


def _one_after_another(weights: Sequence[torch.Tensor]) -> bool:
    return all(
        one.is_contiguous() and one.shape[1:] == other.shape[1:] and one.data_ptr() + one.nbytes == other.data_ptr()
        for one, other in pairwise(weights)
    )

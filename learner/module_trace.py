"""Inspecting a model: its modules in float32 for a while, and the first module whose output differs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

SMALL = 2**16
"""Modules with at most this many numbers are widened at the start."""
SAME = 2e-4
"""Largest difference, relative to the largest value, that is rounding."""


@contextmanager
def in_float32(model: nn.Module) -> Iterator[None]:
    """Each part of the model computes in float32 from its own weights, which are widened only while it runs, so that
    no second model is in memory; small ones at the start, because some models read their weights without running
    them. The weights are the same tensors again afterwards."""
    # The layer of an adapter reads the types of its parts' weights, so they are widened together.
    whole = {module for module in model.modules() if hasattr(module, "base_layer")}
    inside = {part for module in whole for part in module.modules() if part is not module}
    own = {
        module: [
            tensor
            for tensor in (*module.parameters(module in whole), *module.buffers(module in whole))
            if tensor.is_floating_point()
        ]
        for module in model.modules()
        if module not in inside
    }
    kept = {tensor: tensor.data for tensors in own.values() for tensor in tensors}
    running: list[list[tuple[torch.Tensor, torch.Tensor]]] = []

    def widen(module: nn.Module, _arguments: Any) -> None:
        running.append([(tensor, tensor.data) for tensor in own[module]])
        for tensor in own[module]:
            tensor.data = tensor.data.float()

    def restore(_module: nn.Module, _arguments: Any, _output: Any) -> None:
        for tensor, data in running.pop():
            tensor.data = data

    handles = []
    for module, tensors in own.items():
        if sum(tensor.numel() for tensor in tensors) <= SMALL:
            for tensor in tensors:
                tensor.data = tensor.data.float()
        else:
            handles.append(module.register_forward_pre_hook(widen))
            handles.append(module.register_forward_hook(restore, always_call=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
        for tensor, data in kept.items():
            tensor.data = data


@dataclass(frozen=True, slots=True)
class Trace:
    """What a module was given for each token and what it gave, (tokens, ...); no input where it is not a float."""

    given: torch.Tensor | None
    result: torch.Tensor

    def of(self, tokens: torch.Tensor) -> "Trace":
        """The same of these tokens alone."""
        return Trace(None if self.given is None else self.given[tokens], self.result[tokens])


Traces = Mapping[str, Trace]
"""Name and class of each module, in the order in which they finish."""


def traces(model: nn.Module, run: Callable[[], object], tokens: int) -> Traces:
    """What the modules do with each of ``tokens`` tokens while ``run`` runs: their first call, and only of those that
    give a value for each token."""
    found: dict[str, Trace] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: Any, options: Any, output: Any) -> None:
            label = f"{name} ({type(module).__name__})"
            result = _by_token(output[0] if isinstance(output, tuple) and output else output, tokens)
            if result is not None and label not in found:
                given = next((value for value in (*arguments, *options.values()) if value is not None), None)
                found[label] = Trace(_by_token(given, tokens), result)

        return hook

    handles = [
        module.register_forward_hook(keep(name), with_kwargs=True) for name, module in model.named_modules() if name
    ]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return found


def _by_token(value: Any, tokens: int) -> torch.Tensor | None:
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        return None
    if value.dim() >= 3 and value.shape[0] * value.shape[1] == tokens:
        return value.flatten(0, 1).float()
    return value.float() if value.dim() >= 2 and value.shape[0] == tokens else None


def joined(parts: Sequence[Traces]) -> Traces:
    """The traces of several runs as one, their tokens one after the other."""
    return {
        name: Trace(
            None if trace.given is None else torch.cat([part[name].given for part in parts]),  # type: ignore[misc]
            torch.cat([part[name].result for part in parts]),
        )
        for name, trace in parts[0].items()
    }


def first_difference(these: Traces, those: Traces) -> str | None:
    """The first module, as ``traces`` names them, with another output for the same input."""
    for name, ours in these.items():
        theirs = those.get(name)
        if theirs is not None and _same(ours.given, theirs.given) and not _same(ours.result, theirs.result):
            return name
    return None


def _same(ours: torch.Tensor | None, theirs: torch.Tensor | None) -> bool:
    if ours is None or theirs is None or ours.shape != theirs.shape:
        return ours is theirs
    return bool((ours - theirs).abs().max() <= SAME * theirs.abs().max().clamp(min=1e-6))

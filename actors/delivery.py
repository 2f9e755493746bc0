"""A published policy on its last way: from where a transport has put it into the process that holds the model."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from rnr.digest import combined, tensor_digest

Tensors = Iterator[tuple[str, torch.Tensor]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A published policy as it lies before an engine."""

    version: int
    receiver: str
    """``module:function`` of a transport that turns ``payload`` into (name, bf16 tensor); it is called in the process
    that holds the model."""
    payload: Any
    """Small and picklable, such as a folder or handles."""


def received(receiver: str, payload: Any) -> tuple[Tensors, Callable[[], str]]:
    """The tensors, and what gives their digest (``rnr.digest``) once all have been taken."""
    module, _, function = receiver.partition(":")
    receive = getattr(importlib.import_module(module), function)
    seen: dict[str, bytes] = {}

    def tensors() -> Tensors:
        for name, tensor in receive(payload):
            seen[name] = tensor_digest(name, bits(tensor))
            yield name, tensor

    return tensors(), lambda: combined(seen)


def bits(tensor: torch.Tensor) -> Any:
    """A bf16 tensor as a numpy array of int16 with the same bits, because numpy has no bfloat16."""
    return tensor.detach().to("cpu", torch.bfloat16).contiguous().view(torch.int16).numpy()

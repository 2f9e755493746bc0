"""The last hop of a weight sync: from the transport's staging area into the process that holds the model."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from rnr.digest import Digest, bits

Tensors = Iterator[tuple[str, torch.Tensor]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A published policy, ready for an engine to load."""

    version: int
    receiver: str
    """``module:function`` of a transport that turns ``payload`` into (name, bf16 tensor); it is called in the process
    that holds the model."""
    payload: Any
    """Small and picklable, such as a folder or handles."""


def received(receiver: str, payload: Any) -> tuple[Tensors, Callable[[], str]]:
    """The tensors, and a function that returns their digest (``rnr.digest``) once all have been read."""
    module, _, function = receiver.partition(":")
    receive = getattr(importlib.import_module(module), function)
    seen = Digest()

    def tensors() -> Tensors:
        for name, tensor in receive(payload):
            seen.add(name, bits(tensor))
            yield name, tensor

    return tensors(), seen.result

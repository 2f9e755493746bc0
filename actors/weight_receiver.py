"""The receiving end of a weight sync, inside vLLM's own worker process (``worker_extension_cls``).

vLLM's interfaces for this move between releases; ``actors/vllm_engine.py`` names the files that know them.
"""

import ctypes
import signal
from typing import Any

import torch

from actors.delivery import received

# This module is imported by the engine process: should the rollout worker die by SIGKILL, the engine must not survive.
ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


if not torch.cuda.is_available():
    import actors.cpu_norm  # noqa: F401  # registers what actors.vllm_engine asks for


class WeightReceiver:
    """Methods that vLLM mixes into its worker and ``collective_rpc`` can call."""

    model_runner: Any

    def load_policy(self, receiver: str, payload: Any) -> str:
        """Replace all weights by those that a transport has delivered (``actors.delivery``); their digest."""
        model = self.model_runner.get_model()
        tied = tied_weights(model)
        forget_derived(model)
        weights, digest = received(receiver, payload)
        self.model_runner.reload_weights(weights_iterator=weights, is_checkpoint_format=True)
        tie_again(tied)
        return digest()


def forget_derived(model: torch.nn.Module) -> None:
    """Drop what vLLM derives from weights once and keeps over a reload.

    Experts on a CPU are packed by the kernel that is made for them, and a reload packs nothing as long as there is one:
    the kernel would read plain weights as packed ones. A gate that is joined with that of the shared experts is a copy.
    """
    for module in model.modules():
        method = getattr(module, "quant_method", None)
        if getattr(method, "moe_kernel", None) is not None and next(module.parameters()).device.type == "cpu":
            method.moe_kernel = None  # type: ignore[union-attr]
        if getattr(module, "_combined_gate_weight", None) is not None:
            module._combined_gate_weight = None  # type: ignore[assignment]


Place = tuple[torch.nn.Module, str]
"""A module and the name of one of its parameters."""


def tied_weights(model: torch.nn.Module) -> list[list[Place]]:
    """The places of each parameter that is in more than one module, such as a tied head, whatever their names."""
    places: dict[int, list[Place]] = {}
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            places.setdefault(id(parameter), []).append((module, name))
    return [each for each in places.values() if len(each) > 1]


def tie_again(tied: list[list[Place]]) -> None:
    """Give all places of a parameter what the first of them was loaded with, packed copies included.

    A reload goes layer by layer and passes over a module that shares its parameter with an earlier one. On a CPU vLLM
    has packed the weights of such a module when it was built, and would keep sampling from the old ones without any
    error.
    """
    from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm

    for (owner, name), *others in tied:
        for module, own_name in others:
            setattr(module, own_name, getattr(owner, name))
            if hasattr(module, "cpu_linear"):
                dispatch_cpu_unquantized_gemm(module, remove_weight=False)

"""The layers of a model compiled: norms, rotary embedding, activation and residuals become a few fused kernels a layer,
and products of one input are one. One compiled pass serves all layers, and it starts its kernels without Python in
between."""

from collections.abc import Callable
from typing import Any

from torch import nn

from learner.architecture import UnsupportedModel
from learner.joined_linears import join_linears
from learner.logprobs import body, causal_model


def layers(model: Any) -> nn.ModuleList:
    """The layers of a model: the longest list of modules in its body. Raises UnsupportedModel where there is none."""
    lists = [module for module in body(causal_model(model)).modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        raise UnsupportedModel(f"{type(model).__name__} has no list of layers to compile")
    return max(lists, key=len)


def compile_layers(policy: Any, run: Callable[[], object]) -> int:
    """Compile the layers of a policy in place, and the passes over its logits, for rows of any length, when they first
    run; returns how many layers. ``run`` is a forward pass, made before, which shows what can be joined."""
    found = layers(policy.model)
    policy.joined = join_linears(found, run)
    for layer in found:
        layer.compile(dynamic=True)
    policy.fuse_head()
    return len(found)

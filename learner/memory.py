"""How many tokens a micro-batch may have: from what a forward pass keeps for the backward pass, and the free memory.

Kept tensors are counted by autograd's hooks, so the count is the same on any device and for any model, with gradient
checkpointing too.
"""

from collections.abc import Callable
from typing import Any

import torch

ON_CPU = 2048
"""Tokens where there is no GPU: more are no faster there."""
SHARDED = 8192
"""Tokens on a GPU with ZeRO stage 3, whose forward pass cannot be tried by one rank alone."""
MOST = 32_768
"""On a GPU of any size: from here on nothing is gained."""
LEAST = 2048
"""Tokens of the smallest micro-batch on a GPU: where not even they fit there is no run."""
SHARE = 0.7
"""Of the free memory, what kept tensors may take. The rest is for buffers of the optimizer and the collectives, logits,
and what a layer needs while it runs."""

SUM_BYTES = 4
"""Of a weight's gradient in the float32 sum of the micro-batches."""
MOMENT_BYTES = 8
"""Of a weight's two moments."""
BUCKET = 500_000_000
"""Gradients that ZeRO stage 2 collects before it divides them; as many again are made meanwhile."""


def gradient_bytes(trained: float, *, zero_stage: int, ranks: int) -> float:
    """What the gradients of so many weights take on a rank: in bf16, and in the float32 sum of the micro-batches."""
    match zero_stage:
        case 2:
            return 2 * min(trained, 2 * BUCKET) + SUM_BYTES * trained / ranks
        case 3:
            return (2 + SUM_BYTES) * trained / ranks
        case _:  # DeepSpeed keeps a whole sum on every rank in stage 1, too
            return (2 + SUM_BYTES) * trained


def kept_bytes(run: Callable[[], torch.Tensor], parameters: Any) -> int:
    """Bytes that autograd keeps of ``run``'s forward pass, parameters left out, each storage once."""
    known = {parameter.untyped_storage().data_ptr() for parameter in parameters}
    found: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            found[storage.data_ptr()] = storage  # held, so that its address is not given to another
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        run()
    return sum(storage.nbytes() for storage in found.values())


def tokens_that_fit(free_bytes: float, bytes_per_token: float) -> int:
    """Tokens of a micro-batch in ``free_bytes``, in steps of 1,024.

    Raises ValueError where not even ``LEAST`` fit.
    """
    fit = int(SHARE * free_bytes / bytes_per_token) // 1024 * 1024
    if fit < LEAST:
        raise ValueError(
            f"optimizer.max_tokens_per_microbatch: {free_bytes / 2**30:.1f} GiB are left for activations, and at "
            f"{bytes_per_token / 2**10:.0f} KiB a token not even {LEAST} tokens fit. Turn model.gradient_checkpointing "
            "on, lower generation.gpu_memory_fraction, or set a number"
        )
    return min(MOST, fit)


def longest_alone(tokens: int, free_bytes: float, bytes_per_token: float) -> str:
    """What to say of a sequence of so many tokens, the longest that may be trained on, for which ``tokens_that_fit``
    are too few, so that it is a micro-batch of its own; empty where it keeps no more than ``SHARE``.

    Raises ValueError where ``free_bytes`` cannot hold it: training would end with it, whenever it comes.
    """
    kept = tokens * bytes_per_token
    needs = f"{kept / 2**30:.1f} of the {free_bytes / 2**30:.1f} GiB that are left for activations"
    if kept > free_bytes:
        raise ValueError(
            f"a sequence of {tokens} tokens, the longest that may be trained on (prompt and sampling.max_new_tokens), "
            f"takes {needs}. Turn model.gradient_checkpointing on, lower sampling.max_new_tokens, "
            "data.max_prompt_tokens or generation.gpu_memory_fraction, or add cluster.learner_ranks with "
            "optimizer.zero_stage 2"
        )
    if kept <= SHARE * free_bytes:
        return ""
    return f"the longest possible sequence, {tokens} tokens, takes {needs}, which leaves little for what a layer needs"

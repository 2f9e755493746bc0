"""Utilisation: a training step's arithmetic as a share of the machine's matrix-product peak."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnr.types import Sample
from scripts.benchmarks.turns import Numbers, seconds_of


def share_of_peak(
    model_folder: str,
    samples: Sequence[Sample],
    max_tokens: int,
    seconds: float,
    *,
    lora: bool = False,
    device: Any = "cpu",
) -> Numbers:
    """The share that ``seconds`` of training on ``samples`` reach of a bf16 matrix product measured now."""
    peak = _matrix_rate(device)
    computed = positions(samples, max_tokens)
    body, head = matrix_weights(model_folder)
    # For each weight and position two operations forward, two for the gradient of the input and two for that of the
    # weight (arXiv 2001.08361), which an adapter does not need. Only completion tokens meet the head.
    operations = (4 if lora else 6) * (body * computed + head * sum(len(sample.completion_ids) for sample in samples))
    return {
        "positions_computed": computed,
        "matrix_peak_gflops": peak / 1e9,
        "share_of_peak": operations / seconds / peak,
    }


def positions(samples: Sequence[Sample], max_tokens: int) -> int:
    """Tokens that one rank computes for ``samples``: the prompt of a group is computed once in each of its packs."""
    from learner.batch import pack_length, plan_microbatches, weigh

    (plan,) = plan_microbatches(
        weigh(samples, "constant", max_new_tokens=1, sampled=len(samples)), ranks=1, max_tokens=max_tokens
    )
    return sum(pack_length(pack) for micro_batch in plan for pack in micro_batch)


def matrix_weights(model_folder: str) -> tuple[int, int]:
    """Weights that a token is multiplied with: (those of the layers, those of the head). The embedding is looked up, so
    it counts only where it is the head as well."""
    from safetensors import safe_open

    sizes: dict[str, int] = {}
    for file in Path(model_folder).glob("*.safetensors"):
        with safe_open(file, framework="numpy") as tensors:
            sizes |= {name: math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    outer = [size for name, size in sizes.items() if "embed_tokens" in name or "lm_head" in name]
    return sum(sizes.values()) - sum(outer), max(outer)


def _matrix_rate(device: Any) -> float:
    """Operations per second of a bf16 matrix product, the best of a few."""
    import torch

    size = 4096 if torch.device(device).type == "cuda" else 2048
    left, right = (torch.randn(size, size, dtype=torch.bfloat16, device=device) for _ in range(2))

    def product() -> None:
        (left @ right).sum().item()

    product()
    return 2 * size**3 / min(seconds_of(product) for _ in range(5))

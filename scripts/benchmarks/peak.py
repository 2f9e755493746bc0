"""How much of the arithmetic that a machine can do a training step does."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rnr.types import Sample
from scripts.benchmarks.turns import Numbers, seconds_of


def share_of_peak(model_folder: str, positions: int, seconds: float, device: Any = "cpu") -> Numbers:
    """The share that ``seconds`` of training on ``positions`` tokens reach of a bf16 matrix product measured now."""
    peak = _matrix_rate(device)
    # Six operations for each weight and position, forward and backward (arXiv 2001.08361).
    operations = 6 * weight_count(model_folder) * positions
    return {
        "positions_computed": positions,
        "matrix_peak_gflops": peak / 1e9,
        "share_of_peak": operations / seconds / peak,
    }


def positions(samples: Sequence[Sample], max_tokens: int) -> int:
    """Tokens that one rank computes for ``samples``: the prompt of a group stands once in each of its packs."""
    from learner.batch import pack_length, plan_microbatches, weigh

    (plan,) = plan_microbatches(weigh(samples, "constant", 1), ranks=1, max_tokens=max_tokens)
    return sum(pack_length(pack) for micro_batch in plan for pack in micro_batch)


def weight_count(model_folder: str) -> int:
    """Weights in the safetensors of a model folder; a tied head counts once."""
    from safetensors import safe_open

    total = 0
    for file in Path(model_folder).glob("*.safetensors"):
        with safe_open(file, framework="numpy") as tensors:
            total += sum(math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118
    return total


def _matrix_rate(device: Any) -> float:
    """Operations per second of a bf16 matrix product, the best of a few."""
    import torch

    size = 4096 if torch.device(device).type == "cuda" else 2048
    left, right = (torch.randn(size, size, dtype=torch.bfloat16, device=device) for _ in range(2))

    def product() -> None:
        (left @ right).sum().item()

    product()
    return 2 * size**3 / min(seconds_of(product) for _ in range(5))

"""Utilisation of a training step: its operations per second as a share of the peak rate of a matrix product."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cluster.datasheets import machine_of
from rnr.types import Sample
from scripts.benchmarks.turns import Numbers, seconds_of

PRODUCTS = 20
"""Matrix products between two clock readings on a GPU, so that the final synchronisation does not distort the rate."""


def share_of_peak(
    model_folder: str,
    samples: Sequence[Sample],
    max_tokens: int,
    seconds: float,
    *,
    lora: bool = False,
    device: Any = None,
) -> Numbers:
    """Utilisation when training on ``samples`` takes ``seconds``: as a share of a bf16 matrix product, measured now,
    and of the datasheet's peak (``mfu``, for a known GPU). The device is the GPU, if there is one, by default."""
    import torch

    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    peak = _matrix_rate(device)
    computed = positions(samples, max_tokens)
    body, head = matrix_weights(model_folder)
    # Per weight and position: two operations in the forward pass, two for the gradient of the input, and two for the
    # gradient of the weight (arXiv 2001.08361), which an adapter does not need. Only completion tokens reach the head.
    operations = (4 if lora else 6) * (body * computed + head * sum(len(sample.completion_ids) for sample in samples))
    numbers: Numbers = {
        "positions_computed": computed,
        "matrix_peak_gflops": peak / 1e9,
        "share_of_peak": operations / seconds / peak,
        "device": device_name(device),
    }
    if machine := machine_of(numbers["device"]):
        numbers |= {"datasheet_gflops": machine.flops / 1e9, "mfu": operations / seconds / machine.flops}
    return numbers


def device_name(device: Any = None) -> str:
    """The name of the GPU, or ``cpu``; by default of the GPU if there is one."""
    import torch

    device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def positions(samples: Sequence[Sample], max_tokens: int) -> int:
    """Positions that one rank computes for ``samples``: the prompt of a group counts once per pack of the group."""
    from learner.batch import pack_length, plan_microbatches, weigh

    weighted = weigh(samples, "constant", max_new_tokens=1, sampled=len(samples))
    (plan,) = plan_microbatches(weighted, ranks=1, max_tokens=max_tokens)
    return sum(pack_length(pack) for micro_batch in plan for pack in micro_batch)


def matrix_weights(model_folder: str) -> tuple[int, int]:
    """The number of weights that a token is multiplied with: (in the layers, in the head). The embedding is a lookup,
    so it counts only if it is tied to the head."""
    from safetensors import safe_open

    sizes: dict[str, int] = {}
    for file in Path(model_folder).glob("*.safetensors"):
        with safe_open(file, framework="numpy") as tensors:
            sizes |= {name: math.prod(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    outer = [size for name, size in sizes.items() if "embed_tokens" in name or "lm_head" in name]
    return sum(sizes.values()) - sum(outer), max(outer)


def _matrix_rate(device: Any) -> float:
    """Operations per second of a bf16 matrix product, the best of five measurements."""
    import torch

    on_gpu = torch.device(device).type == "cuda"
    size, count = (8192, PRODUCTS) if on_gpu else (2048, 1)
    left, right = (torch.randn(size, size, dtype=torch.bfloat16, device=device) for _ in range(2))

    def products() -> None:
        product = left @ right
        for _ in range(count - 1):
            product = left @ right
        product[0, 0].item()

    products()
    return 2 * size**3 * count / min(seconds_of(products) for _ in range(5))

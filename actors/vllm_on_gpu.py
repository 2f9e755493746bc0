"""vLLM on a GPU: which batch sizes are captured as graphs, how a model is divided over several, and whether it is built
for one."""

from typing import Any

from rnr.config import GenerationConfig
from rnr.model_folder import read_text_config

STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Eights of the sizes that are captured: a batch is filled up to the next one, by a half of itself at most."""


def capture_sizes(max_num_seqs: int) -> list[int]:
    """Batch sizes of the CUDA graphs for decoding up to ``max_num_seqs`` sequences at once.

    By default vLLM captures every multiple of 8 up to twice as many, 19 for 64 and 51 for 256, each in two forms. Here
    they are 9 and 13, and beyond the largest the compiled model runs without a graph.
    """
    below = [size for size in (1, 2, 4, *(8 * step for step in STEPS)) if size < max_num_seqs]
    return sorted({*below, min(max_num_seqs, 8 * STEPS[-1])})


def gpu_arguments(generation: GenerationConfig, *, gpus: float) -> dict[str, Any]:
    """Arguments of vLLM's engine. Several GPUs are those that Ray has given this process, so vLLM's own processes, not
    Ray's, hold the parts of the model: they see no others and end with it. One that sleeps at times has weights and
    cache in memory that can be given back."""
    compilation: dict[str, Any] = {"cudagraph_capture_sizes": capture_sizes(generation.sequences)}
    if not generation.compile:
        # Both, because vLLM's own mode has graphs of parts, which need compilation: without it there would be none.
        compilation |= {"mode": 0, "cudagraph_mode": "FULL_DECODE_ONLY"}
    arguments: dict[str, Any] = {"compilation_config": compilation}
    if generation.sleep_level:
        arguments["enable_sleep_mode"] = True
    if gpus > 1:
        arguments |= {"tensor_parallel_size": round(gpus), "distributed_executor_backend": "mp"}
    return arguments


def refuse_platform(*, use_gpu: bool) -> None:
    """Raise ValueError where this vLLM is built for another device. One for GPUs would take a GPU of its host that it
    was not given: Ray hides none from a worker without."""
    from vllm import __version__
    from vllm.platforms import current_platform

    if current_platform.is_cpu() != use_gpu:
        return
    if use_gpu:
        raise ValueError(
            f"the engine has a GPU, but vLLM {__version__} is built for CPUs: install its build for GPUs, or set "
            "cluster.gpus_per_rollout_worker=0"
        )
    raise ValueError(
        f"the engine has no GPU, but vLLM {__version__} is not built for CPUs: install its build for CPUs, or raise "
        "cluster.gpus_per_rollout_worker"
    )


def refuse_division(model_folder: str, gpus: float | None) -> None:
    """Raise ValueError for a number of GPUs over which the model's attention heads cannot be divided."""
    if gpus is None or gpus <= 1:
        return
    config = read_text_config(model_folder)
    heads, keys = config.get("num_attention_heads"), config.get("num_key_value_heads")
    if type(heads) is not int:
        return
    keys = keys if type(keys) is int and keys > 0 else heads
    # A GPU has whole heads: some of the heads of keys and values, or, where there are fewer, a copy of one.
    fit = [number for number in range(1, heads + 1) if not heads % number and (not keys % number or not number % keys)]
    if round(gpus) not in fit:
        with_keys = f" and {keys} heads of keys and values" if keys != heads else ""
        raise ValueError(
            f"cluster.gpus_per_rollout_worker={gpus:g}: an engine divides the model's {heads} attention "
            f"heads{with_keys} over its GPUs: set it to {' or '.join(map(str, fit))}"
        )

"""What the learner decides from its device: attention, compilation, the size of a micro-batch."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from learner.architecture import UnsupportedModel
from learner.batch import Arrange, Batch, Weighted, collate
from learner.bucketed_layout import bucketed_layout
from learner.compilation import compile_layers
from learner.gradients import use_few_kernels
from learner.logprobs import PolicyModel
from learner.memory import (
    MOMENT_BYTES,
    ON_CPU,
    SHARDED,
    SUM_BYTES,
    gradient_bytes,
    kept_bytes,
    longest_alone,
    tokens_that_fit,
)
from learner.preflight import check_on_device, trial_batch
from learner.settings import Fitted, LearnerSettings
from learner.varlen import activate_fastest, obstacle
from learner.varlen_layout import varlen_layout
from rnr.config import OptimizerConfig
from rnr.types import Sample

Forward = Callable[[Batch], torch.Tensor]
"""The log-probabilities of a batch's completion tokens."""

SEQUENCES, TOKENS = 8, 128
"""Of the batch by which the memory of a token is measured; half of each sequence is completion."""
COPY_BYTES = 2
"""For each trained weight: one in bf16."""


def fit_to_device(engine: Any, run: Forward, settings: LearnerSettings) -> Fitted:
    """Make DeepSpeed's ``engine``, through which ``run`` goes, fit for its device. Collective: all ranks together.

    Raises UnsupportedModel if the device computes other log-probabilities than attention in length buckets.
    """
    policy, device = engine.module, engine.device
    notes: list[str] = []
    arrange: Arrange = bucketed_layout
    reason = obstacle(device, policy.head_widths)
    if reason is None:
        arrange = varlen_layout
        notes.append(f"attention: one call of {activate_fastest(device)} a layer")
    elif device.type != "cpu":
        notes.append(f"attention: by length buckets, several times slower, because {reason}")
    compiled = _compiles(settings.optimizer, arrange)
    if arrange is varlen_layout:
        notes += _check_varlen(run, policy, device, compiled=compiled)
    if device.type == "cuda" and use_few_kernels(engine.optimizer):
        notes.append("gradients: summed and measured in a few kernels")
    max_tokens = _max_tokens(policy, device, settings, arrange, torch.distributed.get_world_size(), notes)
    return Fitted(arrange=arrange, max_tokens=max_tokens, notes=tuple(notes))


def _check_varlen(run: Forward, policy: PolicyModel, device: torch.device, *, compiled: bool) -> list[str]:
    """Compile the layers where that is asked for, and compare one attention call a layer with length buckets."""
    notes = []
    buckets, varlen = (trial_batch(policy, device, arrange) for arrange in (bucketed_layout, varlen_layout))
    with torch.no_grad():
        expected = run(buckets)
        if compiled:
            count = compile_layers(policy, partial(run, varlen))
            joined = f", {len(policy.joined)} groups of matrix products joined" if policy.joined else ""
            notes.append(f"compiled: {count} layers{joined}")
        check_on_device(run(varlen), expected, policy)
    return notes


def _compiles(optimizer: OptimizerConfig, arrange: Arrange) -> bool:
    obstacles = {
        "optimizer.zero_stage is 3, which gathers weights inside layers": optimizer.zero_stage == 3,
        "attention is not one call a layer on this device": arrange is not varlen_layout,
    }
    found = [reason for reason, there in obstacles.items() if there]
    if found and optimizer.compile == "on":
        raise UnsupportedModel(f'optimizer.compile is "on", but {" and ".join(found)}')
    return optimizer.compile != "off" and not found


def _max_tokens(
    policy: PolicyModel,
    device: torch.device,
    settings: LearnerSettings,
    arrange: Arrange,
    ranks: int,
    notes: list[str],
) -> int:
    asked = settings.optimizer.max_tokens_per_microbatch
    if asked != "auto":
        return asked
    zero_stage = settings.optimizer.zero_stage
    if device.type != "cuda" or zero_stage == 3:
        return ON_CPU if device.type != "cuda" else SHARDED
    each = bytes_per_token(policy, device, arrange)
    trained = sum(parameter.numel() for parameter in policy.parameters() if parameter.requires_grad)
    torch.cuda.empty_cache()  # what torch keeps of it is free for it, too, such as where an offloaded state was
    free, whole = torch.cuda.mem_get_info(device)
    # An engine that shares the device may take its part of the memory only later, and copies of the policy come later.
    share = settings.gpu_memory_share * whole - settings.gpu_gib_asleep * 2**30
    mine = min(share - torch.cuda.memory_allocated(device), free)
    later = gradient_bytes(trained, zero_stage=zero_stage, ranks=ranks) + COPY_BYTES * settings.copies * trained
    if zero_stage and not settings.optimizer.offload:
        later += MOMENT_BYTES * trained / ranks  # made in the first step; by stage 0 they are made before
    if zero_stage == 1:
        later -= SUM_BYTES * trained  # made before, too
    left = mine - later
    found = tokens_that_fit(left, each)
    if settings.longest > found and (alone := longest_alone(settings.longest, left, each)):
        notes.append(alone)
    notes.append(
        f"micro-batches: up to {found} tokens ({each / 2**10:.0f} KiB each, {left / 2**30:.0f} GiB for activations)"
    )
    return found


def bytes_per_token(policy: PolicyModel, device: torch.device, arrange: Arrange) -> float:
    """What a forward pass keeps of each token for the backward pass."""
    half = (1,) * (TOKENS // 2)
    samples = (Sample(uid="memory", prompt_ids=(n, *half[1:]), completion_ids=half) for n in range(SEQUENCES))
    batch = collate(tuple((Weighted(sample=sample, weight=1.0),) for sample in samples), device, arrange)

    def run() -> torch.Tensor:
        return policy(
            batch.input_ids_1T, batch.position_ids_1T, batch.layout, batch.columns_N, batch.targets_N, temperature=1.0
        )[0]

    return kept_bytes(run, policy.parameters()) / (SEQUENCES * TOKENS)

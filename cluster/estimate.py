"""How much work is left in a run, and roughly how long it takes: for the plan and for the time left.

Until a kind of work has been timed, its time is estimated from tokens, parameters and a rate. On a CPU the rate is
measured, a matrix product of a few milliseconds; on a GPU it is stated (``cluster.stated_speed``). Both are good to a
factor of about two, so every number from here is printed as an estimate.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cluster.datasheets import machine_of
from cluster.memory_plan import Shape, resolve_max_num_seqs
from cluster.prepare import Prepared
from cluster.schedule import Schedule
from cluster.stated_speed import stated
from rnr.config import ClusterConfig, GenerationConfig, ModelConfig

if TYPE_CHECKING:
    from cluster.progress import Progress
    from cluster.settings import Settings

ANSWER = 0.4
"""Assumed length of an answer, as a share of the token limit, where no chain of the warm start shows it."""
CALIBRATION = 0.8
"""What calibration takes beside the chains of an evaluation, as measured on 500 sentences of five schemas that were new
to the policy, many of whose labels change."""
GPU = "H100"
"""The GPU assumed, by its datasheet: which GPUs a cluster has is known only after joining it."""
START_SECONDS = {"cpu": 60.0, "gpu": 140.0}
"""Seconds from the command to the first step: imports, weights, compilation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Tokens a second of all workers together."""

    learner: float
    sampler: float
    update: float
    """Seconds of an optimizer step, at least."""
    start: float
    source: str
    """Where the rates come from, in words."""


def estimated_rates(
    prepared: Prepared,
    settings: "Settings",
    *,
    model: ModelConfig,
    generation: GenerationConfig,
    cluster: ClusterConfig,
) -> Rates:
    """The rates of this model on a cluster whose GPUs are decided."""
    if cluster.gpus_per_rollout_worker or cluster.gpus_per_learner_rank:
        return _on_gpus(prepared, settings, model, generation, cluster)
    parameters = prepared.weights
    # Training takes 6 operations a parameter and token, in bf16 at twice float32's rate; decoding 2, bound by memory.
    speed = float32_rate()
    return Rates(
        learner=2 * speed / (6 * parameters),
        sampler=speed / (2 * parameters),
        update=0.0,
        start=START_SECONDS["cpu"],
        source=f"from {speed / 1e9:.0f} GFLOP/s, measured on this machine now",
    )


def _on_gpus(
    prepared: Prepared, settings: "Settings", model: ModelConfig, generation: GenerationConfig, cluster: ClusterConfig
) -> Rates:
    machine, sampling = machine_of(GPU), settings.sampling
    assert machine is not None
    gpus, engines = max(1.0, cluster.gpus_per_rollout_worker or 1.0), cluster.fewest_rollout_workers
    speed = stated(
        prepared.shape or _without_cache(prepared.weights),
        machine,
        context=prompt_tokens(prepared) + answer_tokens(prepared, sampling.max_new_tokens) / 2,
        max_num_seqs=resolve_max_num_seqs(generation, prepared.shape, model, gpus=gpus, has=machine.gib).sequences,
        gpus_per_engine=gpus,
    )
    sequences = min(speed.max_num_seqs, sampling.prompts_per_step * sampling.samples_per_prompt / engines)
    return Rates(
        learner=cluster.learner_ranks / speed.position,
        sampler=engines * sequences / (speed.step + sequences * speed.step_each),
        update=speed.update,
        start=START_SECONDS["gpu"],
        source=f"from stated rates of one {GPU} per GPU",
    )


def _without_cache(weights: int) -> Shape:
    """Stands for a model of unknown shape: only its weights count, no cache."""
    return Shape(weights=weights, layers=0, hidden=0, intermediate=0, query=0, key=0)


def prompt_tokens(prepared: Prepared) -> float:
    """Of a prompt of GRPO, on average."""
    return sum(len(prompt.token_ids) for prompt in prepared.prompts) / max(1, len(prepared.prompts))


def answer_tokens(prepared: Prepared, limit: int) -> float:
    """Of an answer within this limit, on average: under ``marks`` as long as the chains of the warm start, because an
    answer copies its sentence as they do."""
    if prepared.decoding != "marks" or not prepared.sft:
        return ANSWER * limit
    return min(limit, sum(len(sample.completion_ids) for sample in prepared.sft) / len(prepared.sft))


def float32_rate(size: int = 1024) -> float:
    """Operations a second of a float32 matrix product on all cores: the best of a few of some milliseconds."""
    matrix = np.ones((size, size), dtype=np.float32)
    best = float("inf")
    for _ in range(3):
        begin = time.perf_counter()
        np.matmul(matrix, matrix)
        best = min(best, time.perf_counter() - begin)
    return 2 * size**3 / best


def stated_seconds(prepared: Prepared, schedule: Schedule, settings: "Settings", found: Rates) -> dict[str, float]:
    """The seconds of one of each kind of work, by these rates."""
    sampling, evaluation, grpo = settings.sampling, settings.evaluation, settings.grpo
    sft = [sample.length for sample in prepared.sft] or [0]
    answer = answer_tokens(prepared, sampling.max_new_tokens)
    sampled = sampling.prompts_per_step * sampling.samples_per_prompt * answer
    trained = grpo.epochs * (sampled + sampling.prompts_per_step * prompt_tokens(prepared))
    updates = grpo.epochs * grpo.mini_batches * found.update
    calibrated = CALIBRATION if evaluation.label_calibration and prepared.decoding == "marks" else 0.0
    asked = len(prepared.evaluation) * answer_tokens(prepared, evaluation.max_new_tokens) * (1 + calibrated)
    selection = len(prepared.prompts) * settings.difficulty_rollouts * answer
    return {
        "sft step": max(found.update, sum(sft) / len(sft) * schedule.sft_sequences / found.learner),
        "grpo step": sampled / found.sampler + max(updates, trained / found.learner),
        "evaluation": asked / found.sampler,
        "selection": selection / found.sampler,
        "checkpoint": prepared.weights_gib * 8,
        "export": prepared.weights_gib * 4,
    }


def work_left(progress: "Progress", settings: "Settings", sft_steps: int) -> Mapping[str, int]:
    """How many of each kind of work come from where a run stands. Dynamic sampling and rebuilt learners are not
    foreseen."""
    grpo, evaluation, checkpoint_every = settings.grpo, settings.evaluation, settings.checkpoint_every
    stage, step, base = progress.stage, progress.step, evaluation.base and "base" not in progress.scores
    warm = stage == "sft"
    taken_over = stage == "grpo" and step == 0 and bool(settings.sft.from_run) and "sft" not in progress.scores
    sft = range(step, sft_steps) if warm else range(0)
    steps = range(0 if warm else step, grpo.steps) if stage != "done" else range(0)
    last, every = grpo.steps, evaluation.every_steps
    evaluations = [done for done in (each + 1 for each in steps) if done == last or (every and done % every == 0)]
    saves = [done for done in (each + 1 for each in sft) if done == sft_steps or done % checkpoint_every == 0]
    saves += [done for done in (each + 1 for each in steps) if done == last or done % checkpoint_every == 0]
    return {
        "sft step": len(sft),
        "grpo step": len(steps),
        "evaluation": len(evaluations)
        + (warm and base)
        + (warm and bool(sft_steps))
        + taken_over
        + settings.merging.asked,
        "selection": int(bool(settings.difficulty_rollouts) and stage != "done"),
        "checkpoint": len(saves),
        "export": 1,
    }

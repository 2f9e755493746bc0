"""``bench learner``: one GRPO update on one rank, in this process."""

import argparse
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rnr.config import GrpoConfig, ModelConfig, OptimizerConfig
from rnr.model_folder import resolve
from rnr.types import Prompt, Sample
from scripts.benchmarks.against_trl import running_trl
from scripts.benchmarks.peak import share_of_peak
from scripts.benchmarks.prompts import prompts
from scripts.benchmarks.turns import Numbers, in_turn, seconds_of


def measure(options: argparse.Namespace) -> Numbers:
    """A whole optimizer step, the prompt shared by its group: against the prompt repeated for each completion, or,
    with ``--peer``, against the training part of the peer's step on prompts and completions of the same lengths."""
    import torch

    if not torch.cuda.is_available():
        os.environ["DS_ACCELERATOR"] = "cpu"
    folder = resolve(options.model)
    worker = _one_rank(folder, options.lora_rank)
    asked = prompts(folder, options.prompts, options.prompt_tokens)
    shared = samples(asked, options)
    ours = _update(worker, shared, options)
    if options.peer:
        with running_trl(options, folder, asked, torch.get_num_threads()) as peer:
            numbers = in_turn(ours, lambda: peer.turn("training_seconds"), options.rounds)
            numbers |= peer.numbers()
    else:
        # Prompts that differ in one token share nothing and cost the same.
        repeated = [
            replace(sample, prompt_ids=(number + 100, *sample.prompt_ids[1:])) for number, sample in enumerate(shared)
        ]
        numbers = in_turn(ours, _update(worker, repeated, options), options.rounds)
    if options.profile:
        _profile(ours, options.profile)
    tokens = sum(sample.length for sample in shared)
    rates = {
        "samples_per_second": len(shared) / numbers["seconds"],
        "samples_per_second_other": len(shared) / numbers["seconds_other"],
        "tokens_per_second": tokens / numbers["seconds"],
        "tokens": tokens,
    }
    peak = share_of_peak(
        folder,
        shared,
        options.max_tokens,
        numbers["seconds"],
        lora=options.lora_rank > 0,
        device=worker.engine.device,
    )
    if torch.cuda.is_available():
        peak["peak_gpu_gib"] = torch.cuda.max_memory_allocated() / 2**30
    return numbers | rates | peak


def _update(worker: Any, trained: Sequence[Sample], options: argparse.Namespace) -> Callable[[], float]:
    from learner.batch import plan_microbatches, weigh

    weighted = weigh(trained, "constant", max_new_tokens=options.completion_tokens, sampled=len(trained))
    (plan,) = plan_microbatches(weighted, ranks=1, max_tokens=options.max_tokens)
    return lambda: seconds_of(lambda: worker.grpo_step((plan,), GrpoConfig(), 1e-6, 1.0))


def _profile(update: Callable[[], float], trace: Path) -> None:
    """Print where the time of one update goes, by operation, and write its trace."""
    from torch.profiler import profile

    with profile() as found:
        update()
    print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=48))
    found.export_chrome_trace(str(trace))


def _one_rank(model_folder: str, lora_rank: int) -> Any:
    from learner.settings import LearnerSettings
    from learner.worker import LearnerWorker

    settings = LearnerSettings(
        model_folder=model_folder,
        model=ModelConfig(lora_rank=lora_rank, lora_alpha=2 * lora_rank),
        optimizer=OptimizerConfig(),
        seed=0,
    )
    worker = LearnerWorker(rank=0, world_size=1, threads=0)
    worker.start(settings, "127.0.0.1", worker.open_store("127.0.0.1"), 120.0)
    return worker


def samples(asked: Sequence[Prompt], options: argparse.Namespace) -> list[Sample]:
    """``--samples`` completions of random tokens for each prompt, half of them good and half of them bad."""
    generator = random.Random(0)
    length = options.completion_tokens
    return [
        Sample(
            uid=prompt.uid,
            prompt_ids=prompt.token_ids,
            completion_ids=tuple(generator.randrange(1000, 40_000) for _ in range(length)),
            logprobs=(-10.0,) * length,
            advantages=(1.0 if number % 2 else -1.0,) * length,
        )
        for prompt in asked
        for number in range(options.samples)
    ]

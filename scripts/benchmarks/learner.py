"""``bench learner``: one GRPO optimizer step on one rank, in this process."""

import argparse
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rnr.config import GrpoConfig, ModelConfig, OptimizerConfig
from rnr.model_folder import resolve
from rnr.types import Example, Prompt, Sample
from scripts.benchmarks.against_trl import running_trl
from scripts.benchmarks.launches import launches
from scripts.benchmarks.lengths import Lengths, drawn, levelled, uniform
from scripts.benchmarks.peak import positions, share_of_peak
from scripts.benchmarks.prompts import prompts
from scripts.benchmarks.turns import Numbers, in_turn, seconds_of


def measure(options: argparse.Namespace) -> Numbers:
    """The numbers of an optimizer step in which each group shares its prompt, compared with another side.

    The other side is a step that repeats the prompt for each completion; with ``--lengths``, a step with as many
    prompts and completions, all of the average length; with ``--peer``, the training part of the peer's step on
    prompts and completions of the same lengths.
    """
    folder = resolve(options.model)
    if options.peer and options.lengths:
        raise ValueError("--peer needs prompts and completions of one fixed length; leave --lengths out")
    return case(one_rank(folder, options.lora_rank, options.max_tokens), folder, options)


def case(worker: Any, folder: str, options: argparse.Namespace) -> Numbers:
    """The numbers of ``measure`` for one step on an existing learner."""
    import torch

    sizes = {"prompts": options.prompts, "samples": options.samples}
    asked: Sequence[Prompt] = ()
    if options.lengths:
        lengths = drawn(options.lengths, folder, **sizes)
        shared = samples(made_up(lengths), lengths)
        level = levelled(lengths)
        other = samples(made_up(level), level)
    else:
        asked = prompts(folder, options.prompts, options.prompt_tokens)
        shared = samples(asked, uniform(options.prompt_tokens, options.completion_tokens, **sizes))
        other = shared if options.peer else _repeated(shared)
    ours = update(worker, shared)
    on_gpu = worker.engine.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    if options.peer:
        with running_trl(options, folder, asked, torch.get_num_threads()) as peer:
            numbers = in_turn(ours, lambda: peer.turn("training_seconds"), options.rounds)
            numbers |= peer.numbers()
    else:
        numbers = in_turn(ours, update(worker, other), options.rounds)
    if on_gpu:
        numbers["peak_gpu_gib"] = torch.cuda.max_memory_allocated() / 2**30
    if options.profile:
        _profile(ours, options.profile)
    return numbers | _throughput(worker, folder, options, (shared, other), ours, numbers)


def _throughput(
    worker: Any,
    folder: str,
    options: argparse.Namespace,
    sides: tuple[Sequence[Sample], Sequence[Sample]],
    ours: Callable[[], float],
    timed: Numbers,
) -> Numbers:
    """Throughput of both sides; kernel launches and share of peak of ours."""
    (shared, other), limit, device = sides, worker.engine.fitted.max_tokens, worker.engine.device
    rate, rate_other = 1 / timed["seconds"], 1 / timed["seconds_other"]
    computed, tokens = positions(shared, limit), sum(sample.length for sample in shared)
    numbers: Numbers = {
        "samples_per_second": len(shared) * rate,
        "samples_per_second_other": len(other) * rate_other,
        "tokens_per_second": tokens * rate,
        "positions_per_second": computed * rate,
        "tokens": tokens,
        "max_tokens": limit,
        "micro_batches": len(planned(shared, limit)),
    }
    if options.lengths:
        numbers["tokens_per_second_other"] = sum(sample.length for sample in other) * rate_other
        numbers["positions_per_second_other"] = positions(other, limit) * rate_other
        numbers["share_of_uniform"] = numbers["positions_per_second"] / numbers["positions_per_second_other"]
    numbers |= launches(ours, timed["seconds"], device, micro_batches=numbers["micro_batches"])
    lora = options.lora_rank > 0
    return numbers | share_of_peak(folder, shared, limit, timed["seconds"], lora=lora, device=device)


def _repeated(shared: Sequence[Sample]) -> list[Sample]:
    """The samples with prompts that differ in their first token: nothing is shared, lengths stay the same."""
    return [replace(each, prompt_ids=(number + 100, *each.prompt_ids[1:])) for number, each in enumerate(shared)]


def planned(trained: Sequence[Sample], max_tokens: int) -> Sequence[Any]:
    """The micro-batches of one optimizer step on all these samples."""
    from learner.batch import plan_microbatches, weigh

    weighted = weigh(trained, "constant", max_new_tokens=100, sampled=len(trained))
    (plan,) = plan_microbatches(weighted, ranks=1, max_tokens=max_tokens)
    return plan


def update(worker: Any, trained: Sequence[Sample]) -> Callable[[], float]:
    """A function that runs one optimizer step on all these samples and returns its seconds."""
    plan = planned(trained, worker.engine.fitted.max_tokens)
    return lambda: seconds_of(lambda: worker.grpo_step((plan,), GrpoConfig(), 1e-6, 1.0))


def _profile(update: Callable[[], float], trace: Path) -> None:
    """Profile one update: print its time by operation and write a Chrome trace."""
    from torch.profiler import profile

    with profile() as found:
        update()
    print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=48))
    found.export_chrome_trace(str(trace))


def one_rank(model_folder: str, lora_rank: int, max_tokens: int | str) -> Any:
    """A learner rank in this process, on the GPU if there is one, with micro-batches of ``max_tokens`` (or "auto")."""
    import torch

    if not torch.cuda.is_available():
        os.environ["DS_ACCELERATOR"] = "cpu"
    from learner.settings import LearnerSettings
    from learner.worker import LearnerWorker

    settings = LearnerSettings(
        model_folder=model_folder,
        model=ModelConfig(lora_rank=lora_rank, lora_alpha=max(1, 2 * lora_rank)),
        optimizer=OptimizerConfig.model_validate({"max_tokens_per_microbatch": max_tokens}),
        seed=0,
    )
    worker = LearnerWorker(rank=0, world_size=1, threads=0)
    fitted = worker.start(settings, "127.0.0.1", worker.open_store("127.0.0.1"), 120.0, 120.0)
    for note in fitted.notes:
        print(f"learner: {note}", flush=True)
    return worker


def made_up(lengths: Sequence[Lengths]) -> list[Prompt]:
    """Prompts of random tokens; no two share a prefix."""
    generator = random.Random(1)
    example = Example(uid="", sentence="", schema=(), mentions=())
    return [
        Prompt(
            example=replace(example, uid=str(number)),
            token_ids=(number + 100, *(generator.randrange(1000, 40_000) for _ in range(each.prompt - 1))),
        )
        for number, each in enumerate(lengths)
    ]


def samples(asked: Sequence[Prompt], lengths: Sequence[Lengths]) -> list[Sample]:
    """Samples with random completion tokens for each prompt; advantages alternate between -1 and 1."""
    generator = random.Random(0)
    return [
        Sample(
            uid=prompt.uid,
            prompt_ids=prompt.token_ids,
            completion_ids=tuple(generator.randrange(1000, 40_000) for _ in range(length)),
            logprobs=(-10.0,) * length,
            advantages=(1.0 if number % 2 else -1.0,) * length,
        )
        for prompt, each in zip(asked, lengths, strict=True)
        for number, length in enumerate(each.completions)
    ]

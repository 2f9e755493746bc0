"""Speed, as ratios of things measured in turn in one run.

python -m scripts.bench learner [--pairs 5] [--json FILE]   # a group's prompt once against once per completion
python -m scripts.bench rewards [--json FILE]               # our default reward against the paper's
"""

import argparse
import json
import os
import random
import socket
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rnr.files import write_whole
from rnr.types import Example, Mention, Sample

Numbers = dict[str, Any]


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    step = commands.add_parser("learner", help="one GRPO update on one rank")
    step.add_argument("--model", default="smollm2-135m-instruct")
    step.add_argument("--groups", type=int, default=2)
    step.add_argument("--samples", type=int, default=8, help="completions of a group")
    step.add_argument("--prompt-tokens", type=int, default=200)
    step.add_argument("--completion-tokens", type=int, default=130)
    step.add_argument("--max-tokens", type=int, default=2048, help="of a micro-batch")
    step.set_defaults(measure=learner)
    commands.add_parser("rewards", help="completions scored a second, on one core").set_defaults(measure=rewards)
    for command in commands.choices.values():
        command.add_argument("--pairs", type=int, default=5, help="how often both sides are timed, in turn")
        command.add_argument("--json", type=Path, help="also write the numbers here")
    options = parser.parse_args(argv)
    numbers = options.measure(options)
    table = Table("what", "value", title=f"bench {options.command}")
    for name, value in numbers.items():
        table.add_row(name, f"{value:,.3g}" if isinstance(value, float) else str(value))
    Console().print(table)
    if options.json:
        write_whole(options.json, json.dumps(numbers, indent=1) + "\n")
    return 0


def in_turn(ours: Callable[[], object], theirs: Callable[[], object], pairs: int) -> Numbers:
    """Seconds of both (medians over ``pairs``, after one of each that does not count), and the median ratio.

    They take turns, so that a noisy neighbour slows both.
    """
    ours(), theirs()
    timed = [(_seconds(ours), _seconds(theirs)) for _ in range(pairs)]
    ratios = [slow / fast for fast, slow in timed]
    return {
        "seconds": statistics.median(fast for fast, _ in timed),
        "seconds_other": statistics.median(slow for _, slow in timed),
        "ratio": statistics.median(ratios),
        "ratio_range": [round(min(ratios), 2), round(max(ratios), 2)],
    }


def _seconds(call: Callable[[], object]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def learner(options: argparse.Namespace) -> Numbers:
    """A whole optimizer step: the prompt shared by its group, against the prompt repeated for each completion."""
    import torch

    if not torch.cuda.is_available():
        os.environ["DS_ACCELERATOR"] = "cpu"
    from learner.batch import collate, plan_microbatches, weigh
    from learner.loss import GrpoSettings
    from learner.worker import LearnerWorker

    worker = _one_rank(LearnerWorker, options.model)
    settings = GrpoSettings(clip_low=0.2, clip_high=0.28, dual_clip=0.0, kl_coefficient=0.0, importance_cap=2.0)
    shared = _samples(options)
    # Prompts that differ in one token share nothing and cost the same.
    repeated = [
        replace(sample, prompt_ids=(number + 100, *sample.prompt_ids[1:])) for number, sample in enumerate(shared)
    ]

    def update(samples: Sequence[Sample]) -> Callable[[], object]:
        weighted = weigh(samples, "constant", options.completion_tokens)
        (plan,) = plan_microbatches(weighted, ranks=1, max_tokens=options.max_tokens)
        return lambda: worker.grpo_step(plan, settings, 1e-6, 1.0, 1)

    numbers = in_turn(update(shared), update(repeated), options.pairs)
    tokens = sum(sample.length for sample in shared)
    (plan,) = plan_microbatches(weigh(shared, "constant", 1), ranks=1, max_tokens=options.max_tokens)
    positions = sum(collate(micro).input_ids_1T.numel() for micro in plan)
    # Six operations for each weight and position, forward and backward (arXiv 2001.08361).
    weights = sum(parameter.numel() for parameter in worker.engine.parameters())
    peak = _matrix_rate(worker.engine.device)
    return numbers | {
        "samples_per_second": len(shared) / numbers["seconds"],
        "tokens_per_second": tokens / numbers["seconds"],
        "tokens": tokens,
        "positions_computed": positions,
        "matrix_peak_gflops": peak / 1e9,
        "share_of_peak": 6 * weights * positions / numbers["seconds"] / peak,
    }


def _one_rank(worker_class: Any, model: str) -> Any:
    from learner.engine import EngineSettings
    from rnr.model_folder import resolve

    settings = EngineSettings(
        model_folder=resolve(model),
        allow_pickle=False,
        lora_rank=0,
        lora_alpha=0,
        gradient_checkpointing=False,
        zero_stage=1,
        betas=(0.9, 0.95),
        weight_decay=0.0,
        max_gradient_norm=1.0,
        seed=0,
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    worker = worker_class(rank=0, world_size=1, threads=0)
    worker.start(settings, "127.0.0.1", port, 120.0)
    return worker


def _samples(options: argparse.Namespace) -> list[Sample]:
    generator = random.Random(0)

    def tokens(count: int) -> tuple[int, ...]:
        return tuple(generator.randrange(1000, 40_000) for _ in range(count))

    samples = []
    for group in range(options.groups):
        prompt = tokens(options.prompt_tokens)
        for number in range(options.samples):
            samples.append(
                Sample(
                    uid=str(group),
                    prompt_ids=prompt,
                    completion_ids=tokens(options.completion_tokens),
                    logprobs=(-10.0,) * options.completion_tokens,
                    advantage=1.0 if number % 2 else -1.0,
                )
            )
    return samples


def _matrix_rate(device: Any) -> float:
    """Operations per second of a bf16 matrix product, the best of a few."""
    import torch

    size = 4096 if device.type == "cuda" else 2048
    left, right = (torch.randn(size, size, dtype=torch.bfloat16, device=device) for _ in range(2))

    def product() -> None:
        (left @ right).sum().item()

    product()
    return 2 * size**3 / min(_seconds(product) for _ in range(5))


def rewards(options: argparse.Namespace) -> Numbers:
    """Completions of 600 words and five entities: the preset ``gated`` against the preset ``paper``."""
    from rewards.composite import score
    from rnr.parsing import ground, write

    names = ("Ada", "Bob", "Cleo", "Dan", "Eve")
    sentence = " and ".join(names) + " met in Rome."
    mentions = ground([Mention(text=name, label="person") for name in names], sentence)
    example = Example(uid="1", sentence=sentence, schema=("person", "place"), mentions=mentions)
    text = write(mentions, reasoning="The sentence names people . " * 120)
    count = 500

    def scored(preset: str) -> Callable[[], object]:
        return lambda: [score(example, text, True, preset=preset) for _ in range(count)]

    numbers = in_turn(scored("gated"), scored("paper"), options.pairs)
    return numbers | {
        "completions_per_second": count / numbers["seconds"],
        "completions_per_second_paper": count / numbers["seconds_other"],
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

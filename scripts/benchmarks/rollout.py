"""``bench rollout``: one rollout worker with a real vLLM engine, alone on the machine."""

import argparse
import asyncio
import time
from collections.abc import Sequence

from actors.chat_format import chat_format
from actors.engine import Sampling
from actors.rollout import RolloutWorker, single_engine
from rnr.model_folder import resolve
from rnr.types import Prompt
from scripts.benchmarks.peak import device_name
from scripts.benchmarks.prompts import prompts
from scripts.benchmarks.turns import Numbers, spread


def measure(options: argparse.Namespace) -> Numbers:
    """Tokens and samples per second; every completion has exactly ``--completion-tokens`` tokens."""
    seconds = asyncio.run(_rounds(options, resolve(options.model)))
    numbers = spread("seconds", seconds)
    samples = options.prompts * options.samples
    return numbers | {
        "samples_per_second": samples / numbers["seconds"],
        "completion_tokens_per_second": samples * options.completion_tokens / numbers["seconds"],
        "requests": options.prompts,
        "samples": samples,
        "max_num_seqs": options.concurrent,
        "prompt_tokens": options.prompt_tokens,
        "completion_tokens": options.completion_tokens,
        "device": device_name(),
    }


async def _rounds(options: argparse.Namespace, folder: str) -> list[float]:
    """Seconds of each round after the warm-up round; each has new prompts, so that the prefix cache has no hits."""
    engine = single_engine(
        folder,
        stop_token_id=chat_format(folder).stop_token_id,
        context_tokens=options.prompt_tokens + options.completion_tokens + 1,
        max_num_seqs=options.concurrent,
    )
    count = options.prompts
    rounds = [
        prompts(folder, count, options.prompt_tokens, first=number * count) for number in range(options.rounds + 1)
    ]
    async with engine as worker:
        return [await _seconds(worker, asked, options) for asked in rounds][1:]


async def _seconds(worker: RolloutWorker, asked: Sequence[Prompt], options: argparse.Namespace) -> float:
    length = options.completion_tokens
    sampling = Sampling(count=options.samples, temperature=1.0, max_new_tokens=length, min_new_tokens=length)
    begin = time.perf_counter()
    groups = await asyncio.gather(*(worker.generate(prompt, sampling) for prompt in asked))
    seconds = time.perf_counter() - begin
    lengths = {len(rollout.token_ids) for group in groups for rollout in group.rollouts}
    if lengths != {length}:
        raise RuntimeError(f"completions have {sorted(lengths)} tokens; all should have {length}")
    return seconds

"""The steps of ``bench gpu`` that need the whole cluster: each starts it once and takes several measurements."""

import asyncio
import itertools
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from actors.chat_format import chat_format
from actors.engine import Sampling
from cluster.gpus import memory_in_use
from cluster.placement import SHARED_GPU_MEMORY, decide_gpus, local_resources
from cluster.services import Services
from cluster.transport import TRANSPORTS, transport_name
from cluster.transport.topology import topology_of
from rnr.config import Config
from rnr.corpus.drawing import draw_from_each
from rnr.corpus.loading import load
from rnr.runs.status import StatusFile
from rnr.task.decoding import taught
from rnr.types import Example, Prompt, Sample
from scripts.benchmarks.gpu_rows import Rows
from scripts.benchmarks.gpu_sizes import sized
from scripts.benchmarks.lengths import SOURCE
from scripts.benchmarks.live import Run, config_of, hand_on, running_services
from scripts.benchmarks.mismatch import by_position
from scripts.benchmarks.peak import device_name, positions, share_of_peak
from scripts.benchmarks.prompts import prompts
from scripts.benchmarks.step import Steps
from scripts.benchmarks.sync import rounds_of, sync_numbers
from scripts.benchmarks.turns import Numbers, alone, shares

AT_ONCE = (64, 128, 256, 512)
"""Numbers of concurrent sequences for which sampling is measured."""
WARM_UP = 3
"""SFT steps that are not counted, because layers are compiled in them."""


def uniform_steps(rows: Rows, folder: str, *, tiny: bool) -> None:
    """Measures one cluster with uniform lengths: startup, weight sync by each transport, a GRPO step, and sampling by
    the number of concurrent sequences."""
    options = sized({"prompts": 32, "samples": 8, "rounds": 2}, tiny=tiny)
    at_once = (2, 4) if tiny else AT_ONCE
    config = _with(config_of(options, folder), max_num_seqs=max(at_once))
    asked = prompts(folder, max(options.prompts, max(at_once) // options.samples), options.prompt_tokens)
    status = StatusFile()
    with running_services(config, asked, status) as (services, run):
        rows.add("start", _starts(status))
        own = services.policy.transport
        for name in transports(config):
            with rows.case(f"sync_{name}") as numbers:
                services.policy.transport = TRANSPORTS[name]()
                numbers |= sync_numbers(services, run, rounds_of(services, run, options.rounds))
        services.policy.transport = own
        with rows.case("step") as numbers:
            steps = Steps(config, services, run, asked[: options.prompts])
            numbers |= alone(steps.turn, options.rounds) | shares(steps.parts[1:])
            limit, training = services.policy.ranks.max_tokens, numbers["training_seconds"]
            numbers["positions_per_second"] = positions(steps.samples, limit) / training
            numbers |= share_of_peak(folder, steps.samples, limit, training)
        _sampling_at_once(rows, services, run, asked, options, at_once)


def uncompiled_steps(rows: Rows, folder: str, *, tiny: bool) -> None:
    """Measures engines that compile nothing: startup, and sampling by the number of concurrent sequences."""
    options = sized({"prompts": 32, "samples": 8}, tiny=tiny)
    at_once = (2, 4) if tiny else AT_ONCE
    config = _with(config_of(options, folder), max_num_seqs=max(at_once), compile=False)
    asked = prompts(folder, max(at_once) // options.samples or 1, options.prompt_tokens)
    status = StatusFile()
    with running_services(config, asked, status) as (services, run):
        rows.add("start", _starts(status))
        _sampling_at_once(rows, services, run, asked, options, at_once)


def sleeping_steps(rows: Rows, folder: str, *, tiny: bool) -> None:
    """Measures one cluster in sleep mode: the GPU memory that the engine frees, the seconds to put it to sleep and to
    wake it with new weights, and a GRPO step."""
    options = sized({"prompts": 32, "samples": 8, "rounds": 2}, tiny=tiny)
    config = _with(config_of(options, folder), sleep="level2", max_num_seqs=64, gpu_memory_fraction=SHARED_GPU_MEMORY)
    shared = {"gpus_per_rollout_worker": 0.5, "gpus_per_learner_rank": 0.5}
    config = config.model_copy(update={"cluster": config.cluster.model_copy(update=shared)})
    asked = prompts(folder, options.prompts, options.prompt_tokens)
    with running_services(config, asked) as (services, run):
        with rows.case("turn") as numbers:
            for _ in range(options.rounds):  # the last round is the one reported
                awake = sum(memory_in_use())
                numbers |= {"sleep_seconds": run(services.generation.sleep())["timing_s/sleep"]}
                numbers["asleep_gib"] = sum(memory_in_use())
                numbers["freed_gib"] = awake - numbers["asleep_gib"]
                published = run(services.policy.publish())
                numbers["wake_seconds"] = run(services.generation.adopt(published))["timing_s/load_weights"]
        with rows.case("step") as numbers:
            steps = Steps(config, services, run, asked)
            numbers |= alone(steps.turn, options.rounds) | shares(steps.parts[1:])


def real_steps(rows: Rows, folder: str, *, tiny: bool) -> None:
    """Measures a small training run: startup, SFT on real sentences, GRPO on the model's answers, and the difference
    between the probabilities of rollout worker and learner."""
    options = sized({"prompts": 48, "samples": 16, "completion_tokens": 256, "prompt_tokens": 512}, tiny=tiny, rounds=2)
    if tiny:
        options.prompt_tokens, options.completion_tokens = 480, 24
    options.max_tokens = "auto"
    config = _with(config_of(options, folder), max_num_seqs=4 if tiny else 512)
    taught_samples, asked = _samples_and_prompts(folder, 720 if not tiny else 8, options)
    status = StatusFile()
    with running_services(config, asked, status) as (services, run):
        rows.add("start", _starts(status))
        for name, size, count in (("sft_16", 16, 25), ("sft_128", 128, 10)):
            with rows.case(name) as numbers:
                numbers |= _sft(services, run, taught_samples, *((2, WARM_UP + 1) if tiny else (size, count)))
        with rows.case("grpo") as numbers:
            run(hand_on(services))
            steps = Steps(config, services, run, asked, exact=False)
            numbers |= alone(steps.turn, options.rounds) | shares(steps.parts[1:])
            last, limit = steps.parts[-1], services.policy.ranks.max_tokens
            numbers["positions_per_second"] = positions(steps.samples, limit) / last["training"]
            numbers["sampled_tokens_per_second"] = last["tokens"] / last["sampling"]
            numbers["tokens_of_a_completion"] = last["tokens"] / last["samples"]
            numbers["max_tokens"] = limit
        with rows.case("mismatch") as numbers:
            uids = {sample.uid for sample in steps.samples}
            numbers |= by_position(steps.samples, run(services.policy.token_values(uids)))


def transports(config: Config) -> list[str]:
    """The transports that work for this run on this host; the one that ``auto`` selects comes first."""
    cluster, _ = decide_gpus(config.cluster, config.generation, local_resources()["GPU"])
    topology = topology_of(cluster, config.model)
    fit = [name for name, transport in TRANSPORTS.items() if not transport.why_unsupported(topology)]
    return sorted(fit, key=lambda name: name != transport_name(config.sync, topology))


def _with(config: Config, **generation: Any) -> Config:
    """The config with these keys of its ``generation`` branch replaced."""
    return config.model_copy(update={"generation": config.generation.model_copy(update=generation)})


def _starts(status: StatusFile) -> Numbers:
    """Seconds of each part of the start, and of all."""
    parts = {name.replace(" ", "_"): seconds for name, seconds in status.starts.items()}
    return {**parts, "total": status.seconds, "device": device_name()}


def _sampling_at_once(
    rows: Rows, services: Services, run: Run, asked: Sequence[Prompt], options: Any, at_once: Sequence[int]
) -> None:
    """Sampling with each of these numbers of concurrent sequences."""
    for count in at_once:
        with rows.case(f"sampling_{count}") as numbers:
            numbers |= _sampling(services, run, asked[: max(1, count // options.samples)], options)


def _sampling(services: Services, run: Run, asked: Sequence[Prompt], options: Any) -> Numbers:
    """Tokens per second with a warm prefix cache (the second of two rounds) and with prefill (the first)."""
    sampling = Sampling(
        count=options.samples,
        temperature=1.0,
        max_new_tokens=options.completion_tokens,
        min_new_tokens=options.completion_tokens,
    )

    async def all_at_once() -> float:
        begin = time.perf_counter()
        await asyncio.gather(*(services.generation.sample(prompt, sampling) for prompt in asked))
        return time.perf_counter() - begin

    cold, seconds = run(all_at_once()), run(all_at_once())
    tokens = len(asked) * options.samples * options.completion_tokens
    return {"tokens_per_second": tokens / seconds, "tokens_per_second_with_prefill": tokens / cold, "seconds": seconds}


def _sft(services: Services, run: Run, trained: Sequence[Sample], size: int, count: int) -> Numbers:
    """The numbers of SFT steps of ``size`` sequences, as in a run. ``seconds`` and ``positions_per_second`` leave out
    the warm-up steps."""
    stream = itertools.cycle(trained)
    seconds, worked, losses = [], [], []
    for step in range(count):
        batch = list(itertools.islice(stream, size))
        begin = time.perf_counter()
        metrics = run(services.policy.sft_step(batch, step))
        seconds.append(time.perf_counter() - begin)
        worked.append(sum(sample.length for sample in batch))
        losses.append(metrics["sft/loss"])
    usual = median(seconds[WARM_UP:])
    return {
        "seconds": usual,
        "positions_per_second": sum(worked[WARM_UP:]) / sum(seconds[WARM_UP:]),
        "first_step_seconds": seconds[0],
        "positions": median(worked),
        "loss": [losses[0], losses[-1]],
    }


def _samples_and_prompts(folder: str, count: int, options: Any) -> tuple[list[Sample], list[Prompt]]:
    """SFT samples of the demo data, and the prompts of a GRPO step."""
    chat = chat_format(folder)
    examples: Sequence[Example] = draw_from_each(load([SOURCE], training=True), count)
    limit = options.prompt_tokens + options.completion_tokens
    made = []
    for example in examples:
        prompt = chat.prompt(example)
        completion = chat.target(*taught(example, "free"))
        sample = Sample(uid=example.uid, prompt_ids=prompt.token_ids, completion_ids=completion)
        if len(prompt.token_ids) <= options.prompt_tokens and sample.length <= limit:
            made.append((sample, prompt))
    if len(made) < options.prompts:
        raise ValueError(f"only {len(made)} sentences of {SOURCE} fit in {limit} tokens")
    return [sample for sample, _ in made], [prompt for _, prompt in made[: options.prompts]]

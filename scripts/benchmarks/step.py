"""``bench step``: complete GRPO steps on the real cluster, alone or alternating with steps of another trainer."""

import argparse
import itertools
import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from actors.engine import Sampling
from cluster.loop import StepPlan, grpo
from cluster.policy import Published
from cluster.protocols import Metrics
from cluster.services import Services
from rewards.advantage import TrainingBatch, training_batch
from rnr.config import Config
from rnr.model_folder import resolve
from rnr.types import Group, Prompt, Sample, ScoredGroup
from scripts.benchmarks.against_trl import running_trl
from scripts.benchmarks.live import Run, config_of, running_services
from scripts.benchmarks.peak import share_of_peak
from scripts.benchmarks.processes import peak_gib
from scripts.benchmarks.prompts import prompts, sentences
from scripts.benchmarks.turns import Numbers, alone, in_turn, seconds_of, shares

LEARNER = "ray::LearnerWorker"
"""Ray's process title of a learner rank."""

TIMES = {
    "sampling": "timing_s/gen",
    "reward": "timing_s/reward",
    "training": "timing_s/update_actor",
    "publish": "timing_s/update_weights",
}
"""Part of a step -> the loop's metric with its seconds. Groups are scored while others are still sampled, so ``reward``
is only the scoring that remains after the last completion."""


def measure(options: argparse.Namespace) -> Numbers:
    """Seconds, samples and tokens per second, time by part, and memory; with ``--peer`` also the peer's numbers."""
    folder = resolve(options.model)
    if options.sentences:
        return _decodings(options, folder)
    if options.decoding != "free":
        raise ValueError(f"--decoding {options.decoding} needs --sentences: made-up prompts have no entities to mark")
    config = config_of(options, folder)
    asked = prompts(folder, options.prompts, options.prompt_tokens)
    with ExitStack() as stack:
        services, run = stack.enter_context(running_services(config, asked))
        peak_gib(LEARNER)  # fails now, not after the last step, if the process cannot be found
        steps = Steps(config, services, run, asked)
        if options.peer:
            threads = len(os.sched_getaffinity(0))
            peer = stack.enter_context(running_trl(options, folder, asked, threads))
            numbers = in_turn(steps.turn, lambda: peer.turn("seconds"), options.rounds)
            other = peer.numbers()
        else:
            numbers, other = alone(steps.turn, options.rounds), {}
        memory = {"learner_peak_gib": peak_gib(LEARNER)}
        limit = services.policy.ranks.max_tokens
    numbers |= _rates(options, numbers["seconds"]) | shares(steps.parts[1:]) | memory
    if options.peer:
        other["samples_per_second_other"] = options.prompts * options.samples / numbers["seconds_other"]
    # All workers have stopped, so the matrix product has the machine to itself.
    training, lora = numbers["training_seconds"], options.lora_rank > 0
    return numbers | other | share_of_peak(folder, steps.samples, limit, training, lora=lora)


def _decodings(options: argparse.Namespace, folder: str) -> Numbers:
    """The numbers of steps on real sentences with ``--decoding``, alternating with free decoding of the same ones."""
    if options.peer:
        raise ValueError("--sentences compares two decodings; --peer needs prompts and completions of a fixed length")
    asked = sentences(folder, options.sentences, options.prompts, list(dict.fromkeys((options.decoding, "free"))))
    longest = max(len(prompt.token_ids) for prompt in asked["free"])
    config = config_of(argparse.Namespace(**{**vars(options), "prompt_tokens": longest}), folder)
    with running_services(config, asked["free"]) as (services, run):
        sides = {decoding: Steps(config, services, run, prompts, exact=False) for decoding, prompts in asked.items()}
        ours, free = sides[options.decoding], sides["free"]
        if ours is free:
            return alone(free.turn, options.rounds) | _throughput(free)
        numbers = in_turn(ours.turn, free.turn, options.rounds)
    return numbers | _throughput(ours) | {f"{name}_other": value for name, value in _throughput(free).items()}


def _throughput(steps: "Steps") -> Numbers:
    """Time by part, and samples, tokens and trained decisions per step and per second."""
    seconds = sum(step["seconds"] for step in steps.parts[1:])
    totals = {part: sum(step[part] for step in steps.parts[1:]) for part in ("samples", "tokens", "decisions")}
    rates = {f"{part}_per_second": total / seconds for part, total in totals.items()}
    return shares(steps.parts[1:]) | {part: total / len(steps.parts[1:]) for part, total in totals.items()} | rates


def _rates(options: argparse.Namespace, seconds: float) -> Numbers:
    """Work per second; ``tokens`` counts prompt and completion of every sample."""
    samples = options.prompts * options.samples
    completion = samples * options.completion_tokens
    tokens = samples * options.prompt_tokens + completion
    return {
        "samples_per_second": samples / seconds,
        "tokens_per_second": tokens / seconds,
        "completion_tokens_per_second": completion / seconds,
        "samples": samples,
        "prompt_tokens": tokens - completion,
        "completion_tokens": completion,
    }


class Steps:
    """Runs the real GRPO loop one step at a time; this object is the loop's generation and policy."""

    def __init__(
        self, config: Config, services: Services, run: Run, asked: Sequence[Prompt], *, exact: bool = True
    ) -> None:
        """``exact``: every completion has as many tokens as the limit; otherwise they end with the stop token."""
        self._config = config
        self._services = services
        self._run = run
        self._asked = asked
        self._exact = exact
        self.parts: list[dict[str, float]] = []
        """For each step: its seconds, those of its parts, and its numbers of samples, tokens and trained tokens."""
        self.samples: Sequence[Sample] = ()
        """The samples that the last step trained on."""

    def turn(self) -> float:
        """Run one step; returns its seconds. Raises RuntimeError if it did not train on every sample, or if an
        ``exact`` one is shorter than the token limit."""
        number = len(self.parts)
        loop = grpo(
            range(number, number + 1),
            itertools.cycle(self._asked),
            plan=StepPlan(prompts_per_step=len(self._asked), dynamic_sampling_rounds=0, max_staleness=0),
            generation=self,
            scoring=self._services.scoring,
            policy=self,
            record=self._record,
            to_batch=lambda groups: training_batch(groups, self._config.grpo, self._config.reward.weights),
            on_phase=lambda _step, _phase: None,
        )
        seconds = seconds_of(lambda: self._run(loop))
        self.parts[-1]["seconds"] = seconds
        return seconds

    async def generate(self, prompt: Prompt) -> Group:
        """Sample the group of one prompt."""
        options = self._config.sampling
        sampling = Sampling(
            count=options.samples_per_prompt,
            temperature=options.temperature,
            max_new_tokens=options.max_new_tokens,
            min_new_tokens=options.max_new_tokens if self._exact else 0,
            seed=len(self.parts),
        )
        return await self._services.generation.sample(prompt, sampling)

    async def adopt(self, published: Published) -> Metrics:
        """Load the new weights on the rollout worker and verify them; returns the metrics."""
        return await self._services.generation.adopt(published)

    async def update(self, samples: Sequence[Sample], *, step: int, sampled: int) -> Metrics:
        """Run one optimizer step; returns its metrics."""
        self.samples = samples
        return await self._services.policy.update(samples, step=step, sampled=sampled)

    async def publish(self) -> Published:
        """Publish the weights, so that the rollout worker can pull them."""
        return await self._services.policy.publish()

    async def _record(self, step: int, groups: Sequence[ScoredGroup], batch: TrainingBatch, metrics: Any) -> None:
        limit = self._config.sampling.max_new_tokens
        rollouts = [rollout for scored in groups for rollout in scored.group.rollouts]
        lengths = {len(sample.completion_ids) for sample in batch.samples}
        if len(batch.samples) != len(rollouts) or (self._exact and lengths != {limit}):
            raise RuntimeError(
                f"step {step} trained on {len(batch.samples)} of {len(rollouts)} rollouts, of {sorted(lengths)} "
                f"tokens: all should be trained on{f' and have {limit}' if self._exact else ''}"
            )
        work: dict[str, float] = {
            "samples": len(rollouts),
            "tokens": sum(len(rollout.token_ids) for rollout in rollouts),
            "decisions": sum(sum(sample.trained) for sample in batch.samples),
        }
        self.parts.append({part: metrics[name] for part, name in TIMES.items()} | work)

"""``bench step``: a whole GRPO step of the real cluster, alone or in turn with another trainer's."""

import argparse
import itertools
import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from actors.engine import Sampling
from cluster.loop import Metrics, Pace, grpo
from cluster.policy import Published
from cluster.run import Services
from rewards.advantage import TrainingBatch, training_batch
from rnr.config import Config
from rnr.model_folder import resolve
from rnr.types import Group, Prompt, Sample, ScoredGroup
from scripts.benchmarks.against_trl import running_trl
from scripts.benchmarks.live import Run, config_of, running_services
from scripts.benchmarks.peak import share_of_peak
from scripts.benchmarks.processes import peak_gib
from scripts.benchmarks.prompts import prompts
from scripts.benchmarks.turns import Numbers, alone, in_turn, seconds_of, shares

LEARNER = "ray::LearnerWorker"
"""How Ray calls the process of a learner rank."""

TIMES = {
    "sampling": "timing_s/gen",
    "reward": "timing_s/reward",
    "training": "timing_s/update_actor",
    "publish": "timing_s/update_weights",
}
"""Part of a step -> the loop's name for its seconds. Groups are scored while others are still sampled, so ``reward`` is
what is left to score after the last completion."""


def measure(options: argparse.Namespace) -> Numbers:
    """Seconds, samples and tokens a second, where the time goes, and memory; with ``--peer`` the same of the peer."""
    folder = resolve(options.model)
    config = config_of(options, folder)
    asked = prompts(folder, options.prompts, options.prompt_tokens)
    with ExitStack() as stack:
        services, run = stack.enter_context(running_services(config, folder, asked))
        peak_gib(LEARNER)  # a process that cannot be found is better missed now than after the last step
        steps = Steps(config, services, run, asked)
        if options.peer:
            threads = len(os.sched_getaffinity(0))
            peer = stack.enter_context(running_trl(options, folder, asked, threads))
            numbers = in_turn(steps.turn, lambda: peer.turn("seconds"), options.rounds)
            other = peer.numbers()
        else:
            numbers, other = alone(steps.turn, options.rounds), {}
        memory = {"learner_peak_gib": peak_gib(LEARNER)}
    numbers |= _rates(options, numbers["seconds"]) | shares(steps.parts[1:]) | memory
    if options.peer:
        other["samples_per_second_other"] = options.prompts * options.samples / numbers["seconds_other"]
    # All workers have ended: the matrix product has the machine to itself.
    training, lora = numbers["training_seconds"], options.lora_rank > 0
    return numbers | other | share_of_peak(folder, steps.samples, options.max_tokens, training, lora=lora)


def _rates(options: argparse.Namespace, seconds: float) -> Numbers:
    """Work done a second; ``tokens`` counts prompt and completion of every sample."""
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
    """Steps of the controller's own loop, one at a time; generation and policy of the loop are this object."""

    def __init__(self, config: Config, services: Services, run: Run, asked: Sequence[Prompt]) -> None:
        self._config = config
        self._services = services
        self._run = run
        self._asked = asked
        self.parts: list[dict[str, float]] = []
        """Seconds of each step and of its parts."""
        self.samples: Sequence[Sample] = ()
        """What the last step trained on."""

    def turn(self) -> float:
        """One step; its seconds. Raises RuntimeError when it did not train on every sample at full length."""
        number = len(self.parts)
        loop = grpo(
            range(number, number + 1),
            itertools.cycle(self._asked),
            pace=Pace(prompts_per_step=len(self._asked), dynamic_sampling_rounds=0, max_staleness=0),
            generation=self,
            scoring=self._services.scoring,
            policy=self,
            record=self._record,
            to_batch=lambda groups: training_batch(groups, self._config.grpo, self._config.reward.weights),
            watch=lambda _step, _phase: None,
        )
        seconds = seconds_of(lambda: self._run(loop))
        self.parts[-1]["seconds"] = seconds
        return seconds

    async def generate(self, prompt: Prompt) -> Group:
        """The completions of one prompt, all of the same length."""
        options = self._config.sampling
        sampling = Sampling(
            count=options.samples_per_prompt,
            temperature=options.temperature,
            max_new_tokens=options.max_new_tokens,
            min_new_tokens=options.max_new_tokens,
            seed=len(self.parts),
        )
        return await self._services.generation.sample(prompt, sampling)

    async def adopt(self, published: Published) -> Metrics:
        """The new weights on the rollout worker, verified."""
        return await self._services.generation.adopt(published)

    async def update(self, samples: Sequence[Sample], *, step: int, sampled: int) -> Metrics:
        """One optimizer step."""
        self.samples = samples
        return await self._services.policy.update(samples, step=step, sampled=sampled)

    async def publish(self) -> Published:
        """The weights, to be pulled."""
        return await self._services.policy.publish()

    async def _record(self, step: int, groups: Sequence[ScoredGroup], batch: TrainingBatch, metrics: Any) -> None:
        sampling = self._config.sampling
        rollouts = sum(len(scored.group.rollouts) for scored in groups)
        lengths = {len(sample.completion_ids) for sample in batch.samples}
        if len(batch.samples) != rollouts or lengths != {sampling.max_new_tokens}:
            raise RuntimeError(
                f"step {step} trained on {len(batch.samples)} of {rollouts} rollouts, of {sorted(lengths)} tokens: "
                f"all should be trained on and have {sampling.max_new_tokens}"
            )
        self.parts.append({part: metrics[name] for part, name in TIMES.items()})

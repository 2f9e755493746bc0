"""The real cluster for benchmarks: Ray, a vLLM rollout worker, a reward worker, and DeepSpeed learner ranks."""

import argparse
import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from actors.chat_format import chat_format
from cluster import ray_session
from cluster.gpus import worker_gpus
from cluster.memory_plan import resolve_max_num_seqs, shape_of
from cluster.protocols import Metrics
from cluster.run import connect
from cluster.run_services import run_services
from cluster.services import Services, Start
from rnr.config import Config, DeadlineConfig
from rnr.model_folder import count_weights
from rnr.runs.status import StatusFile
from rnr.types import Prompt


class Run(Protocol):
    """Runs a coroutine to completion in the cluster's event loop and returns its result."""

    def __call__(self, coroutine: Coroutine[Any, Any, Any], /) -> Any: ...


def config_of(options: argparse.Namespace, model_folder: str) -> Config:
    """The config of a GRPO run with the sizes of the command line and defaults for everything else."""
    tokens = options.prompt_tokens + options.completion_tokens
    return Config.model_validate(
        {
            "model": {
                "path": model_folder,
                "context_tokens": max(32, tokens + 1),
                "lora_rank": options.lora_rank,
            },
            "sampling": {
                "prompts_per_step": options.prompts,
                "samples_per_prompt": options.samples,
                "max_new_tokens": options.completion_tokens,
            },
            "reward": {"preset": "scripts.benchmarks.made_up_reward:zero_and_one"},
            "optimizer": {"max_tokens_per_microbatch": options.max_tokens},
            "grpo": {"learning_rate": 1e-6},
            "evaluation": {"max_new_tokens": options.completion_tokens},
            "deadlines": dict.fromkeys(DeadlineConfig.model_fields, options.deadline),
            "cluster": {"learner_ranks": options.ranks},
        }
    )


@contextmanager
def running_services(
    config: Config, prompts: Sequence[Prompt], status: StatusFile | None = None
) -> Iterator[tuple[Services, Run]]:
    """The services of a ``config_of``, with weight version 0 loaded, and a function that runs coroutines on them; they
    are stopped when the block ends. ``status`` records startup times.

    The event loop is idle between two calls, so that the other side of a comparison has the machine to itself.
    """
    config, model_folder = connect(config), config.model.path
    shape, has = shape_of(model_folder, count_weights(model_folder)), worker_gpus(config.cluster).gib
    gpus = config.cluster.gpus_per_rollout_worker or 0.0
    generation = resolve_max_num_seqs(config.generation, shape, config.model, gpus=gpus, has=has)
    config = config.model_copy(update={"generation": generation})
    try:
        with asyncio.Runner() as runner:
            context = run_services(
                config,
                Start(
                    model_folder=model_folder,
                    stop_token_id=chat_format(model_folder).stop_token_id,
                    probe=prompts[0].token_ids[:256],
                    learning_rate=lambda stage, _step: (config.sft if stage == "sft" else config.grpo).learning_rate,
                ),
                status=status or StatusFile(),
            )
            services = runner.run(context.__aenter__())
            try:
                runner.run(hand_on(services))
                yield services, runner.run
            finally:
                runner.run(context.__aexit__(None, None, None))
    finally:
        ray_session.disconnect()


async def hand_on(services: Services) -> Metrics:
    """Publish the policy and load it on the rollout workers, as after every step of a run; returns the metrics."""
    return await services.generation.adopt(await services.policy.publish())

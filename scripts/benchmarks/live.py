"""The real cluster (Ray, a vLLM rollout worker, a reward worker, one DeepSpeed rank) for benchmarks that need it."""

import argparse
import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import ray

from cluster.chat_format import chat_format
from cluster.launch import Cluster, connect, launched
from rnr.config import Config, DeadlineConfig
from rnr.types import Prompt


class Run(Protocol):
    """Runs a coroutine to its end, in the cluster's own event loop."""

    def __call__(self, coroutine: Coroutine[Any, Any, Any], /) -> Any: ...


def config_of(options: argparse.Namespace, model_folder: str) -> Config:
    """A run of one GRPO step after the other with the sizes of the command line and defaults for all else."""
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
def running_cluster(config: Config, model_folder: str, prompts: Sequence[Prompt]) -> Iterator[tuple[Cluster, Run]]:
    """The cluster, with version 0 of the weights published, and what runs coroutines on it; ended with the block.

    Between two runs its event loop is idle, so that the other side of a comparison has the machine to itself.
    """
    probe = prompts[0].token_ids[:256]
    connect(config)
    try:
        with asyncio.Runner() as runner:
            stop_token_id = chat_format(model_folder).stop_token_id
            cluster = launched(config, model_folder=model_folder, stop_token_id=stop_token_id, probe=probe)
            live = runner.run(cluster.__aenter__())
            try:
                runner.run(live.link.publish(0))
                yield live, runner.run
            finally:
                runner.run(cluster.__aexit__(None, None, None))
    finally:
        ray.shutdown()

"""The config overrides of ``--debug``: the same run, as small as possible."""

from rnr.config import Config
from rnr.files.jsonl import strict_json

SENTENCES = 4
TOKENS = 64
NO_DEADLINE = 10**9
"""Seconds: no deadline passes while you are at a breakpoint."""


def smallest(settings: Config) -> list[str]:
    """The overrides of ``--debug``. They come last, so that the flag can be added to any command line.

    One process, one SFT step and at most two GRPO steps on a few sentences, no deadlines.

    What is trained (model, prompt, rewards, losses) stays the same, and a stage that is switched off stays off.
    """
    sampling = settings.sampling
    # Under marks an answer copies its sentence, and a sentence that does not fit is refused.
    tokens = NO_DEADLINE if sampling.decoding in ("marks", "auto") else TOKENS
    values = {
        "run.name": _debug_name(settings.run.name),
        "cluster.address": "in_process",
        "cluster.rollout_workers": 1,
        "cluster.reward_workers": 1,
        "cluster.learner_ranks": 1,
        "cluster.gpus_per_rollout_worker": None,
        "cluster.gpus_per_learner_rank": None,
        "data.sft_examples": SENTENCES,
        "data.grpo_examples": SENTENCES,
        "data.evaluation_examples": 2,
        "data.difficulty_rollouts": 0,
        "sampling.prompts_per_step": 2,
        "sampling.samples_per_prompt": min(4, sampling.samples_per_prompt),
        "sampling.dynamic_sampling_rounds": 0,
        "sampling.max_new_tokens": min(tokens, sampling.max_new_tokens),
        "reward.overlong_tokens": min(TOKENS // 2, settings.reward.overlong_tokens),
        "reward.trial_seconds": NO_DEADLINE,
        "sft.epochs": float(settings.sft.epochs > 0),
        "sft.from_run": "",
        "sft.sequences_per_step": SENTENCES,
        "sft.held_out": 0,
        "sft.patience": 0,
        "grpo.steps": min(2, settings.grpo.steps),
        "grpo.mini_batches": min(2, settings.grpo.mini_batches),
        "grpo.max_staleness": 0,
        "evaluation.base": not (settings.sft.epochs or settings.grpo.steps),  # a run must have something to do
        "evaluation.every_steps": 0,
        "evaluation.max_new_tokens": min(tokens, settings.evaluation.max_new_tokens),
        "generation.max_num_seqs": 8,
        "generation.compile": False,
        "generation.sleep": "off",
        "sync.transport": "object_store",
        "tracking.wandb_project": "",
        **{f"deadlines.{name}": NO_DEADLINE for name in type(settings.deadlines).model_fields},
    }
    return [f"--{key}={strict_json(value)}" for key, value in values.items()]


def _debug_name(run: str) -> str:
    """Another name, so that the run itself is not overwritten."""
    return f"{run.encode()[:90].decode(errors='ignore')}-debug"

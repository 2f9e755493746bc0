"""The config overrides of ``--debug``: the same run, as small as possible."""

from rnr.config import Config
from rnr.files.jsonl import strict_json

SENTENCES = 4
TOKENS = 64
FOR_EVER = 10**9
"""Seconds: whoever sits at a breakpoint misses no deadline."""


def smallest(settings: Config) -> list[str]:
    """The overrides of ``--debug``, which come last: a whole command line can be debugged by adding it.

    One process, one SFT step and at most two GRPO steps on a few sentences, no deadlines.

    What says what is trained, such as model, prompt, rewards and losses, stays; so does a stage that is switched off.
    """
    sampling = settings.sampling
    # Under marks an answer ends with its sentence, and one that has no room is refused.
    tokens = FOR_EVER if sampling.decoding in ("marks", "auto") else TOKENS
    values = {
        "run.name": _named(settings.run.name),
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
        "reward.trial_seconds": FOR_EVER,
        "sft.epochs": float(settings.sft.epochs > 0),
        "sft.from_run": "",
        "sft.sequences_per_step": SENTENCES,
        "sft.held_out": 0,
        "sft.patience": 0,
        "grpo.steps": min(2, settings.grpo.steps),
        "grpo.mini_batches": min(2, settings.grpo.mini_batches),
        "grpo.max_staleness": 0,
        "evaluation.base": not (settings.sft.epochs or settings.grpo.steps),  # of a run there is something to do
        "evaluation.every_steps": 0,
        "evaluation.max_new_tokens": min(tokens, settings.evaluation.max_new_tokens),
        "generation.max_num_seqs": 8,
        "generation.sleep": "off",
        "sync.transport": "object_store",
        "tracking.wandb_project": "",
        **{f"deadlines.{name}": FOR_EVER for name in type(settings.deadlines).model_fields},
    }
    return [f"--{key}={strict_json(value)}" for key, value in values.items()]


def _named(run: str) -> str:
    """A name of its own, so that the run stays as it is."""
    return f"{run.encode()[:90].decode(errors='ignore')}-debug"

"""The whole run as one frozen tree. Defaults live here and nowhere else; each part is handed its own branch.

Sizes are named by their unit. A value that can be derived is not a key: ``python -m scripts.train --dry-run`` prints
the derived numbers.
"""

from collections.abc import Iterator
from typing import Self

from pydantic import model_validator

from rnr.config.data import DataConfig, Offsets, ReadingConfig, Spaces
from rnr.config.rollouts import EvaluationConfig, GenerationConfig, RewardConfig, SamplingConfig, ScorerConfig
from rnr.config.run import CheckpointConfig, RunConfig, TrackingConfig
from rnr.config.section import Section
from rnr.config.training import GrpoConfig, LossAggregation, MergingConfig, ModelConfig, OptimizerConfig, SftConfig
from rnr.config.workers import ClusterConfig, DeadlineConfig, SyncConfig, worker_range

__all__ = [
    "CheckpointConfig",
    "ClusterConfig",
    "Config",
    "DataConfig",
    "DeadlineConfig",
    "EvaluationConfig",
    "GenerationConfig",
    "GrpoConfig",
    "LossAggregation",
    "MergingConfig",
    "ModelConfig",
    "Offsets",
    "OptimizerConfig",
    "ReadingConfig",
    "RewardConfig",
    "RunConfig",
    "SamplingConfig",
    "ScorerConfig",
    "SftConfig",
    "Spaces",
    "SyncConfig",
    "TrackingConfig",
    "worker_range",
]


class Config(Section):
    run: RunConfig = RunConfig()
    """Where the run is kept."""
    model: ModelConfig = ModelConfig()
    """The policy before training."""
    data: DataConfig = DataConfig()
    """Which sentences are trained and evaluated on, and how they are asked."""
    sampling: SamplingConfig = SamplingConfig()
    """How rollouts are sampled."""
    reward: RewardConfig = RewardConfig()
    """How an answer is scored."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """DeepSpeed and AdamW, in both stages."""
    sft: SftConfig = SftConfig()
    """The supervised warm start."""
    grpo: GrpoConfig = GrpoConfig()
    """Reinforcement learning."""
    merging: MergingConfig = MergingConfig()
    """Model merging: the export is the base model plus a weighted task vector of each stage."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Greedy evaluation during and after training."""
    generation: GenerationConfig = GenerationConfig()
    """The vLLM engines."""
    sync: SyncConfig = SyncConfig()
    """How weights reach the engines, and how that is verified."""
    cluster: ClusterConfig = ClusterConfig()
    """Workers, and what each may take of the machines."""
    deadlines: DeadlineConfig = DeadlineConfig()
    checkpoint: CheckpointConfig = CheckpointConfig()
    """What a resumed run starts from."""
    tracking: TrackingConfig = TrackingConfig()
    """Where metrics go."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        context = self.model.context_tokens
        sections = {"sampling": self.sampling, "evaluation": self.evaluation}
        if long := [name for name, section in sections.items() if section.max_new_tokens >= context]:
            named = " and ".join(f"{name}.max_new_tokens ({sections[name].max_new_tokens})" for name in long)
            raise ValueError(
                f"{named} must be smaller than model.context_tokens ({context}): the prompt needs room too"
            )
        if self.reward.overlong_tokens > self.sampling.max_new_tokens:
            raise ValueError("reward.overlong_tokens must not be more than sampling.max_new_tokens")
        if self.grpo.advantage == "gdpo" and self.reward.overlong_tokens:
            raise ValueError('reward.overlong_tokens is taken off the total, which grpo.advantage "gdpo" ignores')
        if self.sft.patience and not (self.sft.held_out and self.evaluation.every_steps):
            raise ValueError("sft.patience needs sft.held_out sentences and evaluation.every_steps to measure them")
        if self.grpo.advantage == "gdpo" and self.reward.preset != "weighted":
            raise ValueError(
                'grpo.advantage "gdpo" normalises each reward before they are added, so reward.preset must be '
                f'"weighted", not {self.reward.preset!r}'
            )
        if self.grpo.credit == "mention" and self.grpo.advantage not in ("dr_grpo", "rloo"):
            raise ValueError(
                'grpo.credit "mention" needs grpo.advantage "dr_grpo" or "rloo": '
                f"{self.grpo.advantage!r} would scale the advantages of answers and not those of mentions"
            )
        if self.grpo.credit == "mention" and self.grpo.policy_loss == "gspo":
            raise ValueError(
                'grpo.policy_loss "gspo" gives all tokens of an answer one ratio, whose gradient is their sum, so that '
                'grpo.credit "mention" would be lost: use "ppo" or "cispo"'
            )
        if self.generation.speculative_tokens and self.sampling.decoding != "free":
            raise ValueError(
                "generation.speculative_tokens needs sampling.decoding=free: under a grammar vLLM gives NaN as the "
                "log-probabilities of tokens that were guessed"
            )
        return self

    @model_validator(mode="after")
    def _worth_running(self) -> Self:
        """Refuse what would disappoint at the end of a run: no work, and rewards that no token would earn."""
        if not (self.sft.epochs or self.sft.from_run or self.grpo.steps or self.evaluation.base):
            raise ValueError(
                "nothing would be done: sft.epochs=0 skips the warm start, grpo.steps=0 skips GRPO, and "
                "evaluation.base=false the evaluation of the model as it comes"
            )
        if self.grpo.mini_batches > self.sampling.prompts_per_step:
            raise ValueError(
                f"grpo.mini_batches ({self.grpo.mini_batches}) divides a step by its prompts, which are "
                f"{self.sampling.prompts_per_step} (sampling.prompts_per_step)"
            )
        added = "a reward.preset of one's own" if ":" in self.reward.preset else ""
        added = "reward.overlong_tokens" if self.reward.overlong_tokens else added
        added = "reward.scorers" if any(scorer.weight for scorer in self.reward.scorers) else added
        if added and self.grpo.credit == "mention":
            raise ValueError(
                f'{added} changes the reward of an answer, and under grpo.credit "mention" a token has the advantage '
                'of the mention that it decides about: use grpo.credit="answer"'
            )
        return self

    @property
    def notes(self) -> tuple[str, ...]:
        """What is told and not refused, for it may be a preset's: data of the demo beside data of one's own, and keys
        that do nothing beside the others."""
        keys = ("train", "evaluation")
        unset = [key for key in keys if key not in self.data.model_fields_set]
        demo = [f"data.{key} is not set: it is the demo's, {', '.join(getattr(self.data, key))}" for key in unset]
        return (*(demo if len(unset) == 1 else ()), *self._without_effect())

    def _without_effect(self) -> Iterator[str]:
        for why, keys in (self._without_warm_start(), self._without_grpo()):
            if keys:
                yield f"{why}: no use is made of {', '.join(keys)}"
        if self.model.changed("lora_alpha") and not self.model.lora_rank:
            yield "model.lora_alpha has no effect with model.lora_rank=0"
        if self.grpo.steps:
            yield from self.grpo.without_effect()

    def _without_warm_start(self) -> tuple[str, list[str]]:
        """Why there is none of the run's own, and the keys that ask for one."""
        if self.sft.epochs and not self.sft.from_run:
            return "", []
        why = "sft.from_run takes the place of" if self.sft.from_run else "sft.epochs=0 skips"
        keys = ["sequences_per_step", "learning_rate", "warmup_fraction", "patience"]
        keys += [] if self.sft.from_run else ["held_out"]
        asking = [f"sft.{key}" for key in keys if self.sft.changed(key)]
        asking += ["data.sft_examples"] * self.data.changed("sft_examples")
        merged = self.merging.warm_start != 1 and not self.sft.from_run
        return f"{why} the warm start", asking + ["merging.warm_start"] * merged

    def _without_grpo(self) -> tuple[str, list[str]]:
        """Why there is no GRPO, and the keys that ask for it."""
        if self.grpo.steps:
            return "", []
        asking = [f"grpo.{key}" for key in type(self.grpo).model_fields if key != "steps" and self.grpo.changed(key)]
        asking += ["data.difficulty_rollouts"] * self.data.changed("difficulty_rollouts")
        asking += ["sampling.dynamic_sampling_rounds"] * self.sampling.changed("dynamic_sampling_rounds")
        return "grpo.steps=0 skips GRPO", asking + ["merging.grpo"] * self.merging.changed("grpo")

    @model_validator(mode="after")
    def _fit_for_an_adapter(self) -> Self:
        if self.model.lora_rank and self.optimizer.zero_stage == 3:
            raise ValueError("model.lora_rank needs optimizer.zero_stage 0, 1 or 2: adapters are small enough")
        if self.model.lora_rank and self.merging.asked:
            raise ValueError("merging adds up what each stage changed of all weights, so it needs model.lora_rank=0")
        return self

"""The whole run as one frozen tree. Defaults live here and nowhere else; each part is handed its own branch.

Names of sizes end in their unit. A value that can be derived is not a key: ``python -m scripts.train --dry-run`` prints
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
    """Name, folder and seed of the run."""
    model: ModelConfig = ModelConfig()
    """The policy before training."""
    data: DataConfig = DataConfig()
    """Training and evaluation data, and the prompt."""
    sampling: SamplingConfig = SamplingConfig()
    """How rollouts are sampled."""
    reward: RewardConfig = RewardConfig()
    """How answers are scored."""
    optimizer: OptimizerConfig = OptimizerConfig()
    """DeepSpeed and AdamW, for both stages."""
    sft: SftConfig = SftConfig()
    """The supervised warm start."""
    grpo: GrpoConfig = GrpoConfig()
    """Reinforcement learning."""
    merging: MergingConfig = MergingConfig()
    """Model merging: the export is the base model plus a weighted task vector of each stage."""
    evaluation: EvaluationConfig = EvaluationConfig()
    """Greedy evaluation before, during and after training."""
    generation: GenerationConfig = GenerationConfig()
    """The vLLM engines."""
    sync: SyncConfig = SyncConfig()
    """How weights are sent to the engines and verified."""
    cluster: ClusterConfig = ClusterConfig()
    """Workers and the resources of each."""
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
            raise ValueError("reward.overlong_tokens must be at most sampling.max_new_tokens")
        if self.grpo.advantage == "gdpo" and self.reward.overlong_tokens:
            raise ValueError('reward.overlong_tokens lowers the total reward, which grpo.advantage "gdpo" ignores')
        if self.sft.patience and not (self.sft.held_out and self.evaluation.every_steps):
            raise ValueError(
                "sft.patience needs sft.held_out and evaluation.every_steps, which measure the held-out loss"
            )
        if self.grpo.advantage == "gdpo" and self.reward.preset != "weighted":
            raise ValueError(
                'grpo.advantage "gdpo" normalises each reward separately, so reward.preset must be "weighted", '
                f"not {self.reward.preset!r}"
            )
        if self.grpo.credit == "mention" and self.grpo.advantage not in ("dr_grpo", "rloo"):
            raise ValueError(
                'grpo.credit "mention" needs grpo.advantage "dr_grpo" or "rloo": '
                f"{self.grpo.advantage!r} would scale the advantages of answers but not those of mentions"
            )
        if self.grpo.credit == "mention" and self.grpo.policy_loss == "gspo":
            raise ValueError(
                'grpo.policy_loss "gspo" gives all tokens of an answer one ratio, so grpo.credit "mention" would be '
                'lost: use "ppo" or "cispo"'
            )
        if self.generation.speculative_tokens and self.sampling.decoding != "free":
            raise ValueError(
                "generation.speculative_tokens needs sampling.decoding=free: under a grammar vLLM returns NaN as the "
                "log-probabilities of draft tokens"
            )
        return self

    @model_validator(mode="after")
    def _refuse_idle_runs(self) -> Self:
        """Refuse runs without work, and rewards that would not reach any token."""
        if not (self.sft.epochs or self.sft.from_run or self.grpo.steps or self.evaluation.base):
            raise ValueError(
                "nothing to do: sft.epochs=0 skips the warm start, grpo.steps=0 skips GRPO, and "
                "evaluation.base=false skips the evaluation of the base model"
            )
        if self.grpo.mini_batches > self.sampling.prompts_per_step:
            raise ValueError(
                f"grpo.mini_batches ({self.grpo.mini_batches}) must be at most sampling.prompts_per_step "
                f"({self.sampling.prompts_per_step})"
            )
        added = "a custom reward.preset" if ":" in self.reward.preset else ""
        added = "reward.overlong_tokens" if self.reward.overlong_tokens else added
        added = "reward.scorers" if any(scorer.weight for scorer in self.reward.scorers) else added
        if added and self.grpo.credit == "mention":
            raise ValueError(
                f'{added} changes the reward of an answer, but under grpo.credit "mention" a token gets the advantage '
                'of its mention: use grpo.credit="answer"'
            )
        return self

    @property
    def notes(self) -> tuple[str, ...]:
        """Warnings: demo data beside the user's own, and keys that have no effect. They are allowed, since a preset may
        set them."""
        keys = ("train", "evaluation")
        unset = [key for key in keys if key not in self.data.model_fields_set]
        demo = [f"data.{key} is not set; using the demo's, {', '.join(getattr(self.data, key))}" for key in unset]
        return (*(demo if len(unset) == 1 else ()), *self._without_effect())

    def _without_effect(self) -> Iterator[str]:
        for why, keys in (self._without_warm_start(), self._without_grpo()):
            if keys:
                yield f"{why}; ignored: {', '.join(keys)}"
        if self.model.changed("lora_alpha") and not self.model.lora_rank:
            yield "model.lora_alpha has no effect with model.lora_rank=0"
        if self.grpo.steps:
            yield from self.grpo.without_effect()

    def _without_warm_start(self) -> tuple[str, list[str]]:
        """Why the run trains no warm start of its own, and the keys that configure one."""
        if self.sft.epochs and not self.sft.from_run:
            return "", []
        why = "sft.from_run replaces" if self.sft.from_run else "sft.epochs=0 skips"
        keys = ["sequences_per_step", "learning_rate", "warmup_fraction", "patience"]
        keys += [] if self.sft.from_run else ["held_out"]
        asking = [f"sft.{key}" for key in keys if self.sft.changed(key)]
        asking += ["data.sft_examples"] * self.data.changed("sft_examples")
        merged = self.merging.warm_start != 1 and not self.sft.from_run
        return f"{why} the warm start", asking + ["merging.warm_start"] * merged

    def _without_grpo(self) -> tuple[str, list[str]]:
        """Why there is no GRPO, and the keys that configure it."""
        if self.grpo.steps:
            return "", []
        asking = [f"grpo.{key}" for key in type(self.grpo).model_fields if key != "steps" and self.grpo.changed(key)]
        asking += ["data.difficulty_rollouts"] * self.data.changed("difficulty_rollouts")
        asking += ["sampling.dynamic_sampling_rounds"] * self.sampling.changed("dynamic_sampling_rounds")
        return "grpo.steps=0 skips GRPO", asking + ["merging.grpo"] * self.merging.changed("grpo")

    @property
    def applied_merging(self) -> MergingConfig:
        """The weights of the stages that there are; 1, which changes nothing, for one that is skipped."""
        return MergingConfig(
            warm_start=self.merging.warm_start if self.sft.epochs or self.sft.from_run else 1.0,
            grpo=self.merging.grpo if self.grpo.steps else 1.0,
        )

    @model_validator(mode="after")
    def _fit_for_an_adapter(self) -> Self:
        if self.model.lora_rank and self.optimizer.zero_stage == 3:
            raise ValueError("model.lora_rank needs optimizer.zero_stage 0, 1 or 2: adapters are too small to shard")
        if self.model.lora_rank and self.applied_merging.asked:
            raise ValueError("merging adds the change of each stage to the full weights, so it needs model.lora_rank=0")
        return self

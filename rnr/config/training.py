"""The policy, and how both stages train it."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from rnr.config.section import Section

LossAggregation = Literal["token_mean", "sequence_mean", "constant"]
"""What the summed loss of an optimizer batch is divided by."""


Momentum = Annotated[float, Field(ge=0, lt=1)]


class ModelConfig(Section):
    path: str = "smollm2-135m-instruct"
    """A Hugging Face folder or id, or the embedded model's name."""
    context_tokens: int = Field(default=1024, ge=32)
    """Prompt and completion together; a prompt that leaves no room for the completion is refused by name."""
    lora_rank: int = Field(default=0, ge=0, le=512)
    """0 trains all weights; above 0 trains a peft adapter and sends only the adapter to the rollout workers."""
    lora_alpha: int = Field(default=32, ge=1)
    """The adapter is scaled by lora_alpha / lora_rank."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    allow_pickle: bool = False
    """Load pickled weights too, which can run code; else only safetensors."""


class OptimizerConfig(Section):
    zero_stage: Literal[0, 1, 2, 3] = 1
    """What ranks divide among them. 1 is right for one rank too: 0 adds gradients up in bf16."""
    betas: tuple[Momentum, Momentum] = (0.9, 0.95)
    """AdamW's."""
    weight_decay: float = Field(default=0.0, ge=0)
    """AdamW's."""
    max_gradient_norm: float = Field(default=1.0, ge=0)
    """Gradients are clipped to this norm; 0 clips none."""
    final_rate: float = Field(default=0.1, ge=0, le=1)
    """Share of a stage's learning rate that its cosine ends at; 1 keeps the rate as it is after the warm-up."""
    max_tokens_per_microbatch: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Tokens in one forward pass; a longer sequence gets a pass of its own. ``auto`` is what the free memory of a GPU
    holds (at most 32768, and 8192 with ZeRO stage 3), and 2048 on a CPU."""
    offload: bool = False
    """Keep master weights and moments in host memory but while a step is taken, so that a GPU never holds them and
    activations at once. 12 bytes of each trained weight go there and back in a step. Of no use on a CPU."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the model's layers with torch.compile: fewer and larger kernels, for half a minute at the start. ``auto``
    does on a GPU, unless ZeRO stage 3 divides the weights."""


class SftConfig(Section):
    epochs: float = Field(default=1.0, ge=0)
    """0 skips the warm start."""
    from_run: str = ""
    """Folder of another run whose warm start is taken over in place of one of this run's own."""
    sequences_per_step: int = Field(default=16, ge=1)
    """Batch size of an optimizer step, over all ranks."""
    learning_rate: float = Field(default=2e-4, gt=0)
    """At its peak."""
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1)
    """Share of the steps in which the learning rate rises to its peak."""
    decoding: Literal["free", "marks"] = "free"
    """The distribution that the loss is taken on: the whole vocabulary, or under ``marks`` the decisions alone, which
    teaches no copying."""
    held_out: int = Field(default=0, ge=0)
    """Training sentences that are kept aside, from GRPO too; in a warm start of one's own their loss is measured every
    ``evaluation.every_steps``."""
    patience: int = Field(default=0, ge=0)
    """Stop when the loss of the sentences kept aside was no better this many times in a row; 0 never stops."""


class MergingConfig(Section):
    warm_start: float = Field(default=1.0, ge=0, le=2)
    """Weight of what the warm start changed. Below 1 the weights go back towards the model as it came, whose knowledge
    of other domains the warm start takes away (WiSE-FT, arXiv 2109.01903)."""
    grpo: float = Field(default=1.0, ge=0, le=4)
    """Weight of what GRPO changed; above 1 the weights go on in its direction (ExPO, arXiv 2404.16792)."""

    @property
    def asked(self) -> bool:
        """Whether the export is another policy than the one that was trained last."""
        return (self.warm_start, self.grpo) != (1.0, 1.0)


class GrpoConfig(Section):
    steps: int = Field(default=20, ge=0)
    """0 stops after the warm start."""
    learning_rate: float = Field(default=1e-5, gt=0)
    """At its peak."""
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Share of the steps in which the learning rate rises to its peak."""
    policy_loss: Literal["ppo", "gspo", "cispo"] = "ppo"
    """Clip each token's ratio, the sequence's, or the weight of the gradient (``learner/loss.py``)."""
    clip_low: float = Field(default=0.2, ge=0)
    """How far below 1 the ratio counts; 1 or more is no bound, as CISPO's authors have it."""
    clip_high: float = Field(default=0.28, ge=0)
    """How far above 1 the ratio counts."""
    dual_clip: float | None = Field(default=None, gt=1)
    """Upper bound on ratio * |advantage| for negative advantages; 3 is usual."""
    kl_coefficient: float = Field(default=0.0, ge=0)
    """Weight of the KL to the policy at the start of GRPO; above 0 keeps a second model in memory, with LoRA
    a second adapter."""
    kl_estimator: Literal["k1", "k2", "k3", "k3_unbiased"] = "k3_unbiased"
    """Estimator of the KL; ``k3_unbiased`` has the value of k3 and an unbiased gradient."""
    entropy_coefficient: float = Field(default=0.0, ge=0)
    """Weight of an entropy bonus."""
    advantage: Literal["dr_grpo", "grpo", "rloo", "gdpo"] = "dr_grpo"
    """How a group's rewards become advantages (``rewards/advantage.py``): less their mean, also divided by their
    standard deviation, less the mean of the others, or each reward by itself, which needs the preset ``weighted``."""
    credit: Literal["answer", "mention"] = "answer"
    """Whose advantage a token has: that of its answer or, in a tagged chain, that of the
    mention it decides about (``rewards/credit.py``)."""
    loss_aggregation: LossAggregation = "constant"
    """What the summed token loss is divided by: completion tokens of the optimizer batch, mean per sequence first, or
    all *sampled* sequences * max_new_tokens (Dr.GRPO)."""
    rollout_correction: Literal["tis", "sequence_tis", "icepop", "none"] = "tis"
    """How a sampler that is not quite the policy is corrected for: the ratio policy / sampler of each token or of the
    sequence, truncated at the cap, or masked beyond it (``learner/loss.py``)."""
    rollout_correction_cap: float = Field(default=2.0, ge=1)
    """Largest ratio policy / sampler that counts in full."""
    mini_batches: int = Field(default=1, ge=1)
    """Optimizer steps into which a step's samples are divided by their prompts."""
    epochs: int = Field(default=1, ge=1)
    """Times that a step's samples are gone through. More than one optimizer step in all costs one pass to fix the old
    policy's log-probabilities."""
    mask_unfinished: bool = False
    """Leave completions cut at the token limit out of the loss (they stay in the baseline)."""
    max_staleness: int = Field(default=0, ge=0)
    """How many GRPO steps rollouts may be older than the policy they train; 0 is synchronous."""

    @property
    def keeps_reference(self) -> bool:
        """Whether the policy at the start of GRPO is kept beside the one that is trained."""
        return self.kl_coefficient > 0 and self.steps > 0

    @model_validator(mode="after")
    def _used(self) -> Self:
        if self.changed("kl_estimator") and not self.kl_coefficient:
            raise ValueError("kl_estimator estimates the KL, which kl_coefficient=0 leaves out of the loss")
        if self.changed("rollout_correction_cap") and self.rollout_correction == "none":
            raise ValueError('rollout_correction_cap bounds a ratio that rollout_correction "none" does not use')
        if self.dual_clip and self.policy_loss == "cispo":
            raise ValueError('dual_clip is for policy_loss "ppo" and "gspo": "cispo" bounds the ratio of every token')
        return self

    @field_validator("advantage", mode="before")
    @classmethod
    def _no_old_name(cls, value: object) -> object:
        names = {"centred": "dr_grpo", "scaled": "grpo", "leave_one_out": "rloo", "per_reward": "gdpo"}
        if isinstance(value, str) and value in names:
            raise ValueError(f'"{value}" is called "{names[value]}" now')
        return value

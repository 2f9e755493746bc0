"""The policy, and how both stages train it."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, field_validator

from rnr.config.section import Section

LossAggregation = Literal["token_mean", "sequence_mean", "constant"]
"""What the summed loss of an optimizer batch is divided by."""


Momentum = Annotated[float, Field(ge=0, lt=1)]


class ModelConfig(Section):
    path: str = "smollm2-135m-instruct"
    """A Hugging Face folder or id, or the embedded model's name."""
    context_tokens: int = Field(default=1024, ge=32)
    """Maximum length of prompt plus completion; a prompt that leaves no room for the completion is refused by name."""
    lora_rank: int = Field(default=0, ge=0, le=512)
    """Rank of a peft LoRA adapter, the only weights then trained and sent to the rollout workers; 0 trains all
    weights."""
    lora_alpha: int = Field(default=32, ge=1)
    """The adapter is scaled by lora_alpha / lora_rank."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass, trading time for memory."""
    allow_pickle: bool = False
    """Also load pickled weights, which can run code; otherwise only safetensors."""


class OptimizerConfig(Section):
    zero_stage: Literal[0, 1, 2, 3] = 1
    """DeepSpeed's ZeRO stage. Use at least 1 even with one rank: stage 0 accumulates gradients in bf16. Stages 2 and 3
    add the gradients of several ranks in bf16, and those of micro-batches in float32."""
    betas: tuple[Momentum, Momentum] = (0.9, 0.95)
    """Betas of AdamW."""
    weight_decay: float = Field(default=0.0, ge=0)
    """Weight decay of AdamW, on every trained weight, norms and embeddings included."""
    max_gradient_norm: float = Field(default=1.0, ge=0)
    """Gradients are clipped to this norm; 0 disables clipping."""
    final_rate: float = Field(default=0.1, ge=0, le=1)
    """Final learning rate of the cosine schedule, as a fraction of the peak; 1 is a constant rate after the warm-up."""
    max_tokens_per_microbatch: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Tokens per micro-batch; a longer sequence gets its own micro-batch, whose memory is checked at the start (longest
    prompt plus ``sampling.max_new_tokens``). ``auto`` fills the free GPU memory (at most 32768 tokens; 8192 with ZeRO
    stage 3); on a CPU it is 2048."""
    offload: bool = False
    """Keep master weights and moments in host memory except during the optimizer step, so that the GPU never holds them
    and activations at the same time. Each step copies 12 bytes per trained weight both ways. No effect on a CPU."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the model's layers with torch.compile, which takes about half a minute at the start. ``auto``: on a GPU,
    unless ZeRO stage 3 shards the weights."""


class SftConfig(Section):
    epochs: float = Field(default=1.0, ge=0)
    """Epochs of the warm start; 0 skips it."""
    from_run: str = ""
    """Run folder whose warm start is reused instead of training one."""
    sequences_per_step: int = Field(default=16, ge=1)
    """Sequences per optimizer step, over all ranks."""
    learning_rate: float = Field(default=2e-4, gt=0)
    """Peak learning rate of the warm start."""
    warmup_fraction: float = Field(default=0.05, ge=0, lt=1)
    """Fraction of the steps in which the learning rate rises to its peak."""
    decoding: Literal["free", "marks"] = "free"
    """``free``: loss over the whole vocabulary. ``marks``: loss on the grammar's decisions only; such a policy does
    not learn to copy and can be used only under ``marks``."""
    held_out: int = Field(default=0, ge=0)
    """Number of training sentences held out from both stages; the warm start measures their loss every
    ``evaluation.every_steps`` steps, unless it is reused from another run."""
    patience: int = Field(default=0, ge=0)
    """Early stopping: stop after this many evaluations in a row without a better held-out loss; 0 disables it."""


class MergingConfig(Section):
    warm_start: float = Field(default=1.0, ge=0, le=2)
    """Weight of the warm start's task vector. Below 1 interpolates back towards the base model and recovers knowledge
    of other domains (WiSE-FT, arXiv 2109.01903)."""
    grpo: float = Field(default=1.0, ge=0, le=4)
    """Weight of GRPO's task vector; above 1 extrapolates (ExPO, arXiv 2404.16792)."""

    @property
    def asked(self) -> bool:
        """Whether the export differs from the policy that was trained last."""
        return (self.warm_start, self.grpo) != (1.0, 1.0)


class GrpoConfig(Section):
    steps: int = Field(default=20, ge=0)
    """GRPO steps; 0 stops after the warm start."""
    learning_rate: float = Field(default=1e-5, gt=0)
    """Peak learning rate of GRPO."""
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1)
    """Fraction of the steps in which the learning rate rises to its peak."""
    policy_loss: Literal["ppo", "gspo", "cispo"] = "ppo"
    """``ppo`` clips each token's ratio, ``gspo`` the sequence's, ``cispo`` the detached ratio (``learner/loss.py``)."""
    clip_low: float = Field(default=0.2, ge=0)
    """Lower clip range: ratios are clipped at 1 - clip_low; 1 or more disables it, as in CISPO."""
    clip_high: float = Field(default=0.28, ge=0)
    """Upper clip range: ratios are clipped at 1 + clip_high."""
    dual_clip: float | None = Field(default=None, gt=1)
    """Upper bound on ratio * |advantage| for negative advantages (dual-clip PPO); 3 is usual."""
    kl_coefficient: float = Field(default=0.0, ge=0)
    """Weight of the KL to the policy at the start of GRPO; above 0 keeps a second model (with LoRA, a second adapter)
    in memory."""
    kl_estimator: Literal["k1", "k2", "k3", "k3_unbiased"] = "k3_unbiased"
    """Estimator of the KL; ``k3_unbiased`` has the value of k3 and an unbiased gradient."""
    entropy_coefficient: float = Field(default=0.0, ge=0)
    """Weight of an entropy bonus."""
    advantage: Literal["dr_grpo", "grpo", "rloo", "gdpo"] = "dr_grpo"
    """Advantage estimator (``rewards/advantage.py``). ``dr_grpo``: reward minus the group mean; ``grpo``: also divided
    by the standard deviation; ``rloo``: minus the mean of the others; ``gdpo``: each reward normalised separately, for
    the preset ``weighted``."""
    credit: Literal["answer", "mention"] = "answer"
    """Credit assignment: one advantage per answer, or in tagged chains one per mention (``rewards/credit.py``)."""
    loss_aggregation: LossAggregation = "constant"
    """``token_mean``: mean over the tokens of the optimizer batch; ``sequence_mean``: mean over sequences of their
    token means; ``constant``: sum over tokens divided by all *sampled* sequences * max_new_tokens (Dr.GRPO)."""
    rollout_correction: Literal["tis", "sequence_tis", "icepop", "none"] = "tis"
    """Importance weights for the mismatch between sampler and learner: ``tis`` and ``sequence_tis`` truncate the ratio
    of the token or of the sequence at the cap, ``icepop`` masks tokens beyond it (``learner/loss.py``)."""
    rollout_correction_cap: float = Field(default=2.0, ge=1)
    """Upper bound of the importance ratio policy / sampler."""
    mini_batches: int = Field(default=1, ge=1)
    """Mini-batches per GRPO step, each one optimizer step; a group is never split."""
    epochs: int = Field(default=1, ge=1)
    """Passes over the samples of a GRPO step. With more than one optimizer step per GRPO step, the old
    log-probabilities are computed first, in one extra forward pass."""
    mask_unfinished: bool = False
    """Mask completions truncated at the token limit out of the loss; they stay in the baseline."""
    max_staleness: int = Field(default=0, ge=0)
    """Maximum age of rollouts, in GRPO steps; 0 is synchronous."""

    @property
    def keeps_reference(self) -> bool:
        """Whether the policy at the start of GRPO is kept as the KL reference."""
        return self.kl_coefficient > 0 and self.steps > 0

    def without_effect(self) -> Iterator[str]:
        """Warnings about keys that have no effect with the others."""
        if self.changed("kl_estimator") and not self.kl_coefficient:
            yield "grpo.kl_estimator has no effect with grpo.kl_coefficient=0"
        if self.changed("rollout_correction_cap") and self.rollout_correction == "none":
            yield 'grpo.rollout_correction_cap has no effect with grpo.rollout_correction "none"'
        if self.dual_clip and self.policy_loss == "cispo":
            yield 'grpo.dual_clip has no effect with grpo.policy_loss "cispo", which bounds the ratio of every token'
        if self.mini_batches * self.epochs > 1:
            return
        clips = ["clip_low", "clip_high"] + ["dual_clip"] * (self.policy_loss != "cispo")
        asked = [f"grpo.{key}" for key in clips if self.changed(key)]
        one = "with one optimizer step per GRPO step every ratio is 1"
        more = "raise grpo.mini_batches or grpo.epochs"
        if asked:
            yield f"ignored: {', '.join(asked)}: {one} and nothing is clipped; {more}"
        if self.policy_loss != "ppo":
            yield f"grpo.policy_loss {self.policy_loss!r} hardly differs from 'ppo': {one}; {more}"

    @field_validator("advantage", mode="before")
    @classmethod
    def _no_old_name(cls, value: object) -> object:
        names = {"centred": "dr_grpo", "scaled": "grpo", "leave_one_out": "rloo", "per_reward": "gdpo"}
        if isinstance(value, str) and value in names:
            raise ValueError(f'"{value}" is now called "{names[value]}"')
        return value

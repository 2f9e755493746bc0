"""Sampling, engines, rewards and evaluation."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from rnr.config.section import Section
from rnr.types import Decoding


class SamplingConfig(Section):
    prompts_per_step: int = Field(default=8, ge=1)
    """Prompts (groups) per GRPO step."""
    samples_per_prompt: int = Field(default=8, ge=2)
    """Rollouts per prompt: the group size."""
    dynamic_sampling_rounds: int = Field(default=0, ge=0)
    """Rounds in which a step may resample for groups without a learning signal (DAPO's dynamic sampling)."""
    max_new_tokens: int = Field(default=256, ge=1)
    """Token limit of a rollout. Under ``marks``, GRPO's pool drops sentences too long to be copied within it."""
    temperature: float = Field(default=1.0, ge=0.01)
    """Sampling temperature; the loss uses log-probabilities at the same temperature. vLLM's minimum is 0.01."""
    decoding: Decoding | Literal["auto"] = "auto"
    """Constrained decoding of rollouts, evaluations and the export (``docs/decoding.md``). ``free``: none; ``marks``: a
    tagged chain under a grammar; ``schema``: a free chain, then the answer under a grammar; ``auto``: chosen by the
    chains of the warm start, ``marks`` if the data has no chains."""


class GenerationConfig(Section):
    max_num_seqs: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """vLLM's ``max_num_seqs`` of each rollout worker. ``auto``: as many full-length sequences as the KV cache of the
    GPU holds (16 to 512); 64 on a CPU, where more is not faster."""
    kv_cache_gib: int = Field(default=1, ge=1)
    """KV cache of each rollout worker on a CPU, in whole GiB."""
    gpu_memory_fraction: float = Field(default=0.85, gt=0, le=1)
    """vLLM's ``gpu_memory_utilization``. The default becomes 0.4 if an engine shares its GPU."""
    compile: bool = True
    """Whether vLLM compiles the model on a GPU. Without, a cold start should take about a minute less; decoding still
    runs as CUDA graphs, prefill does not."""
    sleep: Literal["auto", "off", "level1", "level2"] = "auto"
    """vLLM's sleep mode: an engine that shares its GPU with a learner rank frees its memory while the rank trains
    (``docs/cluster.md``; not yet run on a GPU). ``level1`` offloads its weights to the host, ``level2`` discards them.
    ``auto``: ``off`` if both fit together; else, if they fit in turns, ``level2`` (``level1`` with LoRA)."""
    speculative_tokens: int = Field(default=0, ge=0, le=16)
    """Draft tokens of vLLM's n-gram speculative decoding; 0 disables it. Needs ``sampling.decoding = "free"``: under a
    grammar vLLM returns NaN as the log-probabilities of draft tokens."""

    @property
    def sequences(self) -> int:
        """``max_num_seqs``, or its value for ``auto`` without a GPU."""
        return 64 if self.max_num_seqs == "auto" else self.max_num_seqs

    @property
    def sleep_level(self) -> int:
        """vLLM's number for ``sleep``; 0 if engines never sleep, or while ``auto`` is undecided."""
        return {"level1": 1, "level2": 2}.get(self.sleep, 0)


class ScorerConfig(Section):
    use: str
    """``module:name`` of your function or class (``docs/rewards.md``, ``examples/rewards.py``)."""
    arguments: dict[str, Any] = Field(default={})
    """Keyword arguments of the constructor, or of every call of a function."""
    name: str = ""
    """Name in the logs; default: the name in ``use``."""
    weight: float = 1.0
    """Weight in the reward."""
    workers: int = Field(default=1, ge=1)
    """Worker processes."""
    groups_at_once: int = Field(default=1, ge=1)
    """Concurrent groups per worker; use more than 1 for scorers that wait for I/O, such as a judge over HTTP."""
    cpus: float = Field(default=0.25, ge=0)
    """CPUs that each worker reserves in Ray."""
    gpus: float = Field(default=0.0, ge=0)
    """GPUs that each worker reserves in Ray."""
    deadline_seconds: float = Field(default=120.0, gt=0)
    """Deadline for one group."""

    @property
    def called(self) -> str:
        """The name under which its values are logged."""
        return self.name or self.use.rpartition(":")[2]


class RewardConfig(Section):
    preset: str = "gated"
    """``gated`` (ours), ``weighted``, ``paper`` (10 * F1 + schema), ``paper_f1``, ``none`` (0, for ``scorers``
    only), or your own ``module:function``."""
    weights: dict[str, float] = Field(default={"entity_f1": 1.0})
    """Weights of the named rewards in the presets ``gated`` and ``weighted``."""
    overlong_tokens: int = Field(default=0, ge=0)
    """Soft overlong punishment (DAPO): within this many tokens of the limit a completion loses up to 1; 0: off."""
    range: tuple[float, float] = (-100.0, 100.0)
    """Rewards outside this range are invalid: excluded from baseline and loss, and counted. They usually come from a
    division by almost zero or a sentinel value, and one of them would dominate the step."""
    scorers: tuple[ScorerConfig, ...] = ()
    """Your own rewards; their weighted values are added to the preset's."""
    trial_seconds: float = Field(default=60.0, gt=0)
    """Deadline of the trial call of your own rewards at the start, including model loading."""

    @property
    def part_weights(self) -> dict[str, float]:
        """Weight of each weighted part of the reward, including scorers."""
        return {**self.weights, **{scorer.called: scorer.weight for scorer in self.scorers}}

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.range[0] >= self.range[1]:
            raise ValueError(f"reward.range must be [low, high] with low < high, not {list(self.range)}")
        return self


class EvaluationConfig(Section):
    every_steps: int = Field(default=0, ge=0)
    """Evaluate every N GRPO steps (and measure the held-out loss every N SFT steps), besides the end of each stage;
    0: only at the end."""
    base: bool = True
    """Also evaluate the base model before training."""
    max_new_tokens: int = Field(default=320, ge=1)
    """Token limit of an answer."""
    label_calibration: float = Field(default=0.5, ge=0, le=1)
    """Contextual calibration of labels under ``marks`` (``docs/decoding.md``), in evaluations and in the export: the
    weight of the label's prior that is subtracted from its score; 0 disables it. Costs requests of one token: about
    twelve per schema, one or two per mark."""

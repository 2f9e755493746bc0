"""What is sampled, by which engines, and how it is scored."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from rnr.config.section import Section
from rnr.types import Decoding


class SamplingConfig(Section):
    prompts_per_step: int = Field(default=8, ge=1)
    """Groups of a GRPO step."""
    samples_per_prompt: int = Field(default=8, ge=2)
    """Rollouts of a group."""
    dynamic_sampling_rounds: int = Field(default=0, ge=0)
    """How often a step may sample further prompts in place of groups that teach nothing (DAPO's dynamic sampling)."""
    max_new_tokens: int = Field(default=256, ge=1)
    """Token limit of a rollout. Under ``marks`` a sentence that it has no room for is left out of GRPO's pool."""
    temperature: float = Field(default=1.0, ge=0.01)
    """Of the sampler, and of the log-probabilities in the loss. Below 0.01 vLLM would sample at 0.01."""
    decoding: Decoding | Literal["auto"] = "auto"
    """What the policy may say, in rollouts, evaluations and the export (``docs/decoding.md``): ``free``; ``marks``, a
    tagged chain under the grammar of its sentence and schema; ``schema``, a free chain and an answer under the grammar
    of its schema; ``auto``, what goes with the chains of the warm start: ``marks`` if the data has none of its own."""


class GenerationConfig(Section):
    max_num_seqs: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Sequences that one rollout worker decodes at once (vLLM's ``max_num_seqs``). ``auto`` is as many as the
    key-value cache of a GPU holds at full length (16 to 512), and 64 on a CPU, on which more are no faster."""
    kv_cache_gib: int = Field(default=1, ge=1)
    """Key-value cache of each rollout worker on a CPU, in GiB (whole ones, as vLLM counts them)."""
    gpu_memory_fraction: float = Field(default=0.85, gt=0, le=1)
    """Share of a GPU's memory that vLLM may take; left at this default, 0.4 of a GPU that it shares with the
    learner."""
    sleep: Literal["auto", "off", "level1", "level2"] = "auto"
    """Whether an engine gives the memory of the GPU that it shares with a learner rank back while that trains (vLLM's
    sleep mode, ``docs/cluster.md``; not tried on a GPU yet). ``level1`` keeps its weights in host memory, ``level2``
    throws them away: the next policy replaces them. ``auto`` is ``off`` where both fit side by side; else, if they fit
    by turns, ``level2``, and ``level1`` with an adapter."""
    speculative_tokens: int = Field(default=0, ge=0, le=16)
    """Tokens that vLLM guesses ahead from n-grams of the prompt and of what was generated, and keeps where the policy
    says the same: a tagged chain copies its sentence. The distribution stays the same. 0 guesses none. For
    ``sampling.decoding`` ``free`` alone: under a grammar vLLM's log-probabilities of guessed tokens are no numbers."""

    @property
    def sequences(self) -> int:
        """``max_num_seqs``, or what it is where no GPU has decided it."""
        return 64 if self.max_num_seqs == "auto" else self.max_num_seqs

    @property
    def sleep_level(self) -> int:
        """vLLM's number for ``sleep``; 0 where engines never sleep, and as long as nobody has decided."""
        return {"level1": 1, "level2": 2}.get(self.sleep, 0)


class ScorerConfig(Section):
    use: str
    """``module:name`` of a function or class of one's own (``docs/rewards.md``, ``examples/rewards.py``)."""
    arguments: dict[str, Any] = Field(default={})
    """Keywords: for a class when it is made, for a function at every call."""
    name: str = ""
    """Under which its values are logged; by default the name in ``use``."""
    weight: float = 1.0
    """What its value is multiplied by before it is added to the reward."""
    workers: int = Field(default=1, ge=1)
    """Its processes."""
    groups_at_once: int = Field(default=1, ge=1)
    """Groups that each of its workers has at the same time: more than 1 for one that waits, as a judge over HTTP."""
    cpus: float = Field(default=0.25, ge=0)
    """What each of its workers asks of Ray."""
    gpus: float = Field(default=0.0, ge=0)
    """What each of its workers asks of Ray."""
    deadline_seconds: float = Field(default=120.0, gt=0)
    """Seconds that one group may take."""

    @property
    def called(self) -> str:
        """The name under which its values are logged."""
        return self.name or self.use.rpartition(":")[2]


class RewardConfig(Section):
    preset: str = "gated"
    """``gated`` (ours), ``weighted``, ``paper`` (10 * F1 + schema), ``paper_f1``, ``none`` (0, for ``scorers``
    alone), or a user's ``module:function``."""
    weights: dict[str, float] = Field(default={"entity_f1": 1.0})
    """Weights of the named rewards in the presets ``gated`` and ``weighted``."""
    overlong_tokens: int = Field(default=0, ge=0)
    """A completion that comes this close to the token limit loses reward, up to 1 at the limit (DAPO); 0 is off."""
    range: tuple[float, float] = (-100.0, 100.0)
    """A reward outside of this range is invalid: not in the baseline, not in the loss, and counted. No preset gives
    more than 11. A number far beyond that is more likely a division by almost nothing or a stand-in for "none", and one
    such reward would drown all others of its step."""
    scorers: tuple[ScorerConfig, ...] = ()
    """Rewards of one's own: their weighted values are added to that of the preset."""
    trial_seconds: float = Field(default=60.0, gt=0)
    """How long the trial of a reward of one's own may take at the start, a model that it loads included."""

    @property
    def part_weights(self) -> dict[str, float]:
        """Weight of each part of the reward that is weighted, scorers included."""
        return {**self.weights, **{scorer.called: scorer.weight for scorer in self.scorers}}

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.range[0] >= self.range[1]:
            raise ValueError(f"reward.range must go from a number to a larger one, not {list(self.range)}")
        return self


class EvaluationConfig(Section):
    every_steps: int = Field(default=0, ge=0)
    """Evaluate every so many GRPO steps as well as at the end, and SFT's held-out loss every so many SFT steps; 0 only
    at the end of each stage."""
    base: bool = True
    """Also score the model as it comes, before any training."""
    max_new_tokens: int = Field(default=320, ge=1)
    """Token limit of an answer."""
    label_calibration: float = Field(default=0.5, ge=0, le=1)
    """Contextual calibration of labels under ``marks`` (``docs/decoding.md``), in the run's evaluations and by its
    export, from 0 to 1: how much of the policy's liking for a label in sentences about anything is taken off the
    label's score at a mark. 0 keeps the policy's own labels. Each schema takes twelve further requests."""

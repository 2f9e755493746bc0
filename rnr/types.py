"""The values that flow through a run, in the order in which they are made.

Each stage wraps the one before it and no field is filled in later, so a carrier can be copied, retried or sent to
another machine at will: Example -> Prompt -> Rollout, Group -> Answer, Reward, ScoredGroup -> Sample.
"""

from dataclasses import dataclass, field
from typing import Literal

Decoding = Literal["free", "schema", "marks"]
"""What a completion may say: ``rnr.task.decoding``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """One entity as it stands in a sentence: ``sentence[start:end] == text``.

    ``start`` and ``end`` are character offsets; both are -1 when the mention could not be found in the sentence.
    """

    text: str
    label: str
    start: int = -1
    end: int = -1

    @property
    def grounded(self) -> bool:
        """Whether the mention has a place in its sentence."""
        return self.start >= 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A sentence, the labels that may be used (the schema, in prompt order) and its gold mentions."""

    uid: str
    sentence: str
    schema: tuple[str, ...]
    mentions: tuple[Mention, ...]
    source: str = ""
    """Name of the data set, used to sample evenly and to report scores per data set."""
    reasoning: str | None = None
    """A chain written by a teacher; None where the data has none."""
    guid: str = field(default="", compare=False)
    """What the row calls itself, kept for whoever wrote it; empty where it has no name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """An example as the policy sees it: the token ids of the chat up to the place where the answer begins."""

    example: Example
    token_ids: tuple[int, ...]
    decoding: Decoding = "free"
    opening: str = ""
    """How the answer begins where the prompt itself writes that: ``<think>``, if the chat template opens the reasoning.
    It is part of a rollout's text and not of its tokens."""

    @property
    def uid(self) -> str:
        """The example's uid: groups and leases are keyed by it, never by position."""
        return self.example.uid


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Consecutive tokens of a completion that one policy version made, or that were put there by something else."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    """Log-probability of each token under the distribution it was sampled from (temperature applied); 0 for a token
    that was not sampled."""
    policy_version: int
    """The policy that made these tokens."""
    trained: bool = True
    """False for what the policy did not decide, such as the answer of a tool: it is read but not trained on."""
    allowed: tuple[tuple[int, ...], ...] = ()
    """For each token, the ids among which it was sampled; empty where that was the whole vocabulary. The policy is then
    the softmax over these ids alone. A token that decided nothing, because it was the only one or because the others
    would have spelt the same, stands alone: it has log-probability 0 and no part in any loss, mean or count."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """One completion, exactly as the inference engine made it."""

    segments: tuple[Segment, ...]
    text: str
    finished: bool
    """False if the completion was cut at the token limit."""
    ends: tuple[int, ...] = ()
    """Characters of ``text`` that are there after each token; empty if unknown."""

    @property
    def token_ids(self) -> tuple[int, ...]:
        """The tokens of all segments."""
        return tuple(token for segment in self.segments for token in segment.token_ids)

    @property
    def logprobs(self) -> tuple[float, ...]:
        """The log-probabilities of all segments."""
        return tuple(value for segment in self.segments for value in segment.logprobs)

    @property
    def policy_version(self) -> int:
        """The oldest policy that took part: staleness is counted from it."""
        return min(segment.policy_version for segment in self.segments)

    @property
    def loss_mask(self) -> tuple[bool, ...]:
        """Whether each token is trained on."""
        return tuple(segment.trained for segment in self.segments for _ in segment.token_ids)

    @property
    def allowed(self) -> tuple[tuple[int, ...], ...]:
        """The allowed ids of each token; empty if none is restricted."""
        if not any(segment.allowed for segment in self.segments):
            return ()
        return tuple(ids for segment in self.segments for ids in segment.allowed or ((),) * len(segment.token_ids))


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """All rollouts of one prompt."""

    prompt: Prompt
    rollouts: tuple[Rollout, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a completion says, and why it says nothing when it cannot be read.

    ``error`` is None for an answer that was read; otherwise one of the names in ``rnr.task.parsing.ERRORS``.
    """

    reasoning: str | None
    mentions: tuple[Mention, ...]
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reward:
    """The score of one rollout. ``total`` is None when it could not be computed: such a rollout is left out of the
    baseline and of the loss, and counted under ``invalid``, the name of the cause."""

    total: float | None
    parts: dict[str, float] = field(default_factory=dict)
    invalid: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredGroup:
    """A group with one reward and one parsed answer for each of its rollouts, in the same order."""

    group: Group
    rewards: tuple[Reward, ...]
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One sequence to train on: prompt and completion, with one number per completion token.

    ``logprobs`` are the sampler's; they and ``advantages`` are empty for supervised samples.
    """

    uid: str
    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    logprobs: tuple[float, ...] = ()
    advantages: tuple[float, ...] = ()
    loss_mask: tuple[bool, ...] = ()
    """Which completion tokens are trained on; empty for all."""
    allowed: tuple[tuple[int, ...], ...] = ()
    """The ids among which each completion token was chosen, as ``Segment.allowed``; empty for the whole vocabulary."""
    policy_version: int = 0

    @property
    def trained(self) -> tuple[bool, ...]:
        """Whether each completion token is trained on: neither masked nor the only one that was allowed, which decides
        nothing."""
        mask = self.loss_mask or (True,) * len(self.completion_ids)
        if not self.allowed:
            return mask
        return tuple(kept and len(ids) != 1 for kept, ids in zip(mask, self.allowed, strict=True))

    @property
    def trained_tokens(self) -> int:
        """Completion tokens that are trained on."""
        return sum(self.trained)

    @property
    def length(self) -> int:
        """Tokens in the whole sequence."""
        return len(self.prompt_ids) + len(self.completion_ids)

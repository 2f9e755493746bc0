"""The three services of a run, by the methods that loop, stages, checkpoints and evaluation call: tests use fakes."""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rnr.config import MergingConfig
from rnr.evaluation.scoring import Evaluation
from rnr.runs.token_values import Values
from rnr.task.aggregation import Chosen
from rnr.types import Example, Group, Prompt, Sample, ScoredGroup

Metrics = dict[str, float]


class Policy(Protocol):
    """What the loop trains."""

    async def update(self, samples: Sequence[Sample], *, step: int, sampled: int) -> Metrics:
        """The optimizer steps of one batch."""
        ...

    async def publish(self) -> Any:
        """The policy as it is now."""
        ...


class Learner(Protocol):
    """What a checkpoint saves and restores."""

    @property
    def version(self) -> int: ...
    async def save(self, folder: str) -> None: ...
    async def load(self, folder: str, version: int) -> None: ...
    async def reset_optimizer(self) -> None: ...
    async def freeze_reference(self) -> None: ...
    async def merge(self, start: str, merging: MergingConfig) -> None: ...


class RunPolicy(Policy, Learner, Protocol):
    """What the stages of a run train."""

    async def start(self) -> None: ...
    async def sft_step(self, samples: Sequence[Sample], step: int) -> Metrics: ...
    async def held_out_loss(self, samples: Sequence[Sample]) -> float: ...
    async def token_values(self, uids: Collection[str]) -> Values: ...
    async def export(self, folder: str, extra_files: Mapping[str, str]) -> None: ...


class Generation(Protocol):
    """What the loop samples with."""

    async def generate(self, prompt: Prompt) -> Group:
        """All rollouts of one prompt, from the newest policy that was adopted."""
        ...

    async def adopt(self, published: Any) -> Metrics:
        """Sample from this policy from now on."""
        ...


class RunGeneration(Generation, Protocol):
    """What the stages of a run sample with."""

    @property
    def largest_difference(self) -> float: ...
    async def generate(self, prompt: Prompt, count: int | None = None) -> Group: ...
    def metrics(self) -> Metrics: ...


class Answers(Protocol):
    """What an evaluation asks the policy."""

    async def greedy(self, prompts: Sequence[Prompt], *, max_new_tokens: int) -> list[Group]: ...
    async def choices(self, asked: Mapping[tuple[int, ...], Sequence[int]]) -> list[dict[int, float]]: ...


class Scoring(Protocol):
    """What the loop scores with."""

    async def score(self, group: Group) -> ScoredGroup:
        """The same group with rewards."""
        ...


class RunScoring(Scoring, Protocol):
    """What the stages of a run score with."""

    def metrics(self) -> Metrics: ...


Evaluate = Callable[[Path], Awaitable[tuple[Evaluation, Sequence[tuple[Example, Chosen]]]]]
"""The scores of the policy that was adopted, and each sentence with its answer, which the file holds then."""

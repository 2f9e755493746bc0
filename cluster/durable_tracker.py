"""Tracks a run on a disk that may be full for a while."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from cluster.disk import Disk
from rewards.advantage import TrainingBatch
from rnr.evaluation.scoring import Evaluation
from rnr.runs.tracking import Tracker
from rnr.task.aggregation import Chosen
from rnr.types import Example, ScoredGroup


class DurableTracker:
    """A ``Tracker`` that waits for room on the disk of the run. Raises NoRoom if there was none in time."""

    def __init__(self, tracker: Tracker, disk: Disk) -> None:
        self._tracker = tracker
        self._disk = disk

    async def log(self, stage: str, step: int, metrics: Mapping[str, float]) -> None:
        """A line of ``metrics.jsonl``."""
        await self._disk.retry("metrics", partial(self._tracker.log, stage, step, metrics))

    async def log_rollouts(self, step: int, groups: Sequence[ScoredGroup], batch: TrainingBatch) -> None:
        """The lines of ``rollouts.jsonl`` of a step."""
        call = partial(self._tracker.log_rollouts, step, groups, batch.dropped, batch.advantages)
        await self._disk.retry("rollouts", call)

    async def log_tokens(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Lines of ``tokens.jsonl``."""
        await self._disk.retry("tokens", partial(self._tracker.log_tokens, rows))

    async def log_evaluation(
        self, name: str, stage: str, step: int, result: Evaluation, answers: Sequence[tuple[Example, Chosen]]
    ) -> None:
        """The metrics and the answers of an evaluation."""
        await self._disk.retry("metrics", partial(self._tracker.log_evaluation, name, stage, step, result, answers))

    async def log_examples(self, examples: Iterable[Example]) -> None:
        """``evaluation.jsonl``."""
        call = partial(self._tracker.log_examples, list(examples))
        await self._disk.retry("the sentences of the evaluation", call)

    async def rewind(self, stage: str, step: int, *, evaluated: bool) -> None:
        """Remove the lines from this step on."""
        await self._disk.retry("metrics", partial(self._tracker.rewind, stage, step, evaluated=evaluated))

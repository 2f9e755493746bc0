"""The retry budget for rebuilding lost learner ranks."""

from actors.deadline import KILLED_FOR_MEMORY
from actors.retries import RetryBudget
from cluster.progress import STAGES, Progress
from cluster.ranks import LearnerLost
from rnr.messages import counted

REBUILDS = 3
"""How often in a row, at least, a lost learner is rebuilt without a new step before the run ends."""


class RebuildBudget:
    """How often a run may rebuild lost learner ranks."""

    def __init__(self, seconds: float) -> None:
        """Without progress, ranks are rebuilt for ``seconds`` and at least ``REBUILDS`` times."""
        self._retries = RetryBudget(tries=REBUILDS + 1, seconds=seconds)
        self._furthest = (-1, -1, -1)

    def spend(self, lost: BaseException, progress: Progress) -> None:
        """Record a loss at ``progress``; raises LearnerLost, with advice, when the budget is spent.

        Repeating steps after a checkpoint is not progress; otherwise a run that always dies at the same step would be
        rebuilt forever.
        """
        stands = STAGES.index(progress.stage), progress.step, len(progress.scores)
        if stands > self._furthest:
            self._retries.reset()
            self._furthest = stands
        if self._retries.failed():
            stage, step, _ = self._furthest
            cause = str(lost)
            raise LearnerLost(
                f"{cause}; lost {counted(self._retries.failures, 'time')} without progress beyond "
                f"{STAGES[stage]} step {step}. {_what_to_do(cause)}, then resume with --resume"
            ) from lost


def _what_to_do(cause: str) -> str:
    if KILLED_FOR_MEMORY in cause:
        return "Stop other processes on its host, or lower optimizer.max_tokens_per_microbatch or the number of workers"
    return "See logs/learner-*.log"

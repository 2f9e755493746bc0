"""Retry budget with exponential back-off."""

import time
from dataclasses import dataclass

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds before another try; they double."""


@dataclass(slots=True, kw_only=True)
class RetryBudget:
    """At least ``tries`` attempts, and as many as fit in ``seconds`` since the first failure.

    A count alone would give up after three quick failures, a time alone after one slow one.
    """

    tries: int
    seconds: float
    failures: int = 0
    """Since the last progress."""
    _since: float = 0.0

    def failed(self) -> bool:
        """Count one more failure; returns whether the budget is spent."""
        now = time.monotonic()
        if not self.failures:
            self._since = now
        self.failures += 1
        return self.failures >= self.tries and now - self._since >= self.seconds

    @property
    def delay(self) -> float:
        """Seconds to wait before the next try: more after each failure."""
        return min(FIRST_PAUSE * 2 ** min(self.failures - 1, 30), LONGEST_PAUSE)

    def reset(self) -> None:
        """Forget all failures: there was progress."""
        self.failures = 0

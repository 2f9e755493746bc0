"""ETA of a run: the remaining units of each kind of work times their measured duration."""

import time
from collections import deque
from collections.abc import Mapping

RECENT = 20
"""So many of a kind count: steps become shorter or longer as answers do."""


class Forecast:
    """An estimate, for the whole run: steps of both stages, evaluations, checkpoints and the export."""

    def __init__(self, stated: Mapping[str, float] | None = None) -> None:
        """``stated`` are the seconds of one of each kind, as long as none was seen. A kind that is neither stated nor
        seen counts as nothing."""
        self._left: dict[str, int] = {}
        self._stated = dict(stated or {})
        self._seen: dict[str, deque[float]] = {}
        self._spent = 0.0
        self._since = time.monotonic()

    def expect(self, left: Mapping[str, int]) -> None:
        """How many are to come of each kind, in place of what was expected before."""
        self._left = dict(left)
        self._since = time.monotonic()

    def begin(self) -> None:
        """What follows takes its time from here."""
        self._since = time.monotonic()

    def did(self, kind: str) -> None:
        """One of this kind is done; its time is what has passed since the last."""
        now = time.monotonic()
        self._seen.setdefault(kind, deque(maxlen=RECENT)).append(now - self._since)
        self._spent += now - self._since
        self._since = now
        self._left[kind] = max(0, self._left.get(kind, 0) - 1)

    def drop(self, kind: str) -> None:
        """No more of this kind come: the stage ended early."""
        self._left[kind] = 0

    def seconds_of(self, kind: str) -> float:
        """The seconds of one of this kind: the mean of the last that were seen, or what was stated."""
        seen = self._seen.get(kind)
        return sum(seen) / len(seen) if seen else self._stated.get(kind, 0.0)

    @property
    def seconds_left(self) -> float:
        """Until the run is done."""
        return sum(count * self.seconds_of(kind) for kind, count in self._left.items())

    @property
    def share(self) -> float:
        """What is done of the run's time, in [0, 1]."""
        whole = self._spent + self.seconds_left
        return self._spent / whole if whole else 0.0

"""ETA of a run: the remaining units of each kind of work times their measured duration."""

import time
from collections import deque
from collections.abc import Mapping

RECENT = 20
"""Number of recent durations per kind that count: steps get shorter or longer as answers do."""


class Forecast:
    """An estimate, for the whole run: steps of both stages, evaluations, checkpoints and the export."""

    def __init__(self, stated: Mapping[str, float] | None = None) -> None:
        """``stated`` are the seconds per unit of each kind, used until one was measured. A kind with neither counts as
        0 seconds."""
        self._left: dict[str, int] = {}
        self._earlier: dict[str, int] | None = None
        self._stated = dict(stated or {})
        self._seen: dict[str, deque[float]] = {}
        self._spent = 0.0
        self._since = time.monotonic()

    def expect(self, left: Mapping[str, int], whole: Mapping[str, int] | None = None) -> None:
        """Set how many units of each kind remain, replacing the previous numbers; ``whole`` is how many the run has,
        of which the others were done by earlier processes, at the first call."""
        self._left = dict(left)
        if self._earlier is None:
            self._earlier = {kind: max(0, units - left.get(kind, 0)) for kind, units in (whole or {}).items()}
        self._since = time.monotonic()

    def begin(self) -> None:
        """Start the clock of the next unit."""
        self._since = time.monotonic()

    def did(self, kind: str) -> None:
        """One unit of this kind is done; its duration is the time since the last."""
        now = time.monotonic()
        self._seen.setdefault(kind, deque(maxlen=RECENT)).append(now - self._since)
        self._spent += now - self._since
        self._since = now
        self._left[kind] = max(0, self._left.get(kind, 0) - 1)

    def drop(self, kind: str) -> None:
        """No more units of this kind follow: the stage ended early."""
        self._left[kind] = 0

    def seconds_of(self, kind: str) -> float:
        """Seconds per unit of this kind: the mean of the last measurements, or the stated value."""
        seen = self._seen.get(kind)
        return sum(seen) / len(seen) if seen else self._stated.get(kind, 0.0)

    @property
    def seconds_left(self) -> float:
        """Estimated seconds until the run is done."""
        return sum(count * self.seconds_of(kind) for kind, count in self._left.items())

    @property
    def share(self) -> float:
        """The share of the run's time that has passed, in [0, 1]; units of earlier processes count as long as those
        that follow."""
        earlier = sum(count * self.seconds_of(kind) for kind, count in (self._earlier or {}).items())
        spent = earlier + self._spent
        whole = spent + self.seconds_left
        return spent / whole if whole else 0.0

"""In-flight groups of an asynchronous run, and which of them a step may train on within ``max_staleness``."""

import asyncio
import heapq
import itertools
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from rnr.types import ScoredGroup


@dataclass(slots=True)
class _Place:
    due: int
    """The last step in which the group may be trained on."""
    asked: float
    generated: float = 0.0
    scored: float = 0.0
    group: ScoredGroup | None = None


class Window:
    """Groups stream: each moves on as soon as it is complete, and the slowest of a step does not hold the next step up
    as long as its own turn may still come.

    A group that was asked for when ``step`` was the next to be trained is due at ``step + max_staleness`` at the
    latest. So of the groups that are left after a step, no more may be due in the n steps that follow than these steps
    train on, ``n * per_step``; ``take`` waits for further groups where the finished ones would break that. With
    ``max_staleness`` 0 every group is due in the step that asked for it, and ``take`` waits for all.
    """

    def __init__(self, *, per_step: int, max_staleness: int) -> None:
        self._per_step = per_step
        self._max_staleness = max_staleness
        self._places: dict[int, _Place] = {}
        self._due: Counter[int] = Counter()
        """Step -> groups under way, complete or not, that are due then."""
        self._complete: defaultdict[int, list[int]] = defaultdict(list)
        """Step -> heap of the places of complete groups that are due then: what may be taken is decided by numbers
        alone, because with ten thousand groups under way it is asked ten thousand times a step."""
        self._count = 0
        self._changed = asyncio.Condition()

    def ask(self, step: int) -> int:
        """A place for a group that is asked for while ``step`` is the next to be trained."""
        place, self._count = self._count, self._count + 1
        self._places[place] = _Place(due=step + self._max_staleness, asked=time.monotonic())
        self._due[step + self._max_staleness] += 1
        return place

    def generated(self, place: int) -> None:
        """Note that the rollouts of a group are complete."""
        self._places[place].generated = time.monotonic()

    async def put(self, place: int, group: ScoredGroup) -> None:
        """Give a place its scored group."""
        async with self._changed:
            self._places[place].group = group
            self._places[place].scored = time.monotonic()
            heapq.heappush(self._complete[self._places[place].due], place)
            self._changed.notify_all()

    async def take(self, count: int, step: int) -> tuple[list[ScoredGroup], dict[str, float]]:
        """``count`` complete groups for ``step``, those that are due first, and where their time went in seconds."""
        begin = time.monotonic()
        async with self._changed:
            await self._changed.wait_for(lambda: self._choice(count, step) is not None)
            chosen = self._choice(count, step) or {}
            places = [self._places.pop(place) for place in self._taken(chosen)]
        generated = max(place.generated for place in places)
        timing = {
            "timing_s/wait_batch": time.monotonic() - begin,
            "timing_s/gen": generated - min(place.asked for place in places),
            "timing_s/reward": max(place.scored for place in places) - generated,
        }
        return [place.group for place in places if place.group is not None], timing

    def _choice(self, count: int, step: int) -> dict[int, int] | None:
        """How many complete groups to take of those due at each step, or None while there are too few, or none that
        leave the others their turn."""
        chosen = {}
        for due in sorted(self._due):
            chosen[due] = min(count, len(self._complete[due]))
            count -= chosen[due]
        if count:
            return None
        left = {due: number - chosen[due] for due, number in self._due.items()}
        return chosen if schedulable(left, step, self._per_step) else None

    def _taken(self, chosen: Mapping[int, int]) -> list[int]:
        """The places of so many groups, which are taken out."""
        places = []
        for due, number in chosen.items():
            places += [heapq.heappop(self._complete[due]) for _ in range(number)]
            self._due[due] -= number
            if not self._due[due]:
                del self._due[due], self._complete[due]
        return places


def schedulable(due: Mapping[int, int], step: int, per_step: int) -> bool:
    """Whether groups can all be trained on in time after ``step``, so many due at each of these steps: by each of them
    at most ``(due - step) * per_step`` are due."""
    sums = itertools.accumulate(due[last] for last in sorted(due))
    return all(number <= max(0, last - step) * per_step for number, last in zip(sums, sorted(due), strict=True))

"""Groups under way, from being asked for until they are trained on: what may be taken, so that none grows too stale."""

import asyncio
import time
from collections.abc import Sequence
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
    """Groups stream: each goes on as soon as it is complete, and the slowest of a step does not hold the next step up
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
        self._count = 0
        self._changed = asyncio.Condition()

    def ask(self, step: int) -> int:
        """A place for a group that is asked for while ``step`` is the next to be trained."""
        place, self._count = self._count, self._count + 1
        self._places[place] = _Place(due=step + self._max_staleness, asked=time.monotonic())
        return place

    def generated(self, place: int) -> None:
        """Note that the rollouts of a group are complete."""
        self._places[place].generated = time.monotonic()

    async def put(self, place: int, group: ScoredGroup) -> None:
        """Give a place its scored group."""
        async with self._changed:
            self._places[place].group = group
            self._places[place].scored = time.monotonic()
            self._changed.notify_all()

    async def take(self, count: int, step: int) -> tuple[list[ScoredGroup], dict[str, float]]:
        """``count`` complete groups for ``step``, those that are due first, and where their time went in seconds."""
        begin = time.monotonic()
        async with self._changed:
            await self._changed.wait_for(lambda: self._choice(count, step) is not None)
            chosen = self._choice(count, step) or []
        places = [self._places.pop(place) for place in chosen]
        generated = max(place.generated for place in places)
        timing = {
            "timing_s/wait_batch": time.monotonic() - begin,
            "timing_s/gen": generated - min(place.asked for place in places),
            "timing_s/reward": max(place.scored for place in places) - generated,
        }
        return [place.group for place in places if place.group is not None], timing

    def _choice(self, count: int, step: int) -> list[int] | None:
        """The places to take, or None while there are too few, or none that leave the others their turn."""
        complete = [place for place, group in self._places.items() if group.group is not None]
        if len(complete) < count:
            return None
        chosen = sorted(complete, key=lambda place: (self._places[place].due, place))[:count]
        left = [group.due for place, group in self._places.items() if place not in chosen]
        return chosen if schedulable(left, step, self._per_step) else None


def schedulable(due: Sequence[int], step: int, per_step: int) -> bool:
    """Whether groups that are due at these steps can all be trained on in time after ``step``: for each of them, at
    most ``(due - step) * per_step`` are due by then."""
    return all(number <= (last - step) * per_step for number, last in enumerate(sorted(due), 1))

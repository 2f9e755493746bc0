"""``Pool``: interchangeable Ray workers behind leases with deadlines.

A lease hands one piece of work to one worker until a deadline. A worker that dies or lets a deadline pass is replaced
and its leases are handed out again; an exception *inside* a worker is a bug in data or code and stops the run.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import ray

from actors.deadline import answer
from actors.in_process import LocalHandle
from rnr.runs.spans import span

Work = TypeVar("Work")
Handle = Any
Spawn = Callable[[str], Awaitable[Handle]]
"""Name of a worker -> its handle, once it can work; raises WorkerLost when it does not come up in time."""


class LeaseFailed(RuntimeError):
    """A lease that failed as often as is allowed; says which worker, in which phase, and why."""


class WorkerLost(RuntimeError):
    """A worker that died, gave itself up or missed a deadline."""


@dataclass(slots=True)
class Slot:
    """The place of one worker in the pool; the worker in it may change."""

    name: str
    handle: Handle | None = None
    generation: int = 0
    load: int = 0
    state: Any = None
    """What the owner of the pool has brought this worker to; None for a new one."""
    failure: tuple[int, WorkerLost] | None = None
    """The last generation that was lost while it was made ready, and how."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Pool:
    """``size`` workers which together work off any number of leases."""

    def __init__(
        self,
        kind: str,
        *,
        spawn: Spawn,
        size: int,
        capacity: int,
        attempts: int,
        prepare: Callable[[Slot], Awaitable[None]] | None = None,
    ) -> None:
        """``capacity`` is how much work one worker takes at once, in the unit of the leases' sizes; ``prepare`` brings
        a worker up to date before each of its leases."""
        self._kind = kind
        self._spawn = spawn
        self.slots = [Slot(name=f"{kind}-{index}") for index in range(size)]
        self._capacity = capacity
        self._attempts = attempts
        self._prepare = prepare
        self._freed = asyncio.Condition()
        self.restarts = 0
        self.reissued = 0
        self.given_up_in_a_row = 0
        """Leases that failed for good since one was last answered."""

    async def map(
        self, phase: str, items: Sequence[Work], call: Callable[[Handle, Work], Any], *, seconds: float
    ) -> list[Any]:
        """``call(worker, item)`` for every item, spread over the workers; results in the order of the items.

        The first failure cancels what has not been handed out and is raised.
        """
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.lease(phase, lambda h, i=item: call(h, i), seconds=seconds)) for item in items
            ]
        return [task.result() for task in tasks]

    async def lease(self, phase: str, call: Callable[[Handle], Any], *, seconds: float, size: int = 1) -> Any:
        """The result of one call on whichever worker is least busy, handed out again when that worker is lost.

        ``size`` is the part of a worker's capacity that the call takes. Raises LeaseFailed when it was lost as often as
        the pool attempts, and what the call itself raises.
        """
        reason: Exception | None = None
        for attempt in range(self._attempts):
            if attempt:
                self.reissued += 1
            slot = await self._take(size)
            try:
                generation = await self._ready(slot)
                try:
                    result = await self.wait(slot, phase, call(slot.handle), seconds=seconds)
                    self.given_up_in_a_row = 0
                    return result
                except WorkerLost:
                    self._discard(slot, generation)
                    raise
            except WorkerLost as lost:
                reason = lost
            finally:
                await self._give_back(slot, size)
        self.given_up_in_a_row += 1
        raise LeaseFailed(f"given up after {self._attempts} attempts: {reason}") from reason

    async def everywhere(self) -> None:
        """Bring every slot up and up to date, empty ones included."""
        async with asyncio.TaskGroup() as group:
            for slot in self.slots:
                group.create_task(self._bring_up(slot))

    async def where_alive(self) -> list[WorkerLost]:
        """Bring every worker that is there up to date, without waiting for those that are not; the losses on the way,
        whose slots are filled again by the next lease that meets them."""
        alive = [slot for slot in self.slots if slot.handle is not None]
        results = await asyncio.gather(*map(self._ready, alive), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, WorkerLost):
                raise result
        return [result for result in results if isinstance(result, WorkerLost)]

    async def _bring_up(self, slot: Slot) -> None:
        for attempt in range(self._attempts):
            try:
                await self._ready(slot)
                return
            except WorkerLost:
                if attempt == self._attempts - 1:
                    raise

    async def wait(self, slot: Slot, phase: str, reference: Any, *, seconds: float) -> Any:
        """What a remote call returns; WorkerLost, naming worker, phase, its state and the time, when it does not."""
        known = f", {slot.state}" if slot.state is not None else ""
        place = f"{slot.name}, phase {phase}{known}"
        with span(slot.name, phase):
            return await answer(reference, place=place, seconds=seconds, lost=WorkerLost)

    async def _ready(self, slot: Slot) -> int:
        """Bring one slot up and up to date; returns the generation of its worker."""
        waited_for = slot.generation
        async with slot.lock:
            if slot.failure is not None and slot.failure[0] >= waited_for:
                # The worker all these leases waited for was lost in the meantime: one deadline is enough for all.
                raise slot.failure[1]
            generation = slot.generation
            try:
                if slot.handle is None:
                    with span(slot.name, "start"):
                        slot.handle = await self._spawn(f"{slot.name}.{generation}")
                if self._prepare is not None:
                    await self._prepare(slot)
            except WorkerLost as lost:
                slot.failure = (generation, lost)
                self._discard(slot, generation)
                raise
            return generation

    def _discard(self, slot: Slot, generation: int) -> None:
        """End a lost worker and leave its slot empty, unless another lease on it was here first."""
        if slot.generation != generation:
            return
        slot.generation += 1
        self.restarts += 1
        if slot.handle is not None:
            end(slot.handle)
        slot.handle = slot.state = None

    async def _take(self, size: int) -> Slot:
        def room() -> bool:
            # A lease larger than a worker's capacity has one to itself.
            least = min(slot.load for slot in self.slots)
            return least == 0 or least + size <= self._capacity

        async with self._freed:
            await self._freed.wait_for(room)
            slot = min(self.slots, key=lambda slot: slot.load)
            slot.load += size
            return slot

    async def _give_back(self, slot: Slot, size: int) -> None:
        async with self._freed:
            slot.load -= size
            self._freed.notify_all()

    def metrics(self) -> dict[str, float]:
        """Counters since the start, by their ``infra/`` names."""
        alive = sum(slot.handle is not None for slot in self.slots)
        return {
            f"infra/{self._kind}_workers_alive": alive,
            f"infra/{self._kind}_restarts_total": self.restarts,
            f"infra/{self._kind}_leases_reissued": self.reissued,
        }

    def stop(self) -> None:
        """End all workers."""
        for slot in self.slots:
            if slot.handle is not None:
                end(slot.handle)
                slot.handle = None


def end(handle: Handle) -> None:
    """End a worker, wherever it is."""
    if isinstance(handle, LocalHandle):
        handle.end()
    else:
        ray.kill(handle)

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

Work = TypeVar("Work")
Handle = Any
Spawn = Callable[[str], Awaitable[Handle]]
"""Name of a worker -> its handle, once it can work; raises when it does not come up in time."""


class LeaseFailed(RuntimeError):
    """A lease that failed as often as is allowed; says which worker, in which phase, at which version, and why."""


class WorkerLost(RuntimeError):
    """A worker that died or missed a deadline."""


@dataclass(slots=True)
class Member:
    """One seat of the pool; its worker may change."""

    name: str
    handle: Handle | None = None
    generation: int = 0
    load: int = 0
    version: int = -1
    failure: tuple[int, "WorkerLost"] | None = None
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
        leases_per_worker: int,
        deadline_seconds: float,
        attempts: int,
        prepare: Callable[[Member], Awaitable[None]] | None = None,
    ) -> None:
        self._kind = kind
        self._spawn = spawn
        self.members = [Member(name=f"{kind}-{index}") for index in range(size)]
        self._leases_per_worker = leases_per_worker
        self._deadline_seconds = deadline_seconds
        self._attempts = attempts
        self._prepare = prepare
        self._freed = asyncio.Condition()
        self.restarts = 0
        self.reissued = 0
        self.given_up_in_a_row = 0
        """Leases that failed for good since one was last answered."""

    async def map(self, phase: str, items: Sequence[Work], call: Callable[[Handle, Work], Any]) -> list[Any]:
        """``call(worker, item)`` for every item, spread over the workers; results in the order of the items.

        The first failure cancels what has not been handed out and is raised.
        """
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.lease(phase, lambda h, i=item: call(h, i))) for item in items]
        return [task.result() for task in tasks]

    async def lease(self, phase: str, call: Callable[[Handle], Any]) -> Any:
        """The result of one call on whichever worker is least busy, handed out again when that worker is lost.

        Raises LeaseFailed when it was lost as often as the pool attempts, and what the call itself raises.
        """
        reason: Exception | None = None
        for attempt in range(self._attempts):
            if attempt:
                self.reissued += 1
            member = await self._take()
            try:
                generation = await self._ready(member)
                try:
                    result = await self.wait(member, phase, call(member.handle))
                    self.given_up_in_a_row = 0
                    return result
                except WorkerLost:
                    self._discard(member, generation)
                    raise
            except WorkerLost as lost:
                reason = lost
            finally:
                await self._give_back(member)
        self.given_up_in_a_row += 1
        raise LeaseFailed(f"given up after {self._attempts} attempts: {reason}") from reason

    async def everywhere(self) -> None:
        """Bring every seat up and up to date, dead ones included, each within the deadline."""
        async with asyncio.TaskGroup() as group:
            for member in self.members:
                group.create_task(self._bring_up(member))

    async def _bring_up(self, member: Member) -> None:
        for attempt in range(self._attempts):
            try:
                await self._ready(member)
                return
            except WorkerLost:
                if attempt == self._attempts - 1:
                    raise

    async def wait(self, member: Member, phase: str, reference: Any) -> Any:
        """What a remote call returns; WorkerLost, naming worker, phase, version and time, when it does not come."""
        place = f"{member.name}, phase {phase}, version {member.version}"
        return await answer(reference, place=place, seconds=self._deadline_seconds, lost=WorkerLost)

    async def _ready(self, member: Member) -> int:
        """Bring one seat up and up to date; returns the generation of its worker."""
        waited_for = member.generation
        async with member.lock:
            if member.failure is not None and member.failure[0] >= waited_for:
                # The worker all these leases waited for was lost in the meantime: one deadline is enough for all.
                raise member.failure[1]
            generation = member.generation
            try:
                if member.handle is None:
                    member.handle = await self._spawn(f"{member.name}.{generation}")
                if self._prepare is not None:
                    await self._prepare(member)
            except WorkerLost as lost:
                member.failure = (generation, lost)
                self._discard(member, generation)
                raise
            return generation

    def _discard(self, member: Member, generation: int) -> None:
        """End a lost worker and leave its seat empty, unless another lease on it was here first."""
        if member.generation != generation:
            return
        member.generation += 1
        self.restarts += 1
        if member.handle is not None:
            ray.kill(member.handle)
        member.handle, member.version = None, -1

    async def _take(self) -> Member:
        async with self._freed:
            await self._freed.wait_for(lambda: min(member.load for member in self.members) < self._leases_per_worker)
            member = min(self.members, key=lambda member: member.load)
            member.load += 1
            return member

    async def _give_back(self, member: Member) -> None:
        async with self._freed:
            member.load -= 1
            self._freed.notify_all()

    def metrics(self) -> dict[str, float]:
        """Counters since the start, by their ``infra/`` names."""
        alive = sum(member.handle is not None for member in self.members)
        return {
            f"infra/{self._kind}_workers_alive": alive,
            f"infra/{self._kind}_restarts_total": self.restarts,
            f"infra/{self._kind}_leases_reissued": self.reissued,
        }

    def stop(self) -> None:
        """End all workers."""
        for member in self.members:
            if member.handle is not None:
                ray.kill(member.handle)
                member.handle = None

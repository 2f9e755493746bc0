"""``Pool``: interchangeable Ray workers behind leases with deadlines.

A lease hands one piece of work to one worker until a deadline. A worker that dies or lets a deadline pass is replaced
and its leases are issued again; an exception *inside* a worker is a bug in data or code and stops the run. The pool
may grow and shrink while leases are out: a new worker takes leases once it is up to date, one that is given back first
answers those it has.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any

from actors.deadline import answer
from actors.retries import RetryBudget
from actors.slots import Handle, Queue, Slot, end, started
from rnr.runs.spans import span

logger = logging.getLogger(__name__)

Spawn = Callable[[str], Awaitable[Handle]]
"""Name of a worker -> its handle, once it can work; raises WorkerLost when it does not come up in time."""


class LeaseFailed(RuntimeError):
    """A lease that failed as often as allowed; names the worker, the phase and the cause."""


class WorkerLost(RuntimeError):
    """A worker that died, gave up or missed a deadline."""


class Pool:
    """Workers that share any number of leases."""

    def __init__(
        self,
        kind: str,
        *,
        spawn: Spawn,
        size: int,
        capacity: int,
        attempts: int = 3,
        prepare: Callable[[Slot], Awaitable[None]] | None = None,
        on_release: Callable[[str], None] = lambda _name: None,
        restart_seconds: float = 0.0,
        retry_losses: bool = False,
        passed_on: tuple[type[Exception], ...] = (),
    ) -> None:
        """``capacity`` is how much work one worker takes at once, in the unit of the leases' sizes; a lease fails when
        it was handed out ``attempts`` times; ``prepare`` brings a worker up to date before each of its leases;
        ``on_release`` hears the name of each slot that ends.

        A worker that was lost while it started is no attempt of the lease that waited for it: such starts go on for
        ``restart_seconds`` and at least ``attempts`` times, once anything was answered at all. ``retry_losses`` counts
        those that were lost while they worked like that, too: where a kill is likelier than work that kills. Errors of
        the kinds ``passed_on`` are not a loss of the worker whose start raises them: the waiting lease raises them."""
        self._kind = kind
        self._spawn = spawn
        self.slots = [Slot(name=f"{kind}-{number}", number=number) for number in range(size)]
        self._attempts = attempts
        self._prepare = prepare
        self._on_release = on_release
        self._queue = Queue(self.slots, capacity, on_free=self._end_if_done)
        self.leaving: list[Slot] = []
        """Given back, and still answering leases."""
        self._first_generation: dict[int, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._going = asyncio.Event()  # whether workers are started in the background
        self._going.set()
        self._broken: Exception | None = None
        self._restart_seconds = restart_seconds
        self._retry_losses = retry_losses
        self._passed_on = passed_on
        self._answered = False
        self.restarts = 0
        self.reissued = 0
        self.consecutive_failures = 0
        """Leases that failed for good since one was last answered."""

    async def lease(self, phase: str, call: Callable[[Handle], Any], *, seconds: float, size: int = 1) -> Any:
        """The result of one call on whichever worker is least busy, handed out again when that worker is lost.

        ``size`` is the part of a worker's capacity that the call takes. Raises LeaseFailed when it was lost as often as
        the pool attempts, and what the call itself raises. A worker that is lost while it leaves is no attempt.
        """
        self._going.set()
        starts = RetryBudget(tries=self._attempts, seconds=self._restart_seconds if self._answered else 0.0)
        # One budget for both if losses at work are retried like losses at a start.
        calls = starts if self._retry_losses or not starts.seconds else RetryBudget(tries=self._attempts, seconds=0.0)
        while True:
            slot, pause, generation = await self._queue.take(size), 0.0, None
            try:
                generation = await self._ready(slot)
                result = await self.wait(slot, phase, call(slot.handle), seconds=seconds)
                self.consecutive_failures, self._answered = 0, True
                return result
            except WorkerLost as lost:
                retries = starts if generation is None else calls
                if generation is not None:
                    self._discard(slot, generation, lost)
                if not slot.leaving and retries.failed():
                    self.consecutive_failures += 1
                    raise LeaseFailed(f"given up after {retries.failures} attempts: {lost}") from lost
                self.reissued += 1
                pause = starts.delay if generation is None and starts.failures > 1 else 0.0
            finally:
                self._queue.release(slot, size)
            await asyncio.sleep(pause)

    async def start_all(self) -> None:
        """Bring every slot up and up to date, empty ones included."""
        async with asyncio.TaskGroup() as group:
            for slot in self.slots:
                group.create_task(self._bring_up(slot))

    async def refresh(self) -> list[WorkerLost]:
        """Bring every running worker up to date, without waiting for the others; returns the losses on the way. All
        other slots are being filled then, including those that failed before, because the target version changed."""
        self._broken = None
        self._going.set()
        ready = [slot for slot in self.slots if slot.ready]
        for slot in self.slots:
            if not slot.ready:
                self._fill(slot)
        results = await asyncio.gather(*map(self._ready, ready), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException) and not isinstance(result, WorkerLost):
                raise result
        return [result for result in results if isinstance(result, WorkerLost)]

    async def rest(self, put: Callable[[Slot], Awaitable[None]]) -> None:
        """``put`` every worker to rest that is there, one that is coming up as soon as it is; no other is started until
        the pool is asked for something again. No lease is out meanwhile."""
        self._going.clear()

        async def each(slot: Slot) -> None:
            async with slot.lock:
                try:
                    if slot.handle is not None:
                        await put(slot)
                except WorkerLost as lost:
                    self._discard(slot, slot.generation, lost)

        await asyncio.gather(*map(each, self.slots))

    def resize(self, size: int) -> None:
        """Make the pool one of ``size`` workers, at least 1. New ones come up in the background; surplus ones, first
        those that are not up, then the least busy, end when they have answered the leases they have."""
        while len(self.slots) > size:
            slot = min(self.slots, key=lambda slot: (slot.ready, slot.load, -slot.number))
            self.slots.remove(slot)
            slot.leaving = True
            self.leaving.append(slot)
            if slot.starting is not None:
                slot.starting.cancel()
            self._end_if_done(slot)
        while len(self.slots) < size:
            taken = {slot.number for slot in (*self.slots, *self.leaving)}
            number = next(number for number in range(len(taken) + 1) if number not in taken)
            # A number that comes again names another worker.
            slot = Slot(name=f"{self._kind}-{number}", number=number, generation=self._first_generation.get(number, 0))
            self.slots.append(slot)
            self._fill(slot)
        self._queue.serve()

    def _end_if_done(self, slot: Slot) -> None:
        """End a leaving worker that has no lease left."""
        if slot.leaving and slot.load == 0 and slot in self.leaving:
            self.leaving.remove(slot)
            self._first_generation[slot.number] = slot.generation + 1
            self._kill(slot)
            self._on_release(slot.name)

    async def _bring_up(self, slot: Slot) -> None:
        for attempt in range(self._attempts):
            try:
                await self._ready(slot)
                return
            except WorkerLost:
                if attempt == self._attempts - 1:
                    raise

    def _fill(self, slot: Slot) -> None:
        """Bring a slot up in the background, unless that is under way."""
        if not slot.leaving and not slot.filling:
            slot.filling = True
            task = asyncio.get_running_loop().create_task(self._keep_trying(slot))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _keep_trying(self, slot: Slot) -> None:
        starts = RetryBudget(tries=1, seconds=math.inf)
        try:
            while not slot.ready and not slot.leaving:
                await self._going.wait()
                try:
                    await self._ready(slot)
                except WorkerLost:
                    starts.failed()
                    await asyncio.sleep(starts.delay)
        except Exception as error:
            # A bug in data or code. Nothing awaits this task, so the next lease raises it.
            self._broken = error
        finally:
            slot.filling = False

    async def wait(self, slot: Slot, phase: str, reference: Any, *, seconds: float) -> Any:
        """What a remote call returns; WorkerLost, naming worker, phase, its state and the time, when it does not."""
        known = f", {slot.state}" if slot.state is not None else ""
        place = f"{slot.name}, phase {phase}{known}"
        with span(slot.name, phase):
            return await answer(reference, place=place, seconds=seconds, lost=WorkerLost)

    async def _ready(self, slot: Slot) -> int:
        """Bring one slot up and up to date; returns the generation of its worker."""
        if self._broken is not None:
            # Once: a run that recovers from it, as from a policy that went with its host, starts again.
            broken, self._broken = self._broken, None
            raise broken
        waited_for = slot.generation
        async with slot.lock:
            if slot.failure is not None and slot.failure[0] >= waited_for:
                # The worker all these leases waited for was lost in the meantime: one deadline is enough for all.
                raise WorkerLost(slot.failure[1])
            generation = slot.generation
            try:
                if slot.handle is None:
                    with span(slot.name, "start"):
                        slot.handle = await self._spawned(slot)
                worker = slot.handle
                if self._prepare is not None:
                    await self._prepare(slot)
                if slot.handle is not worker:  # all calls were answered, but a lease on it was lost, or it left
                    slot.state = None
                    raise WorkerLost(f"{slot.name} was lost while it was brought up to date")
            except WorkerLost as lost:
                slot.failure = (generation, str(lost))
                self._discard(slot, generation, lost)
                raise
            if not slot.ready:
                slot.ready = True
                self._queue.changed(slot)
            return generation

    async def _spawned(self, slot: Slot) -> Handle:
        """A new worker; WorkerLost if the slot is given back before it is up."""
        if slot.leaving:
            raise WorkerLost(f"{slot.name} was given back before it was up")
        try:
            worker = await started(slot, self._spawn(f"{slot.name}.{slot.generation}"))
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if slot.leaving and task is not None and not task.cancelling():
                raise WorkerLost(f"{slot.name} was given back before it was up") from None
            raise
        except Exception as error:
            if isinstance(error, (WorkerLost, *self._passed_on)) or not self._answered:
                raise
            # A worker that came up before is not broken: its host may have no room in shared memory.
            place, reason = f"{slot.name}.{slot.generation}, phase start: ", f"{type(error).__name__}: {error}"
            raise WorkerLost(place + reason.strip().splitlines()[-1].rpartition(place)[2]) from error
        if slot.leaving:  # too late to be cancelled
            end(worker)
            raise WorkerLost(f"{slot.name} was given back before it was up")
        return worker

    def _discard(self, slot: Slot, generation: int, lost: WorkerLost | None = None) -> None:
        """End a lost worker, report it and fill its slot again, unless another lease on it was here first."""
        if slot.generation != generation:
            return
        slot.generation += 1
        if not slot.leaving:
            self.restarts += 1
            logger.warning(f"{lost or slot.name}; the worker is replaced")
        self._kill(slot)
        self._fill(slot)

    def _kill(self, slot: Slot) -> None:
        if slot.handle is not None:
            end(slot.handle)
        slot.handle = slot.state = None
        slot.ready = False

    def metrics(self) -> dict[str, float]:
        """Counters since the start, by their ``infra/`` names."""
        return {
            f"infra/{self._kind}_workers_alive": sum(slot.ready for slot in self.slots),
            f"infra/{self._kind}_workers_wanted": len(self.slots),
            f"infra/{self._kind}_restarts_total": self.restarts,
            f"infra/{self._kind}_leases_reissued": self.reissued,
        }

    def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for slot in (*self.slots, *self.leaving):
            self._kill(slot)

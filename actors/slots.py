"""Slots of a pool: which of them takes the next lease, and who waits for one.

With thousands of workers and hundreds of thousands of leases this is the driver's main work: a lease costs O(log n)
in the number of workers, and those that wait cost nothing until their turn comes.
"""

import asyncio
import heapq
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray

from actors.local_handle import LocalHandle

Handle = Any


def end(handle: Handle) -> None:
    """End a worker, wherever it is."""
    if isinstance(handle, LocalHandle):
        handle.end()
    else:
        ray.kill(handle)


@dataclass(slots=True, eq=False)
class Slot:
    """The place of one worker in the pool; the worker in it may change."""

    name: str
    number: int = 0
    handle: Handle | None = None
    generation: int = 0
    load: int = 0
    state: Any = None
    """The state to which the pool's owner has brought this worker; None for a new one."""
    ready: bool = False
    """Whether the worker is up and has been brought up to date; until then it is given work only if no other is."""
    leaving: bool = False
    """It takes no further lease and is ended when it has answered those it has."""
    starting: asyncio.Future[Handle] | None = None
    filling: bool = False
    """Whether a task of the pool brings it up in the background."""
    failure: tuple[int, str] | None = None
    """The last generation that was lost while it was made ready, and how, as text: an exception would keep the policy
    in its frames alive."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


async def started(slot: Slot, spawning: Awaitable[Handle]) -> Handle:
    """The worker of a slot, once it has started. If the caller is cancelled it is ended, even if it has just come up,
    and the next one gets another name."""
    slot.starting = starting = asyncio.ensure_future(spawning)
    try:
        return await starting
    except asyncio.CancelledError:
        slot.generation += 1
        if not starting.cancelled() and not starting.exception():
            end(starting.result())
        raise
    finally:
        slot.starting = None


class Queue:
    """Hands slots out to leases: the least busy one first, to leases in the order in which they came."""

    def __init__(
        self, slots: Sequence[Slot], capacity: int, *, on_free: Callable[[Slot], None] = lambda _slot: None
    ) -> None:
        """``slots`` is the pool's own list, which changes; a worker takes leases up to ``capacity`` at once;
        ``on_free`` is called with each slot whose lease ends."""
        self._slots = slots
        self._capacity = capacity
        self._on_free = on_free
        self._heap: list[tuple[int, int, int, Slot]] = []
        """(load, number, tie, slot) of ready slots; an entry that is no longer true is passed over."""
        self._pushed = 0
        self._waiting: deque[tuple[int, asyncio.Future[Slot]]] = deque()

    async def take(self, size: int) -> Slot:
        """A slot with room for ``size``, which is added to its load."""
        if not self._waiting and (slot := self._room(size)) is not None:
            self._add(slot, size)
            return slot
        turn: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(turn.result(), size)
            raise

    def release(self, slot: Slot, size: int) -> None:
        """Take ``size`` off the load of a slot."""
        self._add(slot, -size)
        self._on_free(slot)
        self.serve()

    def changed(self, slot: Slot) -> None:
        """Note that a slot became ready."""
        self._add(slot, 0)
        self.serve()

    def serve(self) -> None:
        """Give slots to waiting leases, as far as there is room."""
        while self._waiting:
            size, turn = self._waiting[0]
            if turn.done():
                self._waiting.popleft()
                continue
            slot = self._room(size)
            if slot is None:
                return
            self._waiting.popleft()
            self._add(slot, size)
            turn.set_result(slot)

    def _add(self, slot: Slot, size: int) -> None:
        slot.load += size
        if slot.ready and not slot.leaving:
            self._pushed += 1
            heapq.heappush(self._heap, (slot.load, slot.number, self._pushed, slot))
            if len(self._heap) > 4 * len(self._slots) + 64:
                self._heap = [(s.load, s.number, n, s) for n, s in enumerate(self._slots) if s.ready]
                heapq.heapify(self._heap)

    def _room(self, size: int) -> Slot | None:
        """The least busy slot, if it has room. A lease larger than the capacity of a worker has one to itself."""
        slot = self._least_busy()
        return slot if slot.load == 0 or slot.load + size <= self._capacity else None

    def _least_busy(self) -> Slot:
        while self._heap:
            load, _, _, slot = self._heap[0]
            if slot.ready and not slot.leaving and slot.load == load:
                return slot
            heapq.heappop(self._heap)
        return min(self._slots, key=lambda slot: (slot.load, slot.number))

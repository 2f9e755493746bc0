"""A pool that grows and shrinks while leases are out: no lease is lost or answered twice."""

import asyncio
import gc
import random
import weakref
from collections import Counter
from typing import Any

import pytest

pytest.importorskip("ray")

from actors.pool import LeaseFailed, Pool, Slot, WorkerLost
from actors.slots import Queue


class Fleet:
    """Workers without processes: their names are their handles."""

    def __init__(self, monkeypatch, *, size: int, capacity: int = 2, **options: Any) -> None:
        self.killed: list[str] = []
        self.on_release: list[str] = []
        self.answered: Counter[Any] = Counter()
        self.by: dict[Any, str] = {}
        self.busy: Counter[str] = Counter()
        self.gates: dict[str, asyncio.Event] = {}
        """Worker -> what its start waits for."""
        monkeypatch.setattr("actors.slots.ray.kill", self.killed.append)
        settings = {"attempts": 2, "spawn": self.spawn, "on_release": self.on_release.append} | options
        self.pool = Pool("fake", size=size, capacity=capacity, **settings)

    async def spawn(self, name: str) -> str:
        if name in self.gates:
            await self.gates[name].wait()
        return name

    async def work(self, item: Any, release: asyncio.Event | None = None) -> Any:
        async def call(worker: str) -> Any:
            self.busy[worker] += 1
            try:
                await (release.wait() if release else asyncio.sleep(0.001))
            finally:
                self.busy[worker] -= 1
            if worker in self.killed:
                raise WorkerLost(f"{worker} was killed with work in its hands")
            self.answered[item] += 1
            self.by[item] = worker
            return item

        return await self.pool.lease("work", call, seconds=60)


async def _until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.001)


def test_a_pool_that_grows_gives_work_to_the_new_worker_as_soon_as_it_is_up(monkeypatch) -> None:
    fleet = Fleet(monkeypatch, size=1, capacity=1)

    async def scenario() -> None:
        release = asyncio.Event()
        fleet.gates["fake-1.0"] = asyncio.Event()
        await fleet.pool.start_all()
        tasks = [asyncio.create_task(fleet.work(item, release)) for item in range(2)]
        fleet.pool.resize(2)
        await asyncio.sleep(0.01)
        assert fleet.busy == {"fake-0.0": 1}  # nobody waits for one that is not up
        assert fleet.pool.metrics() | {"infra/fake_workers_alive": 1, "infra/fake_workers_wanted": 2} == (
            fleet.pool.metrics()
        )
        fleet.gates["fake-1.0"].set()
        await _until(lambda: fleet.busy["fake-1.0"] == 1)
        release.set()
        await asyncio.gather(*tasks)

    asyncio.run(scenario())
    assert set(fleet.by.values()) == {"fake-0.0", "fake-1.0"}


def test_a_late_joiner_is_brought_up_to_date_before_its_first_lease(monkeypatch) -> None:
    newest, seen = [1], []

    async def prepare(slot: Slot) -> None:
        seen.append((slot.name, newest[0]))
        slot.state = newest[0]

    fleet = Fleet(monkeypatch, size=1, prepare=prepare)

    async def scenario() -> None:
        await fleet.pool.start_all()
        newest[0] = 7
        fleet.pool.resize(2)
        await _until(lambda: fleet.pool.slots[1].ready)

    asyncio.run(scenario())
    assert seen == [("fake-0", 1), ("fake-1", 7)]


def test_a_worker_that_is_given_back_answers_what_it_has_and_takes_no_more(monkeypatch) -> None:
    fleet = Fleet(monkeypatch, size=2, capacity=1)

    async def scenario() -> None:
        release = asyncio.Event()
        await fleet.pool.start_all()
        first = [asyncio.create_task(fleet.work(item, release)) for item in range(2)]
        await _until(lambda: fleet.busy.total() == 2)
        fleet.pool.resize(1)
        assert fleet.killed == []
        more = asyncio.create_task(fleet.work("more"))
        release.set()
        await asyncio.gather(*first, more)

    asyncio.run(scenario())
    assert fleet.answered == {0: 1, 1: 1, "more": 1}
    assert (fleet.killed, fleet.on_release, fleet.by["more"]) == (["fake-1.0"], ["fake-1"], "fake-0.0")
    assert fleet.pool.reissued == 0


def test_an_idle_worker_is_ended_at_once_and_the_least_busy_goes_first(monkeypatch) -> None:
    fleet = Fleet(monkeypatch, size=3)

    async def scenario() -> None:
        release = asyncio.Event()
        await fleet.pool.start_all()
        tasks = [asyncio.create_task(fleet.work(item, release)) for item in range(2)]  # on fake-0 and fake-1
        await _until(lambda: fleet.busy.total() == 2)
        fleet.pool.resize(2)
        assert fleet.killed == ["fake-2.0"]
        release.set()
        await asyncio.gather(*tasks)

    asyncio.run(scenario())


def test_a_worker_that_never_came_up_leaves_first_and_what_waited_for_it_goes_to_another(monkeypatch) -> None:
    fleet = Fleet(monkeypatch, size=2, capacity=1)

    async def scenario() -> None:
        fleet.gates |= {"fake-0.0": asyncio.Event(), "fake-1.0": asyncio.Event()}
        tasks = [asyncio.create_task(fleet.work(item)) for item in range(2)]  # one waits for the start of each
        await asyncio.sleep(0.01)
        fleet.pool.resize(1)
        fleet.gates["fake-0.0"].set()
        await asyncio.gather(*tasks)

    asyncio.run(scenario())
    assert fleet.answered == {0: 1, 1: 1}
    assert set(fleet.by.values()) == {"fake-0.0"}
    assert (fleet.pool.restarts, fleet.pool.reissued) == (0, 1)


def test_a_worker_lost_while_it_leaves_is_not_replaced_and_costs_its_lease_no_attempt(monkeypatch) -> None:
    fleet = Fleet(monkeypatch, size=2, capacity=1, attempts=1)

    async def scenario() -> None:
        release = asyncio.Event()
        await fleet.pool.start_all()
        tasks = [asyncio.create_task(fleet.work(item, release)) for item in range(2)]
        await _until(lambda: fleet.busy.total() == 2)
        fleet.pool.resize(1)
        fleet.killed.append("fake-1.0")  # its node goes before it is done
        release.set()
        await asyncio.gather(*tasks)
        await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert fleet.answered == {0: 1, 1: 1}
    assert (fleet.pool.restarts, fleet.pool.reissued, len(fleet.pool.slots)) == (0, 1, 1)


def test_nobody_waits_for_a_lost_worker_as_long_as_another_is_up(monkeypatch) -> None:
    fleet = Fleet(monkeypatch, size=2)

    async def scenario() -> None:
        fleet.gates["fake-0.1"] = asyncio.Event()
        await fleet.pool.start_all()
        fleet.pool._discard(fleet.pool.slots[0], 0)
        await asyncio.gather(*map(fleet.work, range(20)))
        assert set(fleet.by.values()) == {"fake-1.0"}
        fleet.gates["fake-0.1"].set()
        await _until(lambda: fleet.pool.slots[0].ready)  # filled in the background, without a lease

    asyncio.run(scenario())


def test_a_bug_that_shows_when_a_worker_comes_up_in_the_background_ends_the_run(monkeypatch) -> None:
    async def prepare(slot: Slot) -> None:
        if slot.name == "fake-1":
            raise KeyError("a bug")

    fleet = Fleet(monkeypatch, size=1, prepare=prepare)

    async def scenario() -> None:
        await fleet.work(0)
        fleet.pool.resize(2)
        await _until(lambda: fleet.pool._broken is not None)
        await fleet.work(1)

    with pytest.raises(KeyError, match="a bug"):
        asyncio.run(scenario())


def test_a_worker_that_could_not_be_brought_up_to_date_is_used_once_there_is_something_else_to_be_brought_to(
    monkeypatch,
) -> None:
    """A host dies with the learner and a rollout worker: the new worker finds the policy gone, and another comes."""
    gone = [True]

    async def prepare(slot: Slot) -> None:
        if slot.name == "fake-1" and gone:
            raise RuntimeError("the policy is gone")

    fleet = Fleet(monkeypatch, size=1, capacity=1, prepare=prepare)

    async def scenario() -> None:
        await fleet.work(0)
        fleet.pool.resize(2)
        await _until(lambda: fleet.pool._broken is not None)
        gone.clear()
        assert await fleet.pool.refresh() == []
        await asyncio.gather(*(fleet.work(item) for item in (1, 2)))  # nothing is left of the failure of before
        await asyncio.wait_for(_until(lambda: fleet.pool.slots[1].ready), 5)
        release = asyncio.Event()
        both = [asyncio.create_task(fleet.work(item, release)) for item in (3, 4)]
        await asyncio.wait_for(_until(lambda: set(+fleet.busy) == {"fake-0.0", "fake-1.0"}), 5)
        release.set()
        await asyncio.gather(*both)

    asyncio.run(scenario())


@pytest.mark.parametrize("seed", range(5))
def test_whatever_the_size_does_and_whoever_dies_every_lease_is_answered_once(monkeypatch, seed) -> None:
    fleet = Fleet(monkeypatch, size=2, capacity=3, attempts=50)
    draw = random.Random(seed)
    monkeypatch.setattr("actors.retries.FIRST_PAUSE", 0.001)

    async def disturb() -> None:
        while True:
            await asyncio.sleep(0.001)
            fleet.pool.resize(draw.randint(1, 6))
            slot = draw.choice(fleet.pool.slots)
            if slot.handle is not None and draw.random() < 0.3:
                fleet.killed.append(slot.handle)

    async def scenario() -> None:
        disturbing = asyncio.create_task(disturb())
        await asyncio.gather(*map(fleet.work, range(300)))
        disturbing.cancel()
        fleet.pool.resize(1)
        assert len(fleet.pool.slots) == 1
        assert [slot for slot in fleet.pool.leaving if slot.load == 0] == []

    asyncio.run(scenario())
    assert fleet.answered == dict.fromkeys(range(300), 1)
    assert sum(slot.load for slot in fleet.pool.slots) == 0


def test_a_worker_that_is_lost_for_good_fails_its_lease_as_before(monkeypatch) -> None:
    async def spawn(name: str) -> str:
        raise WorkerLost(f"{name}: no node has room")

    fleet = Fleet(monkeypatch, size=1, spawn=spawn, attempts=2)
    with pytest.raises(LeaseFailed, match=r"given up after 2 attempts: fake-0\.\d: no node has room"):
        asyncio.run(fleet.work(0))


def test_the_queue_gives_to_the_least_busy_and_to_the_first_that_came() -> None:
    slots = [Slot(name=f"s{number}", number=number, ready=True) for number in range(3)]

    async def scenario() -> None:
        queue = Queue(slots, 4)
        for slot in slots:
            queue.changed(slot)
        assert [(await queue.take(2)).number for _ in range(6)] == [0, 1, 2, 0, 1, 2]
        large, small = asyncio.create_task(queue.take(9)), asyncio.create_task(queue.take(1))
        await asyncio.sleep(0)
        queue.release(slots[1], 2)
        await asyncio.sleep(0)
        assert not large.done()  # it wants a worker to itself
        assert not small.done()  # and is not overtaken for ever
        queue.release(slots[1], 2)
        assert (await large).number == 1
        queue.release(slots[2], 2)
        assert (await small).number == 2

    asyncio.run(scenario())
    assert [slot.load for slot in slots] == [4, 9, 3]


def test_a_number_that_comes_again_names_another_worker(monkeypatch) -> None:
    names: list[str] = []

    async def spawn(name: str) -> str:
        names.append(name)
        return name

    fleet = Fleet(monkeypatch, size=1, spawn=spawn)

    async def scenario() -> None:
        await fleet.pool.start_all()
        for size in (2, 1, 2, 1, 2):
            fleet.pool.resize(size)
            await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert names == ["fake-0.0", "fake-1.0", "fake-1.1", "fake-1.2"]


def test_a_lease_that_is_cancelled_in_the_queue_leaves_its_place() -> None:
    slot = Slot(name="s", ready=True)

    async def scenario() -> None:
        queue = Queue([slot], 1)
        queue.changed(slot)
        await queue.take(1)
        waiting = [asyncio.create_task(queue.take(1)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        queue.release(slot, 1)  # its turn goes to the second, which is cancelled with the place in its hands
        waiting[1].cancel()
        await asyncio.sleep(0)
        assert await waiting[2] is slot

    asyncio.run(scenario())
    assert slot.load == 1


def test_a_worker_that_is_found_lost_as_the_last_call_that_brings_it_up_to_date_is_answered_leaves_nothing_behind(
    monkeypatch,
) -> None:
    """Both in one turn of the event loop: a lease lets its deadline pass, and the probe of a new policy is answered."""
    loaded: list[Any] = []

    async def prepare(slot: Slot) -> None:
        if slot.state is None:
            loaded.append(slot.handle)
            if len(loaded) == 1:
                asyncio.get_running_loop().call_soon(fleet.pool._discard, slot, slot.generation)
                await asyncio.sleep(0)
            slot.state = "the newest policy"

    fleet = Fleet(monkeypatch, size=1, prepare=prepare)
    asyncio.run(asyncio.wait_for(fleet.work(0), 10))
    assert fleet.by == {0: "fake-0.1"}
    assert loaded == ["fake-0.0", "fake-0.1"]  # the replacement does not pass for one that has the policy
    assert fleet.killed == ["fake-0.0"]


def test_a_worker_that_is_given_back_in_the_moment_in_which_it_is_up_is_ended(monkeypatch) -> None:
    async def spawn(name: str) -> str:
        if name == "fake-1.0":
            asyncio.get_running_loop().call_soon(fleet.pool.resize, 1)  # before its slot hears that it is up
        return name

    fleet = Fleet(monkeypatch, size=1, spawn=spawn)

    async def scenario() -> None:
        await fleet.pool.start_all()
        fleet.pool.resize(2)
        await asyncio.sleep(0.01)

    asyncio.run(scenario())
    assert (fleet.killed, fleet.on_release, fleet.pool.leaving) == (["fake-1.0"], ["fake-1"], [])
    assert fleet.pool.restarts == 0


def test_a_worker_that_is_given_back_is_ended_also_when_the_lease_that_it_was_given_to_is_cancelled(
    monkeypatch,
) -> None:
    fleet = Fleet(monkeypatch, size=2, capacity=1)

    async def scenario() -> None:
        gates = [asyncio.Event(), asyncio.Event()]
        await fleet.pool.start_all()
        busy = [asyncio.create_task(fleet.work(item, gates[item])) for item in range(2)]
        await _until(lambda: fleet.busy.total() == 2)
        waiting = asyncio.create_task(fleet.work("more"))
        await asyncio.sleep(0)
        release = fleet.pool._queue.release

        def released(slot: Slot, size: int) -> None:
            monkeypatch.setattr(fleet.pool._queue, "release", release)
            release(slot, size)  # its place goes to the lease that waits
            fleet.pool.resize(1)
            waiting.cancel()

        monkeypatch.setattr(fleet.pool._queue, "release", released)
        gates[1].set()
        await asyncio.wait([busy[1], waiting])
        assert fleet.pool.leaving == []
        gates[0].set()
        await busy[0]

    asyncio.run(asyncio.wait_for(scenario(), 10))
    assert (fleet.killed, fleet.on_release) == (["fake-1.0"], ["fake-1"])


class Weights:
    """Stands for references to a policy, which Ray keeps as long as there is one."""


def test_the_failure_of_a_worker_keeps_nothing_alive_of_what_was_loaded(monkeypatch) -> None:
    newest = [Weights()]

    async def prepare(slot: Slot) -> None:
        weights = newest[0]
        if slot.handle == "fake-0.0":
            raise WorkerLost(f"{slot.name} does not sample from {type(weights).__name__}")

    fleet = Fleet(monkeypatch, size=1, prepare=prepare)
    asyncio.run(asyncio.wait_for(fleet.work(0), 10))
    assert fleet.by == {0: "fake-0.1"}
    kept = weakref.ref(newest.pop())
    gc.collect()
    assert kept() is None


def test_a_worker_that_is_up_in_the_moment_in_which_its_lease_is_cancelled_is_ended(monkeypatch) -> None:
    leases: list[asyncio.Task[Any]] = []

    async def spawn(name: str) -> str:
        if name == "fake-0.0":
            asyncio.get_running_loop().call_soon(leases[0].cancel)  # before the lease hears that it is up
        return name

    fleet = Fleet(monkeypatch, size=1, spawn=spawn)

    async def scenario() -> None:
        leases.append(asyncio.create_task(fleet.work(0)))
        await asyncio.wait(leases)
        await fleet.work(1)

    asyncio.run(asyncio.wait_for(scenario(), 10))
    assert fleet.killed == ["fake-0.0"]
    assert fleet.by == {1: "fake-0.1"}  # a name that Ray may not have given up yet is not asked for again

"""The pool on real Ray workers which answer, die, hang and fail as they are told."""

import asyncio
import contextlib
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.ray
ray = pytest.importorskip("ray")

from actors.concurrency import gather_all  # noqa: E402
from actors.pool import LeaseFailed, Pool, Slot, WorkerLost  # noqa: E402
from cluster.ray_session import session  # noqa: E402
from rnr.faults import WorkerUnusable  # noqa: E402

NO_HURRY = 60.0
# The worker's process need not be able to import this file.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module", autouse=True)
def local_ray():
    with session(seconds=120, num_cpus=2):
        yield


class Worker:
    """Doubles, dies, hangs and fails as it is told; ``folder`` is its memory beyond death."""

    def __init__(self, name: str) -> None:
        self._name = name

    def double(self, number: int) -> int:
        return 2 * number

    def who(self) -> str:
        return self._name

    def log(self, folder: str, number: int) -> int:
        """Note that the work was done."""
        with Path(folder, "done").open("a") as file:
            file.write(f"{number}\n")
        return number

    def die_once(self, folder: str, number: int) -> int:
        if number == 2 and _first_time(folder):
            os._exit(1)
        return self.log(folder, number)

    def hang_once(self, folder: str, number: int) -> int:
        if number == 1 and _first_time(folder):
            time.sleep(600)
        return self.log(folder, number)

    def lose_the_engine_once(self, folder: str, number: int) -> int:
        if number == 1 and _first_time(folder):
            raise WorkerUnusable("the engine died")
        return self.log(folder, number)

    def hang(self) -> None:
        time.sleep(600)

    def fail(self, folder: str, number: int) -> None:
        self.log(folder, number)
        raise KeyError("a bug in the data")

    def meet(self, folder: str, number: int, count: int) -> str:
        """The worker's name, as soon as ``count`` calls have arrived at the same time."""
        Path(folder, f"here-{number}").touch()
        while len(os.listdir(folder)) < count:
            time.sleep(0.01)
        return self._name


def _first_time(folder: str) -> bool:
    flag = Path(folder, "was here")
    seen = flag.exists()
    flag.touch()
    return not seen


class Timed(Pool):
    """A pool with one deadline for everything."""

    def __init__(self, *arguments: Any, deadline: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline = deadline

    async def lease(self, phase: str, call: Any, *, seconds: float = 0.0, size: int = 1) -> Any:
        return await super().lease(phase, call, seconds=seconds or self._deadline, size=size)

    async def map(self, phase: str, items: Any, call: Any, *, seconds: float = 0.0) -> list[Any]:
        return await gather_all(self.lease(phase, lambda h, i=item: call(h, i), seconds=seconds) for item in items)

    async def wait(self, slot: Slot, phase: str, reference: Any, *, seconds: float = 0.0) -> Any:
        return await super().wait(slot, phase, reference, seconds=seconds or self._deadline)


def _pool(
    *, size: int = 1, leases: int = 1, deadline: float = NO_HURRY, attempts: int = 3, prepare: Any = None
) -> Timed:
    actor = ray.remote(Worker).options(num_cpus=0, max_concurrency=leases)

    async def spawn(name: str) -> Any:
        handle = actor.remote(name)
        await handle.who.remote()
        return handle

    return Timed(
        "echo",
        spawn=spawn,
        size=size,
        capacity=leases,
        deadline=deadline,
        attempts=attempts,
        prepare=prepare,
    )


def _done(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "done").read_text().split()]


def _counters(pool: Pool) -> dict[str, float]:
    counters = {name.removeprefix("infra/echo_"): value for name, value in pool.metrics().items()}
    assert counters.pop("workers_wanted") == len(pool.slots)
    return counters


def test_results_come_in_the_order_of_the_items() -> None:
    pool = _pool(size=2)
    items = list(range(20))
    results = asyncio.run(pool.map("double", items, lambda worker, item: worker.double.remote(item)))
    assert results == [2 * item for item in items]
    assert _counters(pool) == {"workers_alive": 2, "restarts_total": 0, "leases_reissued": 0}
    pool.stop()
    assert _counters(pool)["workers_alive"] == 0


def test_work_is_spread_evenly_and_each_worker_works_on_its_share_at_once(tmp_path) -> None:
    pool = _pool(size=2, leases=3)

    async def scenario() -> list[str]:
        await pool.start_all()
        # Nobody leaves before all six are there: two workers with three leases each.
        return await pool.map("meet", range(6), lambda worker, item: worker.meet.remote(str(tmp_path), item, 6))

    assert Counter(asyncio.run(scenario())) == {"echo-0.0": 3, "echo-1.0": 3}
    pool.stop()


def test_a_worker_that_dies_is_replaced_and_every_item_is_answered_once(tmp_path) -> None:
    pool = _pool(size=2)
    items = list(range(6))

    async def scenario() -> list[int]:
        results = await pool.map("work", items, lambda worker, item: worker.die_once.remote(str(tmp_path), item))
        await pool.start_all()  # the other worker may have taken all that was left
        return results

    assert asyncio.run(scenario()) == items
    assert sorted(_done(tmp_path)) == items
    assert _counters(pool) == {"workers_alive": 2, "restarts_total": 1, "leases_reissued": 1}
    pool.stop()


def test_a_worker_killed_in_the_middle_of_several_leases_is_replaced_once(tmp_path) -> None:
    pool = _pool(size=1, leases=3)

    async def scenario() -> list[str]:
        call = asyncio.ensure_future(
            # The fourth place is taken by the test: no call can end before.
            pool.map("meet", range(3), lambda worker, item: worker.meet.remote(str(tmp_path), item, 4))
        )
        while len(os.listdir(tmp_path)) < 3:
            await asyncio.sleep(0.01)
        ray.kill(pool.slots[0].handle)
        while pool.slots[0].generation == 0:  # Ray kills when it comes to it; no call may end before
            await asyncio.sleep(0.01)
        (tmp_path / "the fourth").touch()
        return await call

    assert asyncio.run(scenario()) == ["echo-0.1"] * 3
    assert _counters(pool) == {"workers_alive": 1, "restarts_total": 1, "leases_reissued": 3}
    pool.stop()


def test_a_worker_that_hangs_meets_the_deadline_and_is_replaced(tmp_path) -> None:
    pool = _pool(deadline=1.5)
    results = asyncio.run(pool.map("work", range(3), lambda worker, item: worker.hang_once.remote(str(tmp_path), item)))
    assert results == [0, 1, 2]
    assert sorted(_done(tmp_path)) == [0, 1, 2]
    assert _counters(pool) == {"workers_alive": 1, "restarts_total": 1, "leases_reissued": 1}
    pool.stop()


def test_a_lease_is_given_up_with_worker_phase_version_and_time() -> None:
    async def at_version_seven(slot: Slot) -> None:
        slot.state = "version 7"

    pool = _pool(deadline=0.3, attempts=2, prepare=at_version_seven)
    place = r"given up after 2 attempts: echo-0, phase nap, version 7: no answer within 0\.3 s"
    with pytest.raises(LeaseFailed, match=place):
        asyncio.run(pool.lease("nap", lambda worker: worker.hang.remote()))
    assert _counters(pool) == {"workers_alive": 0, "restarts_total": 2, "leases_reissued": 1}
    pool.stop()


def test_an_exception_inside_a_worker_is_raised_and_not_tried_again(tmp_path) -> None:
    pool = _pool()
    with pytest.raises(KeyError, match="a bug in the data"):
        asyncio.run(pool.map("work", [5], lambda worker, item: worker.fail.remote(str(tmp_path), item)))
    assert _done(tmp_path) == [5]
    assert _counters(pool) == {"workers_alive": 1, "restarts_total": 0, "leases_reissued": 0}
    pool.stop()


async def _dead(handle: Any) -> None:
    """Return when a killed worker no longer answers, which takes a moment."""
    with contextlib.suppress(ray.exceptions.RayActorError):
        while True:
            await handle.who.remote()


def test_everywhere_brings_dead_slots_back_and_up_to_date() -> None:
    prepared: list[str] = []

    async def prepare(slot: Slot) -> None:
        prepared.append(await pool.wait(slot, "prepare", slot.handle.who.remote()))

    pool = _pool(size=2, prepare=prepare)

    async def scenario() -> None:
        await pool.start_all()
        first = pool.slots[0].handle
        ray.kill(first)
        await _dead(first)
        await pool.start_all()

    asyncio.run(scenario())
    assert sorted(prepared) == ["echo-0.0", "echo-0.1", "echo-1.0", "echo-1.0"]
    assert _counters(pool) == {"workers_alive": 2, "restarts_total": 1, "leases_reissued": 0}
    pool.stop()


# Without workers: what the pool does around them.


def _pool_without_workers(monkeypatch, spawn: Any, **options: Any) -> Timed:
    monkeypatch.setattr("actors.slots.ray.kill", lambda handle: None)
    settings = {"size": 1, "capacity": 8, "deadline": 0.2, "attempts": 2} | options
    return Timed("fake", spawn=spawn, **settings)


async def _at_once(name: str) -> str:
    return name


def test_no_worker_gets_more_leases_than_it_may_have(monkeypatch) -> None:
    pool = _pool_without_workers(monkeypatch, _at_once, size=2, capacity=3, deadline=NO_HURRY)
    running: Counter[str] = Counter()
    highest: Counter[str] = Counter()

    async def work(worker: str) -> None:
        running[worker] += 1
        highest[worker] = max(highest[worker], running[worker])
        await asyncio.sleep(0.001)
        running[worker] -= 1

    asyncio.run(pool.map("work", range(40), lambda worker, _: work(worker)))
    assert highest == {"fake-0.0": 3, "fake-1.0": 3}


def test_a_worker_that_does_not_come_up_is_asked_again_under_a_new_name(monkeypatch) -> None:
    names: list[str] = []

    async def spawn(name: str) -> str:
        names.append(name)
        if len(names) == 1:
            raise WorkerLost("not up")
        return name

    pool = _pool_without_workers(monkeypatch, spawn)
    assert asyncio.run(pool.lease("work", lambda worker: _at_once(worker))) == "fake-0.1"
    assert names == ["fake-0.0", "fake-0.1"]


def test_the_first_failure_cancels_what_was_not_handed_out(monkeypatch) -> None:
    pool = _pool_without_workers(monkeypatch, _at_once, capacity=1)
    begun: list[int] = []

    async def work(item: int) -> None:
        begun.append(item)
        await asyncio.sleep(item)
        raise KeyError(item)

    with pytest.raises(KeyError, match="0"):
        asyncio.run(pool.map("work", range(5), lambda _, item: work(item)))
    assert begun in ([0], [0, 1])  # the slot it left may be taken before the news is out
    assert pool.slots[0].load == 0


def test_leases_that_wait_for_a_worker_which_hangs_while_loading_share_one_deadline(monkeypatch) -> None:
    async def hang(slot: Slot) -> None:
        await pool.wait(slot, "load weights", asyncio.sleep(60))

    pool = _pool_without_workers(monkeypatch, _at_once, prepare=hang)
    begin = time.monotonic()
    with pytest.raises(LeaseFailed):
        asyncio.run(pool.map("work", range(8), lambda worker, _: _at_once(worker)))
    assert time.monotonic() - begin < 1.6  # two attempts of 0.2 s, and not eight times as much: 3.2 s


def test_a_worker_that_says_its_engine_is_lost_is_replaced_and_its_lease_handed_out_again(tmp_path) -> None:
    pool = _pool()
    results = asyncio.run(
        pool.map("work", range(4), lambda worker, item: worker.lose_the_engine_once.remote(str(tmp_path), item))
    )
    assert results == [0, 1, 2, 3]
    assert (pool.restarts, pool.reissued) == (1, 1)
    pool.stop()


def test_a_lease_takes_as_much_of_a_worker_as_it_has_sequences(monkeypatch) -> None:
    pool = _pool_without_workers(monkeypatch, _at_once, size=1, capacity=16, deadline=NO_HURRY)
    sizes, load, highest = [8, 8, 8, 40, 1], 0, []

    async def work(size: int) -> None:
        nonlocal load
        load += size
        highest.append(load)
        await asyncio.sleep(0.001)
        load -= size

    async def scenario() -> None:
        async with asyncio.TaskGroup() as group:
            for size in sizes:
                group.create_task(pool.lease("work", lambda _worker, size=size: work(size), size=size))

    asyncio.run(scenario())
    # Two groups of eight at once; one that is larger than the worker has it to itself.
    assert max(total for total in highest if total != 40) <= 16
    assert 40 in highest


def test_a_timeout_inside_a_worker_is_its_own_error_and_no_deadline(monkeypatch) -> None:
    pool = _pool_without_workers(monkeypatch, _at_once, deadline=NO_HURRY)

    async def work(_worker: str) -> None:
        raise TimeoutError("the judge did not answer")

    with pytest.raises(TimeoutError, match="the judge did not answer"):
        asyncio.run(pool.lease("score", work))


def test_bringing_the_living_up_to_date_does_not_wait_for_the_dead(monkeypatch) -> None:
    spawned: list[str] = []

    async def spawn(name: str) -> str:
        spawned.append(name)
        if not name.endswith(".0"):
            await asyncio.sleep(NO_HURRY)
        return name

    async def prepare(slot: Slot) -> None:
        if slot.name == "fake-1" and slot.state == "up":
            raise WorkerLost("the load failed")
        slot.state = "up"

    pool = _pool_without_workers(monkeypatch, spawn, size=3, prepare=prepare)

    async def scenario() -> list[WorkerLost]:
        await pool.start_all()
        pool._discard(pool.slots[2], 0)
        return await pool.refresh()

    (lost,) = asyncio.run(scenario())
    assert str(lost) == "the load failed"
    assert spawned[:3] == ["fake-0.0", "fake-1.0", "fake-2.0"]
    assert set(spawned[3:]) <= {"fake-1.1", "fake-2.1"}  # still coming up
    assert [slot.handle for slot in pool.slots] == ["fake-0.0", None, None]

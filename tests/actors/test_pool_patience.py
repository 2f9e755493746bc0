"""What a lease bears: workers that die while they start, and kills that come one after another."""

import asyncio
from typing import Any

import pytest

pytest.importorskip("ray")

from actors.pool import LeaseFailed, Pool, WorkerLost


def _pool(monkeypatch, spawn: Any, **options: Any) -> Pool:
    monkeypatch.setattr("actors.slots.ray.kill", lambda _handle: None)
    monkeypatch.setattr("actors.retries.FIRST_PAUSE", 0.001)
    return Pool("fake", spawn=spawn, size=1, capacity=1, attempts=3, **options)


async def _work(worker: str) -> str:
    return worker


async def _spawn(name: str) -> str:
    return name


async def _worker_after_a_loss(monkeypatch, spawn) -> str:
    """The worker that answers after the first one, which has worked, was lost."""
    pool = _pool(monkeypatch, spawn, restart_seconds=60)
    await pool.lease("work", _work, seconds=60)
    pool._discard(pool.slots[0], 0)
    return await pool.lease("work", _work, seconds=60)


def test_a_replacement_that_dies_while_it_starts_is_no_attempt_of_the_lease_that_waits(monkeypatch) -> None:
    starts: list[str] = []

    async def spawn(name: str) -> str:
        starts.append(name)
        if 1 <= len(starts) - 1 <= 6:
            raise WorkerLost(f"{name}, phase start: the worker died")
        return name

    assert asyncio.run(_worker_after_a_loss(monkeypatch, spawn)) == "fake-0.7"


def test_an_error_in_a_start_ends_the_run_unless_such_a_worker_has_worked(monkeypatch) -> None:
    starts: list[str] = []

    async def spawn(name: str) -> str:
        starts.append(name)
        if len(starts) != 2:
            return name
        raise RuntimeError("engine core initialization failed\nno room in /dev/shm")

    async def scenario(leases: int) -> str:
        pool = _pool(monkeypatch, spawn, restart_seconds=60)
        for _ in range(leases):
            await pool.lease("work", _work, seconds=60)
        pool._discard(pool.slots[0], 0)
        return await pool.lease("work", _work, seconds=60)

    assert asyncio.run(scenario(leases=1)) == "fake-0.2"
    starts[:] = ["before"]
    with pytest.raises(RuntimeError, match="no room in /dev/shm"):
        asyncio.run(scenario(leases=0))


def test_workers_that_never_came_up_are_given_up_after_three(monkeypatch) -> None:
    async def spawn(name: str) -> str:
        raise WorkerLost(f"{name}, phase start: no answer")

    with pytest.raises(LeaseFailed, match="given up after 3 attempts"):
        asyncio.run(_pool(monkeypatch, spawn, restart_seconds=60).lease("work", _work, seconds=60))


@pytest.mark.parametrize("retry_losses", [True, False])
def test_kills_one_after_another_are_borne_where_a_kill_is_likelier_than_work_that_kills(
    monkeypatch, retry_losses
) -> None:
    calls: list[str] = []

    async def work(worker: str) -> str:
        calls.append(worker)
        if len(calls) <= 5:
            raise WorkerLost(f"{worker}, phase work: the worker died")
        return worker

    async def scenario() -> str:
        pool = _pool(monkeypatch, _spawn, restart_seconds=60, retry_losses=retry_losses)
        await pool.lease("work", _work, seconds=60)
        return await pool.lease("work", work, seconds=60)

    if retry_losses:
        assert asyncio.run(scenario()) == "fake-0.5"
    else:
        with pytest.raises(LeaseFailed, match=r"given up after 3 attempts: fake-0\.2"):
            asyncio.run(scenario())


def test_each_worker_that_is_lost_is_reported_once_with_why(monkeypatch, caplog) -> None:
    async def spawn(name: str) -> str:
        if name == "fake-0.1":
            raise WorkerLost(f"{name}, phase start: no answer within 9 s")
        return name

    async def work(worker: str) -> str:
        if worker == "fake-0.0":
            raise WorkerLost("fake-0, phase work: the worker died")
        return worker

    async def scenario() -> list[str]:
        monkeypatch.setattr("actors.slots.ray.kill", lambda _handle: None)
        pool = Pool("fake", spawn=spawn, size=1, capacity=2, restart_seconds=60)
        pool._answered = True
        return await asyncio.gather(*(pool.lease("work", work, seconds=60) for _ in range(2)))

    assert asyncio.run(scenario()) == ["fake-0.2", "fake-0.2"]
    assert caplog.messages == [
        "fake-0, phase work: the worker died; the worker is replaced",
        "fake-0.1, phase start: no answer within 9 s; the worker is replaced",
    ]


def test_an_error_of_a_start_that_names_its_place_is_reported_with_it_once(monkeypatch, caplog) -> None:
    async def spawn(name: str) -> str:
        if name == "fake-0.1":
            raise RuntimeError(f"{name}, phase start: ValueError: no room")
        return name

    assert asyncio.run(_worker_after_a_loss(monkeypatch, spawn)) == "fake-0.2"
    assert caplog.messages[-1] == "fake-0.1, phase start: ValueError: no room; the worker is replaced"


def test_a_policy_that_went_with_its_host_is_told_once_and_the_pool_goes_on(monkeypatch) -> None:
    gone = [RuntimeError("the policy is gone")]

    async def prepare(_slot: Any) -> None:
        if gone:
            raise gone.pop()

    async def scenario() -> str:
        pool = _pool(monkeypatch, _spawn, prepare=prepare)
        await pool._keep_trying(pool.slots[0])
        with pytest.raises(RuntimeError, match="the policy is gone"):
            await pool.lease("work", _work, seconds=60)
        return await pool.lease("work", _work, seconds=60)

    assert asyncio.run(scenario()) == "fake-0.0"


class NotOurs(RuntimeError):
    """The loss of something that a start needs."""


def test_what_is_lost_beside_a_worker_that_starts_is_no_loss_of_the_worker(monkeypatch) -> None:
    lost: list[Exception] = []

    async def spawn(name: str) -> str:
        if lost:
            raise lost.pop()
        return name

    async def scenario() -> str:
        pool = _pool(monkeypatch, spawn, restart_seconds=60, passed_on=(NotOurs,))
        await pool.lease("work", _work, seconds=60)
        lost.append(NotOurs("gone"))
        pool._discard(pool.slots[0], 0)
        with pytest.raises(NotOurs, match="gone"):
            await pool.lease("work", _work, seconds=60)
        return await pool.lease("work", _work, seconds=60)

    # Its worker was not counted as lost: the next one is still the first replacement.
    assert asyncio.run(scenario()) == "fake-0.1"

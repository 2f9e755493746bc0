"""The loop in virtual time, and what the controller's benchmark counts."""

import asyncio
import time

import pytest

from cluster.virtual_time import run_virtually

pytest.importorskip("ray")


def test_in_virtual_time_everything_happens_in_its_order_and_nothing_is_waited_for() -> None:
    events: list[tuple[float, str]] = []

    async def wait(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        events.append((asyncio.get_running_loop().time(), name))

    async def work() -> float:
        await asyncio.gather(wait("b", 3600.0), wait("a", 60.0))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(1e6), 1e5)
        return asyncio.get_running_loop().time()

    begin = time.monotonic()
    assert run_virtually(work()) == pytest.approx(103600.0)
    assert time.monotonic() - begin < 60
    assert [(round(at), name) for at, name in events] == [(60, "a"), (3600, "b")]


def test_the_controllers_benchmark_trains_every_group_once() -> None:
    from scripts.benchmarks.controller import measure

    numbers = measure(workers=4, groups=192, samples=4, tokens=8, max_staleness=1)
    assert (numbers["groups"], numbers["steps"], numbers["reissued"]) == (192, 3, 0)
    # Three updates of 10 s and the loads after them, and groups of 5 to 30 s: never the sum of all groups' seconds.
    assert 45 < numbers["virtual_seconds"] < 200

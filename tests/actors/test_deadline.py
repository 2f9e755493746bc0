"""What is said of a worker that died, and of a Ray that is silent."""

import asyncio
import gc
import threading
import time

import pytest

pytest.importorskip("ray")

from ray.exceptions import ActorDiedError, GetTimeoutError, LocalRayletDiedError, OutOfMemoryError, WorkerCrashedError

from actors.deadline import KILLED_FOR_MEMORY, answer, called

LOW = "2 worker(s) were killed due to the node running low on memory. 22.2 of 23.5 GB"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OutOfMemoryError(LOW), KILLED_FOR_MEMORY),
        (type("Told", (ActorDiedError,), {"__str__": lambda _: f"The actor died.\n{LOW}"})(), KILLED_FOR_MEMORY),
        (ActorDiedError(), "the worker died (The actor died unexpectedly before finishing this task.)"),
        (WorkerCrashedError(), f"the worker died ({str(WorkerCrashedError()).splitlines()[0]})"),
        (LocalRayletDiedError(), f"the worker died ({str(LocalRayletDiedError()).splitlines()[0]})"),
    ],
    ids=["in the call", "before it", "otherwise", "of a task", "with its host"],
)
def test_a_worker_that_was_killed_for_memory_is_told_from_one_that_died_otherwise(error, said) -> None:
    async def call() -> None:
        raise error

    with pytest.raises(RuntimeError) as raised:
        asyncio.run(answer(call(), place="learner rank 0, phase update", seconds=60, lost=RuntimeError))
    assert str(raised.value) == f"learner rank 0, phase update: {said}"


def test_an_error_that_comes_as_its_wait_is_cancelled_is_not_reported_as_forgotten() -> None:
    reported: list[str] = []

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: reported.append(context["message"]))

        async def fails() -> None:
            loop.call_soon(waiting.cancel)
            raise RuntimeError("too late to be of interest")

        waiting = asyncio.create_task(answer(fails(), place="here", seconds=60, lost=RuntimeError))
        await asyncio.wait([waiting])
        assert waiting.cancelled()

    asyncio.run(scenario())
    gc.collect()
    assert reported == []


def _fails() -> None:
    raise ValueError("no such name")


def _gives_up() -> None:
    raise GetTimeoutError("There was timeout")


def test_a_call_of_ray_that_never_returns_is_given_up_and_stops_neither_the_loop_nor_the_end() -> None:
    silent, ticks = threading.Event(), []

    async def ticking() -> None:
        while True:
            ticks.append(0)
            await asyncio.sleep(0.02)

    async def run() -> None:
        task = asyncio.create_task(ticking())
        with pytest.raises(RuntimeError, match=r"^rollout-0\.1, phase start: Ray did not answer within 0\.3 s$"):
            await called(silent.wait, place="rollout-0.1, phase start", seconds=0.3, lost=RuntimeError)
        task.cancel()

    begin = time.monotonic()
    asyncio.run(run())
    assert time.monotonic() - begin < 10
    assert len(ticks) > 2
    silent.set()


def test_a_call_of_ray_gives_what_it_returns_or_raises() -> None:
    async def run(call):
        return await called(call, place="a", seconds=60, lost=RuntimeError)

    assert asyncio.run(run(lambda: 3)) == 3
    with pytest.raises(ValueError, match="no such name"):
        asyncio.run(run(_fails))
    with pytest.raises(RuntimeError, match=r"^a: Ray did not answer \(There was timeout\)$"):
        asyncio.run(run(_gives_up))

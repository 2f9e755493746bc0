"""The errors for a worker that died, and for a Ray that is silent."""

import asyncio
import gc
import signal
import subprocess
import sys
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


STOPPED = """
import asyncio, sys, threading, time
from actors.deadline import answer, called

def works():
    for _ in range(10):
        time.sleep(0.1)
    return "in time"

async def run():
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    async def remote():
        await ended.wait()
        return "in time"
    def work():
        works()
        loop.call_soon_threadsafe(ended.set)
    threading.Thread(target=work).start()
    print("waiting", flush=True)
    waits = answer(remote(), place="a", seconds=2, lost=RuntimeError), called(works, place="b", seconds=2, lost=OSError)
    print(*await asyncio.gather(*waits, return_exceptions=True))

asyncio.run(run())
"""
"""Two waits for what takes 1 s, with deadlines of 2 s."""


def test_the_time_in_which_a_process_is_stopped_is_no_part_of_its_deadlines() -> None:
    with subprocess.Popen([sys.executable, "-c", STOPPED], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        process.send_signal(signal.SIGCONT)
        assert process.stdout.read() == "in time in time\n"


def _fails() -> None:
    raise ValueError("no such name")


def _gives_up() -> None:
    raise GetTimeoutError("There was timeout")


def test_a_call_of_ray_that_never_returns_is_given_up_and_does_not_stop_the_loop() -> None:
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


@pytest.mark.parametrize("turns", range(4))
def test_a_cancellation_that_comes_with_the_result_of_a_call_of_ray_is_not_lost(turns) -> None:
    may_answer, undone = threading.Event(), []

    async def run() -> None:
        call = called(may_answer.wait, place="a", seconds=60, lost=RuntimeError, undo=undone.append)
        task = asyncio.ensure_future(call)
        await asyncio.sleep(0.05)
        may_answer.set()
        time.sleep(0.05)  # the loop finds the result and the cancellation together
        for _ in range(turns):
            await asyncio.sleep(0)
        finished = task.done()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled() != finished
        assert undone == ([] if finished else [True])

    asyncio.run(run())


def test_a_call_of_ray_does_not_hold_up_the_end_of_its_process() -> None:
    program = """
import asyncio, time
from actors.deadline import called
try:
    asyncio.run(called(lambda: time.sleep(600), place="a", seconds=0.1, lost=RuntimeError))
except RuntimeError as error:
    print(error)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert ended.stdout == "a: Ray did not answer within 0.1 s\n"


def test_a_call_of_ray_gives_what_it_returns_or_raises() -> None:
    async def run(call):
        return await called(call, place="a", seconds=60, lost=RuntimeError)

    assert asyncio.run(run(lambda: 3)) == 3
    with pytest.raises(ValueError, match="no such name"):
        asyncio.run(run(_fails))
    with pytest.raises(RuntimeError, match=r"^a: Ray did not answer \(There was timeout\)$"):
        asyncio.run(run(_gives_up))

"""What is said of a worker that died."""

import asyncio
import gc

import pytest

pytest.importorskip("ray")

from ray.exceptions import ActorDiedError, LocalRayletDiedError, OutOfMemoryError, WorkerCrashedError

from actors.deadline import KILLED_FOR_MEMORY, answer

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

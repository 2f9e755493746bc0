"""What is said of a worker that died."""

import asyncio

import pytest

pytest.importorskip("ray")

from ray.exceptions import ActorDiedError, OutOfMemoryError

from actors.deadline import KILLED_FOR_MEMORY, answer

LOW = "2 worker(s) were killed due to the node running low on memory. 22.2 of 23.5 GB"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OutOfMemoryError(LOW), KILLED_FOR_MEMORY),
        (type("Told", (ActorDiedError,), {"__str__": lambda _: f"The actor died.\n{LOW}"})(), KILLED_FOR_MEMORY),
        (ActorDiedError(), "the worker died (The actor died unexpectedly before finishing this task.)"),
    ],
    ids=["in the call", "before it", "otherwise"],
)
def test_a_worker_that_was_killed_for_memory_is_told_from_one_that_died_otherwise(error, said) -> None:
    async def call() -> None:
        raise error

    with pytest.raises(RuntimeError) as raised:
        asyncio.run(answer(call(), place="learner rank 0, phase update", seconds=60, lost=RuntimeError))
    assert str(raised.value) == f"learner rank 0, phase update: {said}"

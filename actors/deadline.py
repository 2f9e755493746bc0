"""How to wait for a remote call, and for Ray itself: with a deadline, and with the name of the place in the error."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from threading import Thread
from typing import Any, TypeVar

import ray
from ray.exceptions import (
    GetTimeoutError,
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    WorkerCrashedError,
)

from rnr.faults import WorkerUnusable

Result = TypeVar("Result")

DEATHS = (RayActorError, NodeDiedError, OutOfMemoryError, WorkerCrashedError, LocalRayletDiedError)
"""What Ray raises where the process or the host of an actor or of a task is gone."""

TURNS, LATE = 8, 1.0
"""A wait has so many turns; one that took more than twice its time and so many seconds does not count."""

KILLED_FOR_MEMORY = "the worker was killed by Ray's memory monitor, because its host ran out of memory"


FIRST_START = (
    " (deadlines.start). A first start on a host also compiles (DeepSpeed's operator, layers, vLLM's kernels), and the "
    "next one finds what is finished: raise deadlines.start if the worker's log shows nothing else"
)
"""What to add where an engine is late at its start."""


async def answer(
    reference: Any, *, place: str, seconds: float, lost: type[RuntimeError], cancel: bool = True, late: str = ""
) -> Any:
    """What a remote call returns; raises ``lost(place: why)`` when its worker dies, gives up, or lets ``seconds`` pass,
    to which the message adds ``late``.

    Any other exception, including a TimeoutError raised by the worker, is a bug in data or code and is raised as it
    is. A call that is no longer waited for is cancelled on its worker, unless ``cancel`` is false.
    """
    call = asyncio.ensure_future(_result(reference))
    try:
        if not await _ends_within(call, seconds):
            raise lost(f"{place}: no answer within {seconds:g} s{late}")
        return call.result()
    except WorkerUnusable as error:
        raise lost(f"{place}: {str(error).strip().splitlines()[-1]}") from None
    except DEATHS as error:
        raise lost(f"{place}: {_death(error)}") from None
    except ObjectLostError as error:
        # An argument of the call may be lost instead: that is not the worker's loss, and the caller knows.
        if isinstance(reference, ray.ObjectRef) and getattr(error, "object_ref_hex", "") == reference.hex():
            raise lost(f"{place}: the answer was lost with its host before it was fetched") from None
        raise
    finally:
        if not call.done():
            call.cancel()
            if cancel and isinstance(reference, ray.ObjectRef):
                ray.cancel(reference)
        elif not call.cancelled():
            call.exception()  # retrieved, or asyncio would report it: nobody waits for this answer


async def called(
    call: Callable[[], Result],
    *,
    place: str,
    seconds: float,
    lost: type[RuntimeError],
    undo: Callable[[Result], object] = lambda _result: None,
) -> Result:
    """The result of a call of Ray itself, such as ``ray.nodes``, which waits in compiled code, without end if Ray's
    control service is silent. Raises ``lost(place: why)`` after ``seconds``, and whatever the call raises. ``undo``
    gets a result that comes after the wait for it has ended.

    The call runs in a daemon thread, so that it does not delay the end of the process."""
    outcome: Future[Result] = Future()

    def make() -> None:
        try:
            result = call()
        except BaseException as error:
            with suppress(InvalidStateError):  # cancelled
                outcome.set_exception(error)
            return
        try:
            outcome.set_result(result)
        except InvalidStateError:
            undo(result)

    # Not ``asyncio.wait_for``, which in Python 3.11 swallows a cancellation that comes with the result.
    answered = asyncio.wrap_future(outcome)
    Thread(target=make, name="ray call", daemon=True).start()
    try:
        if not await _ends_within(answered, seconds):
            raise lost(f"{place}: Ray did not answer within {seconds:g} s")
    except BaseException:
        if not outcome.cancel() and outcome.exception() is None:
            undo(outcome.result())
        if not answered.cancel():
            answered.exception()  # nobody else asks for it
        raise
    try:
        return answered.result()
    except GetTimeoutError as error:  # of some calls, after a minute
        raise lost(f"{place}: Ray did not answer ({error})") from None


async def _ends_within(work: asyncio.Future[Any], seconds: float) -> bool:
    """Whether it ends within so many seconds in which this process runs. While it is stopped (Ctrl-Z, a suspended job
    of Slurm, a paused container) its workers mostly are, too, and what has come from them is only seen afterwards: all
    deadlines would pass as it continues."""
    loop, turns = asyncio.get_running_loop(), 0
    for _ in range(2 * TURNS):  # a process that is late each time is busy, not stopped
        begin = loop.time()
        done, _ = await asyncio.wait([work], timeout=seconds / TURNS)
        if done:
            return True
        turns += loop.time() - begin <= 2 * seconds / TURNS + LATE
        if turns == TURNS:
            break
    return False


def _death(error: Exception) -> str:
    text = str(error)
    if isinstance(error, OutOfMemoryError) or "low on memory" in text:
        return KILLED_FOR_MEMORY
    return f"the worker died ({text.splitlines()[0]})"


async def _result(reference: Any) -> Any:
    return await reference

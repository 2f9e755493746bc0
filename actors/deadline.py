"""The one way to wait for a remote call: with a deadline, and with the name of the place in the error."""

import asyncio
from typing import Any

import ray
from ray.exceptions import (
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayActorError,
    WorkerCrashedError,
)

from rnr.faults import WorkerUnusable

DEATHS = (RayActorError, NodeDiedError, OutOfMemoryError, WorkerCrashedError, LocalRayletDiedError)
"""What Ray raises where the process or the host of an actor or of a task is gone."""

KILLED_FOR_MEMORY = "the worker was killed by Ray's memory monitor, because its host ran out of memory"


async def answer(reference: Any, *, place: str, seconds: float, lost: type[RuntimeError], cancel: bool = True) -> Any:
    """What a remote call returns; raises ``lost(place: why)`` when its worker dies, gives up, or lets ``seconds`` pass.

    Any other exception, including a TimeoutError raised by the worker, is a bug in data or code and is raised as it
    is. A call that is no longer waited for is cancelled on its worker, unless ``cancel`` is false.
    """
    call = asyncio.ensure_future(_result(reference))
    try:
        done, _ = await asyncio.wait([call], timeout=seconds)
        if not done:
            raise lost(f"{place}: no answer within {seconds:g} s")
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
            call.exception()  # of an answer that is not waited for: nobody else asks


def _death(error: Exception) -> str:
    text = str(error)
    if isinstance(error, OutOfMemoryError) or "low on memory" in text:
        return KILLED_FOR_MEMORY
    return f"the worker died ({text.splitlines()[0]})"


async def _result(reference: Any) -> Any:
    return await reference

"""The one way to wait for a remote call: with a deadline, and with the name of the place in the error."""

import asyncio
from typing import Any

from ray.exceptions import NodeDiedError, OutOfMemoryError, RayActorError

from actors.faults import WorkerUnusable


async def answer(reference: Any, *, place: str, seconds: float, lost: type[RuntimeError]) -> Any:
    """What a remote call returns; ``lost(place: why)`` when its worker dies, gives itself up, or lets ``seconds`` pass.

    Any other exception is a bug in data or code and comes through as it is.
    """
    try:
        return await asyncio.wait_for(_result(reference), seconds)
    except TimeoutError:
        raise lost(f"{place}: no answer within {seconds:g} s") from None
    except WorkerUnusable as error:
        raise lost(f"{place}: {str(error).strip().splitlines()[-1]}") from None
    except (RayActorError, NodeDiedError, OutOfMemoryError) as error:
        raise lost(f"{place}: the worker died ({str(error).splitlines()[0]})") from None


async def _result(reference: Any) -> Any:
    return await reference

"""The one event loop of this process for a user's asynchronous rewards, in its own thread: state between calls, such as
a client with its connections, belongs to the loop on which it was first used."""

import asyncio
import os
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from threading import Lock, Thread
from typing import Any

_loops: dict[int, asyncio.AbstractEventLoop] = {}
"""By process: a forked child does not have the thread of its parent."""
_made = Lock()


def _loop() -> asyncio.AbstractEventLoop:
    with _made:
        if os.getpid() not in _loops:
            loop = _loops[os.getpid()] = asyncio.new_event_loop()
            # A hanging call cannot be stopped; as a daemon the thread at least does not block the exit of the process.
            Thread(target=loop.run_forever, name="rewards", daemon=True).start()
        return _loops[os.getpid()]


def wait_for(coroutine: Coroutine[Any, Any, Any], seconds: float | None = None) -> Any:
    """The result of the coroutine on the loop; blocks this thread. Raises TimeoutError after ``seconds``. If waiting
    ends early, the coroutine is cancelled."""
    future = asyncio.run_coroutine_threadsafe(coroutine, _loop())
    try:
        return future.result(seconds)
    finally:
        future.cancel()


async def wait_there(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """As ``wait_for``, for a caller with its own loop; cancelled with the caller."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, _loop()))


@contextmanager
def no_loop() -> Iterator[None]:
    """Hide this thread's event loop, so that a function that calls ``asyncio.run`` works anywhere."""
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(running)

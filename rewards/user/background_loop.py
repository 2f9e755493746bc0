"""The one event loop of this process for a user's asynchronous rewards, in its own thread: state between calls, such as
a client with its connections, belongs to the loop on which it was first used."""

import asyncio
import os
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Lock, Thread, local
from typing import Any

_loops: dict[int, asyncio.AbstractEventLoop] = {}
"""By process: a forked child does not have the thread of its parent."""
_made = Lock()
_thread = local()
"""``holds_loop``: the loop goes on only when this thread does."""


def _loop() -> asyncio.AbstractEventLoop:
    with _made:
        if os.getpid() not in _loops:
            loop = _loops[os.getpid()] = asyncio.new_event_loop()
            # A hanging call cannot be stopped; as a daemon the thread at least does not block the exit of the process.
            Thread(target=_serve, args=[loop], name="rewards", daemon=True).start()
        return _loops[os.getpid()]


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    _thread.holds_loop = True
    loop.run_forever()


def leave_loop() -> None:
    """Whoever comes next gets a new loop: a coroutine that does not return may hold this one. What else runs on it goes
    on."""
    with _made:
        _loops.pop(os.getpid(), None)


def wait_for(coroutine: Coroutine[Any, Any, Any], seconds: float | None = None) -> Any:
    """The result of the coroutine on the loop; blocks this thread. Raises TimeoutError after ``seconds``. If waiting
    ends early, the coroutine is cancelled. Called from a coroutine on the loop, it runs on another one."""
    if getattr(_thread, "holds_loop", False):
        return _elsewhere(coroutine, seconds)
    future = asyncio.run_coroutine_threadsafe(coroutine, _loop())
    try:
        return future.result(seconds)
    finally:
        future.cancel()


def _elsewhere(coroutine: Coroutine[Any, Any, Any], seconds: float | None) -> Any:
    """As ``wait_for``, in a thread and on a loop of its own: the loop would wait for itself."""
    outcome: Future[Any] = Future()

    def call() -> None:
        _thread.holds_loop = True  # which waits for this thread
        try:
            outcome.set_result(asyncio.run(asyncio.wait_for(coroutine, seconds)))
        except BaseException as problem:
            outcome.set_exception(problem)

    Thread(target=call, name="rewards", daemon=True).start()
    return outcome.result(seconds)


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

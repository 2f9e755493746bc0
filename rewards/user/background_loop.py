"""The one event loop of this process for a user's asynchronous rewards, in a thread of its own: what they keep between
calls, such as a client with its connections, belongs to the loop that it was first used on."""

import asyncio
import os
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Lock, Thread, local
from typing import Any

_loops: dict[int, asyncio.AbstractEventLoop] = {}
"""By process: a child that was forked has not the thread of its parent's."""
_made = Lock()
_thread = local()
"""``holds_loop``: the loop goes on only when this thread does."""


def _loop() -> asyncio.AbstractEventLoop:
    with _made:
        if os.getpid() not in _loops:
            loop = _loops[os.getpid()] = asyncio.new_event_loop()
            # What hangs on it cannot be ended; as a daemon it at least does not keep the process from ending.
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
    """What the coroutine returns on the loop; this thread waits. Raises TimeoutError after ``seconds``. Where waiting
    ends early, the coroutine is cancelled. Called from a coroutine on the loop, it is run on another."""
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
    """As ``wait_for``, for a caller that has a loop of its own: cancelled with it."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, _loop()))


@contextmanager
def no_loop() -> Iterator[None]:
    """As if this thread had no event loop: a function that calls ``asyncio.run`` works wherever it is called."""
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(running)

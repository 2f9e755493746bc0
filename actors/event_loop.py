"""An event loop in its own thread, so that any caller may wait for it: a script, or a notebook whose own loop is
running."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")

CLOSED = "the model is closed; load it again"
ENDING = 30.0
"""Seconds for running calls to end."""


class EventLoop:
    """Runs coroutines from other threads until it is stopped."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rnr-engine", daemon=True)
        self._thread.start()
        self._lock = threading.Lock()
        self.stopped = False

    def submit(self, work: Coroutine[Any, Any, Result]) -> "concurrent.futures.Future[Result]":
        """The future result of a coroutine; raises RuntimeError when the loop has been stopped."""
        with self._lock:
            if not self.stopped:
                return asyncio.run_coroutine_threadsafe(work, self._loop)
        work.close()
        raise RuntimeError(CLOSED)

    def stop(self, seconds: float = ENDING) -> None:
        """Cancel all running calls, and end the loop and its thread. A call that blocks the thread for longer than
        these seconds is left running, and ends with the process."""
        with self._lock:
            if self.stopped:
                return
            self.stopped = True
            asyncio.run_coroutine_threadsafe(_end(), self._loop)
        self._thread.join(seconds)
        if not self._thread.is_alive():
            self._loop.close()


def result_of(
    future: "concurrent.futures.Future[Result]", *, seconds: float | None = None, late: str = "no answer"
) -> Result:
    """The result of submitted work. Raises RuntimeError when the loop has been stopped, or, beginning with ``late``,
    after ``seconds``."""
    try:
        return future.result(seconds)
    except concurrent.futures.CancelledError:
        raise RuntimeError(CLOSED) from None
    except TimeoutError:
        if future.done():  # its own
            raise
        raise RuntimeError(f"{late} within {seconds:g} s") from None


async def _end() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    asyncio.get_running_loop().stop()

"""An event loop in a thread of its own, so that a call may wait for it wherever it comes from: in a script, and in a
notebook, whose own loop is running."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


class EventLoop:
    """Runs coroutines from other threads until it is stopped."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rnr-engine", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, Result]) -> "concurrent.futures.Future[Result]":
        """The future result of a coroutine; raises RuntimeError when the loop has been stopped."""
        if self._loop.is_closed():
            work.close()
            raise RuntimeError("the model has been closed: load it again")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self) -> None:
        """End the loop and its thread."""
        if self._loop.is_closed():
            return
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

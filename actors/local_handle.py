"""A handle of a worker in this process, which is called as a Ray actor is: ``handle.method.remote(...)``."""

import copy
import inspect
from collections.abc import AsyncIterator, Generator, Iterable
from typing import Any


class LocalHandle:
    """Calls a plain worker at once. What its methods stream are copies, as with Ray: a published policy stays as it was
    published when the worker goes on training."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker

    def __getattr__(self, method: str) -> "_Method":
        return _Method(getattr(self._worker, method))

    def end(self) -> None:
        """Have the worker give back what it holds, if it has a ``stop``."""
        stop = getattr(self._worker, "stop", None)
        if stop is not None:
            stopping = stop()
            if inspect.iscoroutine(stopping):
                _drive(stopping)


class _Method:
    def __init__(self, function: Any) -> None:
        self._function = function

    def options(self, **_options: Any) -> "_Method":
        """Itself: every call runs in this process."""
        return self

    def remote(self, *values: Any, **keywords: Any) -> Any:
        """What can be awaited for the result, or iterated over for values that can be awaited."""
        values = tuple(value.value if isinstance(value, _Done) else value for value in values)
        if inspect.isgeneratorfunction(self._function):
            return _stream(self._function(*values, **keywords))
        return _call(self._function, values, keywords)


class _Done:
    """A value that is awaited like a reference to one."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.value
        yield


async def _call(function: Any, values: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    result = function(*values, **keywords)
    return await result if inspect.isawaitable(result) else result


async def _stream(items: Iterable[Any]) -> AsyncIterator[_Done]:
    for item in items:
        yield _Done(copy.deepcopy(item))


def _drive(coroutine: Any) -> None:
    """Run a coroutine that never waits, where no event loop can be awaited."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()

"""A worker that cannot start: its error in one line, and where the rest is."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ray.exceptions import RayTaskError


class StartFailed(RuntimeError):
    """A worker's engine, model or reward cannot be used; names the worker, the cause and its log."""


@contextmanager
def start_named(place: str, log: Path | None) -> Iterator[None]:
    """Raise StartFailed, beginning with ``place``, for an error that a worker raised in the block; its traceback is
    added to ``log``."""
    try:
        yield
    except RayTaskError as error:
        cause = error.cause
        message = f"{place}: {type(cause).__name__}: {' '.join(str(cause).split())}"
        if log is not None:
            # Ray's text ends with the worker's own traceback.
            with suppress(OSError), log.open("a", encoding="utf-8") as file:
                file.write(f"{error}\n")
            message += f"; its traceback is at the end of {log}"
        raise StartFailed(message) from error

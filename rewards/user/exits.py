"""Keeps a user's code from ending this process, or its output, without a word, and from leaving processes behind."""

import atexit
import faulthandler
import io
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.resource_tracker import _resource_tracker
from typing import Any

import psutil


@contextmanager
def no_exit() -> Iterator[None]:
    """While this is open, ``os._exit`` raises SystemExit in this process (not in one that was forked from it), and a
    crash writes the line of each thread to stderr."""
    process, leave, is_open = os.getpid(), os._exit, True

    def refuse(status: int) -> None:
        if is_open and os.getpid() == process:
            raise SystemExit(f"os._exit({status})")
        leave(status)

    os._exit = refuse  # pyright: ignore[reportAttributeAccessIssue]
    report = not faulthandler.is_enabled()
    if report:
        faulthandler.enable(2)
    try:
        yield
    finally:
        # Code that was imported meanwhile may have kept the function.
        is_open, os._exit = False, leave
        if report:
            faulthandler.disable()


_kept: list[Any] = []
"""Streams that a user's code may have wrapped: they would close what is in them when they go."""


class _Through(io.RawIOBase):
    """Writes to the bytes of another stream, and does not close them."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, data: Any) -> int:
        self._stream.buffer.write(data)
        self._stream.buffer.flush()
        return len(data)


@contextmanager
def own_streams() -> Iterator[None]:
    """While this is open, ``sys.stdout`` and ``sys.stderr`` are others, which write to the same place. A module that
    closes or replaces them, or wraps their ``buffer`` again for another encoding, which closes it in the end, would
    take the output of this process away."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = own = [*map(_to_the_same_place, before)]
    _kept.extend(own)
    try:
        yield
    finally:
        with suppress(OSError, ValueError, AttributeError):  # closed, or None
            sys.stdout.flush()
        sys.stdout, sys.stderr = before


def _to_the_same_place(stream: Any) -> Any:
    """Another stream to where this one writes; the same one where it has no bytes, as in a notebook."""
    if not hasattr(stream, "buffer"):
        return stream
    with suppress(OSError, ValueError):
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_Through(stream)), encoding=stream.encoding, errors=stream.errors, line_buffering=True
    )


@contextmanager
def processes_ended() -> Iterator[None]:
    """What is started while this is open, such as a server at the first call of a reward, ends with this process."""
    this = psutil.Process()
    before = set(this.children(recursive=True))
    try:
        yield
    finally:
        if started := set(this.children(recursive=True)) - before:
            atexit.register(_end, started)


def _end(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            if process.pid != getattr(_resource_tracker, "_pid", None):  # which ends by itself, and cleans up before
                process.kill()

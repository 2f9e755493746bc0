"""What a command prints: any text in any encoding; and a long command outlives those who read it."""

import codecs
import errno
import io
import json
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

NAMES = {1: "standard output", 2: "standard error"}
SECONDS = 10.0
"""For which the reader of a pipe that does not block is waited for."""
ESCAPED = "rnr_escaped"
"""Name of the way in which a character that an encoding lacks is written: as JSON has it, so that JSON stays JSON."""


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end], allow_nan=False)[1:-1], error.end


codecs.register_error(ESCAPED, _escaped)


def take_any_text() -> None:
    """From now on a character that the encoding of standard output or error lacks is written as ``\\u20ac``."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPED)


class _Lasting(io.FileIO):
    """A file descriptor that takes what is written, also where it is lost: that is said once, on the other one."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "wb", closefd=False)
        self._number = number
        self._said = False

    def write(self, data: Any) -> int:
        try:
            written = super().write(data)
            if written is None:  # a pipe that does not block, and is full
                select.select([], [self], [], SECONDS)
                written = super().write(data)
            if written is None:
                raise OSError(errno.EAGAIN, f"not read for {SECONDS:g} s")
            return written
        except OSError as error:
            if not self._said:
                self._said = True
                why = f"{NAMES[self._number]} takes no more ({error.strerror})"
                with suppress(OSError):
                    os.write(3 - self._number, f"{why}: what is printed there is lost, and the work goes on\n".encode())
            return len(data)


@contextmanager
def lasting() -> Iterator[None]:
    """In this block a reader that goes away, a terminal that is closed and a full disk under a log end nothing."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _lasting(sys.stdout, 1), _lasting(sys.stderr, 2)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before


def _lasting(stream: Any, number: int) -> Any:
    """The stream anew, line by line; one that is closed, or in the hands of someone else, as it is."""
    if not isinstance(stream, io.TextIOWrapper) or not _is_of(stream, number):
        return stream
    with suppress(OSError):
        stream.flush()
    raw = io.BufferedWriter(_Lasting(number))
    return io.TextIOWrapper(raw, encoding=stream.encoding, errors=stream.errors, line_buffering=True)


def _is_of(stream: TextIO, number: int) -> bool:
    try:
        return stream.fileno() == number
    except (OSError, ValueError):
        return False


def flushed(code: int) -> int:
    """The exit code of a short command, when all that it printed has been taken: 1, without a word, where its reader
    went away (``| head``), 2 where there was no room."""
    stream = sys.stdout
    if stream is None:
        return code
    try:
        stream.flush()
        return code
    except OSError as error:
        # Python would try once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(error, BrokenPipeError):
            return code or 1
        if not code:
            print(f"error: {NAMES[1]}: {error.strerror}", file=sys.stderr)
        return code or 2

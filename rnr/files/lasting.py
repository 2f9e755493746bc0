"""Standard output and error whose writes never fail: work goes on where nobody reads, or where a disk is full."""

import errno
import io
import os
import select
from contextlib import suppress
from typing import Any, TextIO

NAMES = {1: "standard output", 2: "standard error"}
SECONDS = 10.0
"""How long to wait for the reader of a full non-blocking pipe."""


class _Lasting(io.FileIO):
    """A file descriptor whose writes never fail; output that is lost is reported once, on the other descriptor."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "wb", closefd=False)
        self._number = number
        self._reported = False

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
            if not self._reported:
                self._reported = True
                why = f"cannot write to {NAMES[self._number]} ({error.strerror})"
                with suppress(OSError):
                    os.write(3 - self._number, f"{why}: its output is lost, the work continues\n".encode())
            return len(data)


def lasting_text(number: int, *, encoding: str, errors: str | None) -> TextIO:
    """A text stream, line-buffered, to standard output (1) or error (2)."""
    raw = io.BufferedWriter(_Lasting(number))
    return io.TextIOWrapper(raw, encoding=encoding, errors=errors, line_buffering=True)

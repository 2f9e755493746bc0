"""What a command prints: any text in any encoding; a long command survives a closed terminal or pipe."""

import codecs
import io
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from rnr.files.lasting import NAMES, lasting_text

ESCAPED = "rnr_escaped"
"""Error handler that writes a character which the encoding lacks as a JSON escape, so that JSON stays JSON."""


def _escaped(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return json.dumps(error.object[error.start : error.end], allow_nan=False)[1:-1], error.end


codecs.register_error(ESCAPED, _escaped)


def take_any_text() -> None:
    """Write characters that the encoding of standard output or error lacks as ``\\u20ac`` from now on."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=ESCAPED)


@contextmanager
def lasting() -> Iterator[None]:
    """In this block a closed pipe or terminal, or a full disk under a log file, does not stop the work."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = own = _lasting(sys.stdout, 1), _lasting(sys.stderr, 2)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr, *own):
            with suppress(ValueError):  # one that others have put there and closed
                if stream is not None:
                    stream.flush()
        sys.stdout, sys.stderr = before


def _lasting(stream: Any, number: int) -> Any:
    """The stream wrapped again, line-buffered; one that is closed or redirected by others is returned as it is."""
    if not isinstance(stream, io.TextIOWrapper) or not _is_of(stream, number):
        return stream
    with suppress(OSError):
        stream.flush()
    return lasting_text(number, encoding=stream.encoding, errors=stream.errors)


def _is_of(stream: TextIO, number: int) -> bool:
    try:
        return stream.fileno() == number
    except (OSError, ValueError):
        return False


def flushed(code: int) -> int:
    """The exit code of a short command after flushing its output: 1, without a message, if the reader has closed the
    pipe (``| head``), 2 if the disk is full."""
    stream = sys.stdout
    if stream is None:
        return code
    try:
        stream.flush()
        return code
    except OSError as error:
        # Python would flush again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        if isinstance(error, BrokenPipeError):
            return code or 1
        if not code:
            print(f"error: {NAMES[1]}: {error.strerror}", file=sys.stderr)
        return code or 2

"""Standard output is kept for results: whatever engines print goes to standard error."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

STDOUT, STDERR = 1, 2


@contextmanager
def stdout_to_stderr() -> Iterator[TextIO]:
    """Standard output as it was, as a stream; meanwhile all that this process and those it starts print to standard
    output, whether by Python or not, arrives at standard error. Halves of surrogate pairs, which a model may spell, are
    written as their escapes.

    A process that is started meanwhile keeps that for good. Where ``sys.stdout`` is not the process's standard
    output (a notebook, a test), that stream is what comes back.
    """
    own = _is_stdout(sys.stdout)
    sys.stdout.flush()
    kept = os.dup(STDOUT)
    results = os.fdopen(os.dup(kept), "w", 1, encoding="utf-8", errors="backslashreplace") if own else sys.stdout
    try:
        os.dup2(STDERR, STDOUT)
        yield results
    finally:
        if own:
            sys.stdout.flush()
            results.close()
        os.dup2(kept, STDOUT)
        os.close(kept)


def _is_stdout(stream: TextIO) -> bool:
    try:
        return stream.fileno() == STDOUT
    except (OSError, ValueError, AttributeError):
        return False

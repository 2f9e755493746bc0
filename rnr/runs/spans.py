"""``spans.jsonl``: who did what from when to when, one JSON list a line: [begin, seconds, who, what, error].

``begin`` is in seconds since the epoch; ``error`` is present only if the work failed. The driver records the spans of
all workers, because it waits for each of them, so their clocks do not matter and nothing is sent. Like a log, there is
one per process: code that waits calls ``span`` and needs no handle.
"""

import time
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rnr.files.jsonl import json_line
from rnr.files.whole import append_whole

FILE = "spans.jsonl"
HELD = 200
"""Number of spans that are buffered before they are written."""

_EPOCH = time.time() - time.monotonic()
"""Added to the monotonic clock it gives seconds since the epoch: lanes stay in order when the clock is set."""

_file: Path | None = None
_lines: list[str] = []


def record_to(folder: Path | None) -> None:
    """Record the spans in this run folder from now on; None records none."""
    global _file
    flush()
    _file = None if folder is None else folder / FILE


@contextmanager
def span(who: str, what: str) -> Iterator[None]:
    """Record a block as a span. Cancelled work is not recorded."""
    clock = time.monotonic()
    begin = _EPOCH + clock
    try:
        yield
    except CancelledError:
        raise
    except Exception as error:
        _note(begin, time.monotonic() - clock, who, what, f"{type(error).__name__}: {error}"[:500])
        raise
    _note(begin, time.monotonic() - clock, who, what)


def flush() -> None:
    """Write the buffered spans; called at the end of each step, so that a killed run loses at most one step."""
    if _file is not None and _lines:
        # On a full disk the important writers wait for space and say so; spans are not worth stopping a run.
        with suppress(OSError):
            append_whole(_file, "".join(_lines))
    _lines.clear()


def _note(begin: float, seconds: float, who: str, what: str, *error: str) -> None:
    if _file is None:
        return
    _lines.append(json_line([round(begin, 3), round(seconds, 3), who, what, *error]))
    if len(_lines) >= HELD:
        flush()

"""``spans.jsonl``: who did what from when to when, one JSON list a line: [begin, seconds, who, what, error].

``begin`` is in seconds since the epoch; ``error`` is there only where the work failed. The driver notes it for all
workers, because it waits for every one of them, so their clocks do not matter and nothing is sent. Like a log, there
is one for a process: whoever waits calls ``span`` and need not be handed anything.
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
"""Spans that are kept in memory before they are written."""

_file: Path | None = None
_lines: list[str] = []


def record_to(folder: Path | None) -> None:
    """Keep the spans from now on in this run folder; None keeps none."""
    global _file
    flush()
    _file = None if folder is None else folder / FILE


@contextmanager
def span(who: str, what: str) -> Iterator[None]:
    """The length of a block as a span. One that was called off is not noted: it is nobody's time."""
    begin, clock = time.time(), time.monotonic()
    try:
        yield
    except CancelledError:
        raise
    except Exception as error:
        _note(begin, time.monotonic() - clock, who, what, f"{type(error).__name__}: {error}"[:500])
        raise
    _note(begin, time.monotonic() - clock, who, what)


def flush() -> None:
    """Write what is held; called at the end of each step, so that a killed run lacks one step at most."""
    if _file is not None and _lines:
        # A full disk: whoever writes what matters waits for room and says so; spans are not worth a run.
        with suppress(OSError):
            append_whole(_file, "".join(_lines))
    _lines.clear()


def _note(begin: float, seconds: float, who: str, what: str, *error: str) -> None:
    if _file is None:
        return
    _lines.append(json_line([round(begin, 3), round(seconds, 3), who, what, *error]))
    if len(_lines) >= HELD:
        flush()

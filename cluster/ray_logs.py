"""What the parts of a local Ray have written about their own end."""

import re
from contextlib import suppress
from pathlib import Path

PARTS = ("raylet", "gcs_server")
"""Processes of a local Ray; when one ends, Ray stops working and does not restart it."""

_FATAL = re.compile(r"^\[[^\]\n]* C [^\]\n]*\] (?:\(\w+\) )?(.+)|^ *what\(\): *(.+)", re.MULTILINE)
"""A line of the level at which Ray ends a process, or that of an exception of C++ that nothing has caught."""


def last_words(logs: Path) -> str:
    """Why a part has ended, such as ``raylet: dlmalloc.cc:161: create_buffer failed ...``; empty if no log says, or if
    it only waited too long, as on a busy machine."""
    for part in PARTS:
        for ending in ("out", "err"):
            with suppress(OSError):
                found = _FATAL.search((logs / f"{part}.{ending}").read_text(errors="replace"))
                if found and "Timed out" not in found[0]:
                    return f"{part}: {found[1] or found[2]}"
    return ""

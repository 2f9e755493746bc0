"""The first moments of a command, before anything large is imported: whose packages these are, and Ctrl-C."""

import os
import signal
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("rnr", "rewards", "actors", "learner", "cluster")
"""Beside this one. A file of such a name in the working folder would be imported in its place."""
INTERRUPTED = 130


def begin() -> None:
    """What comes before the imports of a command; ends the process with 2 where a package is not RNR's own."""
    end_on_interrupt()
    for name in PACKAGES:
        if other := _other(name):
            print(f"error: {other}: rename it, or start from another folder", file=sys.stderr)
            raise SystemExit(2)


def _other(name: str) -> str:
    """What stands in the place of our package of this name, as the beginning of a sentence; empty if nothing does."""
    spec = find_spec(name)
    found = (spec.origin or "") if spec else ""
    if not found or os.path.realpath(found) == os.path.realpath(ROOT / name / "__init__.py"):
        return ""
    return f"{found} is found in the place of RNR's own package {name!r}"


def find_modules_here() -> None:
    """From now on modules in the working folder are found, however the command was called: a user's rewards lie there.
    Behind all others, as in workers: no file there takes the place of a package."""
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)


def end_on_interrupt() -> None:
    """From now on Ctrl-C ends the process: an import that it interrupts may make any other error of it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_on_interrupt() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_number: int, _frame: Any) -> None:
    with suppress(OSError):
        os.write(2, b"stopped\n")
    os._exit(INTERRUPTED)

"""Keeps a user's code from ending this process without a word."""

import faulthandler
import os
from collections.abc import Iterator
from contextlib import contextmanager


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

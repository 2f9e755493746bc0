"""The end of a run's workers and of its Ray: no interrupt cuts it short, and it has a deadline."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cluster import ray_session
from cluster.stopping import EXIT_CODE
from rnr.runs.status import StatusFile

SECONDS = 50.0
"""Ray itself ends a process whose head is gone after 60, with 1."""
CODES = {"done": 0, "stopped": EXIT_CODE}
"""State of a run -> exit code; any other is 1."""


class Ending:
    """From ``begin`` to ``end`` Ctrl-C is not heard, and after ``SECONDS`` the process ends as its run has ended."""

    def __init__(self, status: StatusFile) -> None:
        self._status = status
        self._timer = threading.Timer(SECONDS, self._give_up)
        self._timer.daemon = True
        self._interrupt: Any = None

    def begin(self) -> None:
        # Calls of Ray hang in compiled code, where neither a signal nor the event loop comes to its turn.
        self._timer.start()
        self._interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end(self) -> None:
        self._timer.cancel()
        if self._interrupt is not None:
            signal.signal(signal.SIGINT, self._interrupt)

    def _give_up(self) -> None:
        print(f"run: Ray has not ended within {SECONDS:g} s and is left to itself", file=sys.stderr, flush=True)
        os._exit(CODES.get(self._status.state, 1))


@contextmanager
def ray_ended(status: StatusFile) -> Iterator[None]:
    """Leaves the cluster, or ends the local Ray, behind this block."""
    try:
        yield
    finally:
        ending = Ending(status)
        ending.begin()
        try:
            ray_session.disconnect()
        finally:
            ending.end()

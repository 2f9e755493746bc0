"""The shutdown of a run's workers and of its Ray: no interrupt cuts it short, and it has a deadline."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cluster import ray_session
from cluster.graceful_stop import EXIT_CODE
from cluster.services import Services
from cluster.worker_factory import WorkerFactory
from rnr.runs.status import StatusFile

logger = logging.getLogger(__name__)

SECONDS = 50.0
"""Below the 60 s after which Ray itself ends a process whose head is gone, with code 1."""
CODES = {"done": 0, "stopped": EXIT_CODE}
"""State of a run -> exit code; any other is 1."""
UNHEARD = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ending:
    """From ``begin`` to ``end`` no signal that stops a run is heard; after ``SECONDS`` the process ends as its run
    has ended."""

    def __init__(self, status: StatusFile) -> None:
        self._status = status
        self._timer = threading.Timer(SECONDS, self._give_up)
        self._timer.daemon = True
        self._before: dict[signal.Signals, Any] = {}

    def begin(self) -> None:
        # Ray calls hang in compiled code, where neither a signal nor the event loop gets a turn.
        self._timer.start()
        self._before = {number: signal.signal(number, signal.SIG_IGN) for number in UNHEARD}

    def end(self) -> None:
        self._timer.cancel()
        for number, handler in self._before.items():
            if handler is not None:
                signal.signal(number, handler)

    def _give_up(self) -> None:
        # Not logged: the thread that hangs may hold the handler.
        print(  # noqa: T201
            f"run: Ray did not shut down within {SECONDS:g} s; exiting without it", file=sys.stderr, flush=True
        )
        os._exit(CODES.get(self._status.state, 1))


async def end_workers(services: Services, workers: WorkerFactory) -> None:
    """End the workers of a run. A failure is logged and does not change the run's outcome; a local Ray that
    has died took them with it, and would not answer."""
    if ray_session.dead():
        return
    try:
        services.stop()
        await workers.end()
    except Exception as error:
        logger.error(f"run: some workers could not be stopped: {type(error).__name__}: {error}")


@contextmanager
def ray_ended(status: StatusFile) -> Iterator[None]:
    """Leaves the cluster, or ends the local Ray, after this block."""
    try:
        yield
    finally:
        ending = Ending(status)
        ending.begin()
        try:
            ray_session.disconnect()
        finally:
            ending.end()

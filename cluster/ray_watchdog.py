"""Watches a local Ray during a run: its processes do not come back, so the run ends at once when one dies."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from cluster import ray_session
from rnr.faults import Stopped

EVERY = 1.0
"""Seconds between two checks."""


class RayDied(RuntimeError):
    """The Ray that was started for this run has died; the run can be resumed."""


@asynccontextmanager
async def while_ray_lives(logs: Path) -> AsyncIterator[None]:
    """A block that ends with RayDied as soon as the local Ray does, whose last words are then in ``logs``. On a
    cluster, where nodes come back, and without Ray it is a block like any other."""
    body = asyncio.current_task()
    assert body is not None
    cut_off = False

    async def watch() -> None:
        nonlocal cut_off
        while not ray_session.dead():
            await asyncio.sleep(EVERY)
        cut_off = True
        body.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    except BaseException as error:
        # Workers die with their Ray, and their calls may have failed before Ray was checked.
        failed = isinstance(error, Exception) and not isinstance(error, Stopped)
        dead = ray_session.dead() if cut_off or failed else ""
        if not dead:
            raise
        if cut_off:
            body.uncancel()
        kept = ray_session.keep_logs(dead.partition(" ")[0], logs)
        log = f"; its log is {kept}" if kept else ""
        raise RayDied(f"Ray on this machine has died: its {dead}{log}; resume with --resume") from error
    finally:
        watching.cancel()

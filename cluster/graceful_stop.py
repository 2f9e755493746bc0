"""SIGTERM and SIGHUP: a run that is asked to stop saves a checkpoint within its grace time, and ends.

SIGTERM is what ``ray job stop``, Slurm and Kubernetes send before SIGKILL, and a cloud before it takes a machine away;
SIGHUP what a terminal or an ssh connection sends that is closed.

How training handles signals, phase by phase, and where that is set:

- large imports (``scripts/startup.py``): Ctrl-C ends the process, with 130; before and after them it raises
  KeyboardInterrupt, and so it does in all phases but the last
- until the run begins (``stop_before_the_run``): SIGTERM and SIGHUP raise Stopped
- while Ray starts (``cluster/ray_session.py``): the same; the thread that starts it blocks both, for Ray's processes to
  inherit, and the handler of SIGTERM is put back, which Ray replaces
- the run (``GracefulStop.listening``): either asks it to stop with a checkpoint; a second SIGTERM to stop at once
- the end of the workers and of Ray (``cluster/shutdown.py``): all three are ignored, and there is a deadline
- while W&B finishes: SIGTERM and SIGHUP change nothing, Ctrl-C ends the wait; there is a deadline, too

SIGHUP is always ignored under ``nohup``, and after the first one that has stopped a run.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from rnr.faults import Stopped

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

TOGETHER = 1.0
"""Seconds within which another SIGTERM is the same request: `timeout` sends it to its command and to the group."""
EXIT_CODE = 75
"""Of a run that stopped because it was asked to: "try again later" (``EX_TEMPFAIL`` of sysexits.h)."""


def stop_signals() -> list[signal.Signals]:
    """The signals that ask a run to stop: SIGTERM, and SIGHUP unless it is ignored (``nohup``)."""
    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return [signal.SIGTERM] if ignored else [signal.SIGTERM, signal.SIGHUP]


@contextmanager
def stop_before_the_run() -> Iterator[None]:
    """While there is nothing yet to keep, in this block, these signals raise Stopped."""
    before = {number: signal.signal(number, _stop_before_the_run) for number in stop_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _stop_before_the_run(number: int, _frame: Any) -> None:
    if number == signal.SIGHUP:
        _hear_no_other()
    raise Stopped(f"stopped by {signal.Signals(number).name} before the run started")


def _hear_no_other() -> None:
    """A terminal that is closed sends SIGHUP more than once, from the kernel and from its shell."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


async def nothing_to_save(*, resumed: bool) -> str:
    """What to report before the training has begun, or has continued in a run that was ``resumed``."""
    return "nothing was trained since the last checkpoint" if resumed else "training had not started"


class GracefulStop:
    """Whether the run was asked to stop, and whether it may stop where it is."""

    def __init__(self, seconds: float) -> None:
        """``seconds`` is the grace time from the signal until everything is on disk."""
        self._seconds = seconds
        self._asked = asyncio.Event()
        self._by = ""
        self._since = 0.0
        self._at_once = asyncio.Event()
        self._blocks = 0
        """Those of ``uninterrupted`` that the work is in."""
        self._settled = asyncio.Event()
        self._settled.set()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear SIGTERM and SIGHUP for the length of the block. A second SIGTERM, or Ctrl-C, ends the run without
        waiting."""
        loop, heard = asyncio.get_running_loop(), stop_signals()
        for number in heard:
            loop.add_signal_handler(number, self.ask, number)
        try:
            yield
        finally:
            for number in heard:
                loop.remove_signal_handler(number)
            if self._by == signal.SIGHUP.name:
                _hear_no_other()

    def ask(self, number: signal.Signals = signal.SIGTERM) -> None:
        """This signal has arrived."""
        if not self._asked.is_set():
            self._by, self._since = number.name, time.monotonic()
            again = "send SIGTERM" if number == signal.SIGHUP else "send it again"
            logger.info(f"{self._by}: stopping with a checkpoint within {self._seconds:g} s; {again} to stop now")
        elif number != signal.SIGHUP and time.monotonic() - self._since >= TOGETHER:
            self._at_once.set()  # a terminal that is closed sends SIGHUP more than once
        self._asked.set()

    @contextmanager
    def uninterrupted(self) -> Iterator[None]:
        """A block that must not be left half done: a step, whose weights and ledger belong together. When
        the run is to stop, its work ends where the outermost one does."""
        self._blocks += 1
        self._settled.clear()
        try:
            yield
        finally:
            self._blocks -= 1
            if not self._blocks:
                self._settled.set()
        if not self._blocks:
            self.end_if_asked()

    def end_if_asked(self) -> None:
        """Raises CancelledError when the run is to stop: its work ends here, like a cancelled task."""
        if self._asked.is_set():
            raise asyncio.CancelledError

    async def run_until_stopped(self, work: Awaitable[Result], keep: Callable[[], Awaitable[str]]) -> Result:
        """What ``work`` returns. When the run is asked to stop meanwhile, work goes on until what has begun is done, is
        ended, and ``keep`` saves what there is and says what that is: raises Stopped with it."""
        task = asyncio.ensure_future(work)
        asked = asyncio.ensure_future(self._asked.wait())
        try:
            await asyncio.wait([task, asked], return_when=asyncio.FIRST_COMPLETED)
            if not self._asked.is_set():
                return task.result()
            kept = await self._save_in_time(task, keep)
            if not task.cancelled():
                return task.result()  # it finished meanwhile
            raise Stopped(f"stopped by {self._by}: {kept}")
        finally:
            asked.cancel()
            await _cancel(task)

    async def _save_in_time(self, task: asyncio.Future[Any], keep: Callable[[], Awaitable[str]]) -> str:
        """What was saved within the grace time."""
        keeping = asyncio.ensure_future(self._settle_and(task, keep))
        hurry = asyncio.ensure_future(self._at_once.wait())
        try:
            await asyncio.wait([keeping, hurry], timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            if keeping.done():
                return keeping.result()
            why = "a second signal came" if hurry.done() else f"{self._seconds:g} s (checkpoint.grace_seconds) passed"
            return f"{why} before the checkpoint was written; the previous one remains"
        finally:
            hurry.cancel()
            await _cancel(keeping)
            await _cancel(task)

    async def _settle_and(self, task: asyncio.Future[Any], keep: Callable[[], Awaitable[str]]) -> str:
        settled = asyncio.ensure_future(self._settled.wait())
        try:
            await asyncio.wait([task, settled], return_when=asyncio.FIRST_COMPLETED)
        finally:
            settled.cancel()
        await _cancel(task)
        return await keep() if task.cancelled() else ""


async def _cancel(task: asyncio.Future[Any]) -> None:
    """Cancel a task and wait for its end; its failure is ignored, as its work is given up."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

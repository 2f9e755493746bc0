"""``status.json``: what a run is doing, or how it ended.

The file of a killed process still says ``running``, because nothing could update it. Readers therefore call
:func:`read_status`, which checks whether the process is alive and reports such a run as ``killed``.
"""

import asyncio
import logging
import os
import shlex
import socket
import time
from asyncio import CancelledError
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal

import psutil
from pydantic import TypeAdapter, ValidationError

from rnr.faults import Stopped, causes
from rnr.files.free_space import is_no_room
from rnr.files.jsonl import read_object, strict_json
from rnr.files.whole import write_whole
from rnr.runs.forecast import Forecast
from rnr.runs.lock import Mark, is_active

logger = logging.getLogger(__name__)

State = Literal["running", "done", "failed", "stopped", "killed"]
LOGS = "logs"
"""Folder of the workers' output inside a run folder."""
SECONDS_BETWEEN = 0.5
"""Minimum time between writes of steps in one phase."""
SECONDS_WAITED = 60.0
"""Time between the lines of something that is still starting."""


class RunFolderGone(RuntimeError):
    """The run folder was moved or removed during its run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What is known of a run."""

    state: State
    pid: int = 0
    host: str = ""
    stage: str = ""
    """``setup``, ``base``, ``sft``, ``grpo`` or ``done``."""
    phase: str = ""
    step: int = 0
    """The step under way, from 0."""
    steps: int = 0
    """Steps of the stage."""
    seconds_left: float | None = None
    """An estimate for the whole run; None where there is none."""
    error: str = ""
    resume: str = ""
    """The command that resumes the run."""
    worker_logs: str = ""
    start: dict[str, float] = field(default_factory=dict)
    """What started -> seconds it took."""
    more: dict[str, Any] = field(default_factory=dict)
    """Everything else in the file."""

    def __str__(self) -> str:
        where = f" at {self.stage} step {self.step + 1} of {self.steps}" if self.steps else f" in {self.stage}"
        match self.state:
            case "running":
                return f"running{where}, process {self.pid} on {self.host}"
            case "failed":
                return f"failed{where}: {self.error}"
            case "done":
                return "done"
            case _:
                return f"{self.state}{where}"


_STATUS = TypeAdapter(Status)


class StatusFile:
    """The writer: one per run, made by its driver. Nothing is written before ``open``."""

    def __init__(self, command: Sequence[str] = ()) -> None:
        """``command`` is how this run was started, without ``--resume``."""
        process = psutil.Process()
        self._folder: Path | None = None
        self._mark: Mark | None = None
        self.forecast = Forecast()
        """The source of ``seconds_left``, once there is a plan."""
        self._age = max(0.0, time.time() - process.create_time())
        self._since = time.monotonic()
        self._written = 0.0
        self._starting: list[str] = []
        self._row: dict[str, Any] = {
            "state": "running",
            "pid": process.pid,
            "pid_since": process.create_time(),
            "host": socket.gethostname(),
            "started": _time(process.create_time()),
            "stage": "setup",
            "step": 0,
            "steps": 0,
            "phase": "start",
            "since": _time(),
            "seconds_left": None,
            "start": {},
            "command": shlex.join(command),
            "resume": shlex.join([*command, "--resume"]) if command else "",
            "folder_of_command": os.getcwd(),
        }

    @property
    def seconds(self) -> float:
        """Since this process was started, including imports."""
        return self._age + time.monotonic() - self._since

    @property
    def state(self) -> State:
        """How the run has ended, if it has."""
        return self._row["state"]

    @property
    def starts(self) -> dict[str, float]:
        """What has started -> seconds it took."""
        return dict(self._row["start"])

    def open(self, folder: Path) -> None:
        """Write to this run folder from now on."""
        self._folder = folder
        self._mark = Mark(folder)
        self._row["worker_logs"] = str(folder / LOGS)
        (folder / LOGS).mkdir(exist_ok=True)
        self._write()

    @contextmanager
    def starting(self, name: str) -> Iterator[None]:
        """Time the start of something and keep its seconds under ``start``; several may start at once."""
        begin = time.monotonic()
        self._starting.append(name)
        self._row |= {"phase": ", ".join(self._starting), "since": _time()}
        self._write()
        yield
        seconds = time.monotonic() - begin
        self._starting.remove(name)
        self._row["start"][name] = round(seconds, 1)
        if self._starting:
            self._row["phase"] = ", ".join(self._starting)
        logger.info(f"{name}: {seconds:.1f} s")
        self._write()

    async def started(self, name: str, start: Awaitable[None]) -> None:
        """``starting`` for something that is awaited, with a line for each minute that it takes."""
        with self.starting(name):
            waiting = asyncio.create_task(self._report_waiting(name))
            try:
                await start
            finally:
                waiting.cancel()

    async def _report_waiting(self, name: str) -> None:
        begin = time.monotonic()
        for times in count(1):
            await asyncio.sleep(SECONDS_WAITED)
            # Where the loop itself was blocked, as in one process, what starts has ended by now.
            if time.monotonic() - begin < (times + 0.5) * SECONDS_WAITED:
                logger.info(f"{name}: still starting after {times * SECONDS_WAITED:.0f} s")

    def at(self, stage: str, step: int, phase: str, *, steps: int = 0) -> None:
        """Set where the run is. Raises RunFolderGone where the run folder is no longer there."""
        same = (self._row["stage"], self._row["phase"]) == (stage, phase)
        self._row |= {"stage": stage, "step": step, "phase": phase, "since": _time()}
        self._row |= {"steps": steps, "seconds_left": round(self.forecast.seconds_left, 1) or None}
        self._refuse_without_folder()
        if not same or time.monotonic() - self._written >= SECONDS_BETWEEN:
            self._write()

    @contextmanager
    def until_the_end(self) -> Iterator[None]:
        """The block of a run; its end sets the state. An interrupt and ``SystemExit``, as a signal handler raises it,
        stop a run; every other exception is a failure, and is replaced by RunFolderGone if the run folder is gone."""
        try:
            yield
        except Stopped as stop:
            self.stopped(str(stop))
            self._refuse_without_folder()
            raise
        except (KeyboardInterrupt, SystemExit, CancelledError) as interrupt:
            self.stopped(f"interrupted ({type(interrupt).__name__})")
            raise
        except BaseException as error:
            self.failed(error)
            self._refuse_without_folder()
            raise
        self.done()

    def done(self) -> None:
        self._end("done", stage="done", resume="")

    def failed(self, error: BaseException) -> None:
        cause = causes(error)[0]
        with suppress(OSError):  # of a disk that takes no more: the run's own error is what is to be seen
            self._end("failed", error=f"{type(cause).__name__}: {cause}")

    def stopped(self, why: str) -> None:
        """The run was stopped and can be resumed; ``why`` names the signal."""
        with suppress(OSError):
            self._end("stopped", why=why)

    def _end(self, state: State, **more: str) -> None:
        if self.state != "running":
            return  # the first end counts, whatever its workers do after it
        self._row |= {"state": state, "ended": _time(), "seconds_left": None, **more}
        self._write()

    def _refuse_without_folder(self) -> None:
        if self._is_gone():
            raise RunFolderGone(
                f"{self._folder} was moved or removed during its run, and nothing more can be saved: put it back, "
                "then continue with --resume"
            )

    def _is_gone(self) -> bool:
        return self._mark is not None and self._mark.is_gone()

    def _write(self) -> None:
        if self._folder is None or self._is_gone():  # a write would make a folder that nobody can resume
            return
        self._written = time.monotonic()
        self._row["updated"] = _time()
        try:
            write_whole(self._folder / "status.json", strict_json(self._row, indent=1))
        except OSError as error:
            if not is_no_room(error):
                raise
            # The writers that need the space wait and say so; the next status that fits is written.


def read_status(folder: Path) -> Status | None:
    """The status of the run in ``folder``; None if it was never written, or cannot be read: a run needs nothing in it,
    so that is only reported."""
    file = folder / "status.json"
    if not os.path.lexists(file):
        return None
    try:
        row = read_object(file)
        known = {name: row.pop(name) for name in Status.__dataclass_fields__ if name in row}
        # Files of earlier versions do not have the state.
        status = _STATUS.validate_python({"state": "running", **known, "more": row})
    except (ValueError, OSError) as error:
        logger.error(f"{_unread(error, file)}: run status unknown; it is rewritten by the next run")
        return None
    killed = status.state == "running" and not _alive(status, folder)
    return replace(status, state="killed") if killed else status


def _unread(error: Exception, file: Path) -> str:
    """The file and what is wrong with it."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)


def _alive(status: Status, folder: Path) -> bool:
    """Whether the process of a status is alive; one on another host is assumed to be."""
    if status.host != socket.gethostname():
        return bool(status.host)
    with suppress(OSError):  # the lock of another user
        if is_active(folder):
            return True
    # Without a lock, by its start; that changes where the clock is set.
    since = status.more.get("pid_since")
    if not isinstance(since, int | float):
        return False  # a pid alone does not identify a process
    try:
        process = psutil.Process(status.pid)
        # The pid may have been reused since.
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - since) < 2
    except (psutil.Error, ValueError, OverflowError):
        return False


def _time(seconds: float | None = None) -> str:
    """A moment (now, if not given) as local time with its offset."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(seconds))

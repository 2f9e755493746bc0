"""The disk of a run: checks for room before a start, and waits for room when it is full."""

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from rnr.config import CheckpointConfig, ModelConfig
from rnr.faults import NoRoom
from rnr.files.free_space import existing_parent, free_space, is_full, is_no_room, unwritable

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

AFTERWARDS = "free some space, then resume with --resume"
"""What to do when a run has ended on a full disk."""
PAUSE = 2.0
"""Seconds between two checks."""


def no_room(folder: Path, what: str, lacks: str = "") -> str:
    """A message that the disk of ``folder`` is full, with its mount point and free space; ``lacks`` is appended."""
    return f"no room for {what}: {free_space(folder)}{lacks}"


def failed_disk(folder: Path, error: BaseException) -> str:
    """The message that ends a run in this folder after an error of a disk: one that is full, with its name, or that of
    the folder, if it takes nothing any more. Empty for any other error."""
    if is_no_room(error):
        if is_full(folder):
            return f"NoRoom: {no_room(folder, f'what the run writes ({error})')}; {AFTERWARDS}"
        return (
            f"{type(error).__name__}: {error}: {free_space(folder)}, so check the others, such as those of "
            f"{tempfile.gettempdir()} and /dev/shm; {AFTERWARDS}"
        )
    if isinstance(error, OSError) and (why := unwritable(folder)):
        return (
            f"{type(error).__name__}: {error}: the run folder can no longer be written ({why}): check its disk and its "
            "mount, then resume with --resume"
        )
    return ""


def disk_gib(checkpoint: CheckpointConfig, model: ModelConfig, weights_gib: float) -> float:
    """What the run folder grows to, in GiB: the checkpoints that are kept, the one after the warm start, the one being
    written, and the export."""
    # bf16 weights, and three times as many numbers in float32: master weights and two moments; an adapter has few.
    size = weights_gib * (0.2 if model.lora_rank else 7)
    return (checkpoint.keep + 2) * size + weights_gib


def check_disk(folder: Path, needed: float) -> None:
    """Raise ValueError when the disk of the run folder has no room for the ``needed`` GiB that a run leaves there."""
    free = free_gib(folder)
    if needed > free:
        raise ValueError(
            f"the run needs {needed:.1f} GiB for its checkpoints and export, but the disk of run.folder ({folder}) has "
            f"{free:.1f}: free some space, choose another run.folder, or lower checkpoint.keep"
        )


def free_gib(folder: Path) -> float:
    """Free space in GiB on the disk where this folder is or will be."""
    return shutil.disk_usage(existing_parent(folder)).free / 2**30


class Disk:
    """The disk of the run folder."""

    def __init__(self, folder: Path, *, seconds: float) -> None:
        """``seconds`` is how long to wait for room (``deadlines.room``)."""
        self._folder = folder
        self._seconds = seconds

    async def retry(self, what: str, call: Callable[[], Result]) -> Result:
        """Calls again until the disk has room for ``what`` it writes; returns what ``call`` does. A call that fails
        must leave nothing behind. Raises NoRoom when there was no room in time."""

        async def attempt() -> Result:
            return call()

        return await self.retry_async(what, attempt)

    async def retry_async(self, what: str, call: Callable[[], Awaitable[Result]], *, needed: int = 0) -> Result:
        """``retry`` for a call that is awaited. It is not begun before ``needed`` bytes are free."""
        end: float | None = None
        while True:
            lacks, where = self._lacks(needed), ""
            if not lacks:
                try:
                    return await call()
                except Exception as error:
                    if not is_no_room(error):
                        raise
                    where = self._elsewhere(error)
            sentence = no_room(self._folder, what + where, lacks)
            if end is None:
                end = time.monotonic() + self._seconds
                logger.warning(f"{sentence}; waiting up to {self._seconds:g} s (deadlines.room) for free space")
            if time.monotonic() >= end:
                raise NoRoom(f"{sentence}; {AFTERWARDS}") from None
            await asyncio.sleep(PAUSE)

    def _elsewhere(self, error: Exception) -> str:
        """The error, in brackets, if it names a file on another disk."""
        file = getattr(error, "filename", None)
        if not isinstance(file, str):
            return ""
        other, own = (existing_parent(path).stat().st_dev for path in (Path(file), self._folder))
        return "" if other == own else f" ({error})"

    def _lacks(self, needed: int) -> str:
        """What is missing, as the end of a sentence; empty if nothing is."""
        if not needed or shutil.disk_usage(self._folder).free >= needed:
            return ""
        return f", but {needed / 2**30:.3f} are needed"

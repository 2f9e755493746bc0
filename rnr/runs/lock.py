"""The lock of a run folder: held by its process, released by the kernel when that ends, however it ends."""

import fcntl
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from rnr.files.free_space import existing_parent, is_no_room

LOCK = "lock"
"""File in a run folder that its process keeps locked."""
SECONDS = 0.5
"""How long to try for a lock: whoever asks ``is_active`` holds it for a moment."""


def take_lock(folder: Path) -> int | None:
    """The descriptor by which this process owns the folder, until it is closed or the process ends; None if another
    process owns it, or has moved it."""
    try:
        lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR)
    except FileNotFoundError:
        return None
    end = time.monotonic() + SECONDS
    while not _locked(lock):
        if time.monotonic() >= end:
            os.close(lock)
            return None
        time.sleep(0.05)
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(lock), (folder / LOCK).stat()):
            return lock
    os.close(lock)
    return None


def without_locks(folder: Path) -> str:
    """Why files in this folder, or where it is not there in the nearest above it, cannot be locked; empty where they
    can."""
    try:
        with tempfile.TemporaryFile(dir=existing_parent(folder)) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return "" if is_no_room(error) else str(error.strerror)
    return ""


def remove_locked(folder: Path) -> None:
    """Remove a folder that holds nothing but its lock."""
    (folder / LOCK).unlink()
    folder.rmdir()


class Mark:
    """A run folder as it is now, to find out later whether it still is the same."""

    def __init__(self, folder: Path) -> None:
        self._file = lock if (lock := folder / LOCK).exists() else folder
        self._stat = self._file.stat()

    def is_gone(self) -> bool:
        """Whether the folder is no longer there, or is that of another run."""
        try:
            return not os.path.samestat(self._stat, self._file.stat())
        except (FileNotFoundError, NotADirectoryError):
            return True


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_active(folder: Path) -> bool:
    """Whether a process holds the lock of this run folder."""
    try:
        with (folder / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True

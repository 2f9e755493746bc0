"""Folders for temporary files that go with the process that made them, even where it is killed: it holds a lock on
each, which the kernel releases, and the next process that makes one removes those that nobody holds. The named
semaphores of such a process bear the name of its folder and go with it."""

import atexit
import fcntl
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from rnr.files.free_space import existing_parent, unwritable

PREFIX = "rnr-worker-"
SHARED_MEMORY = Path("/dev/shm")
KERNELS = "TORCHINDUCTOR_CACHE_DIR"
LONGEST_ROOT = 40
"""Sockets are in a held folder, and the path of a socket has at most 107 characters."""


def held_folder(root: Path, prefix: str) -> tuple[Path, int]:
    """(a new folder in ``root``, open to this user alone, and the descriptor that holds it)."""
    remove_abandoned(root, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
    # The file gets its name once it is locked, so that no other process sees the folder as abandoned in between.
    partial = folder / "lock.partial"
    lock = os.open(partial, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    partial.rename(folder / "lock")
    return folder, lock


@contextmanager
def held_for_a_while(root: Path) -> Iterator[Path]:
    """A held folder of a worker for the length of a block."""
    folder, lock = held_folder(root, PREFIX)
    try:
        yield folder
    finally:
        remove(folder)
        os.close(lock)


@contextmanager
def folder_for_sockets() -> Iterator[Path]:
    """A held folder for the length of a block; the process's own if its temporary files are in one."""
    own = Path(tempfile.gettempdir())
    if own.name.startswith(PREFIX):
        yield own
        return
    with held_for_a_while(root_of_workers()) as folder:
        yield folder


def remove_abandoned(root: Path, prefix: str) -> None:
    """Remove this user's folders that no process holds."""
    for lock in root.glob(f"{prefix}*/lock"):
        # Another process may remove it first.
        with suppress(FileNotFoundError):
            if lock.stat().st_uid != os.getuid():
                continue
            with lock.open("r+") as file, suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                remove(lock.parent)


def remove_abandoned_by_workers() -> None:
    """Remove what dead workers on this host have left, in shared memory too."""
    for root in {root_of_workers(), SHARED_MEMORY}:
        remove_abandoned(root, PREFIX)


def sweep_host() -> None:
    """``remove_abandoned_by_workers``, allowing time for a worker that is still ending."""
    for _ in range(3):
        time.sleep(0.7)
        remove_abandoned_by_workers()


def remove(folder: Path, *, spare_own: bool = False) -> None:
    """Remove a held folder, those of workers in its folder ``tmp``, and their semaphores, and kill the processes that a
    worker started and left running, such as a server of a user's reward: their ``TMPDIR`` is in the folder. With
    ``spare_own`` those that this process started itself are spared."""
    for process in _left_in(folder):
        with suppress(psutil.Error):
            if not (spare_own and process.ppid() == os.getpid()):
                process.kill()
    for name in (folder.name, *(inner.name for inner in folder.glob(f"tmp/{PREFIX}*"))):
        for semaphore in SHARED_MEMORY.glob(f"sem.{name}-*"):
            semaphore.unlink(missing_ok=True)
    # A process that is still ending may write meanwhile. The lock goes last, so the next process removes the rest.
    for path in folder.glob("*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != "lock":
            path.unlink(missing_ok=True)
    if all(path.name == "lock" for path in folder.glob("*")):
        shutil.rmtree(folder, ignore_errors=True)


def _left_in(folder: Path) -> Iterator[psutil.Process]:
    """The other processes of this user whose ``TMPDIR`` is a held folder or is in it."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid == os.getpid() or process.uids().real != os.getuid():
                continue
            temporary = Path(process.environ().get("TMPDIR") or _overwritten_tmpdir(process.pid))
            if folder == temporary or folder in temporary.parents:
                yield process


def _overwritten_tmpdir(pid: int) -> str:
    """The ``TMPDIR`` of a process with a title of its own, as Ray's have, which overwrites the beginning of its
    environment: psutil then finds none."""
    file = Path(f"/proc/{pid}/environ")
    entries = file.read_bytes().split(b"\0") if file.exists() else []
    return next((os.fsdecode(entry[7:]) for entry in entries if entry.startswith(b"TMPDIR=")), "")


def move_temporary_files() -> None:
    """Have this process and those that it starts put their temporary files, sockets among them, into a held folder, and
    name their semaphores after it."""
    root = root_of_workers()
    choose_folder_for_kernels(root)
    folder, _ = held_folder(root, PREFIX)
    atexit.register(remove, folder)
    os.environ["TMPDIR"] = str(folder)
    tempfile.tempdir = None
    process: Any = multiprocessing.current_process()
    process._config["semprefix"] = f"/{folder.name}"  # those that it starts inherit it


def choose_folder_for_kernels(root: Path) -> None:
    """Have torch keep the kernels that it compiles in ``root``, from one run to the next, unless it has a folder: by
    default it follows the one for temporary files, which changes here. Below the home folder where no library can be
    loaded from there, also if torch itself, as soon as it is imported, has chosen such a folder."""
    name = f"torchinductor_{os.environ.get('USER') or os.getuid()}"
    chosen = Path(os.environ.setdefault(KERNELS, str(root / name)))
    with suppress(OSError, RuntimeError):  # no such folder, or no home
        if os.statvfs(existing_parent(chosen)).f_flag & os.ST_NOEXEC:
            os.environ[KERNELS] = str(Path.home() / ".cache" / name)


def root_of_workers() -> Path:
    """Where the held folders of workers are on this host."""
    root = Path(tempfile.gettempdir())
    return root if len(str(root)) <= LONGEST_ROOT else Path("/tmp")


def held_for_ray(prefix: str) -> tuple[Path, int]:
    """``held_folder`` for a local Ray, in ``RAY_TMPDIR``, else in ``/tmp``, because the paths of its sockets must be
    short; where that cannot be written, as in a container whose root is read only, where those of workers are."""
    root = Path(os.environ.get("RAY_TMPDIR") or "/tmp")
    if str(root) == "/tmp" and unwritable(root):
        root = root_of_workers()
    return held_folder(root, prefix)

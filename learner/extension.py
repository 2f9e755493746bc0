"""DeepSpeed's compiled operator: built by one process at a time, never blocked by the lock of a dead one.

torch marks a build by a file ``lock`` in the operator's folder. A process that is killed meanwhile leaves it there, and
all later ones wait for it forever and silently. So a build takes a kernel lock first, which ends with its holder; the
holder may remove torch's, unless a living process has that file open.
"""

import fcntl
import hashlib
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rnr.files.free_space import unwritable
from rnr.files.private import private_folder

logger = logging.getLogger(__name__)

VARIABLE = "TORCH_EXTENSIONS_DIR"
LOCK = "lock"
POLL_SECONDS = 0.2


def load_extension(seconds: float) -> None:
    """Load the shared-memory operator of a CPU learner; compile it, in about half a minute, if this machine has not.

    Raises RuntimeError, naming the file and the process, if another build does not end within ``seconds``, and if there
    is no folder to build in.
    """
    from deepspeed.accelerator import get_accelerator

    accelerator: Any = get_accelerator()
    if accelerator.device_name() != "cpu":
        return
    from deepspeed.comm.torch import build_shm_op

    try:
        for note in choose_build_root():
            logger.warning(note)
        root = build_root()
        root.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        raise RuntimeError(str(error)) from None
    end = time.monotonic() + seconds
    with _one_at_a_time(root, end):
        remove_dead_locks(root, end)
        build_shm_op()


def choose_build_root() -> list[str]:
    """Choose a writable folder to build operators in, for this process and those that it starts: if the home folder is
    not writable, one below the temporary folder, with a note. Raises ValueError if there is none."""
    given = os.environ.get(VARIABLE)
    root = build_root()
    if not (why := unwritable(root)):
        return []
    said = f"DeepSpeed's operator is built in {root}, which is not writable ({why})"
    if given:
        raise ValueError(f"{said}: set TORCH_EXTENSIONS_DIR to another folder, or unset it and make HOME writable")
    try:
        other = private_folder("rnr-extensions") / root.name
    except OSError as error:
        raise ValueError(f"{said}, nor is {error}: set HOME or TORCH_EXTENSIONS_DIR to another folder") from None
    os.environ[VARIABLE] = str(other)
    return [f"learner: {said}; building in {other} instead: set HOME or TORCH_EXTENSIONS_DIR to keep it elsewhere"]


def build_root() -> Path:
    """Where operators are built and kept: ``TORCH_EXTENSIONS_DIR``, which is set where it is not.

    By default torch has one folder for all environments of a user, and rebuilds (40 s of a core) whenever the path of
    DeepSpeed's sources has changed: two environments in turn would never stop building.
    """
    import torch
    from torch.utils.cpp_extension import get_default_build_root

    if VARIABLE not in os.environ:
        sources = find_spec("deepspeed")
        environment = hashlib.sha256(f"{sys.version} {torch.__version__} {sources and sources.origin}".encode())
        os.environ[VARIABLE] = f"{get_default_build_root()}/rnr-{environment.hexdigest()[:12]}"
    return Path(os.environ[VARIABLE])


def remove_dead_locks(root: Path, end: float) -> None:
    """Remove every lock of a build under ``root`` that no living process holds; wait for the others, until ``end`` on
    the monotonic clock."""
    for lock in root.rglob(LOCK):
        while lock.exists() and (holder := _holder(lock)):
            _wait(end, f"{lock} is held by {holder}")
        lock.unlink(missing_ok=True)


def _holder(lock: Path) -> str:
    """The process that has ``lock`` open; empty if there is none."""
    try:
        owner = lock.stat()
    except FileNotFoundError:
        return ""
    if os.getuid() not in (0, owner.st_uid):
        return f"a process of user {owner.st_uid}"  # whose open files are not shown to us
    for descriptor in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            found = descriptor.stat()
        except OSError:  # the process has ended, or the descriptor is closed
            continue
        if (found.st_dev, found.st_ino) == (owner.st_dev, owner.st_ino):
            return f"process {descriptor.parts[2]}"
    return ""


@contextmanager
def _one_at_a_time(root: Path, end: float) -> Iterator[None]:
    with (root / "rnr.lock").open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                _wait(end, f"another learner is building in {root}")
            except OSError:  # a file system without locks, as a home folder may be on
                break
        yield


def _wait(end: float, what: str) -> None:
    if time.monotonic() > end:
        raise RuntimeError(f"DeepSpeed's operator cannot be built: {what}, which did not end in time; stop it first")
    time.sleep(POLL_SECONDS)

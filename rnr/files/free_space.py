"""Room on a disk: how much there is, whether an error says that there is none, and whether one may write."""

import errno
import os
import re
import shutil
import tempfile
from pathlib import Path

_FULL = re.compile(
    r"No space left on device|Disk quota exceeded|os error (28|122)\b|Errno (28|122)\b|OutOfDisk", re.IGNORECASE
)
"""PyTorch, safetensors and Ray raise errors that have no errno."""
_CUT_SHORT = re.compile(r"unexpected pos \d+ vs \d+|iostream error|PytorchStreamWriter failed writing")
"""``torch.save`` of a write that was cut short, which does not say why."""
_PROBE = 2**20
"""Bytes."""


def is_no_room(error: BaseException) -> bool:
    """Whether a disk or a quota is full: also where a library, or Ray, says it in words of its own."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    return bool(_FULL.search(str(error)))


def is_cut_short(error: BaseException) -> bool:
    """Whether a library says that a write failed and not why: ``is_full`` tells, as long as what was written is
    there."""
    return bool(_CUT_SHORT.search(str(error)))


def is_full(folder: Path) -> bool:
    """Whether the disk or the quota of ``folder`` is full: found out by a write, because a quota is seen no other
    way."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as stream:
            left = memoryview(os.urandom(_PROBE))
            while left:
                left = left[stream.write(left) :]
            os.fsync(stream.fileno())
    except OSError as error:
        return is_no_room(error)
    return False


def free_space(path: Path) -> str:
    """How much room the disk of ``path`` has, as a sentence: "the disk of /runs (mounted at /) has 0.1 of 250.0 GiB
    free"."""
    there = existing_parent(path)
    mount = next(place for place in (there.resolve(), *there.resolve().parents) if os.path.ismount(place))
    usage = shutil.disk_usage(there)
    return f"the disk of {path} (mounted at {mount}) has {_gib(usage.free)} of {_gib(usage.total)} GiB free"


def existing_parent(path: Path) -> Path:
    """The folder itself or the nearest above it that is there."""
    return next(place for place in (path, *path.parents) if place.is_dir())


def unwritable(folder: Path) -> str:
    """Why nothing can be written into a folder, or where it is not there into the nearest above it; empty where it can.
    Found out by a file without a name: who may write is not all that decides (a mount that only reads, ``/proc``)."""
    there = next(place for place in (folder, *folder.parents) if os.path.lexists(place))
    try:
        tempfile.TemporaryFile(dir=there).close()
    except OSError as error:
        if not is_no_room(error):
            return f"{there}: {error.strerror}"
    return ""


def _gib(size: int) -> str:
    return f"{size / 2**30:.{1 if size > 2**30 else 3}f}"

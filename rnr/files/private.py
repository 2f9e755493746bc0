"""A folder of this user alone, where there is no home for it."""

import os
import stat
import tempfile
from pathlib import Path

from rnr.files.free_space import unwritable


def private_folder(name: str) -> Path:
    """``NAME-UID`` below the temporary folder, of this user alone: code from it may be run. Raises OSError, with its
    name, where it is another's, or open to others."""
    folder = Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077 or unwritable(folder):
        raise OSError(f"{folder}, which is not this user's alone")
    return folder

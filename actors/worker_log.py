"""Where a worker's output goes: into the run folder, under the worker's name."""

import os
import sys
import time
from pathlib import Path


def print_to(file: str) -> bool:
    """Append everything that this process and its children print from now on, native stack traces too, to ``file``.

    False, and nothing changes, on a host without that folder: there Ray's own logs keep the output.
    """
    if not Path(file).parent.is_dir():
        return False
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.write(descriptor, f"--- process {os.getpid()}, {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
    os.close(descriptor)
    return True

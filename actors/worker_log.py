"""Where a worker's output goes: into the run folder, under the worker's name."""

import os
import re
import sys
import time
from pathlib import Path

from rnr.files.lasting import lasting_text

_ABOVE = re.compile(r"root cause above|\(above\) for the root cause|check the logs")
"""An error of vLLM's that only refers to what its processes have printed."""
_ERROR = re.compile(r"^(?:\(\w+ pid=\d+\) )?(?:ERROR [^\]]*\] )?((?:\w+\.)*\w*(?:Error|Exception)(?:: .*)?)$")
"""The last line of a traceback, printed or logged by vLLM."""
_written: list[tuple[Path, int]] = []
"""The file that takes the output of this process, and where this begins in it."""


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
    # On a full disk a custom reward, or any other work that prints, would fail as if it were to blame.
    sys.stdout, sys.stderr = (lasting_text(number, encoding="utf-8", errors="backslashreplace") for number in (1, 2))
    # They would close their files when they go: a module may wrap `sys.stdout.buffer` again.
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr  # pyright: ignore[reportAttributeAccessIssue]
    sys.stdout.write(f"--- process {os.getpid()}, {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
    _written[:] = [(Path(file), os.fstat(descriptor).st_size)]
    os.close(descriptor)
    return True


def root_cause(message: str) -> str:
    """The message of an error; for one that refers to the output above, the last other error that this process has
    printed, if there is one that can be read."""
    if not _ABOVE.search(message):
        return message
    found = [match[1] for line in _printed() if (match := _ERROR.match(line)) and not _ABOVE.search(line)]
    return found[-1] if found else message


def _printed() -> list[str]:
    """The lines that this process and its children have printed; none where they cannot be read."""
    try:
        return [
            line for file, begin in _written for line in file.read_bytes()[begin:].decode(errors="replace").splitlines()
        ]
    except OSError:
        return []

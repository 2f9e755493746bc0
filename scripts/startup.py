"""The start of a command, before anything large is imported (shadowed packages, Ctrl-C), and its end."""

import atexit
import os
import signal
import sys
import threading
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("rnr", "rewards", "actors", "learner", "cluster")
"""The packages beside this one. A file with such a name in the working folder would be imported instead."""
INTERRUPTED = 130
SECONDS = 10.0
"""Time that threads have to end with their process."""


def begin() -> None:
    """Runs before a command's imports; ends the process with 2 if another module shadows a package of RNR, or if
    Python runs without docstrings. Finds a home for a user without one."""
    end_on_interrupt()
    if sys.flags.optimize > 1:
        print(
            "error: Python runs without docstrings (PYTHONOPTIMIZE=2, or -OO), which transformers cannot: unset it",
            file=sys.stderr,
        )
        raise SystemExit(2)
    for name in PACKAGES:
        if other := _other(name):
            print(f"error: {other}: rename it, or start from another folder", file=sys.stderr)
            raise SystemExit(2)
    _find_home()


def _find_home() -> None:
    """Give a user without a home, as in a container that runs under any number, one in the temporary folder: libraries
    would keep their files, and code that they compile, in a folder called ``~`` in the working folder."""
    if os.path.expanduser("~") != "~":
        return
    from rnr.files.private import private_folder

    with suppress(OSError):
        os.environ["HOME"] = str(private_folder("rnr-home"))
        print(
            f"note: HOME is not set, and user {os.getuid()} has no other: using {os.environ['HOME']}", file=sys.stderr
        )


def _other(name: str) -> str:
    """What shadows our package of this name, as the beginning of a sentence; empty if nothing does."""
    spec = find_spec(name)
    found = (spec.origin or "") if spec else ""
    if not found or os.path.realpath(found) == os.path.realpath(ROOT / name / "__init__.py"):
        return ""
    return f"{found} shadows RNR's package {name!r}"


def find_modules_here() -> None:
    """Add the working folder to ``sys.path``, however the command was called: a user's rewards are there. It comes
    last, as in workers, so that no file there shadows a package."""
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)


def end_on_interrupt() -> None:
    """Let Ctrl-C end the process from now on: an interrupted import may turn it into any other error."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def raise_on_interrupt() -> None:
    """Let Ctrl-C raise KeyboardInterrupt again from now on."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _end(_number: int, _frame: Any) -> None:
    with suppress(OSError):
        os.write(2, b"stopped\n")
    os._exit(INTERRUPTED)


def leave(code: int) -> NoReturn:
    """End the process with this exit code, also where others have started threads that do not end, such as the module
    of a custom reward: Python would wait for them for ever. They have ``SECONDS``."""
    waited = threading.Event()
    atexit.register(waited.set)  # the last to be registered is the first to be called, once all threads have ended
    threading.Thread(target=_leave_anyway, args=[code, waited], daemon=True).start()
    sys.exit(code)


def _leave_anyway(code: int, waited: threading.Event) -> None:
    if waited.wait(SECONDS):
        return
    left = [each.name for each in threading.enumerate() if not (each.daemon or each is threading.main_thread())]
    if left:
        with suppress(OSError, ValueError):
            print(f"note: exiting although threads are running: {', '.join(left)}", file=sys.stderr, flush=True)
        atexit._run_exitfuncs()
        for stream in filter(None, (sys.stdout, sys.stderr)):
            with suppress(OSError, ValueError):
                stream.flush()
        os._exit(code)

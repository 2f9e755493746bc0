"""``scripts.train`` with a stroke of lightning: the named processes get SIGKILL in the middle of the named phase.

A test that watches ``status.json`` from outside misses a short phase on a busy machine; from inside none is missed.

Usage: ``python -m tests.end_to_end.struck_train STEP PHASE NAMES -- ARGUMENTS OF scripts.train``, where NAMES are
``driver`` or actor classes, separated by commas, and PHASE is struck in the first GRPO step from STEP on. ``everyone``
gets SIGTERM, as Slurm sends it to all processes of a job.
"""

import os
import signal
import sys
import threading
import time
from typing import Any

import psutil

from rnr.runs.status import StatusFile
from scripts.train import main

SECONDS_INTO_THE_PHASE = 0.1


def strike(names: list[str]) -> None:
    """SIGKILL to one process of each name, or SIGTERM to ``everyone``."""
    time.sleep(SECONDS_INTO_THE_PHASE)
    children = psutil.Process().children(recursive=True)
    if names == ["everyone"]:
        for process in (*children, psutil.Process()):
            process.terminate()
        return
    for name in names:
        if name == "driver":
            os.kill(os.getpid(), signal.SIGKILL)
        victim = next(child for child in children if any(f"ray::{name}" in word for word in child.cmdline()))
        victim.kill()


def arm(step: int, phase: str, names: list[str]) -> None:
    """Have ``strike`` called when the run enters the phase."""
    report = StatusFile.at
    struck = threading.Event()

    def reporting(status: StatusFile, stage: str, current: int, now: str, **more: Any) -> None:
        report(status, stage, current, now, **more)
        if stage == "grpo" and current >= step and now == phase and not struck.is_set():
            struck.set()
            threading.Thread(target=strike, args=(names,), daemon=True).start()

    StatusFile.at = reporting


if __name__ == "__main__":
    arm(int(sys.argv[1]), sys.argv[2], sys.argv[3].split(","))
    sys.exit(main(sys.argv[5:]))

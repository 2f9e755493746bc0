"""``bench gpu``: all GPU measurements of docs/BENCHMARKS.md, most important first, within eight minutes.

Each step runs in a separate process with a time limit. Every measurement is written as a JSON line as soon as it is
known: if a step fails or times out, or the machine goes away, earlier measurements are kept.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from cluster.gpus import local_gpus, memory_in_use
from scripts.benchmarks.against_trl import interpreter
from scripts.benchmarks.gpu_rows import Rows, collected, filled
from scripts.benchmarks.turns import Numbers

DOCS = Path(__file__).resolve().parents[2] / "docs" / "BENCHMARKS.md"
WHOLE = 480.0
"""Default time budget in seconds; the limits below are scaled by ``--seconds`` / ``WHOLE``."""
LIMITS = {
    "models": 100,
    "learner": 140,
    "real": 220,
    "cluster": 200,
    "learner_small": 110,
    "tests": 100,
    "uncompiled": 150,
    "trl": 200,
    "sleep": 150,
}
"""Step -> time limit in seconds, in order of execution."""
LEAST = 15.0
"""No step is started with less time left."""
GRACE = 10.0
"""Seconds between SIGTERM and SIGKILL."""


def measure(options: argparse.Namespace) -> Numbers:
    """All numbers by ``step.case.number``; also writes the filled table of the docs next to ``--rows``."""
    wanted = options.steps.split(",") if options.steps else list(LIMITS)
    if unknown := set(wanted) - LIMITS.keys():
        raise ValueError(f"--steps: unknown step {', '.join(sorted(unknown))}; choose from {', '.join(LIMITS)}")
    end = time.monotonic() + options.seconds
    options.rows.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="rnr-bench-") as folder:
        for step in LIMITS:
            if step in wanted or step == "models":
                limit = min(LIMITS[step] * options.seconds / WHOLE, end - time.monotonic())
                _run_step(step, limit, Path(folder), options)
    numbers = collected(options.rows)
    table = filled(DOCS.read_text(), numbers)
    options.rows.with_suffix(".md").write_text(table + "\n")
    print(table)
    return numbers


def _run_step(step: str, limit: float, folder: Path, options: argparse.Namespace) -> None:
    rows = Rows(options.rows, step)
    if limit < LEAST:
        rows.add("all", {"failed": "not started: no time left"})
        return
    if step == "trl" and interpreter() is None:
        rows.add("all", {"failed": "TRL is not installed here (make peer)"})
        return
    if step == "sleep" and not local_gpus():
        rows.add("all", {"failed": "sleep mode needs a GPU"})
        return
    command = [sys.executable, "-m", "scripts.benchmarks.gpu_steps", step, str(options.rows), str(folder)]
    command += ["--tiny"] if options.tiny else []
    rows.add("all", finished(command, limit, log=options.rows.with_name(f"{options.rows.stem}-{step}.log")))


def finished(command: Sequence[str], limit: float, *, log: Path) -> Numbers:
    """Run a command for at most ``limit`` seconds, with its output in ``log``, then stop all of its child processes.

    Returns its seconds, the peak memory in use on any GPU meanwhile, and the reason if it failed.
    """
    begin = time.monotonic()
    numbers: Numbers = {}
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=DOCS.parents[1])
        started: set[psutil.Process] = set()
        most = 0.0
        while process.poll() is None and time.monotonic() - begin < limit:
            started |= _descendants(process.pid)
            most = max(most, *memory_in_use(), 0.0)
            try:
                process.wait(min(2.0, max(0.1, limit - (time.monotonic() - begin))))
            except subprocess.TimeoutExpired:
                continue
        status = process.poll()
        _stop(process, started)
    if status is None:
        numbers["failed"] = f"timed out after {limit:.0f} s"
    elif status:
        numbers["failed"] = f"exit status {status}: {_log_tail(log)}"
    if most:
        numbers["gpu_gib"] = most
    return numbers | {"seconds": round(time.monotonic() - begin, 1)}


def _stop(process: "subprocess.Popen[Any]", started: set[psutil.Process]) -> None:
    started |= _descendants(process.pid)
    process.terminate()
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    _, alive = psutil.wait_procs(list(started), timeout=2)
    for left in alive:
        if left.is_running():
            left.kill()
    psutil.wait_procs(alive, timeout=GRACE)


def _descendants(pid: int) -> set[psutil.Process]:
    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return set()


def _log_tail(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-3:])[-400:]

"""``bench gpu``: everything that docs/BENCHMARKS.md asks of a GPU, most important first, within eight minutes.

Each step is a process of its own with its own limit. What it measures is a JSON line as soon as it is known, so that a
step that fails or runs out of time, or a machine that goes away, takes nothing with it that was there.
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
"""Seconds of the script on a GPU; the limits below are shares of it."""
LIMITS = {
    "models": 100,
    "learner": 140,
    "real": 220,
    "cluster": 200,
    "learner_small": 110,
    "tests": 100,
    "trl": 200,
    "sleep": 150,
}
"""Step -> seconds it may take, in the order in which they are carried out."""
LEAST = 15.0
"""With less time left no step is begun."""
GRACE = 10.0
"""Seconds that a step is given to end by itself."""


def measure(options: argparse.Namespace) -> Numbers:
    """All numbers by ``step.case.number``; the docs' table with them stands beside the rows."""
    wanted = options.steps.split(",") if options.steps else list(LIMITS)
    if unknown := set(wanted) - LIMITS.keys():
        raise ValueError(f"--steps: there is no {', '.join(sorted(unknown))}; there are {', '.join(LIMITS)}")
    end = time.monotonic() + options.seconds
    options.rows.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="rnr-bench-") as folder:
        for step in LIMITS:
            if step in wanted or step == "models":
                limit = min(LIMITS[step] * options.seconds / WHOLE, end - time.monotonic())
                _carried_out(step, limit, Path(folder), options)
    numbers = collected(options.rows)
    table = filled(DOCS.read_text(), numbers)
    options.rows.with_suffix(".md").write_text(table + "\n")
    print(table)
    return numbers


def _carried_out(step: str, limit: float, folder: Path, options: argparse.Namespace) -> None:
    rows = Rows(options.rows, step)
    if limit < LEAST:
        rows.add("all", {"failed": "not begun: the time was up"})
        return
    if step == "trl" and interpreter() is None:
        rows.add("all", {"failed": "TRL is not installed here (make peer)"})
        return
    if step == "sleep" and not local_gpus():
        rows.add("all", {"failed": "only an engine on a GPU sleeps"})
        return
    command = [sys.executable, "-m", "scripts.benchmarks.gpu_steps", step, str(options.rows), str(folder)]
    command += ["--tiny"] if options.tiny else []
    rows.add("all", finished(command, limit, log=options.rows.with_name(f"{options.rows.stem}-{step}.log")))


def finished(command: Sequence[str], limit: float, *, log: Path) -> Numbers:
    """Carry a command out within ``limit`` seconds, its output in ``log``: its seconds, the most memory in use of any
    GPU meanwhile, and, where it did not end well, why. Nothing that it started outlives it."""
    begin = time.monotonic()
    numbers: Numbers = {}
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=DOCS.parents[1])
        started: set[psutil.Process] = set()
        most = 0.0
        while process.poll() is None and time.monotonic() - begin < limit:
            started |= _family(process.pid)
            most = max(most, *memory_in_use(), 0.0)
            try:
                process.wait(min(2.0, max(0.1, limit - (time.monotonic() - begin))))
            except subprocess.TimeoutExpired:
                continue
        status = process.poll()
        _end(process, started)
    if status is None:
        numbers["failed"] = f"ran out of its {limit:.0f} s"
    elif status:
        numbers["failed"] = f"exit status {status}: {_last_words(log)}"
    if most:
        numbers["gpu_gib"] = most
    return numbers | {"seconds": round(time.monotonic() - begin, 1)}


def _end(process: "subprocess.Popen[Any]", started: set[psutil.Process]) -> None:
    started |= _family(process.pid)
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


def _family(pid: int) -> set[psutil.Process]:
    try:
        return set(psutil.Process(pid).children(recursive=True))
    except psutil.NoSuchProcess:
        return set()


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-3:])[-400:]

"""What this process and those it started have used: memory and processor time. Linux only."""

import contextlib
from pathlib import Path

import psutil


def peak_gib(title: str) -> float:
    """The largest resident memory that any of our processes whose command line begins with ``title`` ever had.

    Raises LookupError when none is alive.
    """
    peaks = [_peak_kib(process.pid) for process in _family() if _title(process).startswith(title)]
    if not peaks:
        raise LookupError(f"no process of ours is called {title}")
    return max(peaks) / 2**20


def cpu_seconds(*, without: int) -> float:
    """Processor time that all our living processes have used so far, the one with the id ``without`` and its
    children left out."""
    total = 0.0
    left_out = {without}
    with contextlib.suppress(psutil.NoSuchProcess):
        left_out |= {child.pid for child in psutil.Process(without).children(recursive=True)}
    for process in _family():
        if process.pid not in left_out:
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
    return total


def _family() -> list[psutil.Process]:
    this = psutil.Process()
    return [this, *this.children(recursive=True)]


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def _peak_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)

"""Memory and CPU time used by this process and its child processes. Linux only."""

import contextlib
from pathlib import Path

import psutil


def peak_gib(title: str) -> float:
    """The peak resident memory in GiB of our processes whose command line starts with ``title``: the largest one.

    Raises LookupError if no such process is alive.
    """
    peaks = [_peak_kib(process.pid) for process in _processes() if _title(process).startswith(title)]
    if not peaks:
        raise LookupError(f"none of our processes is named {title}")
    return max(peaks) / 2**20


def cpu_seconds(*, without: int) -> float:
    """CPU time that our live processes have used so far, without the process ``without`` and its children."""
    total = 0.0
    left_out = {without}
    with contextlib.suppress(psutil.NoSuchProcess):
        left_out |= {child.pid for child in psutil.Process(without).children(recursive=True)}
    for process in _processes():
        if process.pid not in left_out:
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
    return total


def _processes() -> list[psutil.Process]:
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

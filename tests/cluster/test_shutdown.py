"""The end of a run's workers and of its Ray: no interrupt cuts it short, and it has a deadline."""

import asyncio
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from cluster import ray_session
from cluster.shutdown import end_workers
from rnr.runs.status import read_status
from tests.project.test_imports import ROOT

PROGRAM = """
import os, signal, sys, time
from cluster import shutdown
from rnr.faults import Stopped
from rnr.runs.status import StatusFile

shutdown.SECONDS = float(sys.argv[2])
status = StatusFile()
ends = {"done": None, "stopped": Stopped("saved"), "failed": ValueError("no such thing")}[sys.argv[1]]

def disconnect():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(os.getpid(), number)
        time.sleep(float(sys.argv[3]))
    print("cleaned")

shutdown.ray_session.disconnect = disconnect
try:
    with shutdown.ray_ended(status), status.until_the_end():
        if ends:
            raise ends
except (Stopped, ValueError):
    pass
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
sys.exit(9)
"""


def _ended(state: str, *, seconds: float, takes: float) -> tuple[int, str, str]:
    command = [sys.executable, "-c", PROGRAM, state, str(seconds), str(takes)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    return ended.returncode, ended.stdout, ended.stderr


@pytest.mark.parametrize(("state", "code"), [("done", 0), ("stopped", 75), ("failed", 1)])
def test_where_ray_does_not_answer_the_process_ends_as_its_run_has_ended(state, code) -> None:
    said = "run: Ray did not shut down within 0.1 s; exiting without it\n"
    assert _ended(state, seconds=0.1, takes=60) == (code, "", said)


def test_signals_do_not_cut_the_end_short() -> None:
    assert _ended("stopped", seconds=60, takes=0.05) == (9, "cleaned\n", "")


def test_what_fails_at_the_end_of_workers_is_told_and_a_dead_ray_is_not_asked(monkeypatch, caplog) -> None:
    def fails() -> None:
        raise RuntimeError("no answer")

    services: Any = SimpleNamespace(stop=fails)
    asyncio.run(end_workers(services, SimpleNamespace()))  # type: ignore[arg-type]
    assert caplog.messages == ["run: some workers could not be stopped: RuntimeError: no answer"]
    caplog.clear()
    monkeypatch.setattr(ray_session, "dead", lambda: "raylet was ended by SIGKILL")
    asyncio.run(end_workers(services, SimpleNamespace()))  # type: ignore[arg-type]
    assert caplog.messages == []


TRAIN = """
import asyncio, errno, os, signal, sys, threading
from pathlib import Path
from types import SimpleNamespace
import cluster.run
from cluster import shutdown
from cluster.graceful_stop import GracefulStop, nothing_to_save
from functools import partial
from scripts import train

folder = Path(sys.argv[1])
signals = [signal.Signals[name] for name in sys.argv[2].split()]
error = OSError(errno.ENOSPC, "No space left on device", "/elsewhere/x")

def validate(settings, *, resume, status):
    status.open(folder)
    return SimpleNamespace(status=status, folder=folder)

async def work():
    if not signals:
        raise error
    for seconds, number in enumerate(signals):
        threading.Timer(0.2 + 0.2 * seconds, os.kill, (os.getpid(), number)).start()
    await asyncio.sleep(60)

async def run(ready, console):
    stopping, end = GracefulStop(5.0), shutdown.Ending(ready.status)
    with stopping.listening():
        try:
            with ready.status.until_the_end():
                await stopping.run_until_stopped(work(), partial(nothing_to_save, resumed=True))
        finally:
            end.begin()
            await asyncio.sleep(0.5)
            print("workers ended")
            end.end()

cluster.run.validate_run, cluster.run.run = validate, run
shutdown.ray_session.disconnect = lambda: print("Ray ended")
sys.exit(train.main([f"--run.folder={folder}"]))
"""


@pytest.mark.parametrize(
    ("signals", "code", "state", "last"),
    [
        ("SIGINT SIGINT", 130, "stopped", "stopped; resume with --resume"),
        ("SIGHUP SIGHUP", 75, "stopped", "stopped by SIGHUP: nothing was trained since the last checkpoint; resume wi"),
        ("SIGTERM", 75, "stopped", "stopped by SIGTERM: nothing was trained since the last checkpoint; resume with --"),
        ("", 1, "failed", "error: OSError: [Errno 28] No space left on device: '/elsewhere/x': the disk of "),
    ],
)
def test_a_training_that_is_ended_cleans_up_and_says_so_in_one_line(tmp_path, signals, code, state, last) -> None:
    command = [sys.executable, "-c", TRAIN, str(tmp_path), signals]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == code, ended.stderr
    assert ended.stderr.startswith(last)
    assert ended.stderr.count("\n") == 1
    assert ended.stdout.endswith("workers ended\nRay ended\n")
    found = read_status(tmp_path)
    assert found is not None
    assert found.state == state


def test_a_training_goes_on_where_its_log_has_no_room(tmp_path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-c", TRAIN, str(tmp_path), "SIGTERM"]
        ended = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert ended.returncode == 75
    assert ended.stderr.splitlines()[0].startswith("cannot write to standard output (No space left on device)")
    assert ended.stderr.count("\n") == 2

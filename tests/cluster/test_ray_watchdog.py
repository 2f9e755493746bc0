"""A run ends with its local Ray, and says so, instead of waiting for what cannot come back."""

import asyncio
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cluster import ray_session, ray_watchdog
from cluster.ranks import RankDied
from cluster.ray_logs import last_words
from cluster.ray_watchdog import RayDied, while_ray_lives
from rnr.faults import Stopped
from tests.project.test_imports import ROOT

SAID = (
    r"^Ray on this machine has died: its raylet was ended by SIGKILL; its log is /logs/raylet\.out; resume with --res"
)


@pytest.fixture
def ray(monkeypatch) -> SimpleNamespace:
    """A local Ray that is whole until it is told that it is dead."""
    ray = SimpleNamespace(dead="")
    monkeypatch.setattr(ray_watchdog, "EVERY", 0.01)
    monkeypatch.setattr(ray_session, "dead", lambda: ray.dead)
    monkeypatch.setattr(ray_session, "keep_logs", lambda part, folder: f"{folder}/{part}.out")
    return ray


async def _lives(work, ray: SimpleNamespace, dead: str = "raylet was ended by SIGKILL") -> str:
    async with while_ray_lives(Path("/logs")):
        await asyncio.sleep(0.05)
        ray.dead = dead
        await work()
        return "done"


async def _waits() -> None:
    await asyncio.sleep(60)


def test_what_waits_for_a_ray_that_has_died_is_cut_off_with_the_cause(ray) -> None:
    async def other_work_afterwards() -> None:
        with pytest.raises(RayDied, match=SAID):
            await _lives(_waits, ray)
        await asyncio.sleep(0.05)  # is not cancelled, too

    begin = time.monotonic()
    asyncio.run(other_work_afterwards())
    assert time.monotonic() - begin < 10


def test_a_failure_that_came_before_the_look_is_told_by_its_cause_but_for_a_stop(ray) -> None:
    async def raises(error: Exception) -> None:
        raise error

    with pytest.raises(RayDied, match=SAID):
        asyncio.run(_lives(lambda: raises(RankDied("learner rank 0, phase rendezvous: the worker died")), ray))
    ray.dead = ""
    with pytest.raises(Stopped):
        asyncio.run(_lives(lambda: raises(Stopped("stopped by SIGTERM")), ray))


def test_a_ray_that_lives_changes_nothing(ray) -> None:
    async def fails() -> None:
        raise RankDied("a rank")

    assert asyncio.run(_lives(lambda: asyncio.sleep(0.05), ray, dead="")) == "done"
    with pytest.raises(RankDied, match="a rank"):
        asyncio.run(_lives(fails, ray, dead=""))


def test_without_a_local_ray_nothing_is_dead() -> None:
    assert ray_session.dead() == ""


# A process of its own: one that still holds objects of an earlier Ray is ended by Ray itself, in the middle of a call.
PROGRAM = """
import asyncio, sys
from pathlib import Path
import psutil
from cluster import ray_session
from cluster.ray_watchdog import RayDied, while_ray_lives

async def wait():
    async with while_ray_lives(Path(sys.argv[1])):
        for process in psutil.Process().children(recursive=True):
            if process.name() == "raylet":
                process.kill()
        await asyncio.sleep(120)

with ray_session.session(seconds=120, num_cpus=1):
    try:
        asyncio.run(wait())
    except RayDied as error:
        print(error, flush=True)
"""


@pytest.mark.ray
def test_a_raylet_that_is_killed_ends_what_waits_for_its_workers(tmp_path) -> None:
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert "Ray on this machine has died: its raylet was ended by SIGKILL" in done.stdout, done.stderr
    assert (tmp_path / "raylet.out").is_file()


def test_an_error_that_ray_sends_is_reported_by_its_first_line_once_and_nothing_is_printed(
    monkeypatch, caplog, capsys
) -> None:
    monkeypatch.setattr(ray_session.worker, "print_to_stdstream", None)
    monkeypatch.setattr(ray_session, "_within", lambda *_arguments, **_options: None)
    monkeypatch.setattr(ray_session, "_use_own_token", lambda: None)
    ray_session.connect("auto", seconds=1)
    died = (
        "Raylet is terminated. Last 20 lines of its log:\n    *** StackTrace Information ***\n    raylet(+0xff770a)\n"
    )
    sent = [died, died, "1 Workers killed due to memory pressure (OOM)"]

    def poll() -> tuple[None, dict]:
        if not sent:
            raise ConnectionError
        return None, {"job_id": None, "error_message": sent.pop(0)}

    subscriber = SimpleNamespace(subscribe=lambda: None, poll=poll)
    driver: Any = SimpleNamespace(gcs_error_subscriber=subscriber, current_job_id=SimpleNamespace(binary=bytes))
    ray_session.worker.listen_error_messages(driver, threading.Event())
    assert [record.getMessage() for record in caplog.records if record.name == "cluster.ray_session"] == [
        "Ray: Raylet is terminated. Last 20 lines of its log:",
        "Ray: 1 Workers killed due to memory pressure (OOM)",
    ]
    assert capsys.readouterr().out == ""


def test_a_part_that_only_waited_too_long_says_nothing_of_its_cause(tmp_path) -> None:
    said = "[2026-11-30 00:54:04,1 C 7 9] (raylet) node_manager.cc:3576: Check failed: Timed out waiting for file a\n"
    (tmp_path / "raylet.out").write_text(said)
    assert last_words(tmp_path) == ""


@pytest.mark.parametrize(
    ("file", "log", "why"),
    [
        (
            "raylet.out",
            "[2026-11-30 00:42:21,400 I 7 7] (raylet) main.cc:1: begins\n"
            "[2026-11-30 00:42:21,410 C 7 9] (raylet) dlmalloc.cc:161: cannot open /dev/shm/plasma\n*** Stack\n",
            "raylet: dlmalloc.cc:161: cannot open /dev/shm/plasma",
        ),
        ("gcs_server.err", "terminate called\n  what():  thread: Resource unavailable\n", "gcs_server: thread: Reso"),
    ],
)
def test_a_local_ray_that_says_why_it_does_not_start_is_tried_twice_and_quoted(
    monkeypatch, caplog, tmp_path, file, log, why
) -> None:
    tried = []

    def start(*, _temp_dir: str, **_options: Any) -> None:
        tried.append(_temp_dir)
        logs = Path(_temp_dir, "session_latest/logs")
        logs.mkdir(parents=True)
        (logs / file).write_text(log)
        raise Exception("The current node timed out during startup.")

    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setattr(ray_session.ray, "init", start)
    monkeypatch.setattr(ray_session.worker, "print_to_stdstream", None)
    with pytest.raises(ValueError, match=f"^Ray on this machine does not start: {re.escape(why)}"):
        ray_session.connect("", seconds=600)
    assert len(tried) == 2
    assert f"Ray on this machine did not start ({why}" in caplog.text

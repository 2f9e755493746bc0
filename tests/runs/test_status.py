"""``status.json`` is true after any end of a run."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
from asyncio import CancelledError

import psutil
import pytest

from rnr.faults import Stopped
from rnr.runs.forecast import Forecast
from rnr.runs.lock import take_lock
from rnr.runs.status import RunFolderGone, StatusFile, read_status
from tests.project.test_imports import ROOT


def _started(folder) -> StatusFile:
    status = StatusFile(["rnr", "train", "--config", "a b.toml"])
    with status.starting("data and model"):
        pass
    status.open(folder)
    status.forecast = Forecast({"grpo step": 10.21})
    status.forecast.expect({"grpo step": 6})
    status.at("grpo", 3, "update", steps=10)
    return status


def test_a_run_under_way_says_where_it_is_and_what_its_start_took(tmp_path) -> None:
    _started(tmp_path)
    found = read_status(tmp_path)
    assert found is not None
    assert (found.state, found.pid, found.stage, found.step, found.steps) == ("running", os.getpid(), "grpo", 3, 10)
    assert found.seconds_left == 61.3
    assert found.start == {"data and model": 0.0}
    assert str(found).startswith("running at grpo step 4 of 10, process ")


def test_a_folder_without_a_status_has_none(tmp_path) -> None:
    assert read_status(tmp_path) is None


def test_during_setup_the_thing_that_starts_is_named(tmp_path) -> None:
    status = StatusFile()
    status.open(tmp_path)
    with status.starting("generation"):
        found = read_status(tmp_path)
    assert found is not None
    assert (found.state, found.stage, found.phase) == ("running", "setup", "generation")


def test_of_several_that_start_at_once_those_that_are_awaited_are_named(tmp_path) -> None:
    status = StatusFile()
    status.open(tmp_path)
    with status.starting("policy"):
        with status.starting("scoring"):
            both = read_status(tmp_path)
        one = read_status(tmp_path)
    assert both is not None
    assert one is not None
    assert (both.phase, one.phase) == ("policy, scoring", "policy")


def test_what_takes_long_to_start_is_reported_meanwhile(monkeypatch, caplog) -> None:
    monkeypatch.setattr("rnr.runs.status.SECONDS_WAITED", 1.0)
    status = StatusFile()
    asyncio.run(status.started("generation", asyncio.sleep(2.5)))
    asyncio.run(status.started("scoring", asyncio.sleep(0)))
    said = caplog.messages
    assert said[:2] == ["generation: still starting after 1 s", "generation: still starting after 2 s"]
    assert len(said) == 4
    assert said[2].startswith("generation: 2.")
    assert said[3].startswith("scoring: 0.")

    async def blocks() -> None:
        time.sleep(1.7)
        await asyncio.sleep(0)

    asyncio.run(status.started("policy", blocks()))
    assert len(caplog.messages) == 5


def test_what_fails_to_start_is_not_among_what_has_started(tmp_path) -> None:
    status = StatusFile()
    status.open(tmp_path)
    with pytest.raises(RuntimeError), status.until_the_end(), status.starting("generation"):
        raise RuntimeError("no GPU")
    found = read_status(tmp_path)
    assert found is not None
    assert (found.state, found.phase, found.start) == ("failed", "generation", {})


@pytest.mark.parametrize(
    ("ends", "state"),
    [
        (KeyboardInterrupt(), "stopped"),
        (SystemExit(143), "stopped"),
        (CancelledError(), "stopped"),
        (RuntimeError("a"), "failed"),
    ],
)
def test_how_the_block_ends_is_how_the_run_ended(tmp_path, ends, state) -> None:
    with pytest.raises(type(ends)), _started(tmp_path).until_the_end():
        raise ends
    found = read_status(tmp_path)
    assert found is not None
    assert found.state == state
    assert found.resume == "rnr train --config 'a b.toml' --resume"
    assert found.seconds_left is None


def test_a_failure_tells_its_first_cause_and_where_the_workers_logs_are(tmp_path) -> None:
    with pytest.raises(ExceptionGroup), _started(tmp_path).until_the_end():
        raise ExceptionGroup("tasks", [ExceptionGroup("more", [ValueError("the cause"), RuntimeError("the echo")])])
    found = read_status(tmp_path)
    assert found is not None
    assert found.error == "ValueError: the cause"
    assert found.worker_logs == str(tmp_path / "logs")
    assert str(found) == "failed at grpo step 4 of 10: ValueError: the cause"


def test_a_run_that_came_to_its_end_has_nothing_to_resume(tmp_path) -> None:
    with _started(tmp_path).until_the_end():
        pass
    found = read_status(tmp_path)
    assert found is not None
    assert (found.state, found.resume) == ("done", "")


def test_a_run_that_is_done_stays_so_whatever_comes_of_its_workers(tmp_path) -> None:
    status, seen = _started(tmp_path), []

    def run() -> None:
        with status.until_the_end():
            with status.until_the_end():
                pass
            seen.append(read_status(tmp_path))  # before the workers are ended
            raise RuntimeError("a worker does not end")

    with pytest.raises(RuntimeError):
        run()
    seen.append(read_status(tmp_path))
    assert [(found.state, found.error) for found in seen] == [("done", ""), ("done", "")]
    assert status.state == "done"


def test_a_run_that_was_stopped_stays_so_whatever_comes_of_its_workers(tmp_path) -> None:
    status = _started(tmp_path)

    def run() -> None:
        with status.until_the_end():
            try:
                with status.until_the_end():
                    raise Stopped("the checkpoint holds grpo up to step 7")
            finally:
                raise RuntimeError("a worker does not end")

    with pytest.raises(RuntimeError):
        run()
    found = read_status(tmp_path)
    assert found is not None
    assert (found.state, found.error) == ("stopped", "")


def test_a_run_whose_folder_is_moved_or_removed_ends_and_makes_no_other(tmp_path) -> None:
    folder, moved = tmp_path / "run", tmp_path / "moved"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    status = _started(folder)
    folder.rename(moved)
    with pytest.raises(RunFolderGone, match=f"{folder} was moved or removed during"), status.until_the_end():
        status.at("grpo", 4, "rollout")
    (folder / "checkpoints").mkdir(parents=True)  # by a writer that came first
    with pytest.raises(RunFolderGone), status.until_the_end():
        raise FileNotFoundError("metrics.jsonl")
    with pytest.raises(RunFolderGone), status.until_the_end():
        raise Stopped("the checkpoint holds grpo up to step 4")
    assert [path.name for path in folder.iterdir()] == ["checkpoints"]
    assert json.loads((moved / "status.json").read_text())["step"] == 3


def test_a_run_does_not_go_on_in_the_folder_of_another_one_that_has_taken_its_place(tmp_path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    assert take_lock(folder) is not None
    status = _started(folder)
    folder.rename(tmp_path / "moved")
    folder.mkdir()
    assert take_lock(folder) is not None
    (folder / "status.json").write_text("that of the other run")
    with pytest.raises(RunFolderGone), status.until_the_end():
        status.at("grpo", 4, "rollout")
    assert (folder / "status.json").read_text() == "that of the other run"


def test_a_killed_process_is_told_from_a_running_one(tmp_path) -> None:
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom rnr.runs.status import StatusFile\n"
        "StatusFile().open(Path(sys.argv[1]))\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    found = read_status(tmp_path)
    assert found is not None
    assert found.state == "killed"


def test_a_number_that_went_to_another_process_is_not_the_run(tmp_path) -> None:
    _started(tmp_path)
    file = tmp_path / "status.json"
    row = json.loads(file.read_text())
    file.write_text(json.dumps(row | {"pid_since": row["pid_since"] - 3600}))
    found = read_status(tmp_path)
    assert found is not None
    assert found.state == "killed"


def test_a_clock_that_is_set_while_a_run_is_under_way_ends_it_for_nobody(tmp_path, monkeypatch) -> None:
    assert take_lock(tmp_path) is not None
    status = _started(tmp_path)
    set_later = psutil.boot_time() + 3600  # to which its start is added
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: set_later)
    found = read_status(tmp_path)
    assert found is not None
    assert found.state == "running"
    before = status.seconds
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert 0 <= status.seconds - before < 600


def test_a_run_on_another_host_is_taken_at_its_word(tmp_path) -> None:
    _started(tmp_path)
    file = tmp_path / "status.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"host": "elsewhere", "pid": 2**22 + 1}))
    found = read_status(tmp_path)
    assert found is not None
    assert found.state == "running"


def test_a_status_of_an_earlier_version_is_read(tmp_path) -> None:
    (tmp_path / "status.json").write_text('{"stage": "grpo", "step": 7, "phase": "update", "since": "2026-11-22"}')
    found = read_status(tmp_path)
    assert found is not None
    assert (found.state, found.step) == ("killed", 7)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "status.json, line 1: not valid JSON: Expecting value"),
        ("[]", "status.json must hold one JSON object, not list"),
        ('{"state": "odd"}', "status.json: state: Input should be 'running'"),
        ('{"start": 3}', "status.json: start: "),
    ],
)
def test_a_status_that_cannot_be_read_is_none_and_that_is_said(tmp_path, caplog, content, said) -> None:
    (tmp_path / "status.json").write_text(content)
    assert read_status(tmp_path) is None
    told = caplog.text
    assert f"{tmp_path}/{said}" in told
    assert "run status unknown" in told


def test_a_status_that_is_no_file_is_none(tmp_path, caplog) -> None:
    (tmp_path / "status.json").mkdir()
    assert read_status(tmp_path) is None
    assert "status.json" in caplog.text


@pytest.mark.parametrize("odd", [{}, {"pid_since": "now"}, {"pid": -1, "pid_since": 0.0}, {"more": 3}])
def test_a_process_that_cannot_be_told_by_its_status_is_not_running(tmp_path, odd) -> None:
    row = {"state": "running", "pid": 1, "host": socket.gethostname()}
    (tmp_path / "status.json").write_text(json.dumps(row | odd))
    found = read_status(tmp_path)
    assert found is not None
    assert found.state == "killed"


def test_each_thing_that_has_started_is_logged(caplog) -> None:
    with StatusFile().starting("Ray"):
        assert caplog.messages == []
    assert caplog.messages == ["Ray: 0.0 s"]

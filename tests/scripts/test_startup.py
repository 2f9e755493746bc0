"""The first moments of a command: files that stand in the place of our packages, and Ctrl-C while things load."""

import os
import pwd
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from scripts.startup import PACKAGES, begin
from tests.project.test_imports import ROOT


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize("name", PACKAGES)
def test_a_file_in_the_place_of_a_package_is_named(tmp_path, name) -> None:
    other = tmp_path / f"{name}.py"
    other.write_text("def reward(): ...\n")
    command = [sys.executable, "-m", "scripts.train", "--help"]
    ended = subprocess.run(command, cwd=tmp_path, env=_environment(), capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr == (f"error: {other} shadows RNR's package {name!r}: rename it, or start from another folder\n")


def test_python_without_docstrings_is_refused_by_name() -> None:
    command = [sys.executable, "-OO", "-m", "scripts.train", "--dry-run"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: Python runs without docstrings (PYTHONOPTIMIZE=2, or -OO)")


def test_a_user_without_a_home_has_one_in_the_temporary_folder(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", "/somewhere")
    begin()
    assert os.environ["HOME"] == "/somewhere"
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", lambda number: {}[number])  # KeyError
    begin()
    home = tmp_path / f"rnr-home-{os.getuid()}"
    assert Path("~").expanduser() == home
    said = f"note: HOME is not set, and user {os.getuid()} has no other: using {home}\n"
    assert capsys.readouterr().err == said
    home.chmod(0o755)  # someone else may have made it
    monkeypatch.delenv("HOME")
    begin()
    assert "HOME" not in os.environ


def test_other_files_and_plain_folders_of_these_names_are_in_nobodys_way(tmp_path) -> None:
    (tmp_path / "my_rewards.py").write_text("")
    (tmp_path / "rewards").mkdir()
    command = [sys.executable, "-m", "scripts.scale", "--help"]
    ended = subprocess.run(command, cwd=tmp_path, env=_environment(), capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    "start", ["import sys; sys.argv = ['-m']; import scripts", "import scripts.startup as b; b.begin()"]
)
def test_an_interrupt_while_things_load_ends_the_command_at_once(tmp_path, start) -> None:
    ready = tmp_path / "ready"
    # As an import in compiled code does, it makes another error of the interrupt.
    program = (
        f"{start}\nimport time\nopen({str(ready)!r}, 'w').close()\n"
        "try:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    raise ImportError('cannot import name x')"
    )
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    while not ready.exists() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "stopped\n")


def test_where_interrupts_are_ignored_they_stay_so() -> None:
    program = (
        "import os, signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nfrom scripts.startup import *\n"
        "begin()\nraise_on_interrupt()\nos.kill(os.getpid(), signal.SIGINT)\nprint('here')"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "here\n")


def test_a_thread_that_does_not_end_does_not_keep_the_process() -> None:
    program = (
        "import threading, time\nfrom scripts import startup\nstartup.SECONDS = 0.2\n"
        "threading.Thread(target=time.sleep, args=[{seconds}], name='poller').start()\nprint('done')\nstartup.leave(3)"
    )
    for seconds, said in ((600, "note: exiting although threads are running: poller\n"), (0.01, "")):
        command = [sys.executable, "-c", program.format(seconds=seconds)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert (ended.returncode, ended.stdout, ended.stderr) == (3, "done\n", said)


def test_exit_functions_that_take_long_run_once_and_print_to_the_end(tmp_path) -> None:
    program = (
        "import atexit, threading, time\nfrom scripts import startup\nstartup.SECONDS = 0.2\n{thread}"
        "atexit.register(lambda: (print('begins'), time.sleep(0.6), print('ends')))\nstartup.leave(3)"
    )
    stuck = "threading.Thread(target=time.sleep, args=[600]).start()\n"
    for thread in ("", "threading.Thread(target=time.sleep, args=[0.01]).start()\n", stuck):
        with (tmp_path / "out").open("w+") as out:
            command = [sys.executable, "-c", program.format(thread=thread)]
            ended = subprocess.run(command, cwd=ROOT, stdout=out, stderr=subprocess.DEVNULL, timeout=60)
            out.seek(0)
            assert (ended.returncode, out.read()) == (3, "begins\nends\n")

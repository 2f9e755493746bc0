"""The lock of a build that was killed stops nobody; that of a living one is waited for, and not for ever."""

import os
import stat
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

import pytest

from learner import extension
from learner.extension import _one_at_a_time, build_root, choose_build_root, remove_dead_locks

HOLD = "import os, sys, time; os.open(sys.argv[1], os.O_CREAT | os.O_EXCL); print('held', flush=True); time.sleep(600)"


@pytest.fixture
def build(tmp_path):
    """A folder as torch makes it, in which a process has begun to build."""
    folder = tmp_path / "py311_cpu" / "deepspeed_shm_comm"
    folder.mkdir(parents=True)
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder / "lock")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield tmp_path, folder / "lock", process
    process.kill()
    process.wait()


def test_the_lock_of_a_killed_build_is_removed(build) -> None:
    root, lock, process = build
    process.kill()
    process.wait()
    assert lock.exists()
    remove_dead_locks(root, time.monotonic() + 60)
    assert not lock.exists()


def test_the_lock_of_a_living_build_stays_and_the_wait_ends_with_its_process_named(build) -> None:
    root, lock, process = build
    with pytest.raises(RuntimeError, match=rf"deepspeed_shm_comm/lock is held by process {process.pid},"):
        remove_dead_locks(root, time.monotonic())
    assert lock.exists()


def test_two_learners_do_not_build_at_once(tmp_path) -> None:
    far = time.monotonic() + 60
    with (
        _one_at_a_time(tmp_path, far),
        pytest.raises(RuntimeError, match="another learner is building in"),
        _one_at_a_time(tmp_path, time.monotonic()),
    ):
        pass
    with _one_at_a_time(tmp_path, far):
        pass


def test_a_home_on_a_file_system_without_locks_is_built_in(tmp_path, monkeypatch) -> None:
    def refused(_file, _how) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(extension.fcntl, "flock", refused)
    with _one_at_a_time(tmp_path, time.monotonic()):
        pass


def test_two_environments_never_build_in_one_folder_and_one_builds_in_the_same_each_time(monkeypatch) -> None:
    def root(sources: str) -> str:
        monkeypatch.delenv("TORCH_EXTENSIONS_DIR", raising=False)
        monkeypatch.setattr(extension, "find_spec", lambda _name: SimpleNamespace(origin=sources))
        return str(build_root())

    assert root("/a/deepspeed/__init__.py") == root("/a/deepspeed/__init__.py") != root("/b/deepspeed/__init__.py")
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", "/chosen")
    assert str(build_root()) == "/chosen"


@pytest.fixture
def homeless(tmp_path, monkeypatch):
    """A home folder in which nobody, root neither, makes a folder, and a temporary folder."""
    monkeypatch.delenv("TORCH_EXTENSIONS_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/proc/nohome")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path / f"rnr-extensions-{os.getuid()}"
    os.environ.pop("TORCH_EXTENSIONS_DIR", None)


def test_a_home_that_cannot_be_written_is_told_and_a_private_folder_takes_its_place(homeless) -> None:
    (note,) = choose_build_root()
    assert "is built in /proc/nohome/.cache/torch_extensions/rnr-" in note
    assert f"is not writable (/proc: No such file or directory); building in {homeless}/rnr-" in note
    assert build_root().parent == homeless
    assert stat.S_IMODE(homeless.stat().st_mode) == 0o700
    assert choose_build_root() == []  # as each rank calls it


def test_without_any_place_to_build_the_variables_are_named(homeless, monkeypatch) -> None:
    homeless.mkdir(mode=0o777)
    homeless.chmod(0o777)  # someone else could put code there
    with pytest.raises(ValueError, match=f"nor is {homeless}, which is not.*set HOME or TORCH_EXTENSIONS_DIR"):
        choose_build_root()
    monkeypatch.setenv("TORCH_EXTENSIONS_DIR", "/proc/chosen")
    with pytest.raises(ValueError, match=r"built in /proc/chosen, which is not writable \(/proc: .*TORCH_EXTENSIONS"):
        choose_build_root()


def test_a_home_that_can_be_written_is_built_in(homeless, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert choose_build_root() == []
    assert str(build_root()).startswith(f"{tmp_path}/home/.cache/torch_extensions/rnr-")

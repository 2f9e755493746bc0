"""Temporary files and semaphores go with the process that made them, even where it is killed."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from actors import locked_folder
from actors.locked_folder import (
    KERNELS,
    PREFIX,
    SHARED_MEMORY,
    choose_folder_for_kernels,
    folder_for_sockets,
    held_folder,
    held_for_ray,
    remove,
    remove_abandoned,
    root_of_workers,
)

pytestmark = pytest.mark.skipif(not SHARED_MEMORY.is_dir(), reason="semaphores are files on Linux alone")

SCRIPT = """
import multiprocessing, os, sys, tempfile, time
from actors.locked_folder import move_temporary_files

def child():
    lock = multiprocessing.get_context("spawn").Lock()
    print("ready", flush=True)
    time.sleep(600)

if __name__ == "__main__":
    move_temporary_files()
    handle, name = tempfile.mkstemp(prefix="vllm_dist_")
    lock = multiprocessing.get_context("spawn").Lock()
    print(name, flush=True)
    if "stay" in sys.argv:
        multiprocessing.get_context("spawn").Process(target=child).start()
        time.sleep(600)
"""


def _start(folder: Path, script: Path, *arguments: str) -> tuple[subprocess.Popen, Path]:
    """A process group of its own, and the temporary file that it has made."""
    script.write_text(SCRIPT)
    environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(Path(__file__).parents[2])}
    process = subprocess.Popen(
        [sys.executable, str(script), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    file = Path(process.stdout.readline().strip())
    if arguments:
        assert process.stdout.readline() == "ready\n"
    return process, file


def _kill(process: subprocess.Popen) -> None:
    """With all that it has started, those that would tidy up after it among them."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _semaphores(folder: Path) -> list[Path]:
    return list(SHARED_MEMORY.glob(f"sem.{folder.name}-*"))


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder with a short path, as sockets need it."""
    with tempfile.TemporaryDirectory(prefix="rnr-test-", dir="/tmp") as folder:
        yield Path(folder)


def test_what_a_killed_process_left_is_removed_by_the_next_and_nothing_of_one_that_lives(root, tmp_path) -> None:
    script = tmp_path / "worker.py"
    (killed, gone), (alive, kept) = _start(root, script, "stay"), _start(root, script, "stay")
    assert all(file.parent.name.startswith(PREFIX) and file.parent.parent == root for file in (gone, kept))
    _kill(killed)
    assert gone.exists()
    assert len(_semaphores(gone.parent)) == 2, "its own and its child's"
    remove_abandoned(root, PREFIX)
    assert not gone.parent.exists()
    assert _semaphores(gone.parent) == []
    assert kept.exists()
    assert len(_semaphores(kept.parent)) == 2
    _kill(alive)
    third, _ = _start(root, script)
    third.wait()
    assert list(root.iterdir()) == [], "one that ends removes its own, and that of one that was killed"
    assert _semaphores(kept.parent) == []


def test_folders_of_another_name_or_without_a_lock_are_none_of_our_business(root) -> None:
    (root / f"{PREFIX}mine").mkdir()
    (root / "other").mkdir()
    (root / "other" / "lock").touch()
    foreign = SHARED_MEMORY / f"sem.mp-{root.name}"
    foreign.touch()
    folder, lock = held_folder(root, PREFIX)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(list(root.iterdir())) == 3
    os.close(lock)
    remove_abandoned(root, PREFIX)
    assert sorted(path.name for path in root.iterdir()) == ["other", f"{PREFIX}mine"]
    assert foreign.exists()
    foreign.unlink()


def test_the_folder_of_a_local_ray_takes_the_semaphores_of_its_workers_with_it(root) -> None:
    inner = root / "ray" / "tmp" / f"{PREFIX}{root.name}"
    inner.mkdir(parents=True)
    semaphore = SHARED_MEMORY / f"sem.{inner.name}-abc"
    semaphore.touch()
    remove(root / "ray")
    assert not semaphore.exists()
    assert list(root.iterdir()) == []


def test_a_folder_that_is_written_to_while_it_is_removed_is_left_to_the_next(root, monkeypatch) -> None:
    folder, lock = held_folder(root, PREFIX)
    (folder / "session").mkdir()
    with monkeypatch.context() as busy:
        busy.setattr("actors.locked_folder.shutil.rmtree", lambda *_, **__: None)
        remove(folder)
    assert (folder / "lock").exists()
    os.close(lock)
    remove_abandoned(root, PREFIX)
    assert list(root.iterdir()) == []


def test_sockets_have_a_folder_of_their_own_where_a_process_has_none(root, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(root))
    with folder_for_sockets() as folder:
        assert (folder.parent, folder.stat().st_mode & 0o777) == (root, 0o700)
    assert list(root.iterdir()) == []
    held, lock = held_folder(root, PREFIX)
    monkeypatch.setattr(tempfile, "tempdir", str(held))
    with folder_for_sockets() as folder:
        assert folder == held
    assert held.exists()
    remove(held)
    os.close(lock)


def test_a_path_that_is_too_long_for_sockets_is_not_made_longer(monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/scratch")
    assert root_of_workers() == Path("/scratch")
    monkeypatch.setattr(tempfile, "tempdir", "/scratch/" + "x" * 60)
    assert root_of_workers() == Path("/tmp")


LEAVES = """
import os, subprocess, sys
os.environ["TMPDIR"] = sys.argv[1]
print(subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid)
"""


def _left_by_another(temporary: Path) -> psutil.Process:
    """What a process has started before it ended."""
    done = subprocess.run([sys.executable, "-c", LEAVES, str(temporary)], capture_output=True, text=True, timeout=60)
    return psutil.Process(int(done.stdout))


def test_a_process_that_a_worker_has_started_and_left_ends_with_its_folder_and_no_other(tmp_path) -> None:
    folder, lock = held_folder(tmp_path, PREFIX)
    left = [_left_by_another(place) for place in (folder, folder / "tmp" / f"{PREFIX}0")]
    others = [_left_by_another(place) for place in (tmp_path, tmp_path / f"{folder.name}-2")]
    own = subprocess.Popen(["sleep", "600"], env={**os.environ, "TMPDIR": str(folder)})
    try:
        remove(folder, spare_own=True)
        assert own.poll() is None
        remove(folder)
        assert own.wait(60) == -signal.SIGKILL
        _, alive = psutil.wait_procs([*left, *others], timeout=5)
        assert {process.pid for process in alive if process.status() != psutil.STATUS_ZOMBIE} == {
            process.pid for process in others
        }
    finally:
        for process in (*left, *others, own):
            with suppress(psutil.Error):
                process.kill()
        os.close(lock)


@pytest.mark.parametrize("chosen", [None, "/tmp/torchinductor_ada"])
@pytest.mark.parametrize(("flags", "expected"), [(0, "/tmp"), (os.ST_NOEXEC, "/home/ada/.cache")])
def test_compiled_kernels_are_kept_where_they_can_be_loaded(monkeypatch, chosen, flags, expected) -> None:
    monkeypatch.setenv("USER", "ada")
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv(KERNELS, chosen or "")
    if chosen is None:
        monkeypatch.delenv(KERNELS)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=flags))
    choose_folder_for_kernels(Path("/tmp"))
    assert os.environ[KERNELS] == f"{expected}/torchinductor_ada"


def test_a_process_whose_title_has_overwritten_its_environment_goes_with_its_folder(tmp_path, monkeypatch) -> None:
    folder, lock = held_folder(tmp_path, PREFIX)
    monkeypatch.setattr(psutil.Process, "environ", lambda _: {})
    with subprocess.Popen(["sleep", "600"], env={**os.environ, "TMPDIR": str(folder / "tmp")}) as left:
        remove(folder)
        assert left.wait(30) == -signal.SIGKILL
    os.close(lock)


@pytest.mark.parametrize(
    ("read_only", "variable", "where"), [(True, "", "own"), (False, "", "/tmp"), (True, "ray", "ray")]
)
def test_a_local_ray_has_its_folder_where_it_can_be_written(tmp_path, monkeypatch, read_only, variable, where) -> None:
    monkeypatch.setattr(locked_folder, "unwritable", lambda folder: f"{folder}: Read-only" if read_only else "")
    monkeypatch.setattr(locked_folder, "LONGEST_ROOT", 1000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "own"))
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / variable) if variable else "")
    for name in ("own", "ray"):
        (tmp_path / name).mkdir()
    folder, lock = held_for_ray("rnr-test-")
    remove(folder)
    os.close(lock)
    assert folder.parent == tmp_path / where

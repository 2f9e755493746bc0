"""How much memory a process may use, inside a container or a job and outside."""

from types import SimpleNamespace

import pytest

from rnr.host_memory import HostMemory, host_memory

GIB = 2**30


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A machine of 64 GiB, 40 of them free, whose control groups are in a folder."""
    machine = SimpleNamespace(total=64 * GIB, available=40 * GIB)
    monkeypatch.setattr("rnr.host_memory.psutil.virtual_memory", lambda: machine)
    monkeypatch.setattr("rnr.host_memory.CGROUPS", tmp_path)
    monkeypatch.setattr("rnr.host_memory.OWN", tmp_path / "own")
    return tmp_path


def _group(folder, limit, used, cached, *, first_version=False) -> None:
    """``cached`` GiB are of files, half of them in use lately."""
    names = ("limit_in_bytes", "usage_in_bytes") if first_version else ("max", "current")
    prefix = "total_" if first_version else ""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"memory.{names[0]}").write_text(f"{limit}\n")
    (folder / f"memory.{names[1]}").write_text(f"{used * GIB}\n")
    half = cached * GIB // 2
    (folder / "memory.stat").write_text(f"anon 5\n{prefix}inactive_file {half}\n{prefix}active_file {half}\n")


def test_outside_of_control_groups_it_is_the_machines(groups) -> None:
    assert host_memory() == HostMemory(64 * GIB, 40 * GIB, limited=False)


def test_the_narrowest_of_the_groups_around_a_process_counts_and_cached_files_make_room(groups) -> None:
    (groups / "own").write_text("0::/slurm/job_7/step_0\n")
    _group(groups / "slurm", "max", 50, 0)
    _group(groups / "slurm/job_7", 12 * GIB, 9, 4)
    _group(groups / "slurm/job_7/step_0", 16 * GIB, 9, 4)
    assert host_memory() == HostMemory(12 * GIB, 7 * GIB, limited=True)


def test_a_container_that_sees_its_group_as_the_root_has_its_limit_too(groups) -> None:
    (groups / "own").write_text("4:memory:/docker/0123abc\n1:cpu:/docker/0123abc\n0::/\n")
    _group(groups / "memory", 8 * GIB, 9, 0, first_version=True)
    assert host_memory() == HostMemory(8 * GIB, 0, limited=True)


def test_a_group_without_a_limit_of_its_own_takes_nothing(groups) -> None:
    (groups / "own").write_text("4:memory:/\n")
    _group(groups / "memory", 9223372036854771712, 30, 2, first_version=True)
    assert host_memory() == HostMemory(64 * GIB, 40 * GIB, limited=False)

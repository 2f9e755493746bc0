"""The run folder: an older run is moved aside, a resumed one kept, a running one left alone."""

import multiprocessing

import pytest

from rnr.config import Config
from rnr.runs.run_folder import open_run


def _open(folder, *, resume: bool = False, **sections):
    config = Config(run={"name": "run", "folder": str(folder)}, **sections)
    return open_run(config.run, config.model_dump(mode="json"), resume=resume)


def _open_elsewhere(folder, **options):
    """In a process of its own, which ends and so gives the folder back, as an earlier run has."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(_open, (folder,), options)


def test_an_earlier_run_of_the_name_is_moved_aside(tmp_path) -> None:
    for content in ("first", "second"):
        (_open_elsewhere(tmp_path) / "note").write_text(content)
    assert not (_open(tmp_path) / "note").exists()
    assert (tmp_path / "run.1" / "note").read_text() == "first"
    assert (tmp_path / "run.2" / "note").read_text() == "second"


def test_a_resumed_run_finds_its_folder_and_may_not_change_what_is_trained(tmp_path) -> None:
    (_open_elsewhere(tmp_path) / "note").write_text("kept")
    with pytest.raises(ValueError, match=r"grpo\.steps is 7, but the run in .* was started with 20"):
        _open_elsewhere(tmp_path, resume=True, grpo={"steps": 7})
    assert (_open(tmp_path, resume=True, cluster={"rollout_workers": 2}) / "note").read_text() == "kept"


@pytest.mark.parametrize("resume", [False, True])
def test_two_processes_never_share_a_folder(tmp_path, resume) -> None:
    _open(tmp_path)
    with pytest.raises(ValueError, match=r"another process is running in .*run\.name"):
        _open_elsewhere(tmp_path, resume=resume)
    assert not (tmp_path / "run.1").exists()

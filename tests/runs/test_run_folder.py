"""The run folder: an older run is moved aside, a resumed one kept, a running one left alone."""

import errno
import fcntl
import json
import multiprocessing
from threading import Timer

import pytest

from rnr.config import Config, RunConfig
from rnr.runs import lock
from rnr.runs.lock import LOCK, is_active, take_lock
from rnr.runs.run_folder import check_run, open_run


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


def test_an_earlier_run_that_is_moved_aside_is_not_taken_for_one_that_goes_on(tmp_path) -> None:
    _open_elsewhere(tmp_path)
    _open(tmp_path)
    assert is_active(tmp_path / "run")
    assert not is_active(tmp_path / "run.1")


def test_a_resumed_run_finds_its_folder_and_may_not_change_what_is_trained(tmp_path) -> None:
    (_open_elsewhere(tmp_path) / "note").write_text("kept")
    with pytest.raises(ValueError, match=r"grpo\.steps is 7, but the run in .* was started with 20"):
        _open_elsewhere(tmp_path, resume=True, grpo={"steps": 7})
    assert (_open_elsewhere(tmp_path, resume=True, optimizer={"zero_stage": 3}) / "note").read_text() == "kept"
    assert (_open(tmp_path, resume=True, cluster={"rollout_workers": 2}) / "note").read_text() == "kept"


def test_a_resumption_that_ends_while_it_writes_the_config_leaves_that_of_before(tmp_path, monkeypatch) -> None:
    file = _open_elsewhere(tmp_path) / "config.json"
    before = file.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("rnr.files.whole.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        _open(tmp_path, resume=True, cluster={"rollout_workers": 2})
    assert file.read_bytes() == before


def test_a_config_that_was_cut_is_named(tmp_path) -> None:
    file = _open_elsewhere(tmp_path) / "config.json"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(
        ValueError, match=r"run/config\.json, line 4: not valid JSON: .*; restore the file from a copy, or"
    ):
        _open_elsewhere(tmp_path, resume=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", r"config\.json, line 1: not valid JSON"),
        ("[]", r"config\.json must hold one JSON object, not list"),
        ('{"run": {}, "grpo": 3}', r"config\.json: grpo must be an object"),
    ],
)
def test_a_config_that_is_none_is_named_with_what_to_do(tmp_path, content, said) -> None:
    (_open_elsewhere(tmp_path) / "config.json").write_text(content)
    with pytest.raises(ValueError, match=f"{said}.*; restore the file from a copy, or start a run with another"):
        _open_elsewhere(tmp_path, resume=True)


def test_a_run_of_before_labels_were_calibrated_goes_on_without(tmp_path) -> None:
    file = _open_elsewhere(tmp_path) / "config.json"
    before = json.loads(file.read_text())
    del before["evaluation"]["label_calibration"]
    file.write_text(json.dumps(before))
    with pytest.raises(ValueError, match=r"evaluation\.label_calibration is 0\.5, but the run in .* with 0\.0"):
        _open_elsewhere(tmp_path, resume=True)
    _open(tmp_path, resume=True, evaluation={"label_calibration": 0.0})


def _check(folder, *, resume: bool = False) -> None:
    config = Config(run={"name": "run", "folder": str(folder)})
    check_run(config.run, config.model_dump(mode="json"), resume=resume)


def test_a_folder_that_cannot_be_written_is_found_at_once_and_nothing_is_left_of_the_try(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    # Nobody, root neither, makes a folder in /proc, whatever its mode says.
    for folder, why in ((tmp_path / "file" / "runs", "file: Not a directory"), ("/proc/rnr/runs", "/proc: ")):
        with pytest.raises(ValueError, match=rf"run\.folder: .*/runs/run is not writable \(.*{why}"):
            _check(folder)
    _check(tmp_path / "new" / "runs")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_file_system_without_locks_is_named_before_anything_starts(tmp_path, monkeypatch) -> None:
    def refused(_file, _how) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    run = RunConfig(name="mine", folder=str(tmp_path / "not yet"))
    check_run(run, {}, resume=False)
    monkeypatch.setattr(lock.fcntl, "flock", refused)
    with pytest.raises(ValueError, match=r"mine has no locks \(Function not implemented\), .*Lustre: -o flock"):
        check_run(run, {}, resume=False)
    assert not (tmp_path / "not yet").exists()


def test_a_resumed_run_needs_its_own_folder_and_one_that_is_moved_aside_that_around_it(tmp_path, monkeypatch) -> None:
    _open_elsewhere(tmp_path)
    monkeypatch.setattr("rnr.runs.run_folder.unwritable", lambda place: "read-only" if place == tmp_path else "")
    _check(tmp_path, resume=True)
    with pytest.raises(ValueError, match=r"is not writable \(read-only\)"):
        _check(tmp_path)


@pytest.mark.parametrize("resume", [False, True])
def test_two_processes_never_share_a_folder(tmp_path, resume) -> None:
    _open(tmp_path)
    with pytest.raises(ValueError, match=r"another process is running in .*run\.name"):
        _open_elsewhere(tmp_path, resume=resume)
    assert not (tmp_path / "run.1").exists()


@pytest.mark.parametrize(
    "name",
    [
        *["", " ", ".", "..", "../x", "/abs", "a/b", "a\\b", "x" * 300, "ü" * 51, ".hidden", "x.", " x", "x\n"],
        *["a\nb", "a\x00b", "a\x1b[31mb", "a\u202eb", "a\ud800b", "a\u2028b", "~/x/"],
    ],
)
def test_a_name_that_is_no_single_component_of_a_path_is_refused_before_anything_is_touched(tmp_path, name) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    with pytest.raises(ValueError, match="becomes the name of the run's folder"):
        _open_named(victim / "runs", name)
    assert list(tmp_path.rglob("*")) == [victim]


@pytest.mark.parametrize("name", ["run", "2026-11-27 lr=1e-5", "läufe.3", "demo_2", "x" * 100])
def test_ordinary_names_are_those_of_their_folders(tmp_path, name) -> None:
    assert _open_elsewhere_named(tmp_path, name) == tmp_path / name


def _open_elsewhere_named(folder, name):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(_open_named, (folder, name))


def _open_named(folder, name):
    config = Config(run={"name": name, "folder": str(folder)})
    return open_run(config.run, config.model_dump(mode="json"), resume=False)


def _open_at_once(folder, barrier, results) -> None:
    barrier.wait()
    try:
        results.put(str(_open(folder)))
    except ValueError as error:
        results.put(str(error))
    barrier.wait()  # nobody gives the folder back before all have tried


@pytest.mark.parametrize("earlier", [False, True])
def test_of_runs_that_begin_at_the_same_moment_one_has_the_folder(tmp_path, earlier) -> None:
    context, count = multiprocessing.get_context("fork"), 3
    for number in range(15):
        folder = tmp_path / str(number)
        if earlier:
            _open_elsewhere(folder)
        barrier, results = context.Barrier(count), context.Queue()
        processes = [context.Process(target=_open_at_once, args=(folder, barrier, results)) for _ in range(count)]
        for process in processes:
            process.start()
        found = sorted(results.get(timeout=60) for _ in processes)
        for process in processes:
            process.join(60)
        refused = f"another process is running in {folder}/run: stop it first, or choose another run.name"
        assert found == [str(folder / "run"), refused, refused]
        assert {path.name for path in folder.iterdir()} == ({"run", "run.1"} if earlier else {"run"})


def test_whoever_asks_whether_a_folder_is_in_use_does_not_keep_a_run_from_it(tmp_path) -> None:
    with (tmp_path / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        asked = Timer(0.1, lock.close)
        asked.start()
        assert take_lock(tmp_path)
        asked.join()
    assert is_active(tmp_path)
    assert not take_lock(tmp_path)

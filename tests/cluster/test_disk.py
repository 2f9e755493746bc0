"""A disk that is full: the run says which and how much, waits for room, and otherwise ends, to be resumed."""

import asyncio
import errno
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from cluster.checkpoint import Checkpoints, CutShort
from cluster.disk import Disk, check_disk, disk_gib, failed_disk, free_gib
from cluster.durable_tracker import DurableTracker
from cluster.manifest import CheckpointLayout
from cluster.progress import Progress
from cluster.ranks import LearnerLost
from rnr.config import CheckpointConfig, ModelConfig, TrackingConfig
from rnr.faults import NoRoom
from rnr.files.free_space import free_space, is_cut_short, is_full, is_no_room
from rnr.files.jsonl import keep_lines
from rnr.files.whole import append_whole, write_whole
from rnr.runs.status import StatusFile
from rnr.runs.tracking import Tracker
from tests.project.test_imports import ROOT

MIB = 2**20
LAYOUT = CheckpointLayout(learner_ranks=1, zero_stage=1)


@pytest.fixture
def small(tmp_path) -> Iterator[Path]:
    """A disk of its own of 4 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(folder: Path) -> Path:
    file = folder / "someone-elses"
    with file.open("wb", buffering=0) as stream, suppress(OSError):
        while True:
            stream.write(b"x" * 4096)
    return file


class Learner:
    """Writes 1 MiB."""

    version = 7

    def __init__(self, error: Exception | None = None) -> None:
        self.saves = 0
        self._error = error

    async def save(self, folder: str) -> None:
        self.saves += 1
        if self._error is not None:
            raise self._error
        (Path(folder) / "state").write_bytes(os.urandom(MIB))


def _checkpoints(folder: Path, *, seconds: float = 30.0, layout: CheckpointLayout = LAYOUT) -> Checkpoints:
    return Checkpoints(folder, keep=2, layout=layout, disk=Disk(folder, seconds=seconds))


def test_a_checkpoint_waits_until_someone_has_made_room(small, monkeypatch, caplog) -> None:
    monkeypatch.setattr("cluster.disk.PAUSE", 0.01)
    full = _fill(small)

    async def work() -> None:
        saving = asyncio.create_task(_checkpoints(small).save(Progress(stage="grpo", step=3), Learner()))
        while not caplog.messages:
            await asyncio.sleep(0.01)
        assert not list(small.glob("*.partial")), "what cannot be finished takes no room"
        full.unlink()
        await saving

    asyncio.run(work())
    assert [folder.name for folder in _checkpoints(small).complete()] == ["000007-grpo-000003"]
    assert caplog.messages == [
        f"no room for a checkpoint: the disk of {small} (mounted at {small}) has 0.000 of 0.004 GiB free; "
        "waiting up to 30 s (deadlines.room) for free space"
    ]


def test_room_is_waited_for_also_where_the_log_has_none(tmp_path) -> None:
    program = (
        "import asyncio, errno, sys\nfrom pathlib import Path\nfrom cluster import disk\n"
        "from rnr.runs.console import Console\nfrom rnr.runs.log_handler import log_to\n"
        "from scripts.printing import lasting\ndisk.PAUSE, calls = 0.01, []\n"
        "def call():\n    calls.append(1)\n    if len(calls) < 3:\n"
        "        raise OSError(errno.ENOSPC, 'No space left on device')\n    return len(calls)\n"
        "with lasting():\n    log_to(Console().say)\n    room = disk.Disk(Path(sys.argv[1]), seconds=60)\n"
        "    sys.exit(asyncio.run(room.retry('metrics', call)))"
    )
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-c", program, str(tmp_path)]
        ended = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert ended.returncode == 3, ended.stderr
    assert ended.stderr.startswith("cannot write to standard output (No space left on device)")


def test_a_file_on_another_disk_that_is_full_is_named(small, tmp_path) -> None:
    def call() -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(small / "x"))

    def ends(folder: Path) -> str:
        with pytest.raises(NoRoom) as ended:
            asyncio.run(Disk(folder, seconds=0).retry("the export", call))
        return str(ended.value)

    named = f"no room for the export ([Errno 28] No space left on device: '{small}/x'): the disk of {tmp_path} "
    assert ends(tmp_path).startswith(named)
    assert ends(small).startswith(f"no room for the export: the disk of {small} ")


def test_a_run_that_a_full_disk_ends_says_which_disk_it_is(small, tmp_path) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "/elsewhere/x")
    said = failed_disk(tmp_path, error)
    assert said.startswith("OSError: [Errno 28] No space left on device: '/elsewhere/x': the disk of ")
    assert "GiB free, so check the others, such as those of /" in said
    _fill(small)
    said = failed_disk(small, error)
    assert said.startswith(
        "NoRoom: no room for what the run writes ([Errno 28] No space left on device: '/elsewhere/x'): "
    )
    assert "has 0.000 of 0.004 GiB free; free some space, then resume with --resume" in said


def test_a_run_whose_disk_is_mounted_to_be_read_only_ends_with_its_error_and_no_traceback(small) -> None:
    status = StatusFile()
    status.open(small)
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    with pytest.raises(OSError, match=r"Read-only.*metrics.jsonl") as caught, status.until_the_end():
        append_whole(small / "metrics.jsonl", "{}\n")
    assert status.state == "failed"
    said = failed_disk(small, caught.value)
    assert said.endswith(
        f"metrics.jsonl': the run folder can no longer be written ({small}: Read-only file system): check its disk and "
        "its mount, then resume with --resume"
    )
    assert failed_disk(small, ValueError("a bug")) == ""
    subprocess.run(["mount", "-o", "remount,rw", str(small)], check=True)
    assert failed_disk(small, caught.value) == "", "of something else"


def test_a_checkpoint_is_not_begun_where_one_like_the_last_does_not_fit(small, monkeypatch) -> None:
    monkeypatch.setattr("cluster.disk.PAUSE", 0.01)
    checkpoints, learner = _checkpoints(small, seconds=0), Learner()
    asyncio.run(checkpoints.save(Progress(stage="grpo", step=1), learner))
    (small / "others").write_bytes(b"x" * int(2.5 * MIB))
    with pytest.raises(NoRoom, match=r"0\.001 are needed; free some space, then resume with --resume"):
        asyncio.run(checkpoints.save(Progress(stage="grpo", step=2), learner))
    assert learner.saves == 1
    assert [folder.name for folder in checkpoints.complete()] == ["000007-grpo-000001"], "the one before holds"


def test_ranks_that_stopped_in_the_middle_of_a_checkpoint_are_rebuilt(tmp_path) -> None:
    two = CheckpointLayout(learner_ranks=2, zero_stage=1)
    full = Learner(RuntimeError("[enforce fail at inline_container.cc:659] No space left on device"))
    with pytest.raises(LearnerLost, match=r"has .* GiB free; its ranks stopped midway"):
        asyncio.run(_checkpoints(tmp_path, layout=two).save(Progress(), full))
    with pytest.raises(ZeroDivisionError):
        asyncio.run(_checkpoints(tmp_path).save(Progress(), Learner(ZeroDivisionError())))


CUT_SHORT = RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 1048640 vs 1048576")


class CutShortLearner(Learner):
    """Leaves 1 MiB behind and does not say why there is no more, so many times."""

    def __init__(self, times: int = 1) -> None:
        super().__init__()
        self._times = times

    async def save(self, folder: str) -> None:
        await super().save(folder)
        if self.saves <= self._times:
            raise CUT_SHORT


def test_a_write_that_is_cut_short_twice_on_a_disk_with_room_ends_the_run(tmp_path, caplog) -> None:
    learner = CutShortLearner(times=2)
    with pytest.raises(CutShort, match=r"000007-sft-000000 was cut short although the disk of .* GiB free"):
        asyncio.run(_checkpoints(tmp_path).save(Progress(), learner))
    assert (learner.saves, caplog.messages, list(tmp_path.iterdir())) == (2, [], [])


def test_room_that_comes_between_a_write_that_was_cut_short_and_the_look_at_it_is_used(tmp_path) -> None:
    checkpoints, learner = _checkpoints(tmp_path), CutShortLearner()
    asyncio.run(checkpoints.save(Progress(), learner))
    assert (learner.saves, len(checkpoints.complete())) == (2, 1)


def test_ranks_that_a_write_that_was_cut_short_has_stopped_in_the_middle_are_rebuilt(tmp_path) -> None:
    checkpoints = _checkpoints(tmp_path, layout=CheckpointLayout(learner_ranks=2, zero_stage=1))
    with pytest.raises(LearnerLost, match="its ranks stopped midway"):
        asyncio.run(checkpoints.save(Progress(), CutShortLearner()))


def test_a_write_that_is_cut_short_on_a_full_disk_is_made_again_when_there_is_room(small, monkeypatch, caplog) -> None:
    monkeypatch.setattr("cluster.disk.PAUSE", 0.01)
    (small / "others").write_bytes(b"x" * (5 * MIB // 2))  # 1.5 MiB are left: with the first MiB of the state, 0.5
    checkpoints, learner = _checkpoints(small), CutShortLearner()
    asyncio.run(checkpoints.save(Progress(stage="grpo", step=3), learner))
    assert learner.saves == 2
    assert [folder.name for folder in checkpoints.complete()] == ["000007-grpo-000003"]
    # The room that is named is that after what was written has gone.
    assert [text.partition(": ")[0] for text in caplog.messages] == ["no room for a checkpoint"]


def test_metrics_are_written_whole_or_not_at_all(small) -> None:
    tracker = Tracker(small, options=TrackingConfig(wandb_project=""), name="run", config={})
    tracker.log("grpo", 0, {"reward/mean": 0.5})
    before = (small / "metrics.jsonl").read_bytes()
    full = _fill(small)
    many = {f"metric/{number}": 0.123456 for number in range(9000)}
    with pytest.raises(OSError) as raised:
        tracker.log("grpo", 1, many)
    assert raised.value.errno == errno.ENOSPC
    assert (small / "metrics.jsonl").read_bytes() == before
    full.unlink()
    tracker.log("grpo", 1, many)
    assert len((small / "metrics.jsonl").read_bytes().splitlines()) == 2


@pytest.mark.parametrize("count", [100, 2000], ids=["less than a buffer", "more"])
def test_rows_that_fit_in_part_leave_no_fragment(tmp_path, count) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"kept": 1}\n')
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(OSError):
            append_whole(file, "".join(f'{{"row": {number}}}\n' for number in range(count)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert file.read_text() == '{"kept": 1}\n'


def test_a_write_is_made_again_and_another_error_is_not(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("cluster.disk.PAUSE", 0.0)
    disk, outcomes = Disk(tmp_path, seconds=30), [28, 28, 0]

    def write() -> str:
        if number := outcomes.pop(0):
            raise OSError(number, os.strerror(number))
        return "written"

    assert asyncio.run(disk.retry("rollouts", write)) == "written"
    outcomes = [errno.EACCES]
    with pytest.raises(PermissionError):
        asyncio.run(disk.retry("rollouts", write))


def test_what_is_tracked_is_written_when_there_is_room_again_and_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("cluster.disk.PAUSE", 0.0)
    append, failures = Tracker._append, [1, 1]

    def full_at_first(self: Tracker, *written: Any) -> None:
        if failures:
            failures.pop()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(self, *written)

    monkeypatch.setattr(Tracker, "_append", full_at_first)
    tracker = Tracker(tmp_path, options=TrackingConfig(wandb_project=""), name="run", config={})
    durable = DurableTracker(tracker, Disk(tmp_path, seconds=30))
    asyncio.run(durable.log_tokens([{"step": 0}]))
    asyncio.run(durable.log("grpo", 0, {"a": 1.0}))
    assert failures == []
    assert (tmp_path / "tokens.jsonl").read_text() == '{"step": 0}\n'
    assert (tmp_path / "metrics.jsonl").read_text() == '{"stage": "grpo", "step": 0, "a": 1.0}\n'


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.ENOSPC, "x"), True),
        (OSError(errno.EDQUOT, "x"), True),
        (OSError(errno.EACCES, "No space left on device"), False),
        (RuntimeError("Error while serializing: IoError(Os { code: 28, message: No space left on device })"), True),
        (RuntimeError("I/O error: No space left on device (os error 28)"), True),
        (RuntimeError("a bug on line 28"), False),
        (RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"), False),
    ],
)
def test_a_full_disk_is_known_in_the_words_of_any_library(error, expected) -> None:
    assert is_no_room(error) == expected


def test_the_sentence_names_the_mount_and_half_a_character_can_be_appended(tmp_path) -> None:
    assert f"the disk of {tmp_path / 'none'} (mounted at /" in free_space(tmp_path / "none")
    file: Any = tmp_path / "rows"
    append_whole(file, "a\ud83d\n")
    append_whole(file, "b\n")
    assert file.read_bytes() == b"a\\ud83d\nb\n"


def test_a_full_disk_has_room_for_going_back_to_a_checkpoint(small) -> None:
    tracker = Tracker(small, options=TrackingConfig(wandb_project=""), name="run", config={})
    for step in range(4):
        tracker.log("grpo", step, {"a": 1.0})
    before = (small / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    with (small / "metrics.jsonl").open("ab") as file:
        file.write(b'{"stage": "gr')  # what a kill has cut
    _fill(small)
    tracker.rewind("grpo", 2)
    assert (small / "metrics.jsonl").read_bytes().splitlines(keepends=True) == before[:2]


def test_what_could_not_be_written_whole_takes_no_room(small) -> None:
    (small / "file").write_bytes(b"old")
    free = os.statvfs(small).f_bfree
    with pytest.raises(OSError, match="No space left"):
        write_whole(small / "file", b"x" * 5 * MIB)
    assert [file.name for file in small.iterdir()] == ["file"]
    assert (small / "file").read_bytes() == b"old"
    assert os.statvfs(small).f_bfree == free


def test_lines_that_are_kept_in_the_middle_are_written_anew(tmp_path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"1\n2\n{\n3\n2\n4")
    assert keep_lines(file, lambda row: row != 2) == 1
    assert file.read_bytes() == b"1\n3\n4\n"
    keep_lines(file, lambda row: row < 3)
    assert file.read_bytes() == b"1\n"
    keep_lines(tmp_path / "none.jsonl", lambda row: True)
    assert not (tmp_path / "none.jsonl").exists()


def test_whatever_torch_and_safetensors_say_of_a_full_disk_is_known(small) -> None:
    """What they say depends on the place at which the disk is full."""
    tensors = {"a": torch.zeros(2**18), "b": torch.zeros(1000), "c": torch.zeros(2**17)}
    errors: list[Exception] = []
    full: list[bool] = []
    for room in range(0, 2 * MIB, 2**17):
        other = small / "someone-elses"
        other.write_bytes(b"x" * (4 * MIB - room))
        for save in (torch.save, safetensors.torch.save_file):
            try:
                save(tensors, small / "weights")
            except Exception as error:
                errors.append(error)
                full.append(is_no_room(error) or (is_cut_short(error) and is_full(small)))
            (small / "weights").unlink(missing_ok=True)
        other.unlink()
    assert len(errors) >= 16
    assert all(full), errors
    assert any(is_cut_short(error) for error in errors), "torch names its reason nowhere"
    assert not is_full(small)


def test_a_run_needs_room_for_its_checkpoints_and_its_export(tmp_path, monkeypatch) -> None:
    # Four checkpoints of seven times the weights, and the weights: 4 * 7 * 0.25 + 0.25.
    assert disk_gib(CheckpointConfig(), ModelConfig(), 0.25) == 7.25
    # An adapter is small: 4 * 0.2 * 0.25 + 0.25.
    assert disk_gib(CheckpointConfig(), ModelConfig(lora_rank=8), 0.25) == pytest.approx(0.45)
    monkeypatch.setattr("cluster.disk.free_gib", lambda _folder: 7.2)
    check_disk(tmp_path, 7.2)
    with pytest.raises(ValueError, match=r"needs 7\.2 GiB .*run\.folder \(.*\) has 7\.2.*checkpoint\.keep"):
        check_disk(tmp_path, 7.25)


def test_the_free_space_of_a_folder_that_is_not_there_yet_is_that_of_its_disk(tmp_path) -> None:
    assert free_gib(tmp_path / "runs" / "mine") == pytest.approx(free_gib(tmp_path), abs=1.0)

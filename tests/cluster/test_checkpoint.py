"""Checkpoints that are complete or absent, with a learner that writes and reads one number."""

import asyncio
import contextlib
import errno
import json
import math
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.checkpoint import Checkpoints, refuse_lost
from cluster.manifest import CheckpointCorrupt, CheckpointLayout, verify
from cluster.progress import Progress
from cluster.warm_start import take_over, warm_start
from rnr.config import Config, MergingConfig
from rnr.runs.run_folder import run_folder

LAYOUT = CheckpointLayout(learner_ranks=1, zero_stage=1)
"""Of the default config."""


class FakeLearner:
    """A policy of one number."""

    def __init__(self, weight: int = 0, version: int | None = None) -> None:
        self.weight = weight
        self.reference: int | None = None
        self.version = weight if version is None else version
        self.breaks = False
        self.moments = "of SFT"

    async def save(self, folder: str) -> None:
        Path(folder, "state").write_text(str(self.weight))
        if self.breaks:
            raise OSError("disk full")

    async def merge(self, start: str, merging: MergingConfig) -> None:
        self.merged = Path(start).name, merging.grpo

    async def load(self, folder: str, version: int) -> None:
        self.weight = int(Path(folder, "state").read_text())
        self.version = version

    async def freeze_reference(self) -> None:
        self.reference = self.weight

    async def reset_optimizer(self) -> None:
        self.moments = "none"


def _warm_start(config: Config, *, resume: bool) -> Path | None:
    return warm_start(config.sft, config.run, config.model_dump(mode="json"), resume=resume)


def _save(checkpoints: Checkpoints, stage: str, step: int, version: int) -> None:
    progress = Progress(stage=stage, step=step, version=version)
    asyncio.run(checkpoints.save(progress, FakeLearner(weight=version)))


def _restore(checkpoints: Checkpoints, *, freeze_reference: bool = False) -> tuple[Progress, FakeLearner]:
    learner = FakeLearner(weight=-1)
    return asyncio.run(checkpoints.restore(learner, freeze_reference=freeze_reference)), learner


def _names(checkpoints: Checkpoints) -> list[str]:
    return [path.name for path in checkpoints.complete()]


def test_a_new_run_starts_at_the_beginning(tmp_path) -> None:
    progress, learner = _restore(Checkpoints(tmp_path / "none yet", keep=2, layout=LAYOUT))
    assert progress == Progress()
    assert learner.weight == -1


def test_progress_and_weights_come_back_as_they_were_saved(tmp_path) -> None:
    progress = Progress(
        stage="grpo",
        step=7,
        version=19,
        consumed=["a:1", "ü:2"],
        dropped={"ü:2": "no spread"},
        scores={"sft": {"f1": 41.5, "by_data_set": {"known": {"f1": 41.5}}}},
        seconds={"grpo": 1.5},
        samples=56,
        probe_max_difference=0.01,
    )
    checkpoints = Checkpoints(tmp_path, keep=2, layout=LAYOUT)
    asyncio.run(checkpoints.save(progress, FakeLearner(weight=42, version=19)))
    restored, learner = _restore(checkpoints)
    assert restored == progress
    assert (learner.weight, learner.version) == (42, 19)


def test_a_held_out_loss_that_was_not_finite_comes_back_as_such_and_is_no_nan_in_the_file(tmp_path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    checkpoints = Checkpoints(tmp_path, keep=2, layout=LAYOUT)
    asyncio.run(checkpoints.save(Progress(held_out_losses=[2.5, math.nan]), FakeLearner(weight=1)))
    json.loads((checkpoints.complete()[0] / "progress.json").read_text(), parse_constant=refuse)
    first, second = _restore(checkpoints)[0].held_out_losses
    assert (first, math.isnan(second)) == (2.5, True)


def test_the_newest_checkpoint_is_taken_across_stages(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=9, layout=LAYOUT)
    for stage, step, version in (("grpo", 100, 130), ("sft", 20, 20), ("grpo", 0, 30), ("grpo", 7, 37)):
        _save(checkpoints, stage, step, version)
    assert _restore(checkpoints)[0].version == 130


def test_among_steps_that_trained_nothing_the_last_is_the_newest(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=9, layout=LAYOUT)
    for step in (9, 10):
        _save(checkpoints, "grpo", step, 37)  # all groups dropped: the version stands still
    assert _restore(checkpoints)[0].step == 10


def test_a_finished_run_is_found_finished(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2, layout=LAYOUT)
    _save(checkpoints, "grpo", 12, 42)
    _save(checkpoints, "done", 12, 42)
    assert _restore(checkpoints)[0].stage == "done"


def test_a_checkpoint_of_the_same_policy_takes_no_room_and_outlives_the_one_that_it_was_made_from(tmp_path) -> None:
    checkpoints, learner = Checkpoints(tmp_path, keep=1, layout=LAYOUT), FakeLearner(weight=7)
    asyncio.run(checkpoints.save(Progress(stage="sft", step=7), learner))
    written = (tmp_path / "000007-sft-000007" / "state").stat().st_ino
    learner.breaks = True  # nothing is written any more
    asyncio.run(checkpoints.save_again(Progress(stage="grpo", scores={"sft": {"f1": 0.5}}), learner))
    assert _names(checkpoints) == ["000007-sft-000007", "000007-grpo-000000"]
    shutil.rmtree(tmp_path / "000007-sft-000007")
    assert (tmp_path / "000007-grpo-000000" / "state").stat().st_ino == written
    verify(tmp_path / "000007-grpo-000000")
    progress, restored = _restore(checkpoints)
    assert (progress.reached(), progress.scores, progress.version) == (("grpo", 0), {"sft": {"f1": 0.5}}, 7)
    # Its files are those of the end of the warm start, moments included.
    assert (restored.weight, restored.moments) == (7, "none")


def test_a_spoilt_byte_in_files_that_two_checkpoints_share_leaves_another_policy_to_go_back_to(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2, layout=LAYOUT)
    for version in (50, 100, 150):
        _save(checkpoints, "sft", version, version)
    asyncio.run(checkpoints.save_again(Progress(stage="grpo"), FakeLearner(weight=150)))
    assert _names(checkpoints) == ["000100-sft-000100", "000150-sft-000150", "000150-grpo-000000"]
    (tmp_path / "000150-grpo-000000" / "state").write_text("151")  # and so in both
    progress, learner = _restore(checkpoints)
    assert (progress.step, learner.weight) == (100, 100)


def test_a_checkpoint_that_lost_its_files_takes_the_place_of_no_good_one(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2, layout=LAYOUT)
    for step in (1, 2):
        _save(checkpoints, "grpo", step, step)
    (tmp_path / "000002-grpo-000002" / "progress.json").unlink()
    _save(checkpoints, "grpo", 3, 3)
    assert _names(checkpoints) == ["000001-grpo-000001", "000002-grpo-000002", "000003-grpo-000003"]


def test_checkpoints_of_a_policy_that_no_step_has_changed_do_not_pile_up(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2, layout=LAYOUT)
    for step in range(5):
        _save(checkpoints, "grpo", step, 7)
    assert _names(checkpoints) == ["000007-grpo-000000", "000007-grpo-000003", "000007-grpo-000004"]


def test_linked_files_keep_the_layout_that_they_were_written_for(tmp_path) -> None:
    two = CheckpointLayout(learner_ranks=2, zero_stage=1)
    asyncio.run(Checkpoints(tmp_path, keep=2, layout=two).save(Progress(stage="sft", step=7), FakeLearner(weight=7)))
    again = Checkpoints(tmp_path, keep=2, layout=LAYOUT)
    asyncio.run(again.save_again(Progress(stage="grpo"), FakeLearner(weight=7)))
    assert verify(tmp_path / "000007-grpo-000000").layout == two


def test_a_disk_without_hard_links_gets_a_copy(tmp_path, monkeypatch) -> None:
    def refuse(*_files: str) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    checkpoints, learner = Checkpoints(tmp_path, keep=2, layout=LAYOUT), FakeLearner(weight=9)
    asyncio.run(checkpoints.save(Progress(stage="grpo", step=2), learner))
    asyncio.run(checkpoints.save_again(Progress(stage="done", step=2), learner))
    first, again = (tmp_path / name / "state" for name in ("000009-grpo-000002", "000009-done-000002"))
    assert (again.read_text(), again.stat().st_ino != first.stat().st_ino) == ("9", True)
    progress, restored = _restore(checkpoints)
    assert (progress.stage, restored.weight, restored.moments) == ("done", 9, "of SFT")


def test_a_policy_of_another_version_is_written_and_not_linked(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3, layout=LAYOUT)
    asyncio.run(checkpoints.save_again(Progress(stage="sft"), FakeLearner(weight=0)))  # there is none to link
    asyncio.run(checkpoints.save_again(Progress(stage="grpo"), FakeLearner(weight=4)))
    assert _names(checkpoints) == ["000000-sft-000000", "000004-grpo-000000"]
    assert _restore(checkpoints)[1].weight == 4


def test_a_run_folder_that_was_moved_is_not_made_again(tmp_path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    checkpoints = Checkpoints(run / "checkpoints", keep=2, layout=LAYOUT)
    _save(checkpoints, "grpo", 1, 11)
    run.rename(tmp_path / "moved")
    with pytest.raises(FileNotFoundError):
        _save(checkpoints, "grpo", 2, 12)
    assert not run.exists()


def test_leftovers_of_a_kill_are_ignored_and_removed_on_restore(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2, layout=LAYOUT)
    _save(checkpoints, "grpo", 1, 11)
    leftover = tmp_path / "000012-grpo-000002.partial"
    leftover.mkdir()
    (leftover / "progress.json").write_text(json.dumps({"stage": "grpo", "step": 2, "version": 12}))
    assert _names(checkpoints) == ["000011-grpo-000001"]
    assert _restore(checkpoints)[0].version == 11
    assert not leftover.exists()


def test_a_save_that_fails_leaves_no_complete_checkpoint_and_the_older_ones_alone(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1, layout=LAYOUT)
    _save(checkpoints, "grpo", 1, 11)
    learner = FakeLearner(weight=12)
    learner.breaks = True
    with pytest.raises(OSError, match="disk full"):
        asyncio.run(checkpoints.save(Progress(stage="grpo", step=2, version=12), learner))
    assert _names(checkpoints) == ["000011-grpo-000001"]
    assert _restore(checkpoints)[1].weight == 11
    _save(checkpoints, "grpo", 2, 12)  # the next attempt is not in the way of the first
    assert _names(checkpoints) == ["000012-grpo-000002"]


def test_saving_the_same_step_again_replaces_it(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2, layout=LAYOUT)
    for weight in (1, 2):
        asyncio.run(checkpoints.save(Progress(stage="sft", step=5, version=5), FakeLearner(weight, version=5)))
    assert _names(checkpoints) == ["000005-sft-000005"]
    assert _restore(checkpoints)[1].weight == 2


def _saved_and_killed(folder: Path, monkeypatch, step: int, at: int) -> tuple[Progress, FakeLearner]:
    """What is resumed from where step 10 was saved and the process died as it then saved ``step``, before the ``at``-th
    rename or removal of a folder."""
    checkpoints = Checkpoints(folder, keep=1, layout=LAYOUT)
    _save(checkpoints, "sft", 10, 10)
    left = iter(range(at))

    def mortal(function):
        def call(*arguments, **options):
            if next(left, None) is None:
                raise KeyboardInterrupt
            return function(*arguments, **options)

        return call

    with monkeypatch.context() as patched, contextlib.suppress(KeyboardInterrupt):
        patched.setattr(Path, "rename", mortal(Path.rename))
        patched.setattr(shutil, "rmtree", mortal(shutil.rmtree))
        _save(checkpoints, "sft", step, step)
    return _restore(Checkpoints(folder, keep=1, layout=LAYOUT))


@pytest.mark.parametrize("at", range(8))
def test_no_kill_while_a_checkpoint_is_saved_again_loses_it(tmp_path, monkeypatch, at) -> None:
    progress, learner = _saved_and_killed(tmp_path, monkeypatch, 10, at)
    assert (progress.step, learner.weight) == (10, 10)
    assert [path.name for path in tmp_path.iterdir()] == ["000010-sft-000010"]


@pytest.mark.parametrize("at", range(8))
def test_what_a_kill_leaves_of_an_old_checkpoint_goes_with_the_next_start(tmp_path, monkeypatch, at) -> None:
    progress, _ = _saved_and_killed(tmp_path, monkeypatch, 20, at)
    assert progress.step in (10, 20)
    assert {path.name for path in tmp_path.iterdir()} <= {"000010-sft-000010", "000020-sft-000020"}


def test_only_the_newest_are_kept_and_the_policy_after_the_warm_start(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2, layout=LAYOUT)
    for stage, step, version in (("sft", 10, 10), ("sft", 20, 20), ("grpo", 0, 30)):
        _save(checkpoints, stage, step, version)
    assert _names(checkpoints) == ["000020-sft-000020", "000030-grpo-000000"]
    for step in (1, 2, 3):
        _save(checkpoints, "grpo", step, 30 + step)
    assert _names(checkpoints) == ["000030-grpo-000000", "000032-grpo-000002", "000033-grpo-000003"]


def test_the_reference_is_the_policy_after_the_warm_start_and_the_policy_the_newest(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1, layout=LAYOUT)
    _save(checkpoints, "grpo", 0, 30)
    _save(checkpoints, "grpo", 5, 35)
    _, learner = _restore(checkpoints, freeze_reference=True)
    assert (learner.reference, learner.weight) == (30, 35)
    _, learner = _restore(checkpoints, freeze_reference=False)
    assert (learner.reference, learner.weight) == (None, 35)


def test_before_grpo_there_is_no_reference_to_freeze(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1, layout=LAYOUT)
    _save(checkpoints, "sft", 5, 5)
    _, learner = _restore(checkpoints, freeze_reference=True)
    assert (learner.reference, learner.weight) == (None, 5)


def _run_of(folder: Path, name: str, **sections) -> Config:
    """A config, and the folder it leaves when it has started."""
    config = Config(run={"name": name, "folder": str(folder)}, **sections)
    run_folder(config.run).mkdir(exist_ok=True)
    (run_folder(config.run) / "config.json").write_text(json.dumps(config.model_dump(mode="json")))
    return config


def _given(folder: Path, evaluation: str = "these sentences") -> dict[str, str]:
    """What the run in the folder was given, which is what the next is given."""
    (folder / "inputs.json").write_text(json.dumps({"evaluation": evaluation}))
    return {"evaluation": "these sentences"}


@pytest.mark.parametrize("theirs", ["other sentences", None])
def test_scores_that_were_measured_otherwise_are_not_taken_over_and_this_is_said(tmp_path, caplog, theirs) -> None:
    first, second = (run_folder(_run_of(tmp_path, name).run) for name in ("first", "second"))
    progress = Progress(stage="grpo", version=30, scores={"base": {"f1": 1.0}, "sft": {"f1": 2.0}})
    asyncio.run(Checkpoints(first / "checkpoints", keep=1, layout=LAYOUT).save(progress, FakeLearner(30)))
    (first / "predictions").mkdir()
    (first / "predictions" / "sft.jsonl").write_text("sft")
    inputs = _given(first, theirs or "")
    if theirs is None:  # a run of an earlier version
        (first / "inputs.json").unlink()
    take_over(first / "checkpoints" / "000030-grpo-000000", second, inputs)
    restored, _ = _restore(Checkpoints(second / "checkpoints", keep=1, layout=LAYOUT))
    assert (restored.stage, restored.scores) == ("grpo", {})
    assert "sft.from_run: not reusing its scores" in caplog.text
    assert not list((second / "predictions").iterdir())


def test_a_run_takes_over_the_warm_start_of_another_with_its_scores(tmp_path) -> None:
    first = run_folder(_run_of(tmp_path, "first").run)
    checkpoints = Checkpoints(first / "checkpoints", keep=1, layout=LAYOUT)
    progress = Progress(stage="grpo", step=0, version=30, scores={"base": {"f1": 1.0}, "sft": {"f1": 2.0}})
    progress.seconds = {"setup": 5.0, "sft": 60.0}
    asyncio.run(checkpoints.save(progress, FakeLearner(weight=30)))
    _save(checkpoints, "grpo", 5, 35)
    (first / "predictions" / "uncalibrated").mkdir(parents=True)
    for name in ("sft", "grpo", "uncalibrated/sft", "uncalibrated/grpo"):
        (first / "predictions" / f"{name}.jsonl").write_text(name)
    second = _run_of(tmp_path, "second", sft={"from_run": str(first)}, grpo={"steps": 3}, reward={"preset": "paper"})
    start = _warm_start(second, resume=True)  # there is nothing of its own yet
    assert start is not None
    take_over(start, run_folder(second.run), _given(first))
    restored, learner = _restore(Checkpoints(run_folder(second.run) / "checkpoints", keep=1, layout=LAYOUT))
    assert (restored, learner.weight) == (replace(progress, seconds={}), 30)
    assert _warm_start(second, resume=True) is None
    there = run_folder(second.run) / "predictions"
    taken = {path.relative_to(there).as_posix(): path.read_text() for path in there.rglob("*.jsonl")}
    assert taken == {"sft.jsonl": "sft", "uncalibrated/sft.jsonl": "uncalibrated/sft"}


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"model": {"lora_rank": 8}}, r"model\.lora_rank is 8, but 0 in .*first"),
        ({"data": {"evaluation_examples": 7}}, r"data\.evaluation_examples is 7, but 0 in"),
        ({"data": {"prompt": "reference"}}, r"data\.prompt is 'reference', but 'compact'"),
        ({"run": {"name": "first"}}, "is this run's own folder"),
        ({"sft": {"from_run": "nowhere"}}, "nowhere is not a run folder"),
        ({}, r"first has no checkpoint \*-grpo-000000"),
    ],
)
def test_a_warm_start_that_cannot_be_taken_over_is_refused(tmp_path, sections, message) -> None:
    first = run_folder(_run_of(tmp_path, "first").run)
    run = {"folder": str(tmp_path), "name": "second"} | sections.get("run", {})
    config = Config(**{"sft": {"from_run": str(first)}} | sections | {"run": run})
    with pytest.raises(ValueError, match=message):
        _warm_start(config, resume=False)


def test_a_warm_start_that_learnt_no_copying_is_not_taken_over_by_a_run_that_needs_it(tmp_path) -> None:
    marks = {"sft": {"decoding": "marks"}, "sampling": {"decoding": "marks"}}
    first = run_folder(_run_of(tmp_path, "first", **marks).run)
    _save(Checkpoints(first / "checkpoints", keep=1, layout=LAYOUT), "grpo", 0, 30)
    taken = {"sft": {"decoding": "marks", "from_run": str(first)}, "sampling": {"decoding": "marks"}}
    second = _run_of(tmp_path, "second", **taken)
    assert _warm_start(second, resume=False) == first / "checkpoints" / "000030-grpo-000000"
    third = _run_of(tmp_path, "third", sft={"from_run": str(first)}, sampling={"decoding": "free"})
    with pytest.raises(ValueError, match=r"sft\.from_run: sft\.decoding is 'free', but 'marks' in .*first"):
        _warm_start(third, resume=False)


def test_without_another_run_there_is_no_warm_start_to_take_over() -> None:
    assert _warm_start(Config(), resume=False) is None


def _flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "state").write_text(""), "state has 0 bytes, 2 were written"),
        (lambda folder: _flip_a_bit(folder / "state"), "state was altered"),
        (lambda folder: _flip_a_bit(folder / "progress.json"), "progress.json was altered"),
        (lambda folder: (folder / "state").unlink(), "state is missing"),
        (lambda folder: (folder / "more.pt").touch(), "more.pt is not in the manifest"),
        (lambda folder: (folder / "progress.json").unlink(), "progress.json is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), "has no manifest.json"),
        (lambda folder: [file.unlink() for file in folder.iterdir()], "has no manifest.json"),
        (lambda folder: (folder / "manifest.json").write_text("{}"), "manifest.json cannot be read"),
        (lambda folder: (folder / "manifest.json").write_text("[" * 100_000), "manifest.json cannot be read"),
        (lambda folder: ((folder / "state").unlink(), (folder / "state").symlink_to("/dev/zero")), "not a plain file"),
    ],
)
def test_a_corrupt_checkpoint_is_put_aside_by_name_and_the_next_older_is_taken(tmp_path, caplog, damage, words) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3, layout=LAYOUT)
    for step in (1, 2):
        _save(checkpoints, "grpo", step, 10 + step)
    damage(tmp_path / "000012-grpo-000002")
    progress, learner = _restore(checkpoints)
    assert (progress.version, learner.weight) == (11, 11)
    said = caplog.text
    assert words in said
    assert "000012-grpo-000002.corrupt" in said
    assert _names(checkpoints) == ["000011-grpo-000001"]


def test_a_run_whose_checkpoints_are_all_corrupt_does_not_begin_anew(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3, layout=LAYOUT)
    _save(checkpoints, "grpo", 1, 11)
    (tmp_path / "000011-grpo-000001" / "state").write_text("12")
    with pytest.raises(CheckpointCorrupt, match=r"no checkpoint is left to resume from: .*state was altered"):
        _restore(checkpoints)
    (tmp_path / "000011-grpo-000001" / "progress.json").unlink()
    with pytest.raises(CheckpointCorrupt, match=r"no checkpoint is left to resume from: .*progress.json is missing"):
        _restore(checkpoints)


def test_a_run_in_grpo_whose_checkpoints_are_gone_does_not_begin_anew(tmp_path) -> None:
    metrics = tmp_path / "metrics.jsonl"
    refuse_lost(tmp_path)  # killed before its first line
    metrics.write_text('{"stage": "base", "step": 0}\n{"stage": "sft", "step": 0}\n{"stage": "sft", "st')
    refuse_lost(tmp_path)  # killed before its first checkpoint
    metrics.write_text('{"stage": "sft", "step": 0}\n{"stage": "grpo", "step": 0}\n{"stage": "grpo", "step": 1}\n')
    (tmp_path / "checkpoints" / "000001-grpo-000000.corrupt").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"checkpoints has no checkpoint, but metrics.jsonl has 2 lines of GRPO"):
        refuse_lost(tmp_path)
    (tmp_path / "checkpoints" / "000001-grpo-000000").mkdir()
    refuse_lost(tmp_path)


def test_nothing_is_loaded_before_its_digest_is_right(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3, layout=LAYOUT)
    _save(checkpoints, "grpo", 0, 30)
    _save(checkpoints, "grpo", 1, 31)
    (tmp_path / "000030-grpo-000000" / "state").write_text("66")
    learner = FakeLearner(weight=-1)
    with pytest.raises(CheckpointCorrupt, match="000030-grpo-000000/state was altered"):
        asyncio.run(checkpoints.restore(learner, freeze_reference=True))
    assert learner.weight == -1


def test_foreign_folders_and_files_beside_the_checkpoints_are_left_alone(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1, layout=LAYOUT)
    aside = ("000009-sft-000009.corrupt", "000009-sft-000009.spoilt")  # the second by an earlier version
    foreign = (
        "backup",
        "backup-of-monday",
        "000099-grpo-7 copy",
        "1-2-3",
        "000001-later-000001",
        "mine.partial",
        *aside,
    )
    for name in foreign:
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "progress.json").write_text("{}")
    (tmp_path / "notes.txt").touch()
    for step in (1, 2):
        _save(checkpoints, "sft", step, step)
    assert _names(checkpoints) == ["000002-sft-000002"]
    assert _restore(checkpoints)[0].step == 2
    assert {path.name for path in tmp_path.iterdir()} == {*foreign, "notes.txt", "000002-sft-000002"}


def test_everything_in_a_checkpoint_and_its_folder_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch) -> None:
    events = []
    fsync, rename = os.fsync, Path.rename

    def record_sync(descriptor: int) -> None:
        events.append(os.readlink(f"/proc/self/fd/{descriptor}"))
        fsync(descriptor)

    def record_rename(source: Path, target: Path) -> Path:
        events.append("renamed")
        return rename(source, target)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(Path, "rename", record_rename)
    _save(Checkpoints(tmp_path, keep=1, layout=LAYOUT), "sft", 1, 1)
    at = events.index("renamed")
    partial = tmp_path / "000001-sft-000001.partial"
    assert {str(partial / name) for name in ("state", "progress.json", "manifest.json")} | {str(partial)} <= set(
        events[:at]
    )
    assert events[at + 1 :] == [str(tmp_path)]


def test_a_checkpoint_of_other_ranks_or_another_stage_is_taken_and_this_is_said(tmp_path, caplog) -> None:
    config = _run_of(tmp_path, "mine")
    folder = run_folder(config.run) / "checkpoints"
    _save(Checkpoints(folder, keep=1, layout=LAYOUT), "grpo", 1, 11)
    two = config.model_copy(update={"cluster": config.cluster.model_copy(update={"learner_ranks": 2})})
    assert _warm_start(two, resume=True) is None
    progress, learner = _restore(Checkpoints(folder, keep=1, layout=CheckpointLayout(learner_ranks=2, zero_stage=3)))
    assert (progress.step, learner.weight) == (1, 11)
    said = "resharding 000011-grpo-000001 from 1 learner ranks and ZeRO stage 1 to 2 learner ranks and"
    assert said in caplog.text
    caplog.clear()
    _restore(Checkpoints(folder, keep=1, layout=LAYOUT))
    assert caplog.text == ""


def test_the_warm_start_of_another_run_is_not_taken_over_when_it_was_altered(tmp_path) -> None:
    first = run_folder(_run_of(tmp_path, "first").run)
    _save(Checkpoints(first / "checkpoints", keep=1, layout=LAYOUT), "grpo", 0, 30)
    (first / "checkpoints" / "000030-grpo-000000" / "state").write_text("31")
    second = _run_of(tmp_path, "second", sft={"from_run": str(first)})
    with pytest.raises(ValueError, match=r"sft\.from_run: .*state was altered"):
        _warm_start(second, resume=False)


def test_a_warm_start_that_was_altered_on_the_way_is_not_resumed_from(tmp_path) -> None:
    first = run_folder(_run_of(tmp_path, "first").run)
    progress = Progress(stage="grpo", version=30, scores={"sft": {"f1": 2.0}})
    asyncio.run(Checkpoints(first / "checkpoints", keep=1, layout=LAYOUT).save(progress, FakeLearner(30)))
    start, second = first / "checkpoints" / "000030-grpo-000000", run_folder(_run_of(tmp_path, "second").run)
    (start / "state").write_text("31")
    take_over(start, second, _given(first))
    with pytest.raises(CheckpointCorrupt, match="state was altered"):
        verify(second / "checkpoints" / start.name)


def test_what_is_taken_over_has_a_manifest_of_its_own_and_brings_no_file_from_elsewhere(tmp_path) -> None:
    first = run_folder(_run_of(tmp_path, "first").run)
    scores = {"sft": {"f1": 2.0}, "../../secret": {"f1": 0.0}}
    progress = Progress(stage="grpo", version=30, scores=scores, seconds={"sft": 60.0})
    asyncio.run(Checkpoints(first / "checkpoints", keep=1, layout=LAYOUT).save(progress, FakeLearner(30)))
    (first / "predictions").mkdir()
    (tmp_path / "secret.jsonl").write_text("secret")
    second = run_folder(_run_of(tmp_path, "second").run)
    take_over(first / "checkpoints" / "000030-grpo-000000", second, _given(first))
    assert verify(second / "checkpoints" / "000030-grpo-000000").layout == LAYOUT
    assert list((second / "predictions").iterdir()) == []


@pytest.mark.parametrize(
    ("progress", "reached"),
    [
        (Progress(), ("base", 0)),
        (Progress(scores={"base": {}}), ("sft", 0)),
        (Progress(stage="sft", step=5, version=5, scores={"base": {}}), ("sft", 5)),
        (Progress(stage="grpo", step=0, version=0, scores={"base": {}}), ("grpo", 0)),  # a run without a warm start
        (Progress(stage="grpo", step=3, version=0), ("grpo", 3)),  # no group taught anything
        (Progress(stage="done", step=12, version=42), ("grpo", 12)),
    ],
)
def test_stage_and_step_say_what_has_happened_and_the_version_does_not(progress, reached) -> None:
    assert progress.reached() == reached


def test_the_evaluation_of_the_untrained_model_outlives_a_learner_lost_before_the_first_checkpoint(tmp_path) -> None:
    before = Progress(stage="sft", step=7, version=7, scores={"base": {"f1": 1.5}, "sft": {"f1": 9.0}})
    after, _ = _restore(Checkpoints(tmp_path, keep=1, layout=LAYOUT))
    after.keep_base(before)
    assert after.scores == {"base": {"f1": 1.5}}
    assert after.reached() == ("sft", 0)


@pytest.mark.parametrize(
    ("stage", "step", "scores", "evaluated"),
    [
        ("sft", 4, {"base"}, False),
        ("sft", 4, {"base", "sft"}, True),
        ("grpo", 20, {"sft", "grpo-000010"}, False),
        ("grpo", 20, {"sft", "grpo-000020"}, True),
        ("done", 20, {"sft", "grpo"}, True),
    ],
)
def test_a_checkpoint_says_whether_its_policy_was_evaluated(stage, step, scores, evaluated) -> None:
    assert Progress(stage=stage, step=step, scores={name: {} for name in scores}).is_evaluated() is evaluated


def test_merging_takes_the_checkpoint_of_the_warm_start_and_says_what_to_do_without_it(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1, layout=LAYOUT)
    for stage, step in (("sft", 1), ("grpo", 0), ("grpo", 1), ("done", 2)):
        _save(checkpoints, stage, step, step + (stage != "sft"))
    learner = FakeLearner()
    asyncio.run(checkpoints.merge(learner, MergingConfig(grpo=1.5)))
    assert learner.merged == ("000001-grpo-000000", 1.5)
    shutil.rmtree(tmp_path / "000001-grpo-000000")
    with pytest.raises(CheckpointCorrupt, match=r"no longer in .*: resume with --merging\.warm_start=1"):
        asyncio.run(checkpoints.merge(learner, MergingConfig(grpo=1.5)))


def test_without_the_checkpoint_of_the_warm_start_a_run_with_a_reference_does_not_go_on_without_it(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1, layout=LAYOUT)
    _save(checkpoints, "grpo", 0, 30)
    _save(checkpoints, "grpo", 5, 35)
    shutil.rmtree(tmp_path / "000030-grpo-000000")
    with pytest.raises(CheckpointCorrupt, match=r"KL .*-grpo-000000, which is no longer in .*: restore it"):
        _restore(checkpoints, freeze_reference=True)
    assert _restore(checkpoints)[1].weight == 35


def test_a_checkpoint_that_is_corrupt_for_the_second_time_is_put_aside_too(tmp_path, caplog) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3, layout=LAYOUT)
    _save(checkpoints, "grpo", 1, 11)
    for _ in range(2):
        _save(checkpoints, "grpo", 2, 12)
        _flip_a_bit(tmp_path / "000012-grpo-000002" / "state")
        assert _restore(checkpoints)[1].weight == 11
    assert "renamed to 000012-grpo-000002.corrupt.1," in caplog.text
    assert _names(checkpoints) == ["000011-grpo-000001"]

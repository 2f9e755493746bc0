"""The plan of a run refuses what its start refuses and says where it begins; a run that is done is told so at once."""

import json
import multiprocessing
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("ray")

from safetensors.numpy import save_file

from cluster import run as cluster_run
from cluster.checkpoint import PROGRESS
from cluster.inputs import inputs_of, keep_inputs
from rnr.cli import load_config
from rnr.runs.run_folder import open_run
from rnr.runs.status import StatusFile, read_status
from scripts.train import main


@pytest.fixture
def options(tiny_model, colours, tmp_path) -> list[str]:
    """A small run that lies, or will lie, in ``tmp_path / "mine"``."""
    return [
        f"--model.path={tiny_model}",
        f"--data.train=['{colours}/train.jsonl']",
        f"--data.evaluation=['{colours}/test.jsonl']",
        "--sft.sequences_per_step=4",
        "--grpo.steps=2",
        "--run.name=mine",
        f"--run.folder={tmp_path}",
    ]


@pytest.fixture
def begun(monkeypatch) -> list[bool]:
    """Whether each run that would have begun is one that is resumed."""
    found: list[bool] = []

    def validate_run(*_arguments, resume: bool, **_options) -> SimpleNamespace:
        found.append(resume)
        return SimpleNamespace(folder=None, status=StatusFile())

    async def run(_ready, _console) -> None: ...

    monkeypatch.setattr(cluster_run, "validate_run", validate_run)
    monkeypatch.setattr(cluster_run, "run", run)
    monkeypatch.setattr("scripts.train.write_page", lambda _folder: None)
    return found


def _started(options: list[str]) -> Path:
    """The folder of a run that another process has begun and left."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(_open, (options,))


def _open(options: list[str]) -> Path:
    config = load_config(None, options)
    return open_run(config.run, config.model_dump(mode="json"), resume=False)


def _finished(options: list[str]) -> Path:
    """The folder of a run that came to its end."""
    folder = _started(options)
    status = StatusFile()
    status.open(folder)
    status.done()
    (folder / "export").mkdir()
    (folder / "export" / "config.json").write_text('{"model_type": "llama"}')
    save_file({"weight": np.zeros(2)}, folder / "export" / "model.safetensors")
    (folder / "summary.json").write_text("{}")
    return folder


def _at(folder: Path, stage: str, step: int) -> None:
    checkpoint = folder / "checkpoints" / f"000004-{stage}-{step:06d}"
    checkpoint.mkdir(parents=True)
    (checkpoint / PROGRESS).write_text(json.dumps({"stage": stage, "step": step, "version": 4}))


def _plan(options: list[str], capsys) -> dict[str, list[str]]:
    assert main([*options, "--dry-run", "--json"]) == 0
    return json.loads(capsys.readouterr().out)["plan"]


def test_a_key_that_changed_is_refused_at_once_by_the_plan_and_by_the_run(options, begun, capsys) -> None:
    before = sorted(_started(options).rglob("*"))
    for more in (["--dry-run"], []):
        assert main([*options, "--resume", "--grpo.steps=3", *more]) == 2
        assert "--resume: grpo.steps is 3, but the run in" in capsys.readouterr().err
    assert begun == []
    assert sorted(before[0].parent.rglob("*")) == before


@pytest.mark.parametrize("more", [["--dry-run"], ["--resume", "--dry-run"], [], ["--resume"]])
def test_a_run_that_goes_on_elsewhere_is_refused_at_once_by_the_plan_and_by_the_run(
    options, begun, more, capsys
) -> None:
    _open(options)
    assert main([*options, *more]) == 2
    assert "another process is running in" in capsys.readouterr().err
    assert begun == []


def test_the_plan_refuses_a_package_that_is_not_there(options, monkeypatch, capsys) -> None:
    monkeypatch.setattr("rnr.runs.tensorboard_run.find_spec", lambda _name: None)
    assert main([*options, "--tracking.tensorboard=true", "--dry-run"]) == 2
    assert "tracking.tensorboard needs the package tensorboard" in capsys.readouterr().err


def test_other_data_under_the_same_config_is_refused_by_the_plan_and_by_the_run_before_ray(
    options, colours, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.setattr(cluster_run, "connect", lambda _config: pytest.fail("Ray was started"))
    mine = tmp_path / "mine.jsonl"
    mine.write_text((colours / "train.jsonl").read_text())
    options = [*options, f"--data.train=['{mine}']"]
    folder = _started(options)
    prepared, _ = cluster_run.load_inputs(load_config(None, options))
    keep_inputs(folder, inputs_of(prepared))
    assert "resumes in" in _plan([*options, "--resume"], capsys)["run"][0]
    mine.write_text((colours / "train.jsonl").read_text().replace("Ada", "Eva"))
    for more in (["--dry-run"], []):
        assert main([*options, "--resume", *more]) == 2
        assert "--resume: the input of the warm start differs from the one the run in" in capsys.readouterr().err


def test_the_plan_says_where_a_run_begins_and_counts_what_is_left(options, tmp_path, capsys) -> None:
    assert _plan(options, capsys)["run"] == [f"starts in {tmp_path / 'mine'}"]
    assert _plan([*options, "--resume"], capsys)["run"] == [
        f"nothing to resume in {tmp_path / 'mine'}; starting a new run"
    ]
    folder = _started(options)
    assert _plan(options, capsys)["run"] == [f"starts in {folder}; the earlier run there is moved aside"]
    said = f"resumes in {folder} at the start: no checkpoint yet"
    assert _plan([*options, "--resume"], capsys)["run"] == [said]
    _at(folder, "grpo", 1)
    plan = _plan([*options, "--resume"], capsys)
    assert plan["run"] == [f"resumes in {folder} at grpo step 1"]
    assert plan["grpo step (estimate)"][0].startswith("1 x ")
    assert "sft step (estimate)" not in plan


@pytest.mark.parametrize("odd", ["", "[]"])
def test_a_checkpoint_whose_progress_cannot_be_read_is_passed_over_in_a_plan(options, capsys, odd) -> None:
    folder = _started(options)
    _at(folder, "grpo", 0)
    _at(folder, "grpo", 1)
    (folder / "checkpoints" / "000004-grpo-000001" / PROGRESS).write_text(odd)
    assert _plan([*options, "--resume"], capsys)["run"] == [f"resumes in {folder} at grpo step 0"]


def test_a_run_that_is_done_is_told_so_at_once_and_stays_done(options, begun, capsys) -> None:
    folder = _finished(options)
    before = (folder / "status.json").read_bytes()
    assert main([*options, "--resume"]) == 0
    assert f"run mine: already done, nothing to resume; its export is {folder / 'export'}" in capsys.readouterr().out
    assert begun == []
    assert (folder / "status.json").read_bytes() == before
    plan = _plan([*options, "--resume"], capsys)
    assert plan["run"] == [f"already finished in {folder}; --resume has nothing to do"]
    assert "total time (estimate)" not in plan


def test_what_a_run_logs_has_its_time_before_it(options, begun, capsys) -> None:
    assert main(options) == 0
    assert re.search(r"^\d\d:\d\d:\d\d libraries: \d+\.\d s$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("missing", ["export/model.safetensors", "export/config.json", "summary.json", "status.json"])
def test_a_run_that_is_done_and_lacks_something_is_resumed(options, begun, missing) -> None:
    (_finished(options) / missing).unlink()
    assert main([*options, "--resume"]) == 0
    assert begun == [True]


def test_a_run_that_is_done_and_whose_export_was_cut_is_resumed(options, begun) -> None:
    weights = _finished(options) / "export" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert main([*options, "--resume"]) == 0
    assert begun == [True]


def test_a_run_that_is_done_and_whose_status_is_odd_is_resumed_and_an_odd_summary_is_named(
    options, begun, capsys
) -> None:
    folder = _finished(options)
    (folder / "summary.json").write_text("")
    assert main([*options, "--resume"]) == 2
    said = capsys.readouterr().err
    assert (
        f"error: {folder / 'summary.json'}, line 1: not valid JSON: Expecting value; remove it, then train --resume"
        in said
    )
    assert begun == []
    (folder / "status.json").write_text("[]")
    assert main([*options, "--resume"]) == 0
    assert begun == [True]
    assert f"{folder / 'status.json'} must hold one JSON object" in capsys.readouterr().err


def test_a_run_that_is_done_is_resumed_to_be_merged_otherwise_and_started_anew_without_resume(options, begun) -> None:
    folder = _finished(options)
    assert main([*options, "--resume", "--merging.grpo=2"]) == 0
    assert main(options) == 0
    assert begun == [True, False]
    status = read_status(folder)
    assert status is not None
    assert status.state == "done"


def test_a_name_under_which_nothing_is_is_not_said_to_be_resumed(options, begun, tmp_path, capsys) -> None:
    assert main([*options, "--resume"]) == 0
    assert f"run mine: nothing to resume, starting in {tmp_path / 'mine'}" in capsys.readouterr().out
    assert begun == [False]


@pytest.mark.parametrize(("more", "told"), [([], True), (["--run.name=other"], False), (["--debug"], False)])
def test_a_run_without_config_and_keys_says_what_it_is(begun, monkeypatch, tmp_path, more, told, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(more) == 0
    assert ("this trains the default config on the demo data, about 45 minutes" in capsys.readouterr().out) is told


def test_the_plan_names_model_sources_and_what_preparing_noted(options, tiny_model, tmp_path, capsys) -> None:
    (tmp_path / "definitions.json").write_text('{"person": "a human", "town": "a place"}')
    plan = _plan([*options, f"--data.definitions={tmp_path}/definitions.json", "--evaluation.every_steps=9"], capsys)
    assert plan["model"] == [f"{tiny_model}, 7 million weights"]
    assert plan["training sentences"][0].startswith("12: SFT uses 12, GRPO 12 of colours")
    assert plan["evaluation sentences"][0].startswith("4 of colours")
    assert plan["note"] == [
        "evaluation.every_steps (9) has no effect: the longest evaluated stage has 2 steps",
        f"data.definitions: {tmp_path}/definitions.json defines 1 label in no schema (town)",
    ]


def test_data_of_the_demo_beside_data_of_ones_own_is_told(options, capsys) -> None:
    alone = [option for option in options if not option.startswith("--data.evaluation")]
    plan = _plan(alone, capsys)
    assert plan["note"] == ["data.evaluation is not set; using the demo's, demo/known, demo/unseen"]
    assert plan["evaluation sentences"][0].endswith(" of known, unseen")

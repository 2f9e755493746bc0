"""What W&B and TensorBoard are told of a run."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

import rnr.runs.tensorboard_run
from rnr.config import TrackingConfig
from rnr.evaluation.scoring import Evaluation
from rnr.runs.tensorboard_run import check_tensorboard
from rnr.runs.tracking import Tracker, evaluation_row
from rnr.runs.wandb_run import git_commit
from tests.made_up_run import ANSWERS, answer, example, scored
from tests.project.test_imports import ROOT


@pytest.fixture
def told(monkeypatch) -> SimpleNamespace:
    told = SimpleNamespace(rows=[], axes={}, best={}, options={})

    def define(name, step_metric=None, summary=None) -> None:
        told.axes[name] = step_metric
        told.best[name] = summary

    def init(**options):
        told.options = options
        return SimpleNamespace(define_metric=define, log=told.rows.append, finish=lambda: None)

    def table(columns, data):
        return SimpleNamespace(columns=columns, data=data)

    wandb = SimpleNamespace(init=init, Settings=dict, Histogram=lambda values: ("histogram", values), Table=table)
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    return told


def _tracker(folder, **options) -> Tracker:
    return Tracker(folder, options=TrackingConfig(**options), name="run", config={"a": 1})


def axis_of(told: SimpleNamespace, metric: str) -> str:
    """As W&B chooses: the name itself, then its first part, then everything."""
    return told.axes.get(metric) or told.axes.get(f"{metric.partition('/')[0]}/*") or told.axes["*"]


def test_no_row_lacks_the_axis_of_any_of_its_metrics(told, tmp_path) -> None:
    tracker = _tracker(tmp_path)
    tracker.log("base", 0, {"val/f1": 1.0})
    tracker.log("sft", 0, {"sft/loss": 2.0, "actor/grad_norm": 1.0})
    tracker.log("sft", 1, {"val/f1": 3.0})
    tracker.log("grpo", 0, {"reward/mean": 0.5, "ner/f1": 0.5, "response_length/mean": 9.0, "infra/x_workers_alive": 1})
    tracker.log_rollouts(0, [scored(0, 1)], {}, {})
    assert len(told.rows) == 5
    for row in told.rows:
        for metric in row:
            assert metric in told.axes or axis_of(told, metric) in row, (metric, row)


def test_one_axis_counts_the_steps_of_both_stages_and_goes_on_in_a_resumed_run(told, tmp_path) -> None:
    tracker = _tracker(tmp_path)
    for step in range(3):
        tracker.log("sft", step, {"sft/loss": 1.0})
    tracker.log("grpo", 0, {"reward/mean": 0.5})
    resumed = _tracker(tmp_path)
    resumed.log("grpo", 1, {"reward/mean": 0.5})
    assert [row["global_step"] for row in told.rows] == [1, 2, 3, 4, 5]


def test_the_summary_keeps_the_best_and_the_last(told, tmp_path) -> None:
    _tracker(tmp_path)
    assert told.best["val/f1"] == "max,last"
    assert told.best["sft/loss"] == "min,last"
    assert told.axes["sft/loss"] == "sft/step"


def test_group_tags_job_and_commit_are_those_of_the_run(told, tmp_path) -> None:
    _tracker(tmp_path, wandb_group="sweep", wandb_tags=("small", "cpu"))
    options = told.options
    assert (options["group"], options["tags"], options["job_type"]) == ("sweep", ["small", "cpu"], "train")
    assert options["config"] == {"a": 1, "git_commit": git_commit()}
    assert "x_disable_stats" not in options["settings"]


def test_rollouts_are_histograms_and_now_and_then_a_table(told, tmp_path) -> None:
    tracker = _tracker(tmp_path)
    tracker.log_rollouts(0, [scored(0, 1)], {}, {})
    tracker.log_rollouts(1, [scored(1, 1)], {}, {})
    first, second = told.rows
    assert first["rollouts/reward"] == ("histogram", [1.0, 0.5, 0.0])
    assert first["rollouts/tokens"] == ("histogram", [6] * 4)
    assert len(first["rollouts/table"].data) == 4
    assert all(isinstance(cell, int | float | str | None) for row in first["rollouts/table"].data for cell in row)
    assert "rollouts/table" not in second


def test_an_evaluation_is_a_row_of_metrics_and_a_table_of_answers(told, tmp_path) -> None:
    pair = example(1), answer(example(1), ANSWERS[1])
    result = Evaluation(f1=40.0, interval=(30.0, 50.0), exact_f1=41.0, finished=100.0, by_data_set={})
    _tracker(tmp_path).log_evaluation("sft", "sft", 4, result, [pair])
    assert json.loads((tmp_path / "metrics.jsonl").read_text())["val/f1"] == 40.0
    table = told.rows[1]["evaluation/sft"]
    assert dict(zip(table.columns, table.data[0], strict=True)) == evaluation_row(*pair)
    assert evaluation_row(*pair)["answer"] == "Ada [person]; Rome [person]"
    assert evaluation_row(*pair)["f1"] == pytest.approx(0.4)


def test_without_a_project_nobody_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it would fail
    tracker = _tracker(tmp_path, wandb_project="")
    tracker.log("grpo", 0, {"reward/mean": 0.5})
    tracker.log_rollouts(0, [scored(0, 1)], {}, {})
    tracker.finish()


def test_tensorboard_is_refused_by_name_where_its_package_is_missing(monkeypatch) -> None:
    monkeypatch.setattr(rnr.runs.tensorboard_run, "find_spec", lambda _name: None)
    with pytest.raises(ValueError, match=r"tracking\.tensorboard needs the package tensorboard: pip install"):
        check_tensorboard()


def test_tensorboard_gets_each_metric_under_its_stage(tmp_path, monkeypatch) -> None:
    written = []

    class Writer:
        def __init__(self, folder) -> None:
            written.append(folder)

        def add_scalar(self, *scalar) -> None:
            written.append(scalar)

        def flush(self) -> None: ...
        def close(self) -> None: ...

    monkeypatch.setitem(sys.modules, "tensorboard", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "tensorboard.summary", SimpleNamespace(Writer=Writer))
    tracker = _tracker(tmp_path, wandb_project="", tensorboard=True)
    tracker.log("grpo", 3, {"reward/mean": 0.5})
    tracker.finish()
    assert written == [str(tmp_path / "tensorboard"), ("grpo/reward/mean", 0.5, 3)]


@pytest.mark.parametrize(
    ("environment", "mode", "said"),
    [
        ({}, "offline", False),
        ({"WANDB_API_KEY": "key"}, "online", True),
        ({"WANDB_API_KEY": "key", "WANDB_MODE": "offline"}, "offline", False),
        ({"WANDB_API_KEY": "key", "WANDB_MODE": "disabled"}, "disabled", False),
    ],
)
def test_a_run_that_uploads_sentences_says_so_and_how_it_is_switched_off(
    told, tmp_path, monkeypatch, caplog, environment, mode, said
) -> None:
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    _tracker(tmp_path, wandb_project="mine")
    assert told.options["mode"] == mode
    uploads = (
        "W&B: metrics, and rollouts and evaluations with their sentences, are uploaded to the project mine; "
        "--tracking.wandb_project= disables W&B"
    )
    assert caplog.messages == ([uploads] if said else [])


def test_a_server_that_is_not_reached_leaves_the_run_offline(told, tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "key")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    begin = sys.modules["wandb"].init

    def init(**options):
        if options["mode"] == "online":
            raise OSError("no network,\n  after 90 s")
        return begin(**options)

    monkeypatch.setattr(sys.modules["wandb"], "init", init)
    tracker = _tracker(tmp_path)
    tracker.log("sft", 0, {"sft/loss": 1.0})
    assert (told.options["mode"], len(told.rows)) == ("offline", 1)
    assert caplog.messages[1:] == [
        "could not start the W&B run (OSError: no network, after 90 s); kept in the run folder; "
        f"`wandb sync {tmp_path}/wandb/offline-run-*` uploads the W&B files later"
    ]


def test_a_run_goes_on_without_a_wandb_that_cannot_even_begin_offline(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)  # importing it fails
    tracker = _tracker(tmp_path)
    tracker.log("sft", 0, {"sft/loss": 1.0})
    tracker.finish()
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 1
    (line,) = caplog.messages
    assert line.startswith("W&B disabled: ModuleNotFoundError: ")


BROKEN = """
import sys
from pathlib import Path
import psutil
from rnr.config import TrackingConfig
from rnr.runs import tracking
from rnr.runs.log_handler import log_to

log_to(print)
tracker = tracking.Tracker(Path(sys.argv[1]), options=TrackingConfig(wandb_project="p"), name="n", config={})
services = [child for child in psutil.Process().children() if "wandb" in child.name()]
for service in services:
    getattr(service, sys.argv[2])()
psutil.wait_procs(services, 0.2)
if sys.argv[2] == "kill":
    for step in range(20):
        tracker.log("sft", step, {"sft/loss": 1.0})
tracker.finish(0.5)
print(len(services))
"""


@pytest.mark.parametrize(
    ("does", "why"),
    [("suspend", "did not finish within 0.5 s;"), ("kill", "ConnectionResetError: ")],
    ids=["suspend", "kill"],
)
def test_a_wandb_that_is_gone_or_no_longer_answers_holds_up_neither_the_run_nor_the_end_of_its_process(
    tmp_path, does, why
) -> None:
    pytest.importorskip("wandb")
    environment = {**os.environ, "WANDB_MODE": "offline"}
    command = [sys.executable, "-c", BROKEN, str(tmp_path), does]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    reported, count = ended.stdout.splitlines()
    assert (ended.returncode, "Traceback" in ended.stderr, count) == (0, False, "1")
    assert reported.startswith(f"W&B disabled: {why}")

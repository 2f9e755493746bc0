"""The memory of a run: whole lines, what a resumed run takes back, and what is told about a rollout."""

import asyncio
import errno
import json
import logging
import math
import re
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cluster.disk import Disk
from cluster.progress import Progress
from rnr.config import TrackingConfig
from rnr.evaluation.scoring import Evaluation
from rnr.faults import Stopped
from rnr.runs.guarded import Guarded
from rnr.runs.tracking import Tracker, rollout_rows
from rnr.types import Answer, Example, Group, Mention, Prompt, Reward, ScoredGroup
from tests.carriers import rollout as make_rollout
from tests.jsonl import read_jsonl

CHAIN = "[Ada: person] [sat: place]"
"""One of its two tags is as annotated."""


def _tracker(folder: Path) -> Tracker:
    return Tracker(folder, options=TrackingConfig(wandb_project=""), name="test", config={})


def _scored(text: str = "{}", uid: str = "u", *, rewards=(1.0, 0.0, None)) -> ScoredGroup:
    example = Example(
        uid=uid,
        sentence="Ada sat",
        schema=("person", "place"),
        mentions=(Mention(text="Ada", label="person", start=0, end=3),),
    )
    rollouts = tuple(
        make_rollout(token_ids=(1,) * (n + 1), logprobs=(-1.0,) * (n + 1), text=text, finished=n == 0, policy_version=4)
        for n in range(len(rewards))
    )
    return ScoredGroup(
        group=Group(prompt=Prompt(example=example, token_ids=(9,)), rollouts=rollouts),
        rewards=tuple(
            Reward(total=total, parts={"entity_f1": 0.5}, invalid="timeout" if total is None else None)
            for total in rewards
        ),
        answers=tuple(
            Answer(reasoning=CHAIN, mentions=(), error="no json" if n == 1 else None) for n in range(len(rewards))
        ),
    )


def _steps(folder: Path) -> list[tuple[str, int]]:
    return [(row["stage"], row["step"]) for row in read_jsonl(folder / "metrics.jsonl")]


def test_a_step_is_one_line_with_its_stage_its_step_and_its_numbers_in_order(tmp_path) -> None:
    tracker = _tracker(tmp_path)
    tracker.log("sft", 3, {"b": 1 / 3, "a": 2.0})
    tracker.log("grpo", 0, {"reward/mean": 0.5})
    assert (tmp_path / "metrics.jsonl").read_text() == (
        '{"stage": "sft", "step": 3, "a": 2.0, "b": 0.333333}\n{"stage": "grpo", "step": 0, "reward/mean": 0.5}\n'
    )


def test_a_small_learning_rate_is_not_logged_as_nothing(tmp_path) -> None:
    tracker = _tracker(tmp_path)
    tracker.log("grpo", 0, {"actor/lr": 3e-7, "perf/tokens": 1234567})
    tracker.log_rollouts(0, [_scored()], {}, {"u": [1.23456789e-8, None, None]})
    (row,) = read_jsonl(tmp_path / "metrics.jsonl")
    assert (row["actor/lr"], row["perf/tokens"]) == (3e-7, 1234567)
    assert read_jsonl(tmp_path / "rollouts.jsonl")[0]["advantage"] == 1.23457e-8


def test_a_metric_that_is_not_finite_is_null_and_counted(tmp_path) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(name)

    tracker = _tracker(tmp_path)
    tracker.log("grpo", 0, {"actor/pg_loss": math.nan, "actor/grad_norm": math.inf, "actor/lr": 1e-6})
    tracker.log("grpo", 1, {"actor/lr": 1e-6})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    first, second = (json.loads(line, parse_constant=refuse) for line in lines)
    assert (first["actor/pg_loss"], first["actor/grad_norm"], first["infra/non_finite_metrics"]) == (None, None, 2)
    assert "infra/non_finite_metrics" not in second


def test_a_rollout_row_tells_all_that_happened_to_it() -> None:
    first, second, third = rollout_rows(6, _scored(), {"u": "no spread"}, {"u": [0.5, -0.5, None]})
    assert first == {
        "step": 6,
        "uid": "u",
        "sentence": "Ada sat",
        "labels": ["person", "place"],
        "gold": [["Ada", "person", 0, 3]],
        "text": "{}",
        "finished": True,
        "reward": 1.0,
        "reward_parts": {"entity_f1": 0.5},
        "invalid": None,
        "parse_error": None,
        "marks": {"right": 1, "all": 2},
        "advantage": 0.5,
        "dropped": "no spread",
        "policy_version": 4,
        "tokens": 1,
    }
    assert (second["advantage"], second["parse_error"], second["finished"]) == (-0.5, "no json", False)
    assert (third["reward"], third["advantage"], third["invalid"], third["tokens"]) == (None, None, "timeout", 3)


def test_rows_of_a_group_that_was_not_dropped_or_has_no_valid_reward() -> None:
    assert [row["dropped"] for row in rollout_rows(0, _scored(), {"other": "no spread"}, {})] == [None] * 3
    assert [row["advantage"] for row in rollout_rows(0, _scored(rewards=(None, None)), {}, {})] == [None, None]


def test_rewinding_grpo_keeps_the_warm_start_and_the_earlier_steps(tmp_path) -> None:
    tracker = _tracker(tmp_path)
    tracker.log("base", 0, {"val/f1": 1.0})
    for step in range(5):
        tracker.log("sft", step, {})
    for step in range(4):
        tracker.log("grpo", step, {})
        tracker.log_rollouts(step, [_scored()], {}, {})
    tracker.rewind("grpo", 2)
    assert _steps(tmp_path) == [("base", 0), *(("sft", step) for step in range(5)), ("grpo", 0), ("grpo", 1)]
    assert [row["step"] for row in read_jsonl(tmp_path / "rollouts.jsonl")] == [0] * 3 + [1] * 3


def test_rewinding_the_warm_start_takes_all_of_grpo_with_it(tmp_path) -> None:
    tracker = _tracker(tmp_path)
    tracker.log("base", 0, {})
    for stage, steps in (("sft", 5), ("grpo", 2)):
        for step in range(steps):
            tracker.log(stage, step, {})
    tracker.log_rollouts(0, [_scored()], {}, {})
    tracker.rewind("sft", 3)
    assert _steps(tmp_path) == [("base", 0), ("sft", 0), ("sft", 1), ("sft", 2)]
    assert read_jsonl(tmp_path / "rollouts.jsonl") == []


def test_a_line_that_a_kill_cut_short_goes_and_the_next_one_is_whole(tmp_path) -> None:
    tracker = _tracker(tmp_path)
    tracker.log("grpo", 0, {"a": 1.0})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"stage": "grpo", "step": 1, "a": 0.')
    tracker.rewind("grpo", 1)
    tracker.log("grpo", 1, {"a": 2.0})
    assert read_jsonl(tmp_path / "metrics.jsonl") == [
        {"stage": "grpo", "step": 0, "a": 1.0},
        {"stage": "grpo", "step": 1, "a": 2.0},
    ]


def test_a_kill_may_cut_a_line_in_the_middle_of_a_letter(tmp_path) -> None:
    tracker = _tracker(tmp_path)
    tracker.log_rollouts(0, [_scored("Zürich")], {}, {})
    whole = (tmp_path / "rollouts.jsonl").read_bytes()
    cut = whole.split(b"\n")[0]
    (tmp_path / "rollouts.jsonl").write_bytes(whole + cut[: cut.index("ü".encode()) + 1])
    tracker.rewind("grpo", 1)
    assert (tmp_path / "rollouts.jsonl").read_bytes() == whole


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85"], ids=["U+2028", "U+2029", "U+0085"])
def test_a_unicode_line_separator_in_a_completion_does_not_cost_its_row(tmp_path, separator) -> None:
    tracker = _tracker(tmp_path)
    tracker.log_rollouts(0, [_scored(f"a{separator}b")], {}, {})
    tracker.rewind("grpo", 1)
    assert [row["text"] for row in read_jsonl(tmp_path / "rollouts.jsonl")] == [f"a{separator}b"] * 3


def test_half_of_a_surrogate_pair_in_a_completion_can_be_written(tmp_path) -> None:
    _tracker(tmp_path).log_rollouts(0, [_scored("a\ud83e")], {}, {})
    assert read_jsonl(tmp_path / "rollouts.jsonl")[0]["text"] == "a\ud83e"


def test_an_evaluation_that_will_be_made_again_is_not_told_twice(tmp_path) -> None:
    tracker = _tracker(tmp_path)
    for step in range(2):
        tracker.log("sft", step, {"sft/loss": 1.0})
    tracker.log("sft", 1, {"val/f1": 1.0})
    tracker.rewind("sft", 2)
    assert _steps(tmp_path) == [("sft", 0), ("sft", 1), ("sft", 1)]
    tracker.rewind("sft", 2, evaluated=False)
    assert _steps(tmp_path) == [("sft", 0), ("sft", 1)]


def test_the_evaluation_of_a_warm_start_that_was_taken_over_is_kept_unless_it_will_be_made_again(tmp_path) -> None:
    tracker = _tracker(tmp_path)
    tracker.log("base", 0, {"val/f1": 0.2})
    tracker.log("sft", 0, {"val/f1": 0.5})
    tracker.log("grpo", 0, {"val/f1": 0.6})
    for scores, kept in (({"sft": {}}, [("base", 0), ("sft", 0)]), ({}, [("base", 0)])):
        progress = Progress(stage="grpo", step=0, version=4, scores=scores)
        tracker.rewind(*progress.reached(), evaluated=progress.is_evaluated())
        assert _steps(tmp_path) == kept


def test_lines_that_were_damaged_are_counted_and_one_that_a_kill_has_cut_is_not(tmp_path, caplog) -> None:
    tracker = Tracker(tmp_path, options=TrackingConfig(wandb_project=""), name="run", config={})
    (tmp_path / "metrics.jsonl").write_bytes(b'{"stage": "sft", "step": 0}\n\0\0\0\n{"stage": "sft", "st')
    (tmp_path / "rollouts.jsonl").write_bytes(b'{"step": 0}\n{"step": 1')
    tracker.rewind("grpo", 1)
    removed = "metrics.jsonl: removed 1 line that cannot be read: the file was damaged, not cut by a kill"
    assert caplog.messages == [removed]
    assert (tmp_path / "metrics.jsonl").read_bytes() == b'{"stage": "sft", "step": 0}\n'
    assert (tmp_path / "rollouts.jsonl").read_bytes() == b'{"step": 0}\n'


def test_rewinding_a_new_run_does_nothing(tmp_path) -> None:
    _tracker(tmp_path / "new").rewind("sft", 0)
    assert list((tmp_path / "new").iterdir()) == []


def test_every_resumption_goes_on_in_the_same_run_of_wandb_and_a_new_run_does_not(tmp_path, monkeypatch) -> None:
    started = []

    def init(**options):
        started.append(options)
        return SimpleNamespace(define_metric=lambda *_, **__: None, finish=lambda: None)

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init, Settings=dict))
    for folder in ("run", "run", "other"):
        Tracker(tmp_path / folder, options=TrackingConfig(wandb_project="p"), name="n", config={}).finish()
    first, resumed, other = (options["id"] for options in started)
    assert first == resumed != other
    assert {options["resume"] for options in started} == {"allow"}
    assert re.fullmatch(r"[0-9a-f]{12}", first)


@pytest.mark.parametrize(
    ("progress", "left"),
    [
        (Progress(), []),  # the learner was lost before the first checkpoint, and no evaluation is known
        (Progress(scores={"base": {}}), [("base", 0)]),
        (Progress(stage="grpo", scores={"base": {}}), [("base", 0), ("sft", 0), ("sft", 1)]),  # the version is 0
        (Progress(stage="grpo", step=1), [("base", 0), ("sft", 0), ("sft", 1), ("grpo", 0)]),
    ],
)
def test_a_resumed_run_keeps_the_lines_of_what_has_happened(tmp_path, progress, left) -> None:
    tracker = _tracker(tmp_path)
    for stage, step in (("base", 0), ("sft", 0), ("sft", 1), ("grpo", 0), ("grpo", 1)):
        tracker.log(stage, step, {"x": 1.0})
    tracker.rewind(*progress.reached())
    assert _steps(tmp_path) == left


class Other:
    """A W&B or a TensorBoard whose calls do as told, and are remembered."""

    def __init__(self, does=lambda: None) -> None:
        self.calls: list[str] = []
        self.does = does

    def __getattr__(self, name: str) -> Any:
        def call(*_: Any) -> None:
            self.calls.append(name)
            self.does()

        return call


def _beside(folder: Path, other: Other) -> Tracker:
    """A tracker beside which there is this one, in the place of W&B."""
    tracker, guarded = _tracker(folder), cast(Any, other)
    later = "metrics.jsonl has all"
    tracker._wandb = Guarded("W&B", lambda: guarded, later=later, abandon=lambda: logging.info("gone"))
    return tracker


def test_a_signal_that_ends_the_wait_for_a_tracker_abandons_it(monkeypatch, caplog) -> None:
    def stopped(*_: Any) -> str:
        raise Stopped("stopped by SIGTERM")

    monkeypatch.setattr("rnr.runs.guarded.prevented", stopped)
    with pytest.raises(Stopped):
        Guarded("W&B", Other, later="", abandon=lambda: logging.info("gone"))
    assert caplog.messages == ["gone"]


def _evaluated(tracker: Tracker) -> None:
    result = Evaluation(f1=40.0, interval=(30.0, 50.0), exact_f1=41.0, finished=100.0, by_data_set={})
    tracker.log_evaluation("sft", "sft", 0, result, [])


@pytest.mark.parametrize(
    ("log", "file", "calls"),
    [
        (lambda tracker: tracker.log("sft", 0, {"a": 1.0}), "metrics.jsonl", ["log"]),
        (
            lambda tracker: tracker.log_rollouts(0, [_scored(rewards=(1.0,))], {}, {}),
            "rollouts.jsonl",
            ["log_rollouts"],
        ),
        (_evaluated, "metrics.jsonl", ["log"]),
    ],
    ids=["metrics", "rollouts", "evaluation"],
)
def test_a_full_disk_under_another_tracker_repeats_no_row(tmp_path, caplog, log, file, calls) -> None:
    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    other = Other(full)
    tracker = _beside(tmp_path, other)
    asyncio.run(Disk(tmp_path, seconds=0).retry("metrics", lambda: log(tracker)))
    assert (len(read_jsonl(tmp_path / file)), other.calls) == (1, calls)
    reported = "W&B disabled: OSError: [Errno 28] No space left on device; metrics.jsonl has all"
    assert caplog.messages == [reported, "gone"]


def test_a_tracker_that_fails_is_left_out_and_reported_once(tmp_path, caplog) -> None:
    def lost() -> None:
        raise ConnectionResetError("Connection\n lost")

    other = Other(lost)
    tracker = _beside(tmp_path, other)
    for step in range(3):
        tracker.log("grpo", step, {"a": 1.0})
        tracker.log_rollouts(step, [_scored(rewards=(1.0,))], {}, {})
    tracker.finish()
    assert other.calls == ["log"]
    assert caplog.messages == [
        "W&B disabled: ConnectionResetError: Connection lost; metrics.jsonl has all",
        "gone",
    ]
    assert len(read_jsonl(tmp_path / "metrics.jsonl")) == len(read_jsonl(tmp_path / "rollouts.jsonl")) == 3


def test_a_tracker_that_does_not_answer_holds_up_a_run_once(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setattr("rnr.runs.guarded.Guarded.call.__kwdefaults__", {"seconds": 0.05})
    other = Other(lambda: time.sleep(60))
    tracker = _beside(tmp_path, other)
    tracker.log("grpo", 0, {"a": 1.0})
    tracker.log("grpo", 1, {"a": 1.0})
    assert (other.calls, caplog.messages[0].partition(";")[0]) == (
        ["log"],
        "W&B disabled: did not finish within 0.05 s",
    )


def test_tensorboard_that_cannot_begin_is_left_out(tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    options = TrackingConfig(wandb_project="", tensorboard=True)
    tracker = Tracker(tmp_path, options=options, name="test", config={})
    tracker.log("grpo", 0, {"a": 1.0})
    (line,) = caplog.messages
    assert line.startswith("TensorBoard disabled: ModuleNotFoundError: ")
    assert line.endswith("; metrics.jsonl and rollouts.jsonl have everything")


@pytest.mark.parametrize(
    ("finish", "said"),
    [
        (lambda: time.sleep(60), ["did not finish within 0.05 s"]),
        (lambda: {}["run"], ["KeyError: 'run'"]),
        (lambda: None, []),
    ],
)
def test_what_cannot_be_closed_ends_no_run_and_holds_up_none(tmp_path, caplog, finish, said) -> None:
    tracker = _beside(tmp_path, Other(finish))
    tracker.finish(0.05)
    tracker.finish(0.05)
    lines = [[f"W&B disabled: {why}; metrics.jsonl has all", "gone"] for why in said]
    assert caplog.messages == [line for pair in lines for line in pair]


@pytest.mark.parametrize(
    ("ends", "seconds"),
    [(None, 300.0), (RuntimeError("no"), 300.0), (Stopped("by SIGTERM"), 20.0), (KeyboardInterrupt(), 20.0)],
)
def test_a_run_that_was_stopped_waits_for_the_upload_only_a_little(tmp_path, monkeypatch, ends, seconds) -> None:
    waited: list[float] = []
    monkeypatch.setattr(Guarded, "finish", lambda _self, seconds: waited.append(seconds))
    with pytest.raises(type(ends)) if ends else nullcontext(), _beside(tmp_path, Other()):
        if ends:
            raise ends
    assert waited == [seconds]

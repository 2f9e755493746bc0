"""How long a run will take: what is counted, and that what was seen replaces what was stated."""

from types import SimpleNamespace

import pytest

import rnr.runs.forecast
from cluster.checkpoint import Progress
from cluster.estimate import float32_rate, work_left
from rnr.config import EvaluationConfig, GrpoConfig
from rnr.runs.console import duration, progress
from rnr.runs.forecast import Forecast


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(rnr.runs.forecast, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def test_what_was_stated_counts_until_one_of_its_kind_is_seen(clock) -> None:
    forecast = Forecast({"grpo step": 10.0, "evaluation": 60.0})
    forecast.expect({"grpo step": 3, "evaluation": 2})
    assert forecast.seconds_left == 3 * 10 + 2 * 60
    clock.seconds += 4
    forecast.did("grpo step")
    assert forecast.seconds_left == 2 * 4 + 2 * 60
    clock.seconds += 8
    forecast.did("grpo step")
    assert forecast.seconds_left == 1 * 6 + 2 * 60
    assert forecast.share == pytest.approx(12 / (12 + 126))


def test_more_than_was_foreseen_is_none_left_and_a_stage_that_ends_early_has_none(clock) -> None:
    forecast = Forecast({"sft step": 1.0, "checkpoint": 1.0})
    forecast.expect({"sft step": 5, "checkpoint": 1})
    for _ in range(3):
        forecast.did("checkpoint")
    assert forecast.seconds_left == 5.0
    forecast.drop("sft step")
    assert forecast.seconds_left == 0.0


def test_a_run_without_a_plan_has_no_share_and_does_not_fail() -> None:
    assert Forecast().share == 0.0


def test_the_line_says_that_it_is_an_estimate(clock) -> None:
    forecast = Forecast({"grpo step": 90.0})
    forecast.expect({"grpo step": 2})
    clock.seconds += 90
    forecast.did("grpo step")
    assert progress(forecast) == "whole run 50 %, about 2 min left (estimate)"


@pytest.mark.parametrize(("seconds", "said"), [(0, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "1 h 00 min")])
def test_a_duration_is_told_in_words(seconds, said) -> None:
    assert duration(seconds) == said


def _settings(**grpo: int) -> SimpleNamespace:
    return SimpleNamespace(
        grpo=GrpoConfig(**grpo),  # type: ignore[arg-type]
        evaluation=EvaluationConfig(every_steps=4, base=True),
        checkpoint_every=5,
        difficulty_rollouts=0,
    )


def test_a_new_run_has_every_stage_evaluation_and_checkpoint_before_it() -> None:
    left = work_left(Progress(), _settings(steps=10), 12)  # type: ignore[arg-type]
    # Evaluations: base, after SFT, after GRPO steps 4, 8 and 10. Checkpoints: after SFT steps 5, 10, 12, before GRPO,
    # after GRPO steps 5 and 10, when all is done.
    assert left == {"sft step": 12, "grpo step": 10, "evaluation": 5, "selection": 0, "checkpoint": 7, "export": 1}


def test_a_resumed_run_has_what_is_left() -> None:
    left = work_left(Progress(stage="grpo", step=8), _settings(steps=10), 12)  # type: ignore[arg-type]
    assert left == {"sft step": 0, "grpo step": 2, "evaluation": 1, "selection": 0, "checkpoint": 2, "export": 1}


def test_a_finished_run_has_its_export_left() -> None:
    left = work_left(Progress(stage="done", step=10), _settings(steps=10), 12)  # type: ignore[arg-type]
    assert {kind for kind, count in left.items() if count} == {"export"}


def test_the_measured_rate_is_that_of_a_machine() -> None:
    assert 1e8 < float32_rate(size=256) < 1e15

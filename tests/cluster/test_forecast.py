"""How long a run will take: what is counted, and that what was seen replaces what was stated."""

from types import SimpleNamespace
from typing import Any

import pytest

import rnr.runs.forecast
from cluster.estimate import Rates, estimated_rates, float32_rate, stated_seconds, work_left
from cluster.memory_plan import Shape
from cluster.progress import Progress
from rnr.config import (
    ClusterConfig,
    EvaluationConfig,
    GenerationConfig,
    GrpoConfig,
    MergingConfig,
    ModelConfig,
    SamplingConfig,
)
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


def test_the_share_of_a_resumed_run_counts_what_was_done_before(clock) -> None:
    forecast = Forecast({"sft step": 5.0, "evaluation": 10.0})
    forecast.expect({"sft step": 10, "evaluation": 1}, {"sft step": 40, "evaluation": 3})
    assert forecast.share == pytest.approx((30 * 5 + 2 * 10) / (40 * 5 + 3 * 10))
    clock.seconds += 2
    forecast.did("sft step")
    assert forecast.share == pytest.approx((30 * 2 + 2 * 10 + 2) / (40 * 2 + 3 * 10))
    # Back at a checkpoint of this process: the step that is done again was not done by another.
    forecast.expect({"sft step": 10, "evaluation": 1}, {"sft step": 40, "evaluation": 3})
    assert forecast.share == pytest.approx((30 * 2 + 2 * 10 + 2) / (40 * 2 + 3 * 10 + 2))


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


def _settings(*, merging: MergingConfig | None = None, **grpo: int) -> SimpleNamespace:
    return SimpleNamespace(
        merging=merging or MergingConfig(),
        grpo=GrpoConfig(**grpo),  # type: ignore[arg-type]
        evaluation=EvaluationConfig(every_steps=4, base=True),
        checkpoint_every=5,
        difficulty_rollouts=0,
    )


def test_a_new_run_has_every_stage_evaluation_and_checkpoint_before_it() -> None:
    left = work_left(Progress(), _settings(steps=10), 12)  # type: ignore[arg-type]
    # Evaluations: base, after SFT, after GRPO steps 4, 8 and 10. Checkpoints: after SFT steps 5, 10 and 12, after
    # GRPO steps 5 and 10; where only the stage changes, files are linked.
    assert left == {"sft step": 12, "grpo step": 10, "evaluation": 5, "selection": 0, "checkpoint": 5, "export": 1}


def test_a_resumed_run_has_what_is_left() -> None:
    left = work_left(Progress(stage="grpo", step=8), _settings(steps=10), 12)  # type: ignore[arg-type]
    assert left == {"sft step": 0, "grpo step": 2, "evaluation": 1, "selection": 0, "checkpoint": 1, "export": 1}


def test_a_finished_run_has_its_export_left() -> None:
    left = work_left(Progress(stage="done", step=10), _settings(steps=10), 12)  # type: ignore[arg-type]
    assert {kind for kind, count in left.items() if count} == {"export"}
    merges = _settings(steps=10, merging=MergingConfig(grpo=1.5))
    left = work_left(Progress(stage="done", step=10), merges, 12)  # type: ignore[arg-type]
    assert {kind: count for kind, count in left.items() if count} == {"evaluation": 1, "export": 1}


def test_the_measured_rate_is_that_of_a_machine() -> None:
    assert 1e8 < float32_rate(size=256) < 1e15


SHAPE = Shape(weights=1e9, layers=10, hidden=1000, intermediate=4000, query=1000, key=500)
BRANCHES: Any = {
    "model": ModelConfig(),
    "generation": GenerationConfig(max_num_seqs=64),
    "cluster": ClusterConfig(gpus_per_rollout_worker=1, gpus_per_learner_rank=1, learner_ranks=2, rollout_workers="2"),
}


def _of_tokens(tokens: int, **more: Any) -> Any:
    """Of a run whose prompts have so many."""
    prompts = [SimpleNamespace(token_ids=range(tokens))] * 3
    evaluation, sft = [None] * 10, [SimpleNamespace(length=150, completion_ids=range(50))] * 3
    return SimpleNamespace(
        **{
            "decoding": "free",
            "shape": SHAPE,
            "weights": 1_000_000_000,
            "weights_gib": 2e9 / 2**30,
            "prompts": prompts,
            "evaluation": evaluation,
            "sft": sft,
        }
        | more
    )


def _sampled(prompts: int, **grpo: Any) -> Any:
    sampling = SamplingConfig(prompts_per_step=prompts, samples_per_prompt=8, max_new_tokens=500)
    evaluation = EvaluationConfig(max_new_tokens=500)
    return SimpleNamespace(sampling=sampling, evaluation=evaluation, difficulty_rollouts=0, grpo=GrpoConfig(**grpo))


def test_on_gpus_the_rates_are_those_that_the_planner_states_for_an_h100() -> None:
    found = estimated_rates(_of_tokens(100), _sampled(8), **BRANCHES)
    # Training: 6e9 operations a position at a fifth of 989 TFLOP/s, on two ranks.
    assert found.learner == pytest.approx(2 * 0.2 * 989e12 / 6e9)
    # Two engines with 8 * 8 / 2 = 32 sequences each. A step of theirs is 4 ms, and for each sequence 100 tokens of its
    # prompt and half of 0.4 * 500 in the cache, of 20 kB each, at 0.6 * 3.35 TB/s, and 2e9 operations at 0.3 * 989 T.
    step = 0.004 + 32 * (200 * 20_000 / 2.01e12 + 2e9 / 296.7e12)
    assert found.sampler == pytest.approx(2 * 32 / step)
    # More than max_num_seqs are not decoded side by side.
    step = 0.004 + 64 * (200 * 20_000 / 2.01e12 + 2e9 / 296.7e12)
    assert estimated_rates(_of_tokens(100), _sampled(80), **BRANCHES).sampler == pytest.approx(2 * 64 / step)
    # Of a model whose shape is not known the cache does not count.
    step = 0.004 + 32 * 2e9 / 296.7e12
    assert estimated_rates(_of_tokens(100, shape=None), _sampled(8), **BRANCHES).sampler == pytest.approx(2 * 32 / step)
    assert found.source == "from stated rates of one H100 per GPU"


def test_the_seconds_of_each_kind_of_work_by_hand() -> None:
    found = Rates(learner=1000, sampler=500, update=2.0, start=0, source="")
    schedule: Any = SimpleNamespace(sft_sequences=4)
    seconds = stated_seconds(_of_tokens(100), schedule, _sampled(8), found)
    assert seconds["sft step"] == 2.0  # 4 * 150 tokens are 0.6 s, less than an optimizer step takes at least
    # 8 * 8 answers of 200 tokens: 12800 / 500 s; they and 8 prompts of 100 tokens are trained on: 13600 / 1000 s.
    assert seconds["grpo step"] == pytest.approx(25.6 + 13.6)
    assert seconds["evaluation"] == pytest.approx(10 * 200 / 500)
    twice = stated_seconds(_of_tokens(100), schedule, _sampled(8, epochs=2, mini_batches=4), found)
    assert twice["grpo step"] == pytest.approx(25.6 + 2 * 13.6)
    often = stated_seconds(_of_tokens(100), schedule, _sampled(8, epochs=2, mini_batches=8), found)
    assert often["grpo step"] == pytest.approx(25.6 + 16 * 2.0)  # what 16 optimizer steps take at least
    marks = stated_seconds(_of_tokens(100, decoding="marks"), schedule, _sampled(8), found)
    # Answers are as long as the chains, 50 tokens, and labels are calibrated; 64 * 50 and 8 * 100 are trained on.
    assert marks["evaluation"] == pytest.approx(10 * 50 / 500 * 1.8)
    assert marks["grpo step"] == pytest.approx(64 * 50 / 500 + 4.0)
    unknown = stated_seconds(_of_tokens(100, decoding="marks", sft=()), schedule, _sampled(8), found)
    assert unknown["evaluation"] == pytest.approx(10 * 200 / 500 * 1.8)

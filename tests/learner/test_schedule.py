"""Learning rates by hand, and windows of data: pure functions of the step."""

import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.schedule import Schedule, out_of_patience, window
from learner.schedule import cosine
from rnr.config import GrpoConfig, SftConfig
from rnr.types import Example, Prompt


def _rates(steps: int, warmup_fraction: float, peak: float = 1.0, final: float = 0.1) -> list[float]:
    return [cosine(step, steps=steps, peak=peak, warmup_fraction=warmup_fraction, final=final) for step in range(steps)]


def test_the_example_in_the_docstring() -> None:
    rates = _rates(10, 0.2)
    # Warm-up of 2 steps, then 8 steps: 0.1 + 0.45 * (1 + cos(pi * k / 8)).
    assert rates[:4] == pytest.approx([0.5, 1.0, 1.0, 0.1 + 0.45 * (1 + math.cos(math.pi / 8))])
    assert rates[3] == pytest.approx(0.966, abs=5e-4)
    assert rates[-1] == pytest.approx(0.134, abs=5e-4)


def test_without_warm_up_the_first_step_has_the_peak() -> None:
    assert _rates(4, 0.0, peak=2e-4)[0] == 2e-4
    assert _rates(1, 0.0) == [1.0]


def test_the_rate_may_stay_or_fall_to_nothing() -> None:
    assert _rates(4, 0.25, peak=2.0, final=1.0) == [2.0, 2.0, 2.0, 2.0]
    # 4 steps without warm-up: half a cosine at 0, 1/4, 2/4 and 3/4.
    assert _rates(4, 0.0, final=0.0) == pytest.approx([1.0, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5])


def test_any_warm_up_at_all_is_at_least_one_step() -> None:
    assert _rates(3, 0.01)[0] == 1.0  # one step of warm-up ends at the peak
    assert _rates(1, 0.5) == [1.0]


@given(st.integers(1, 200), st.floats(0, 0.99))
def test_rates_rise_then_fall_and_stay_between_a_tenth_and_the_peak(steps, warmup_fraction) -> None:
    rates = _rates(steps, warmup_fraction)
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert 0 < min(rates) <= max(rates) <= 1.0
    assert rates[-1] >= 0.1


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 3), st.integers(0, 5))
def test_each_pass_over_the_data_takes_every_item_at_most_once_in_whole_windows(count, size, passed, seed) -> None:
    items = list(range(count))
    per_pass = count // size
    if not per_pass:
        with pytest.raises(ValueError, match=f"{count} training sentences? cannot fill one step of {size}"):
            window(items, 0, size, seed)
        return
    windows = [window(items, passed * per_pass + step, size, seed) for step in range(per_pass)]
    drawn = [item for some in windows for item in some]
    assert all(len(some) == size for some in windows)
    assert len(set(drawn)) == len(drawn) == per_pass * size


@given(st.integers(0, 100), st.integers(0, 5))
def test_a_window_is_a_pure_function_of_its_arguments(step, seed) -> None:
    items = list(range(30))
    assert window(items, step, 4, seed) == window(items, step, 4, seed)
    assert items == list(range(30))


def test_passes_and_seeds_are_shuffled_differently() -> None:
    items = list(range(30))
    assert window(items, 0, 30, 0) != window(items, 1, 30, 0)
    assert window(items, 0, 30, 0) != window(items, 0, 30, 1)
    assert sorted(window(items, 1, 30, 0)) == items


def test_patience_ends_when_nothing_was_better_for_so_long() -> None:
    assert not out_of_patience([], 2)
    assert not out_of_patience([3.0, 2.0, 2.5], 2)
    assert out_of_patience([3.0, 2.0, 2.5, 2.0], 2)
    assert not out_of_patience([3.0, 2.0, 2.5, 1.9], 2)
    assert not out_of_patience([1.0, 2.0, 3.0], 0)


def test_a_resumed_run_asks_for_the_prompts_that_an_interrupted_one_left_out() -> None:
    prompts = tuple(
        Prompt(example=Example(uid=f"p{place}", sentence="x", schema=("a",), mentions=()), token_ids=(1,))
        for place in range(3)
    )
    prepared: Any = SimpleNamespace(sft=(), prompts=prompts)
    schedule = Schedule(prepared, sft=SftConfig(), grpo=GrpoConfig(), prompts_per_step=1, final_rate=0.1, seed=0)
    places = [schedule.prompt(place).uid for place in range(7)]
    assert len(set(places)) == 7
    # Groups end in another order than they began: 1 and 3 were still under way.
    stream = schedule.prompts_but({places[0], places[2], places[4]})
    assert [next(stream).uid for _ in range(4)] == [places[1], places[3], places[5], places[6]]


def test_epochs_that_make_no_step_are_refused() -> None:
    prepared: Any = SimpleNamespace(sft=tuple(range(30)), prompts=(1,))

    def steps(epochs: float) -> int:
        sft = SftConfig(epochs=epochs, sequences_per_step=8)
        schedule = Schedule(prepared, sft=sft, grpo=GrpoConfig(), prompts_per_step=1, final_rate=0.1, seed=0)
        return schedule.sft_steps

    assert steps(0.3) == 1  # 9 sequences
    with pytest.raises(
        ValueError, match=r"sft\.epochs 0\.2 of 30 training sentences does not fill one step of .* 8: raise"
    ):
        steps(0.2)

"""The simulated run: times that can be worked out by hand."""

import pytest

pytest.importorskip("ray")

from cluster.simulation import Load, Speed, measured, simulate


def _speed(**changes) -> Speed:
    plain = {"step": 0.0, "step_each": 0.01, "position": 0.001, "load": 0.0, "score": 0.0, "max_num_seqs": 1000}
    return Speed(**(plain | changes))


# 10 prompts x 4 samples of 20 tokens: 800 tokens at 0.01 s are 8 s; 10 * (20 + 80) = 1000 positions are 1 s.
LOAD = Load(prompts=10, samples=4, prompt_tokens=20, tokens=20, spread=0.0)


def test_synchronous_sampling_and_training_take_turns() -> None:
    found = simulate(_speed(), LOAD, engines=1, ranks=1, max_staleness=0)
    assert found.step_seconds == pytest.approx(9.0, rel=1e-3)
    assert found.samples_per_second == pytest.approx(40 / 9, rel=1e-3)
    assert found.rollout_idle == pytest.approx(1 / 9, rel=1e-3)
    assert found.learner_idle == pytest.approx(8 / 9, rel=1e-3)


def test_what_decodes_beside_another_sequence_shares_the_steps_with_it() -> None:
    # 20 steps for all 40 sequences together, each 0.1 + 40 * 0.01 s.
    found = simulate(_speed(step=0.1), LOAD, engines=1, ranks=1, max_staleness=0)
    assert found.step_seconds == pytest.approx(20 * 0.5 + 1, rel=1e-3)
    # No more than 20 at once: twice as many steps, each with half of the sequences.
    few = simulate(_speed(step=0.1, max_num_seqs=20), LOAD, engines=1, ranks=1, max_staleness=0)
    assert few.step_seconds == pytest.approx(40 * 0.3 + 1, rel=1e-3)


def test_engines_and_ranks_divide_the_work() -> None:
    found = simulate(_speed(), LOAD, engines=2, ranks=4, max_staleness=0)
    assert found.step_seconds == pytest.approx(8 / 2 + 1 / 4, rel=1e-3)


def test_with_staleness_the_slower_side_sets_the_pace() -> None:
    found = simulate(_speed(), LOAD, engines=1, ranks=1, max_staleness=1)
    assert found.step_seconds == pytest.approx(8.0, rel=0.02)
    assert found.rollout_idle == pytest.approx(0.0, abs=0.02)
    slow = simulate(_speed(position=0.02), LOAD, engines=1, ranks=1, max_staleness=1)
    assert slow.step_seconds == pytest.approx(20.0, rel=0.02)
    assert slow.learner_idle == pytest.approx(0.0, abs=0.02)


def test_an_engine_that_takes_new_weights_decodes_nothing() -> None:
    found = simulate(_speed(load=3.0), LOAD, engines=1, ranks=1, max_staleness=0)
    assert found.step_seconds == pytest.approx(12.0, rel=1e-3)


def test_prompts_are_read_before_they_are_answered_and_an_update_has_a_least_time() -> None:
    found = simulate(_speed(prompt_token=0.1, update=5.0), LOAD, engines=1, ranks=1, max_staleness=0)
    assert found.step_seconds == pytest.approx(20 * 0.1 + 8 + 5, rel=1e-3)


def test_two_benchmarks_tell_a_step_from_its_sequences() -> None:
    # 16 sequences: 100 steps of 0.04 s; 64 sequences: 100 steps of 0.10 s: 0.02 s and 0.00125 s a sequence.
    def bench(samples: int, sampling: float) -> dict[str, float]:
        return {
            "samples": samples,
            "completion_tokens": 100 * samples,
            "sampling_seconds": sampling,
            "training_seconds": 2.0,
            "positions_computed": 1000,
            "publish_seconds": 0.5,
            "reward_seconds": 0.0,
        }

    found = measured([bench(16, 4.0), bench(64, 10.0)], max_num_seqs=64)
    assert (found.step, found.step_each) == (pytest.approx(0.02), pytest.approx(0.00125))
    assert (found.position, found.load) == (0.002, 0.5)
    alone = measured([bench(64, 10.0)], max_num_seqs=32)  # two rounds of 32
    assert (alone.step, alone.step_each) == (pytest.approx(0.0), pytest.approx(10 / 200 / 32))


def test_the_json_of_another_benchmark_is_refused_by_what_it_lacks() -> None:
    with pytest.raises(ValueError, match="one file lacks sampling_seconds, training_seconds"):
        measured([{"samples": 1, "completion_tokens": 2, "positions_computed": 1}], max_num_seqs=1)

"""Scored groups -> samples and statistics, against numbers worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learner.advantage import group_metrics, samples_with_advantage
from rnr.types import Answer, Example, Group, Prompt, Reward, Rollout, ScoredGroup

NOTHING_SAID = Answer(reasoning=None, mentions=())


def _group(*rewards: float | None, uid: str = "1", unfinished: tuple[int, ...] = (), parts=None) -> ScoredGroup:
    example = Example(uid=uid, sentence="x", schema=("a",), mentions=())
    rollouts = tuple(
        Rollout(
            token_ids=(number,) * (number + 1),
            logprobs=(-float(number),) * (number + 1),
            text="",
            finished=number not in unfinished,
            policy_version=number + 5,
        )
        for number in range(len(rewards))
    )
    return ScoredGroup(
        group=Group(prompt=Prompt(example=example, token_ids=(7, 8)), rollouts=rollouts),
        rewards=tuple(
            Reward(total=total, parts=parts or {}, invalid=None if total is not None else "timeout: 3 s")
            for total in rewards
        ),
        answers=(NOTHING_SAID,) * len(rewards),
    )


def _advantages(*groups: ScoredGroup, **options: bool) -> list[float]:
    return [sample.advantage for sample in samples_with_advantage(groups, **options)[0]]


def test_the_advantage_is_the_reward_less_the_mean_of_its_group() -> None:
    assert _advantages(_group(1, 0, 0.5)) == pytest.approx([0.5, -0.5, 0])  # mean 0.5
    assert _advantages(_group(1, 0), _group(10, 4, uid="2")) == pytest.approx([0.5, -0.5, 3, -3])


def test_a_sample_carries_its_rollout_untouched() -> None:
    samples, _ = samples_with_advantage([_group(1, 0, 0.5, uid="u")])
    second = samples[1]
    assert (second.uid, second.prompt_ids, second.completion_ids) == ("u", (7, 8), (1, 1))
    assert (second.logprobs, second.policy_version) == ((-1.0, -1.0), 6)


def test_division_by_the_standard_deviation_only_if_asked() -> None:
    # Sample variance of (1, 0, 0.5): (0.25 + 0.25 + 0) / 2 = 0.25, so 0.5 / (0.5 + 0.0001).
    expected = 0.5 / 0.5001
    assert _advantages(_group(1, 0, 0.5), divide_by_std=True) == pytest.approx([expected, -expected, 0])


def test_groups_that_cannot_teach_are_dropped_with_the_reason() -> None:
    groups = [
        _group(0.3, 0.3, 0.3, uid="flat"),
        _group(1.0, uid="one"),
        _group(1.0, None, uid="one valid"),
        _group(None, None, uid="none valid"),
        _group(0.1 + 0.2, 0.3, uid="equal but for rounding"),
        _group(1, 0, uid="good"),
    ]
    samples, dropped = samples_with_advantage(groups)
    assert dropped == {
        "flat": "no spread",
        "one": "fewer than two valid rewards",
        "one valid": "fewer than two valid rewards",
        "none valid": "fewer than two valid rewards",
        "equal but for rounding": "no spread",
    }
    assert [sample.uid for sample in samples] == ["good", "good"]


def test_an_invalid_reward_is_in_neither_the_baseline_nor_the_loss() -> None:
    samples, dropped = samples_with_advantage([_group(1, None, 0)])
    # Mean of 1 and 0 is 0.5; counting the invalid one as 0 would give 1/3.
    assert [(sample.advantage, sample.policy_version) for sample in samples] == [(0.5, 5), (-0.5, 7)]
    assert not dropped


def test_a_masked_unfinished_rollout_stays_in_the_baseline() -> None:
    group = _group(1, 0, 0.5, unfinished=(1,))
    assert _advantages(group, mask_unfinished=True) == pytest.approx([0.5, 0])  # the mean is still 0.5
    assert _advantages(group) == pytest.approx([0.5, -0.5, 0])


def test_a_group_without_any_finished_rollout_is_dropped_with_the_reason() -> None:
    samples, dropped = samples_with_advantage([_group(1, 0, uid="cut", unfinished=(0, 1))], mask_unfinished=True)
    assert samples == []
    assert list(dropped) == ["cut"]


@given(st.lists(st.lists(st.one_of(st.none(), st.floats(-5, 5)), min_size=1, max_size=6), max_size=5))
def test_advantages_sum_to_nothing_and_every_group_is_trained_or_dropped(rewards) -> None:
    groups = [_group(*group, uid=str(number)) for number, group in enumerate(rewards)]
    samples, dropped = samples_with_advantage(groups)
    trained = {sample.uid for sample in samples}
    assert trained | set(dropped) == {str(number) for number in range(len(groups))}
    assert not trained & set(dropped)
    for uid in trained:
        assert sum(sample.advantage for sample in samples if sample.uid == uid) == pytest.approx(0, abs=1e-9)


def test_the_statistics_of_a_step_by_hand() -> None:
    first = _group(1, 0, None, unfinished=(2,), parts={"entity_f1": 0.5})
    second = _group(0.5, 0.5, uid="2", parts={"overlap": 1.0})
    assert group_metrics([first, second]) == pytest.approx(
        {
            "reward/mean": 0.5,  # 1, 0, 0.5, 0.5
            "reward/std": (0.5 / 4) ** 0.5,  # squares 0.25 + 0.25
            "reward/invalid_frac": 0.2,  # 1 of 5
            "reward/invalid/timeout": 1,
            "reward/frac_zero_std": 0.5,  # the second group is flat
            "rewards/entity_f1/mean": 0.5,
            "rewards/overlap/mean": 1.0,
            "response_length/mean": 9 / 5,  # 1, 2, 3 and 1, 2 tokens
            "response_length/max": 3,
            "response_length/clip_ratio": 0.2,
            "prompt_length/mean": 2,
        }
    )


def test_a_step_without_any_valid_reward_still_has_statistics() -> None:
    metrics = group_metrics([_group(None, None)])
    assert metrics["reward/invalid_frac"] == 1
    assert metrics["reward/invalid/timeout"] == 2
    assert metrics["reward/frac_zero_std"] == 1
    assert "reward/mean" not in metrics

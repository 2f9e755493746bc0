"""Scored groups -> samples and statistics, against numbers worked out by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rewards.advantage import TrainingBatch, group_metrics
from rewards.advantage import training_batch as batch_of
from rnr.config import GrpoConfig
from rnr.types import Answer, Example, Group, Prompt, Reward, ScoredGroup
from tests.carriers import rollout as make_rollout

NOTHING_SAID = Answer(reasoning=None, mentions=())


def _group(*rewards: float | None, uid: str = "1", unfinished: tuple[int, ...] = (), parts=None) -> ScoredGroup:
    example = Example(uid=uid, sentence="x", schema=("a",), mentions=())
    rollouts = tuple(
        make_rollout(
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


def training_batch(groups, *, weights=None, **options) -> TrainingBatch:
    return batch_of(groups, GrpoConfig(**options), weights or {})


def _advantages(*groups: ScoredGroup, **options) -> list[float]:
    """One number for each sample, as all its tokens have the same."""
    samples = training_batch(groups, **options).samples
    assert all(len(sample.advantages) == len(sample.completion_ids) for sample in samples)
    return [only for sample in samples for only in set(sample.advantages)]


def test_the_advantage_is_the_reward_less_the_mean_of_its_group() -> None:
    assert _advantages(_group(1, 0, 0.5)) == pytest.approx([0.5, -0.5, 0])  # mean 0.5
    assert _advantages(_group(1, 0), _group(10, 4, uid="2")) == pytest.approx([0.5, -0.5, 3, -3])


@pytest.mark.parametrize("credit", ["answer", "mention"])
def test_a_completion_without_tokens_is_in_the_mean_and_no_sample(credit) -> None:
    scored = _group(1, 0, 0.5)
    first, *others = scored.group.rollouts
    empty = replace(first, segments=(replace(first.segments[0], token_ids=(), logprobs=()),))
    found = training_batch([replace(scored, group=replace(scored.group, rollouts=(empty, *others)))], credit=credit)
    assert [sample.advantages for sample in found.samples] == [(-0.5, -0.5), (0.0, 0.0, 0.0)]
    assert found.advantages == {"1": [None, -0.5, 0.0]}


def test_a_sample_carries_its_rollout_untouched() -> None:
    second = training_batch([_group(1, 0, 0.5, uid="u")]).samples[1]
    assert (second.uid, second.prompt_ids, second.completion_ids) == ("u", (7, 8), (1, 1))
    assert (second.logprobs, second.policy_version) == ((-1.0, -1.0), 6)


def test_division_by_the_standard_deviation_only_if_asked() -> None:
    # Sample variance of (1, 0, 0.5): (0.25 + 0.25 + 0) / 2 = 0.25, so 0.5 / (0.5 + 0.0001).
    expected = 0.5 / 0.5001
    assert _advantages(_group(1, 0, 0.5), advantage="grpo") == pytest.approx([expected, -expected, 0])


def test_leave_one_out_compares_with_the_mean_of_the_others() -> None:
    # 1 against the mean of 0 and 0.5; 0 against that of 1 and 0.5; 0.5 against that of 1 and 0.
    assert _advantages(_group(1, 0, 0.5), advantage="rloo") == pytest.approx([0.75, -0.75, 0])


def _with_parts(*parts: dict[str, float]) -> ScoredGroup:
    group = _group(*(sum(part.values()) for part in parts))
    return replace(group, rewards=tuple(replace(r, parts=p) for r, p in zip(group.rewards, parts, strict=True)))


def test_each_reward_is_scaled_in_its_group_and_their_sum_over_the_batch() -> None:
    # f1 (0, 2): mean 1, deviation sqrt(2), so -+0.7071; grounding (0, 0.2): the same but for the tiny constant.
    # Together 1 * f1 + 3 * grounding are +-2.83 or so, and over the batch of two again +-0.7071.
    group = _with_parts({"f1": 0.0, "grounding": 0.0}, {"f1": 2.0, "grounding": 0.2})
    found = _advantages(group, advantage="gdpo", weights={"f1": 1.0, "grounding": 3.0})
    assert found == pytest.approx([-0.7071, 0.7071], abs=1e-3)
    # Opposite rewards: 3 * 0.7071 - 0.7071 = 1.414 either way; scaled over the batch, 0.7071 again.
    group = _with_parts({"f1": 2.0, "grounding": 0.0}, {"f1": 0.0, "grounding": 0.2})
    found = _advantages(group, advantage="gdpo", weights={"f1": 1.0, "grounding": 3.0})
    assert found == pytest.approx([-0.7071, 0.7071], abs=1e-3)
    assert _advantages(group, advantage="dr_grpo") == pytest.approx([0.9, -0.9])  # the wide reward drowns the other


def test_equal_sums_of_differing_rewards_still_teach_when_scaled_one_by_one() -> None:
    group = _with_parts({"f1": 1.0, "grounding": 0.0}, {"f1": 0.0, "grounding": 1.0}, {"f1": 0.5, "grounding": 0.5})
    assert training_batch([group]).dropped == {"1": "no spread"}
    assert len(_advantages(group, advantage="gdpo", weights={"f1": 2.0, "grounding": 1.0})) == 3


def test_a_reward_of_weight_0_and_rewards_that_cancel_each_other_out_teach_nothing_when_scaled_one_by_one() -> None:
    taught = _with_parts({"f1": 1.0, "format": 1.0}, {"f1": 0.0, "format": 1.0})
    formed = replace(
        _with_parts({"f1": 1.0, "format": 1.0}, {"f1": 1.0, "format": 0.0}), group=_group(1, 1, uid="2").group
    )
    batch = training_batch([taught, formed], advantage="gdpo", weights={"f1": 1.0, "format": 0.0})
    # Without weight 0: f1 of the first is -+0.7071 in its group, and over the batch of two, with deviation 1, again.
    assert [sample.advantages[0] for sample in batch.samples] == pytest.approx([0.7071, -0.7071], abs=1e-3)
    assert batch.dropped == {"2": "no advantage"}  # the totals here are the plain sums, 2 and 1
    opposite = _with_parts({"f1": 1.0, "format": 0.0}, {"f1": 0.0, "format": 1.0})
    weights = {"f1": 1.0, "format": 1.0}
    assert training_batch([opposite], advantage="gdpo", weights=weights).dropped == {"1": "no spread"}


def test_a_group_whose_only_finished_rollout_earned_the_mean_teaches_nothing() -> None:
    group = _group(1, 0, 0.5, unfinished=(0, 1))
    assert training_batch([group], mask_unfinished=True).dropped == {"1": "no advantage"}
    assert len(training_batch([group]).samples) == 3


def test_what_decided_nothing_is_no_token_that_teaches() -> None:
    scored = _group(1, 0)
    only = tuple(
        replace(each, segments=(replace(each.segments[0], allowed=((7,),) * len(each.token_ids)),))
        for each in scored.group.rollouts
    )
    alone = replace(scored, group=replace(scored.group, rollouts=only))
    assert training_batch([alone]).dropped == {"1": "no advantage"}


def test_the_log_has_an_advantage_for_every_rollout_of_a_group_that_teaches() -> None:
    batch = training_batch([_group(1, None, 0, uid="a"), _group(1, 1, uid="b")])
    assert batch.advantages == {"a": [0.5, None, -0.5]}


def test_groups_that_cannot_teach_are_dropped_with_the_reason() -> None:
    groups = [
        _group(0.3, 0.3, 0.3, uid="flat"),
        _group(1.0, uid="one"),
        _group(1.0, None, uid="one valid"),
        _group(None, None, uid="none valid"),
        _group(0.1 + 0.2, 0.3, uid="equal but for rounding"),
        _group(1, 0, uid="good"),
    ]
    batch = training_batch(groups)
    assert batch.dropped == {
        "flat": "no spread",
        "one": "fewer than two valid rewards",
        "one valid": "fewer than two valid rewards",
        "none valid": "fewer than two valid rewards",
        "equal but for rounding": "no spread",
    }
    assert [sample.uid for sample in batch.samples] == ["good", "good"]


def test_an_invalid_reward_is_in_neither_the_baseline_nor_the_loss() -> None:
    batch = training_batch([_group(1, None, 0)])
    # Mean of 1 and 0 is 0.5; counting the invalid one as 0 would give 1/3.
    assert [(sample.advantages, sample.policy_version) for sample in batch.samples] == [((0.5,), 5), ((-0.5,) * 3, 7)]
    assert not batch.dropped


def test_a_masked_unfinished_rollout_stays_in_the_baseline() -> None:
    group = _group(1, 0, 0.5, unfinished=(1,))
    assert _advantages(group, mask_unfinished=True) == pytest.approx([0.5, 0])  # the mean is still 0.5
    assert training_batch([group], mask_unfinished=True).advantages == {"1": [0.5, None, 0]}
    assert _advantages(group) == pytest.approx([0.5, -0.5, 0])


def test_a_group_whose_only_finished_rollout_is_invalid_is_dropped() -> None:
    batch = training_batch([_group(1, 0, None, unfinished=(0, 1))], mask_unfinished=True)
    assert (batch.samples, batch.dropped) == ([], {"1": "no finished rollout"})


def test_a_group_without_any_finished_rollout_is_dropped_with_the_reason() -> None:
    batch = training_batch([_group(1, 0, uid="cut", unfinished=(0, 1))], mask_unfinished=True)
    assert batch.samples == []
    assert list(batch.dropped) == ["cut"]


@given(st.lists(st.lists(st.one_of(st.none(), st.floats(-5, 5)), min_size=1, max_size=6), max_size=5))
def test_advantages_sum_to_nothing_and_every_group_is_trained_or_dropped(rewards) -> None:
    groups = [_group(*group, uid=str(number)) for number, group in enumerate(rewards)]
    batch = training_batch(groups)
    samples, dropped = batch.samples, batch.dropped
    trained = {sample.uid for sample in samples}
    assert trained | set(dropped) == {str(number) for number in range(len(groups))}
    assert not trained & set(dropped)
    for uid in trained:
        assert sum(sample.advantages[0] for sample in samples if sample.uid == uid) == pytest.approx(0, abs=1e-9)


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


def test_causes_of_one_kind_are_counted_together_whatever_else_they_say() -> None:
    scored = _group(None, None, None, 1)
    causes = ("ValueError: nan", "ValueError: inf", "KeyError: 'x'")
    rewards = [replace(reward, invalid=cause) for reward, cause in zip(scored.rewards, causes, strict=False)]
    metrics = group_metrics([replace(scored, rewards=(*rewards, scored.rewards[3]))])
    found = {name: count for name, count in metrics.items() if name.startswith("reward/invalid/")}
    assert found == {"reward/invalid/ValueError": 2, "reward/invalid/KeyError": 1}

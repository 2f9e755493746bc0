"""Micro-batches: every token once, with the right weight, whatever the split."""

from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learner.batch import Weighted, collate, mini_batches, pack_length, plan_microbatches, weigh
from rnr.types import Sample


def _sample(uid: str, prompt: int, completion: int) -> Sample:
    # Two prompts of one length are the same prompt, so that some samples share a row and others do not.
    return Sample(
        uid=uid, prompt_ids=tuple(range(1, prompt + 1)), completion_ids=tuple(range(101, 101 + completion)), logprobs=()
    )


lengths = st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=24)


def _weighted(pairs) -> list[Weighted]:
    return weigh(
        [_sample(str(number), *pair) for number, pair in enumerate(pairs)],
        "token_mean",
        max_new_tokens=20,
        sampled=len(pairs),
    )


@given(lengths, st.integers(1, 5), st.integers(1, 120))
def test_every_sequence_is_in_the_plan_once_with_its_weight(pairs, ranks, max_tokens) -> None:
    items = _weighted(pairs)
    plan = plan_microbatches(items, ranks=ranks, max_tokens=max_tokens)
    planned = [item for rank in plan for micro in rank for pack in micro for item in pack if item.weight]
    assert sorted(planned, key=lambda item: item.sample.uid) == sorted(items, key=lambda item: item.sample.uid)


@given(lengths, st.integers(1, 5), st.integers(1, 120))
def test_every_rank_has_as_many_micro_batches_and_none_is_empty(pairs, ranks, max_tokens) -> None:
    plan = plan_microbatches(_weighted(pairs), ranks=ranks, max_tokens=max_tokens)
    assert len(plan) == ranks
    assert len({len(rank) for rank in plan}) == 1
    assert all(micro for rank in plan for micro in rank)


@given(lengths, st.integers(1, 5), st.integers(1, 120))
def test_no_micro_batch_is_too_large_unless_it_is_one_sequence(pairs, ranks, max_tokens) -> None:
    for rank in plan_microbatches(_weighted(pairs), ranks=ranks, max_tokens=max_tokens):
        for micro in rank:
            assert sum(map(pack_length, micro)) <= max_tokens or (len(micro) == 1 and len(micro[0]) == 1)


@given(lengths, st.integers(1, 5), st.integers(1, 120))
def test_filler_is_less_than_one_micro_batch_per_rank_and_the_shortest_sequence(pairs, ranks, max_tokens) -> None:
    items = _weighted(pairs)
    plan = plan_microbatches(items, ranks=ranks, max_tokens=max_tokens)
    filler = [micro for rank in plan for micro in rank if not any(item.weight for pack in micro for item in pack)]
    assert len(filler) < ranks
    shortest = min(item.sample.length for item in items)
    assert all(len(micro) == 1 and pack_length(micro[0]) == shortest for micro in filler)


@given(lengths, st.integers(1, 5), st.integers(1, 120), st.sampled_from(["token_mean", "sequence_mean", "constant"]))
def test_token_weights_survive_planning_and_collating(pairs, ranks, max_tokens, aggregation) -> None:
    samples = [_sample(str(number), *pair) for number, pair in enumerate(pairs)]
    plan = plan_microbatches(
        weigh(samples, aggregation, max_new_tokens=20, sampled=len(samples)), ranks=ranks, max_tokens=max_tokens
    )
    total = sum(float(collate(micro).weights_N.sum()) for rank in plan for micro in rank)
    # The mean over tokens and the mean over sequences have weights that add up to 1, Dr.GRPO's to the share of the
    # room that was used.
    used = sum(len(sample.completion_ids) for sample in samples) / (len(samples) * 20)
    assert total == pytest.approx(used if aggregation == "constant" else 1.0, rel=1e-5)


def test_short_and_long_sequences_do_not_share_a_micro_batch() -> None:
    # Ascending 2, 3, 9, 10 with room for 19: 2, 3 and 9 (14; a 10 would make 24), then 10.
    prompts = {"a": 8, "b": 1, "c": 9, "d": 2}
    items = [Weighted(sample=_sample(uid, prompt, 1), weight=1.0) for uid, prompt in prompts.items()]
    ((first, second),) = plan_microbatches(items, ranks=1, max_tokens=19)
    assert [pack[0].sample.uid for pack in first] == ["b", "d", "a"]
    assert [pack[0].sample.uid for pack in second] == ["c"]


def test_the_samples_of_a_prompt_share_a_row_as_far_as_they_fit() -> None:
    # Prompt 4 and completions of 3: two in a row are 4 + 3 + 3 = 10 tokens, a third would be 13.
    items = [Weighted(sample=_sample(uid, 4, 3), weight=1.0) for uid in "abc"]
    ((first, second),) = plan_microbatches(items, ranks=1, max_tokens=12)
    assert [[item.sample.uid for item in pack] for pack in first] == [["c"]]
    assert [[item.sample.uid for item in pack] for pack in second] == [["a", "b"]]


def test_no_rank_idles_while_another_has_all_the_work() -> None:
    items = [Weighted(sample=_sample(str(number), number + 1, 3), weight=1.0) for number in range(8)]
    for rank in plan_microbatches(items, ranks=2, max_tokens=1000):
        assert sum(item.weight for micro in rank for pack in micro for item in pack) >= 2


def test_mini_batches_keep_the_samples_of_a_prompt_together() -> None:
    samples = [_sample(str(number), prompt, 3) for number, prompt in enumerate((4, 5, 4, 6, 5))]
    parts = mini_batches(samples, 2)
    # Prompts of 4, 5 and 6 tokens in turn: the first and the third to the one, the second to the other.
    assert [[sample.uid for sample in part] for part in parts] == [["0", "2", "3"], ["1", "4"]]
    assert len(mini_batches(samples, 5)) == 3


@pytest.mark.parametrize(("groups", "ranks", "max_tokens"), [(2, 2, 8192), (8, 4, 8192), (28, 7, 8192), (4, 2, 4096)])
def test_ranks_share_groups_of_samples_with_one_prompt_evenly(groups, ranks, max_tokens) -> None:
    # A pack of 200 + 8 * 130 = 1,240 tokens for each group.
    samples = [_sample(f"{group}", 200 + group, 130) for group in range(groups) for _ in range(8)]
    plan = plan_microbatches(
        weigh(samples, "constant", max_new_tokens=130, sampled=len(samples)), ranks=ranks, max_tokens=max_tokens
    )
    loads = [sum(pack_length(pack) for micro in rank for pack in micro) for rank in plan]
    assert max(loads) <= 1.1 * min(loads)


def test_the_three_aggregations_by_hand() -> None:
    samples = [_sample("a", 3, 2), _sample("b", 5, 6)]
    # All tokens alike: 2 + 6 = 8.
    assert [item.weight for item in weigh(samples, "token_mean", max_new_tokens=10, sampled=2)] == [1 / 8, 1 / 8]
    # Each sequence counts 1/2, shared by its 2 or 6 tokens.
    assert [item.weight for item in weigh(samples, "sequence_mean", max_new_tokens=10, sampled=2)] == [
        pytest.approx(float(Fraction(1, 4))),
        pytest.approx(float(Fraction(1, 12))),
    ]
    # 2 sequences of at most 10 tokens.
    assert [item.weight for item in weigh(samples, "constant", max_new_tokens=10, sampled=2)] == [1 / 20, 1 / 20]


def test_a_token_that_is_not_trained_on_or_decides_nothing_is_read_but_part_of_no_mean() -> None:
    sample = replace(
        _sample("a", 2, 5),
        loss_mask=(True, False, True, True, True),
        allowed=((), (), (103,), (104, 7), (105, 9, 104)),
        logprobs=(-1.0, -2.0, 0.0, -3.0, -4.0),
    )
    assert sample.trained == (True, False, False, True, True)
    (item,) = weigh([sample], "token_mean", max_new_tokens=10, sampled=1)
    (alike,) = weigh([sample], "sequence_mean", max_new_tokens=10, sampled=1)
    assert item.weight == alike.weight == 1 / 3
    batch = collate(((item,),))
    assert batch.input_ids_1T.tolist() == [[1, 2, 101, 102, 103, 104, 105]]
    assert batch.columns_N.tolist() == [1, 4, 5]
    assert batch.targets_N.tolist() == [101, 104, 105]
    assert batch.weights_N.tolist() == [pytest.approx(1 / 3)] * 3
    assert batch.sampler_logprobs_N.tolist() == [-1.0, -3.0, -4.0]
    assert batch.allowed is not None
    assert (batch.allowed.rows_R.tolist(), batch.allowed.free_F.tolist()) == ([1, 2], [0])
    assert batch.allowed.ids_U.tolist() == [7, 9, 104, 105]
    assert (batch.allowed.targets_R.tolist(), batch.allowed.counts) == ([2, 3], (2, 3))
    assert batch.allowed.columns_A.tolist() == [2, 0, 3, 1, 2]


def test_nothing_restricted_is_a_batch_without_allowed_ids() -> None:
    assert collate(((Weighted(sample=_sample("a", 2, 3), weight=1.0),),)).allowed is None


def test_dr_grpos_constant_counts_the_sequences_of_dropped_groups_too() -> None:
    # 2 of 8 sampled sequences are left: the step is a quarter of that of two sampled and two left.
    samples = [_sample("a", 2, 3), _sample("b", 2, 5)]
    assert [item.weight for item in weigh(samples, "constant", max_new_tokens=10, sampled=8)] == [1 / 80, 1 / 80]


def test_a_collated_micro_batch_by_hand() -> None:
    first = Sample(uid="a", prompt_ids=(5, 6, 7), completion_ids=(8, 9), logprobs=(-0.5, -1.5), advantages=(2.0, 0.5))
    second = Sample(uid="b", prompt_ids=(4,), completion_ids=(3,), advantages=(-1.0,))
    batch = collate(((Weighted(sample=first, weight=0.25),), (Weighted(sample=second, weight=0.0),)))
    assert batch.input_ids_1T.tolist() == [[5, 6, 7, 8, 9, 4, 3]]
    assert batch.position_ids_1T.tolist() == [[0, 1, 2, 3, 4, 0, 1]]
    # Column c predicts the token at c + 1: 8 stands at 3, 9 at 4 and 3 at 6.
    assert batch.columns_N.tolist() == [2, 3, 5]
    assert batch.targets_N.tolist() == [8, 9, 3]
    assert batch.sequences_N.tolist() == [0, 0, 1]
    assert batch.weights_N.tolist() == [0.25, 0.25, 0.0]
    assert batch.advantages_N.tolist() == [2.0, 0.5, -1.0]
    assert batch.sampler_logprobs_N.tolist() == [-0.5, -1.5, 0.0]
    # 7, the number of tokens, stands for padding.
    assert batch.layout.prompts_BP.tolist() == [[0, 1, 2], [5, 7, 7]]
    first, second = batch.layout.buckets
    assert (first.packs_S.tolist(), first.completions_SKL.tolist(), first.prompt) == ([0], [[[3, 4]]], 3)
    assert (second.packs_S.tolist(), second.completions_SKL.tolist(), second.prompt) == ([1], [[[6]]], 1)
    assert batch.layout.places_T.tolist() == [0, 1, 2, 6, 7, 3, 8]
    assert (batch.input_ids_1T.dtype, batch.weights_N.dtype) == (torch.int64, torch.float32)


def test_a_shared_prompt_by_hand() -> None:
    first = Sample(uid="a", prompt_ids=(5, 6), completion_ids=(8, 9))
    second = Sample(uid="a", prompt_ids=(5, 6), completion_ids=(7,))
    alone = Sample(uid="b", prompt_ids=(4,), completion_ids=(3,))
    packs = tuple(tuple(Weighted(sample=sample, weight=1.0) for sample in row) for row in ((first, second), (alone,)))
    batch = collate(packs)
    assert batch.input_ids_1T.tolist() == [[5, 6, 8, 9, 7, 4, 3]]
    # 7 is the third token of its own sequence, wherever it stands; it follows the prompt's last token, at column 1.
    assert batch.position_ids_1T.tolist() == [[0, 1, 2, 3, 2, 0, 1]]
    assert batch.columns_N.tolist() == [1, 2, 1, 5]
    assert batch.targets_N.tolist() == [8, 9, 7, 3]
    assert batch.layout.prompts_BP.tolist() == [[0, 1], [5, 7]]
    assert [bucket.completions_SKL.tolist() for bucket in batch.layout.buckets] == [[[[2, 3]]], [[[4]], [[6]]]]
    assert [bucket.packs_S.tolist() for bucket in batch.layout.buckets] == [[0], [0, 1]]
    assert batch.layout.places_T.tolist() == [0, 1, 4, 5, 6, 2, 7]


@given(lengths)
def test_the_target_always_stands_one_column_after_the_one_that_predicts_it(pairs) -> None:
    batch = collate(tuple((item,) for item in _weighted(pairs)))
    assert torch.equal(batch.input_ids_1T[0, batch.columns_N + 1], batch.targets_N)
    assert len(batch.targets_N) == sum(completion for _, completion in pairs)

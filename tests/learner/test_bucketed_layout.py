"""LengthBuckets: completions of about the same length, and what attention computes for them."""

from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from learner.bucketed_layout import bucketed_layout


def _layout(shapes):
    """Of packs ``(prompt tokens, tokens of each completion)`` that stand one after the other."""
    lengths = [length for prompt, completions in shapes for length in (prompt, *completions)]
    columns = iter([range(end - length, end) for length, end in zip(lengths, accumulate(lengths), strict=True)])
    return bucketed_layout([(next(columns), [next(columns) for _ in completions]) for _, completions in shapes])


def _shapes(layout):
    return [tuple(bucket.completions_SKL.shape) for bucket in layout.buckets]


def test_one_long_completion_stands_alone() -> None:
    # 75 of 100 tokens is near enough, 74 is not.
    layout = _layout([(10, [75, 256, 74, 100, 30])])
    assert _shapes(layout) == [(1, 1, 256), (1, 2, 100), (1, 1, 74), (1, 1, 30)]
    assert [bucket.reach for bucket in layout.buckets] == [266, 110, 84, 40]


def test_packs_share_a_bucket_if_they_fill_it() -> None:
    # Rectangle: 2 parts x 2 completions x 10 tokens x (5 + 10) = 600; the parts are 2 * 10 * 15 + 2 * 9 * 14 = 552.
    layout = _layout([(5, [10, 10]), (5, [9, 9])])
    assert _shapes(layout) == [(2, 2, 10)]
    assert layout.buckets[0].completions_SKL[1].tolist() == [[*range(30, 39), 48], [*range(39, 48), 48]]
    # With one completion less the second part is 126, so that they fill 426 of 600 only.
    assert _shapes(_layout([(5, [10, 10]), (5, [9])])) == [(1, 2, 10), (1, 1, 9)]
    # With a long prompt beside a short one: 2 * 1 * 10 * 50 = 1000 for 10 * 50 + 10 * 15 = 650.
    assert _shapes(_layout([(40, [10]), (5, [10])])) == [(1, 1, 10), (1, 1, 10)]


@given(
    st.lists(
        st.tuples(st.integers(1, 40), st.lists(st.integers(0, 40), min_size=1, max_size=5)), min_size=1, max_size=4
    )
)
def test_each_token_stands_where_its_place_says(shapes) -> None:
    layout = _layout(shapes)
    occupants = [column for columns in layout.columns for column in columns.flatten().tolist()]
    tokens = sum(prompt + sum(completions) for prompt, completions in shapes)
    assert [occupants[place] for place in layout.places_T.tolist()] == list(range(tokens))
    assert sorted(column for column in occupants if column < tokens) == list(range(tokens))


@given(st.lists(st.tuples(st.integers(1, 99), st.lists(st.integers(1, 99), min_size=1, max_size=8)), min_size=1))
def test_a_bucket_is_never_much_larger_than_what_is_in_it(shapes) -> None:
    for bucket in _layout(shapes).buckets:
        parts, most, longest = bucket.completions_SKL.shape
        filler = sum(prompt + sum(completions) for prompt, completions in shapes)
        lengths = [[int((row < filler).sum()) for row in part] for part in bucket.completions_SKL]
        needed = 0
        for pack, part in zip(bucket.packs_S.tolist(), lengths, strict=True):
            needed += sum(length * (shapes[pack][0] + length) for length in part)
        # Lengths within a part differ by a quarter, which counts squared, and parts fill four fifths of their bucket.
        assert needed >= 0.75**2 * 0.8 * parts * most * longest * bucket.reach

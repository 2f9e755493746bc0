"""Counts under each protocol, the kinds of errors, and the intervals, against values worked out by hand."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnr.evaluation.bootstrap import Difference, bootstrap_intervals, paired_bootstrap
from rnr.evaluation.error_types import ERROR_KINDS, error_kinds, outcomes
from rnr.evaluation.metrics import (
    CorpusScore,
    Counts,
    average,
    boundary_tolerant_counts,
    corpus_score,
    counts_by_label,
    exact_counts,
    reference_counts,
    reference_left_out,
    reference_normalise,
    strict_counts,
)
from rnr.evaluation.overlap import partial_counts, type_counts
from rnr.task.labels import label_key
from rnr.task.parsing import ground, parse, write
from rnr.types import Example, Mention

SENTENCE = "Barack Obama met the New York Times in New York ."


def _mention(text: str, label: str, start: int | None = None) -> Mention:
    start = SENTENCE.index(text) if start is None else start
    return Mention(text=text, label=label, start=start, end=start + len(text))


OBAMA = _mention("Barack Obama", "person")
TIMES = _mention("New York Times", "newspaper")
CITY = _mention("New York", "city", 39)
EXAMPLE = Example(uid="1", sentence=SENTENCE, schema=("person", "newspaper", "city"), mentions=(OBAMA, TIMES, CITY))
EMPTY = Example(uid="2", sentence="Nothing here .", schema=("person",), mentions=())


def _said(*pairs: tuple[str, str]) -> tuple[Mention, ...]:
    return ground([Mention(text=text, label=label) for text, label in pairs], SENTENCE)


def test_counts_add_up_and_give_precision_recall_and_f1() -> None:
    counts = Counts(1, 2, 0) + Counts(2, 1, 3)
    assert counts == Counts(3, 3, 3)
    assert (counts.precision, counts.recall, counts.f1) == (0.5, 0.5, 0.5)
    assert Counts(1, 3, 0).f1 == pytest.approx(0.4)
    assert sum([Counts(1, 0, 0), Counts(0, 1, 0)], Counts()) == Counts(1, 1, 0)


def test_finding_nothing_where_nothing_is_scores_1_for_a_sentence_and_0_for_a_corpus() -> None:
    assert (Counts().f1, Counts().sentence_f1, Counts().precision, Counts().recall) == (0.0, 1.0, 0.0, 0.0)
    assert (Counts(0, 1, 0).sentence_f1, Counts(0, 0, 1).sentence_f1) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "normalised"),
    [
        ("The U.S.", "us"),
        ("Lord of the Rings", "lord of rings"),
        ("Theano", "theano"),
        ("C++", "c"),
        ("The The", ""),
        (" Baden-Württemberg ", "badenwürttemberg"),
        ("O\u2019Neil", "o\u2019neil"),
    ],
)
def test_reference_normalisation(text: str, normalised: str) -> None:
    assert reference_normalise(text) == normalised


def test_reference_counts_are_of_sets_without_the_dropped_gold_labels() -> None:
    gold = [
        Mention(text="the Paris", label="Place"),
        Mention(text="Paris", label="place"),
        Mention(text="x", label="MISC"),
    ]
    predicted = [Mention(text="PARIS", label="place"), Mention(text="x", label="misc")]
    assert reference_counts(gold, predicted) == Counts(1, 1, 0)


def test_a_catch_all_label_that_was_asked_for_counts_for_nothing_in_the_reference() -> None:
    gold = [Mention(text="Ada", label="person"), Mention(text="Danish", label="misc")]
    predicted = [*gold, Mention(text="Rome", label="misc")]
    assert reference_counts(gold, predicted) == Counts(1, 2, 0)
    assert reference_counts(gold, predicted, ("misc", "person")) == Counts(1, 0, 0)
    example = Example(uid="a", sentence="Danish Ada", schema=("misc", "person"), mentions=tuple(gold))
    assert reference_left_out([example, example]) == {"misc": 2}


def test_labels_are_compared_without_case_spaces_and_underscores() -> None:
    assert label_key(" Academic__Journal ") == label_key("academic journal") == "academic journal"


def test_a_perfect_answer_is_perfect_although_it_has_no_offsets() -> None:
    # "New York" also stands in the newspaper's name, at a word boundary and earlier: that is no place of the city's.
    answer = ground(parse(write(EXAMPLE.mentions, reasoning=None)).mentions, SENTENCE)
    assert [m.start for m in answer] == [0, 21, 39]
    assert exact_counts(EXAMPLE, answer) == strict_counts(EXAMPLE, answer) == Counts(3, 0, 0)
    # Of two equal ones the first is taken, whichever was annotated: only the strict protocol counts that.
    example = Example(uid="1", sentence=TWICE, schema=("city",), mentions=(SECOND,))
    answer = ground(parse(write(example.mentions, reasoning=None)).mentions, TWICE)
    assert [m.start for m in answer] == [0]
    assert exact_counts(example, answer) == boundary_tolerant_counts(example, answer) == Counts(1, 0, 0)
    assert strict_counts(example, answer) == Counts(0, 1, 1)


def test_exact_counts_are_of_every_mention() -> None:
    sentence = "Paris , Paris"
    gold = tuple(Mention(text="Paris", label="city", start=start, end=start + 5) for start in (0, 8))
    example = Example(uid="3", sentence=sentence, schema=("city",), mentions=gold)
    once = Mention(text="Paris", label="city")
    assert [exact_counts(example, ground([once] * n, sentence)) for n in (0, 1, 2, 3)] == [
        Counts(0, 0, 2),
        Counts(1, 0, 1),
        Counts(2, 0, 0),
        Counts(2, 1, 0),
    ]


def test_a_span_that_is_not_in_the_sentence_is_wrong_even_if_the_reference_would_match_it() -> None:
    assert exact_counts(EXAMPLE, _said(("barack obama", "person"))) == Counts(0, 1, 3)


def test_a_hedged_span_earns_nothing_in_exact_counts() -> None:
    assert exact_counts(EXAMPLE, _said(("Barack Obama", "person"), ("Barack Obama", "city"))) == Counts(0, 2, 3)
    assert strict_counts(EXAMPLE, _said(("Barack Obama", "person"), ("Barack Obama", "city"))) == Counts(1, 1, 2)


def test_two_labels_are_no_hedge_where_the_gold_has_two() -> None:
    gold = (OBAMA, _mention("Barack Obama", "president"))
    example = Example(uid="4", sentence=SENTENCE, schema=("person", "president", "city"), mentions=gold)
    both = (("Barack Obama", "person"), ("Barack Obama", "president"))
    assert exact_counts(example, _said(*both)) == Counts(2, 0, 0)
    assert exact_counts(example, _said(*both, ("Barack Obama", "city"))) == Counts(0, 3, 2)


def test_one_text_under_two_labels_is_no_hedge_where_it_occurs_twice() -> None:
    sentence = "Washington left Washington"
    gold = (
        Mention(text="Washington", label="person", start=0, end=10),
        Mention(text="Washington", label="city", start=16, end=26),
    )
    example = Example(uid="5", sentence=sentence, schema=("person", "city"), mentions=gold)
    for order in (gold, gold[::-1]):
        said = ground([Mention(text=m.text, label=m.label) for m in order], sentence)
        assert exact_counts(example, said) == Counts(2, 0, 0)


TWICE = "Paris is lovely , Paris is big ."
SECOND = Mention(text="Paris", label="city", start=18, end=23)


@pytest.mark.parametrize(
    ("annotated", "said", "expected"),
    [
        # One annotation: naming both labels earns nothing, although the text occurs twice.
        (["city"], ["city"], Counts(1, 0, 0)),
        (["city"], ["person"], Counts(0, 1, 1)),
        (["city"], ["city", "person"], Counts(0, 2, 1)),
        (["city"], ["person", "city"], Counts(0, 2, 1)),
        # Under one label there is nothing to hedge: what is too much is only wrong itself.
        (["city"], ["city", "city"], Counts(1, 1, 0)),
        # Two annotations are two guesses, and three guesses of two are a hedge again.
        (["city", "person"], ["person", "city"], Counts(2, 0, 0)),
        (["city", "city"], ["city", "person"], Counts(1, 1, 1)),
        (["city", "city"], ["city", "city", "person"], Counts(0, 3, 2)),
        (["city", "city"], ["city", "city", "person", "person"], Counts(0, 4, 2)),
    ],
)
def test_a_text_that_occurs_more_often_than_it_is_annotated_can_no_more_be_hedged(annotated, said, expected) -> None:
    gold = ground([Mention(text="Paris", label=label) for label in annotated], TWICE)
    example = Example(uid="8", sentence=TWICE, schema=("city", "person"), mentions=gold)
    mentions = ground([Mention(text="Paris", label=label) for label in said], TWICE)
    assert exact_counts(example, mentions) == expected
    kinds = error_kinds(example, mentions)
    assert kinds["type"] + kinds["missed"] == expected.false_negatives
    assert kinds["type"] + kinds["spurious"] == expected.false_positives


def test_a_hedge_does_not_pay_in_four_places_with_two_annotations_either() -> None:
    sentence = "Bo , Bo , Bo , Bo"
    gold = ground([Mention(text="Bo", label="city")] * 2, sentence)
    example = Example(uid="9", sentence=sentence, schema=("city", "person"), mentions=gold)
    said = [Mention(text="Bo", label=label) for label in ("city", "city", "person", "person")]
    # By places no span has two labels, and F1 would be 2 * 2 / (4 + 2) against 1 or 0 for naming one label twice.
    assert exact_counts(example, ground(said, sentence)) == Counts(0, 4, 2)


def test_strict_counts_take_offsets_at_their_word() -> None:
    assert strict_counts(EXAMPLE, (OBAMA, OBAMA, _mention("New York", "city", 21))) == Counts(1, 2, 2)


def test_boundary_tolerant_counts_pair_overlaps_of_one_label_one_to_one() -> None:
    said = _said(("Obama", "person"), ("Barack", "person"), ("Times", "city"))
    assert boundary_tolerant_counts(EXAMPLE, said) == Counts(1, 2, 2)
    assert strict_counts(EXAMPLE, said) == Counts(0, 3, 3)


def test_counts_by_label_sum_to_the_exact_counts() -> None:
    said = _said(("Barack Obama", "Person"), ("New York", "city"), ("Times", "newspaper"), ("Rome", "city"))
    by_label = counts_by_label(EXAMPLE, said)
    assert by_label == {"city": Counts(1, 1, 0), "newspaper": Counts(0, 1, 1), "person": Counts(1, 0, 0)}
    assert sum(by_label.values(), Counts()) == exact_counts(EXAMPLE, said) == Counts(2, 2, 1)


def test_each_kind_of_error_is_named() -> None:
    assert error_kinds(EXAMPLE, EXAMPLE.mentions) == {}
    assert error_kinds(EXAMPLE, _said(("Obama", "person"))) == {"boundary": 1, "missed": 2}
    assert error_kinds(EXAMPLE, _said(("Barack Obama", "city"))) == {"type": 1, "missed": 2}
    assert error_kinds(EMPTY, ground([Mention(text="Nothing", label="person")], EMPTY.sentence)) == {"spurious": 1}
    assert error_kinds(EMPTY, ground([Mention(text="Rome", label="person")], EMPTY.sentence)) == {"ungrounded": 1}
    hedge = _said(("Barack Obama", "person"), ("Barack Obama", "city"))
    assert error_kinds(EXAMPLE, hedge) == {"type": 1, "spurious": 1, "missed": 2}


def test_overlaps_are_paired_so_that_most_find_a_partner() -> None:
    sentence = "aa bb cc"
    gold = [Mention(text=sentence, label="x", start=0, end=8), Mention(text="bb", label="x", start=3, end=5)]
    example = Example(uid="9", sentence=sentence, schema=("x",), mentions=tuple(gold))
    # "aa bb" overlaps both and "cc" the longer one alone, so "aa bb" goes with "bb".
    said = [Mention(text="cc", label="x", start=6, end=8), Mention(text="aa bb", label="x", start=0, end=5)]
    assert error_kinds(example, said) == {"boundary": 2}
    assert boundary_tolerant_counts(example, said) == Counts(2, 0, 0)


def test_a_text_at_its_own_place_is_not_taken_for_the_same_text_elsewhere() -> None:
    sentence = "Bo ran , Bo Ek sat"
    places = [("Bo", 0), ("Bo", 9), ("Bo ran", 0)]
    first, second, longer = (Mention(text=t, label="x", start=start, end=start + len(t)) for t, start in places)
    example = Example(uid="9", sentence=sentence, schema=("x",), mentions=(first, second))
    # The second Bo is right where it is, and "Bo ran" overlaps the first.
    assert boundary_tolerant_counts(example, [second, longer]) == Counts(2, 0, 0)
    example = Example(uid="9", sentence=sentence, schema=("x",), mentions=(second,))
    found = [(entity.start, entity.kind) for entity in outcomes(example, [first, second])]
    assert found == [(0, "spurious"), (9, "hit")]


@given(st.data())
def test_counts_and_errors_do_not_depend_on_the_order_of_mentions(data) -> None:
    def mentions() -> list[Mention]:
        spans = data.draw(st.lists(_spans, max_size=4, unique=True))
        return [Mention(text="abaaba"[b:e], label=label, start=b, end=e) for b, e, label in spans]

    gold, said = mentions(), mentions()
    orders = [(gold, said), (data.draw(st.permutations(gold)), data.draw(st.permutations(said)))]
    for count in (exact_counts, strict_counts, boundary_tolerant_counts, partial_counts, type_counts, error_kinds):
        one, other = (
            count(Example(uid="9", sentence="abaaba", schema=("x", "y"), mentions=tuple(wanted)), given)
            for wanted, given in orders
        )
        assert one == other


def test_an_entity_that_is_said_or_annotated_twice_is_one_for_marks_and_counts() -> None:
    city, again = (Mention(text="Bo", label=label, start=0, end=2) for label in ("city", "City"))
    example = Example(uid="9", sentence="Bo , Bo", schema=("city",), mentions=(city, _mention("Bo", "city", 5)))
    # One of two is found; what says the same once more is paired with the other by its text.
    assert exact_counts(example, [city, again]) == Counts(1, 1, 1)
    assert Counter(entity.kind for entity in outcomes(example, [city, again])) == {"hit": 1, "type": 1}
    assert error_kinds(example, [city, again]) == {"type": 1}
    twice = Example(uid="9", sentence="Bo , Bo", schema=("city",), mentions=(city, again))
    assert error_kinds(twice, [city]) == {}


_spans = st.builds(
    lambda begin, length, label: (begin, min(begin + length, 6), label),
    st.integers(0, 5),
    st.integers(1, 3),
    st.sampled_from(["x", "y"]),
)


@given(st.sets(_spans, max_size=5), st.sets(_spans, max_size=5))
def test_marks_are_counted_as_exact_whatever_overlaps(gold, said) -> None:
    words = ["aa", "bb", "aa", "cc", "aa", "bb"]

    def mentions(spans: set[tuple[int, int, str]]) -> tuple[Mention, ...]:
        return tuple(_mention(" ".join(words[b:e]), label, 3 * b) for b, e, label in sorted(spans))

    example = Example(uid="9", sentence=" ".join(words), schema=("x", "y"), mentions=mentions(gold))
    kinds, counts = error_kinds(example, mentions(said)), exact_counts(example, mentions(said))
    hits = sum(entity.kind == "hit" for entity in outcomes(example, mentions(said)))
    paired = kinds["type"] + kinds["boundary"]
    assert counts == Counts(hits, paired + kinds["spurious"], paired + kinds["missed"])


_pairs = st.tuples(
    st.sampled_from(["Barack Obama", "Obama", "New York", "New York Times", "Times", "Rome", "in"]),
    st.sampled_from(["person", "City", "newspaper", "team"]),
)


@given(st.lists(_pairs, max_size=6), st.lists(_pairs, max_size=6))
def test_every_mention_is_counted_once_under_every_protocol(gold, said) -> None:
    mentions = tuple(m for m in dict.fromkeys(_said(*gold)) if m.grounded)
    example = Example(uid="6", sentence=SENTENCE, schema=(), mentions=mentions)
    predicted = _said(*said)
    for protocol in (exact_counts, strict_counts, boundary_tolerant_counts):
        counts = protocol(example, predicted)
        assert min(counts.true_positives, counts.false_positives, counts.false_negatives) >= 0
        assert counts.true_positives + counts.false_positives == len(predicted)
        assert counts.true_positives + counts.false_negatives == len(mentions)
    exact, kinds = exact_counts(example, predicted), error_kinds(example, predicted)
    paired = kinds["type"] + kinds["boundary"]
    assert set(kinds) <= set(ERROR_KINDS)
    assert paired + kinds["missed"] == exact.false_negatives
    assert paired + kinds["spurious"] + kinds["ungrounded"] == exact.false_positives
    assert sum(counts_by_label(example, predicted).values(), Counts()) == exact
    assert exact_counts(example, mentions) == Counts(len(mentions), 0, 0)


def test_corpus_scores_are_rounded_per_cent_and_their_average_is_of_the_rounded() -> None:
    assert corpus_score([Counts(1, 0, 1), Counts(1, 1, 0)]) == CorpusScore(66.67, 66.67, 66.67)
    assert corpus_score([]) == CorpusScore(0.0, 0.0, 0.0)
    assert average([50.0, 100.0, 80.0]) == 76.67
    with pytest.raises(ValueError, match="no data set"):
        average([])


def test_the_bootstrap_interval_agrees_with_the_binomial_it_estimates() -> None:
    # 400 sentences with one gold mention, half of them found and nothing else predicted: recall r is binomial
    # with standard deviation 0.025, and F1 = 2r / (1 + r), so the ends are near those at r = 0.5 -+ 0.049.
    counts = [Counts(1, 0, 0), Counts(0, 0, 1)] * 200
    intervals = bootstrap_intervals([counts], seed=1, resamples=4000)
    assert intervals["precision"] == (100.0, 100.0)
    assert intervals["recall"] == (pytest.approx(45.1, abs=0.6), pytest.approx(54.9, abs=0.6))
    assert intervals["f1"] == (pytest.approx(62.17, abs=0.6), pytest.approx(70.90, abs=0.6))
    assert bootstrap_intervals([counts], seed=1) == bootstrap_intervals([counts], seed=1)


def test_the_interval_of_an_average_is_narrower_by_the_root_of_the_number_of_sets() -> None:
    counts = [Counts(1, 1, 1), Counts(0, 1, 1), Counts(2, 0, 0)] * 100
    one = np.diff(bootstrap_intervals([counts], seed=2, resamples=4000)["f1"])[0]
    four = np.diff(bootstrap_intervals([counts] * 4, seed=2, resamples=4000)["f1"])[0]
    assert one / four == pytest.approx(2.0, rel=0.1)


def test_a_corpus_without_spread_has_an_interval_without_width() -> None:
    assert bootstrap_intervals([[Counts(1, 0, 0)] * 5], seed=0)["f1"] == (100.0, 100.0)
    assert bootstrap_intervals([[Counts()] * 5], seed=0)["f1"] == (0.0, 0.0)


def test_the_paired_bootstrap_sees_a_steady_gain_and_no_gain() -> None:
    worse = [Counts(1, 1, 1), Counts(0, 1, 1)] * 50
    better = [Counts(1, 0, 1), Counts(1, 1, 0)] * 50
    gain = paired_bootstrap([better], [worse], seed=3)
    # F1 2 * 100 / (200 + 50 + 50) = 66.67 against 2 * 50 / (100 + 100 + 100) = 33.33.
    assert gain.f1 == pytest.approx(33.333, abs=0.001)
    assert gain.interval[0] < gain.f1 < gain.interval[1]
    assert gain.p_value == pytest.approx(2 / 1001)
    assert paired_bootstrap([worse], [worse], seed=3) == Difference(0.0, (0.0, 0.0), 1.0)
    averaged = paired_bootstrap([better, worse], [worse, worse], seed=3)
    assert averaged.f1 == pytest.approx(33.333 / 2, abs=0.001)


@pytest.mark.parametrize(("differing", "p"), [(1, 1.0), (2, 0.5), (5, 1 / 16), (9, 1 / 256), (12, 2 / 1001)])
def test_a_p_value_is_no_less_than_the_sentences_that_differ_can_say(differing: int, p: float) -> None:
    # All others are alike on both sides. A coin that falls nine times on one side does so once in 2 ** 8.
    worse = [Counts(0, 1, 1)] * differing
    better = [Counts(1, 0, 0)] * differing
    assert paired_bootstrap([better], [worse]).p_value == pytest.approx(p)
    alike = [Counts(1, 1, 0)] * 5
    assert paired_bootstrap([better + alike, alike], [worse + alike, alike]).p_value >= p


def test_the_paired_bootstrap_changes_its_sign_when_the_sides_are_exchanged() -> None:
    one = [Counts(1, 0, 1), Counts(0, 1, 1), Counts(2, 1, 0)] * 20
    other = [Counts(1, 1, 0), Counts(1, 0, 0), Counts(1, 0, 1)] * 20
    there, back = paired_bootstrap([one], [other], seed=4), paired_bootstrap([other], [one], seed=4)
    assert (there.f1, there.p_value) == (-back.f1, back.p_value)
    assert there.interval == pytest.approx((-back.interval[1], -back.interval[0]))


def test_what_cannot_be_resampled_is_refused() -> None:
    with pytest.raises(ValueError, match="no sentences"):
        bootstrap_intervals([[]], seed=0)
    with pytest.raises(ValueError, match="no data sets"):
        bootstrap_intervals([], seed=0)
    with pytest.raises(ValueError, match="same sentences"):
        paired_bootstrap([[Counts()]], [[Counts(), Counts()]], seed=0)


def test_partial_and_type_counts_are_those_of_nervaluate() -> None:
    # 0123456789...  Barack Obama visited Paris.
    gold = (
        Mention(text="Barack Obama", label="person", start=0, end=12),
        Mention(text="Paris", label="city", start=21, end=26),
    )
    example = Example(uid="", sentence="Barack Obama visited Paris.", schema=("person", "city"), mentions=gold)
    said = [
        Mention(text="Obama", label="person", start=7, end=12),  # overlap under the right label: half, and right
        Mention(text="Paris", label="person", start=21, end=26),  # the right span under a wrong label: whole, and wrong
        Mention(text="visited", label="city", start=13, end=20),  # no overlap
        Mention(text="Rome", label="city"),  # not in the sentence
    ]
    partial, by_type = partial_counts(example, said), type_counts(example, said)
    assert (partial.precision, partial.recall) == (1.5 / 4, 1.5 / 2)
    assert partial.f1 == pytest.approx(2 * 1.5 / (4 + 2))
    assert by_type == Counts(1, 3, 1)
    assert partial_counts(example, gold).f1 == type_counts(example, gold).f1 == 1.0
    assert partial_counts(example, []) == Counts(0, 0, 4)

"""One answer from several completions, worked out by hand."""

import math
from dataclasses import replace

import pytest

from rnr.evaluation.calibration import reliability
from rnr.task.aggregation import aggregate, aligned, apply_threshold
from rnr.task.extraction import extraction
from rnr.task.parsing import write
from rnr.types import Example, Mention
from tests.carriers import rollout

SENTENCE = "Ada met Bob in Rome."
EXAMPLE = Example(uid="1", sentence=SENTENCE, schema=("person", "city"), mentions=())
ADA, BOB = Mention(text="Ada", label="person", start=0, end=3), Mention(text="Bob", label="person", start=8, end=11)
ROME, ADA_CITY = (
    Mention(text="Rome", label="city", start=15, end=19),
    Mention(text="Ada", label="city", start=0, end=3),
)
CHAINS = {
    "all": "[Ada: person] met [Bob: person] in [Rome: city].",
    "two": "[Ada: person] met Bob in [Rome: city].",
    "other": "[Ada: city] met Bob in [Rome: city].",
    "none": "Ada met Bob in Rome.",
}
FOUND = {"all": [ADA, BOB, ROME], "two": [ADA, ROME], "other": [ADA_CITY, ROME], "none": []}


def _sample(name: str):
    return rollout(write(FOUND[name], reasoning=CHAINS[name]), token_ids=(1, 2, 3))


def test_a_vote_gives_shares_and_of_what_overlaps_the_one_that_more_samples_name() -> None:
    samples = [_sample(name) for name in ("all", "two", "other", "none")]
    found = aggregate("vote", EXAMPLE, "marks", None, samples)
    # Ada is a person in 2 of 4 and a city in 1; Bob is named once, Rome three times.
    assert found.mentions == (ADA, BOB, ROME)
    assert found.confidences == (0.5, 0.25, 0.75)
    assert found.tokens == 12
    half = apply_threshold(found, EXAMPLE, "marks", 0.5)
    assert (half.mentions, half.below_threshold) == ((ADA, ROME), 1)
    assert half.text == write([ADA, ROME], reasoning=CHAINS["two"])
    by_label = apply_threshold(found, EXAMPLE, "marks", {"person": 0.5})
    assert by_label.mentions == (ADA, ROME)
    assert apply_threshold(found, EXAMPLE, "marks", {"city": 0.8}).mentions == (ADA, BOB)


def test_the_confidences_follow_the_answer_as_it_is_read_back() -> None:
    # The answer groups its mentions by label: Bob stands before Rome, and the last person behind both in the sentence.
    example = Example(uid="1", sentence="Ada in Rome met Bob", schema=("person", "city"), mentions=())
    text = write(
        [Mention(text="Ada", label="person"), Mention(text="Rome", label="city"), Mention(text="Bob", label="person")],
        reasoning="[Ada: person] in [Rome: city] met [Bob: person]",
    )
    found = aggregate("vote", example, "marks", None, [rollout(text), rollout(text)])
    assert [mention.text for mention in found.mentions] == ["Ada", "Rome", "Bob"]
    uneven = apply_threshold(found, example, "marks", None)
    assert aligned(uneven, example.sentence) == (1.0, 1.0, 1.0)
    told = replace(found, confidences=(0.1, 0.2, 0.3))
    assert aligned(told, example.sentence) == (0.1, 0.3, 0.2)


def test_the_medoid_is_the_sample_that_agrees_best() -> None:
    samples = [_sample(name) for name in ("none", "all", "two", "other")]
    # F1 sums: none 1; all 1 + 0.8 + 0.4; two 1 + 0.8 + 0.5; other 1 + 0.4 + 0.5.
    found = aggregate("medoid", EXAMPLE, "marks", None, samples)
    assert found.text == samples[2].text
    assert found.confidences == (0.5, 0.75)


def test_samples_that_invent_different_texts_do_not_agree() -> None:
    invented = [[Mention(text=text, label="person")] for text in ("Eve", "Zoe")]
    samples = [rollout(write(said, reasoning=None)) for said in (*invented, [ADA], [ADA, BOB])]
    # F1 sums: Eve and Zoe 1 each, the others 1 + 2 / 3, the first of equals.
    assert aggregate("medoid", EXAMPLE, "free", None, samples).mentions == (ADA,)


def test_a_sample_that_cannot_be_read_names_nothing_and_agrees_with_nothing() -> None:
    broken = rollout("<think>\nAda", finished=False)
    found = aggregate("vote", EXAMPLE, "marks", None, [broken, _sample("two")])
    assert (found.confidences, found.error, found.finished) == ((0.5, 0.5), None, True)
    lost = aggregate("vote", EXAMPLE, "free", None, [broken, broken])
    assert (lost.mentions, lost.error, lost.finished) == ((), "unclosed_reasoning", False)


def test_a_greedy_marks_confidence_is_the_probability_of_its_tokens() -> None:
    pieces = ["<think>\n", "[", "Ada", ": person", "]", " met", " Bob in", " [", "Rome", ": city", "].", "\n</think>\n"]
    logs = [0.0, math.log(0.5), 0.0, math.log(0.8), 0.0, math.log(0.3), 0.0, math.log(0.9), 0.0, 0.0, 0.0, 0.0]
    ends = [sum(map(len, pieces[: number + 1])) for number in range(len(pieces))]
    text = "".join(pieces) + '{"entities":{"person":["Ada"],"city":["Rome"]}}'
    greedy = rollout(text, token_ids=range(len(pieces)), logprobs=logs, ends=ends)
    found = aggregate("greedy", EXAMPLE, "marks", greedy)
    assert found.mentions == (ADA, ROME)
    assert found.confidences == pytest.approx((0.4, 0.9))
    answer = extraction(found, SENTENCE, {"person": "Person", "city": "City"}, samples=1)
    assert [(entity.label, entity.alignment) for entity in answer] == [("Person", "marked"), ("City", "marked")]


def test_a_token_that_ends_one_mark_and_begins_the_next_counts_for_both() -> None:
    pieces = ["<think>\n", "[", "北京", ": city", "][", "大学", ": place", "]", "\n</think>\n"]
    logs = [0.0, math.log(0.5), 0.0, math.log(0.8), math.log(0.6), 0.0, math.log(0.9), 0.0, 0.0]
    ends = [sum(map(len, pieces[: number + 1])) for number in range(len(pieces))]
    text = "".join(pieces) + '{"entities":{"city":["北京"],"place":["大学"]}}'
    example = Example(uid="1", sentence="北京大学", schema=("city", "place"), mentions=())
    found = aggregate("greedy", example, "marks", rollout(text, token_ids=range(len(pieces)), logprobs=logs, ends=ends))
    # 0.5 * 0.8 * 0.6 and 0.6 * 0.9.
    assert found.confidences == pytest.approx((0.24, 0.54))


def test_a_greedy_answer_without_marks_has_no_confidence_and_refuses_a_threshold() -> None:
    greedy = rollout(write([ADA, ROME], reasoning="Ada is a name."))
    found = aggregate("greedy", EXAMPLE, "schema", greedy)
    assert found.confidences == (None, None)
    with pytest.raises(ValueError, match="no confidence for 'Ada'"):
        apply_threshold(found, EXAMPLE, "schema", 0.5)
    sampled = aggregate("greedy", EXAMPLE, "schema", greedy, [_sample("two"), _sample("none")])
    assert sampled.confidences == (0.5, 0.5)
    never = aggregate("greedy", EXAMPLE, "schema", greedy, [_sample("none")])
    assert never.confidences == (0.0, 0.0)


def test_what_is_no_answer_to_the_question_is_left_out_by_name() -> None:
    said = [ADA, Mention(text="Eve", label="person"), Mention(text="Rome", label="place")]
    found = aggregate("greedy", EXAMPLE, "free", rollout(write(said, reasoning=None)))
    answer = extraction(found, SENTENCE, {"person": "Person"}, samples=1)
    assert [(entity.text, entity.label, entity.alignment) for entity in answer] == [("Ada", "Person", "exact")]
    assert [(entity.text, entity.alignment) for entity in answer.left_out] == [("Eve", "none"), ("Rome", "exact")]


def test_an_entity_says_how_it_got_its_place() -> None:
    twice = "Ada met Ada and Bob."
    answer = [Mention(text="Ada", label="person"), Mention(text="Bob", label="person")]
    example = Example(uid="1", sentence=twice, schema=("person",), mentions=())
    plain = aggregate("greedy", example, "free", rollout(write(answer, reasoning="names")))
    entities = extraction(plain, twice, {"person": "person"}, samples=1).entities
    assert [entity.alignment for entity in entities] == ["ambiguous", "exact"]
    tagged = aggregate(
        "greedy", example, "marks", rollout(write(answer, reasoning="Ada met [Ada: person] and [Bob: person]."))
    )
    entities = extraction(tagged, twice, {"person": "person"}, samples=1).entities
    assert [(entity.start, entity.alignment) for entity in entities] == [(8, "marked"), (16, "marked")]


def test_a_reliability_curve_by_hand() -> None:
    pairs = [(0.05, False), (0.1, True), (0.5, True), (0.5, False), (0.45, True), (1.0, True), (0.95, True)]
    found = reliability(pairs)
    assert [(part.low, part.high, part.count) for part in found.bins] == [(0.0, 0.1, 2), (0.4, 0.5, 3), (0.9, 1.0, 2)]
    first, middle, last = found.bins
    assert (first.confidence, first.right) == pytest.approx((0.075, 0.5))
    assert (middle.confidence, middle.right) == pytest.approx((1.45 / 3, 2 / 3))
    assert (last.confidence, last.right) == pytest.approx((0.975, 1.0))
    assert found.error == pytest.approx((2 * 0.425 + 3 * (2 / 3 - 1.45 / 3) + 2 * 0.025) / 7)
    squares = 0.05**2 + 0.9**2 + 0.5**2 + 0.5**2 + 0.55**2 + 0 + 0.05**2
    assert found.brier == pytest.approx(squares / 7)


def test_perfect_confidences_have_no_error_and_wrong_certainty_has_1() -> None:
    assert reliability([(1.0, True), (0.0, False)]).error == 0.0
    assert reliability([(1.0, False), (0.0, True)]).error == 1.0

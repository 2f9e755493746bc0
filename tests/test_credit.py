"""Chains read against their sentences, and what each of their tokens is credited with, worked out by hand."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.reward import RewardWorker
from learner.advantage import training_batch
from rewards.credit import credit
from rnr.chains import follow, marks, walk
from rnr.parsing import parse
from rnr.types import Credit, Example, Group, Mention, Prompt, Rollout, ScoredGroup

SENTENCE = "Ada met Bo in Rome."


def _mention(text: str, label: str, sentence: str = SENTENCE) -> Mention:
    start = sentence.index(text)
    return Mention(text=text, label=label, start=start, end=start + len(text))


EXAMPLE = Example(
    uid="1",
    sentence=SENTENCE,
    schema=("person", "city"),
    mentions=(_mention("Ada", "person"), _mention("Rome", "city")),
)


def _found(chain: str) -> list[tuple[str, str]]:
    return [(mention.text, mention.label) for mention in follow(chain, SENTENCE).mentions]


def test_a_walk_is_read_back_with_the_place_that_each_character_is_about() -> None:
    read = follow("[Ada: p] met", SENTENCE)
    # The bracket is about the "A", the three letters about themselves, ": p]" about the last of them.
    assert read.places == (0, 0, 1, 2, 2, 2, 2, 2, 3, 4, 5, 6)
    assert (read.mentions, read.slips, read.reached) == ((_mention("Ada", "p"),), (), 7)


def test_a_mark_may_say_which_words_speak_for_its_label() -> None:
    assert _found('[Ada ("met Bo"): person] met Bo') == [("Ada", "person")]
    assert marks('[Ada ("met Bo"): person] met [Ada: person]') == {("Ada", "person"): 2}


def test_a_slip_is_a_mark_with_another_text_and_the_walk_goes_on_behind_it() -> None:
    read = follow("Ada met [Bobby: person] in [Rome: city].", SENTENCE)
    assert read.slips == ((8, 10),)
    assert read.mentions == (_mention("Rome", "city"),)
    assert read.places[8:23] == (8,) * 15  # the whole mark is about the place where it opens
    assert read.reached == len(SENTENCE)


@pytest.mark.parametrize(
    ("chain", "found", "reached"),
    [
        ("", [], 0),
        ("Ada met [Bo", [], 8),  # a mark that is never closed
        ("Ada met [Bo]", [], 8),  # or has no label
        ("I see [Rome: city] there", [("Rome", "city")], 18),  # found again by its mark
        ("Ada met [Bobby: person]", [], 9),  # never found again
        ("Ada met Bo in Rome. [Paris: city]", [], 19),  # past the end
    ],
)
def test_a_chain_that_is_no_walk_is_read_as_far_as_it_is_one(chain, found, reached) -> None:
    read = follow(chain, SENTENCE)
    assert _found(chain) == found
    assert (read.reached, len(read.places)) == (reached, len(chain))


@given(st.lists(st.tuples(st.text("ab c", min_size=1), st.booleans()), min_size=1))
def test_what_walk_writes_is_read_back_whole(pieces) -> None:
    sentence, mentions = "", []
    for text, marked in pieces:
        if marked:
            span = (len(sentence), len(sentence) + len(text))
            mentions.append(Mention(text=text, label="x", start=span[0], end=span[1]))
        sentence += text
    example = Example(uid="1", sentence=sentence, schema=("x",), mentions=tuple(mentions))
    read = follow(walk(example), sentence)
    assert (read.mentions, read.slips, read.reached) == (tuple(mentions), (), len(sentence))


def test_a_long_chain_of_open_brackets_is_read_in_no_time() -> None:
    begin = time.monotonic()
    follow("[a: " * 250_000, "a" * 1000)
    assert time.monotonic() - begin < 5


def _rollout(text: str, ends: tuple[int, ...]) -> Rollout:
    count = len(ends)
    return Rollout(
        token_ids=(1,) * count, logprobs=(0.0,) * count, text=text, finished=True, policy_version=0, ends=ends
    )


def _letters(text: str) -> Rollout:
    """A rollout with a token for each character and one that is no text, to stop."""
    return _rollout(text, (*range(1, len(text) + 1), len(text)))


def _credit(text: str) -> Credit:
    return credit(EXAMPLE, parse(text), _letters(text))


def test_a_credit_says_of_each_place_whether_it_is_marked_as_annotated() -> None:
    found = _credit('<think>\n[Ada: person] met [Bobby: x] in [Rome: person].\n</think>\n{"entities":{}}')
    right, slip, wrong = (0, 3), (8, 10), (14, 18)
    expected = [0] * len(SENTENCE)
    for (start, end), verdict in ((right, 1), (slip, -1), (wrong, -1)):
        expected[start:end] = [verdict] * (end - start)
    assert found.verdicts == tuple(expected)
    assert (found.right, found.marked, found.gold) == (1, 3, 2)
    assert found.places[:12] == (-1,) * 8 + (0, 0, 1, 2)  # <think>, its newline, and [Ada
    assert set(found.places[-20:]) == {-1}  # the answer


def test_tokens_of_several_characters_are_about_their_last_and_tokens_without_text_about_what_was_before() -> None:
    text = "<think>\nAda met"
    found = credit(EXAMPLE, parse(text), _rollout(text, (0, 8, 11, 11, 15)))
    assert found.places == ()  # it leaves its sentence before any mark
    text = "<think>\n[Ada: person] met"
    found = credit(EXAMPLE, parse(text), _rollout(text, (0, 8, 12, 12, 21, 25)))
    assert found.places == (-1, -1, 2, 2, 2, 6)


def test_a_chain_in_free_words_has_no_credit() -> None:
    assert _credit('<think>\nAda is a person.\n</think>\n{"entities":{"person":["Ada"]}}') == Credit()
    assert _credit('{"entities":{"person":["Ada"]}}') == Credit()


def _scored(*texts: str, preset: str = "weighted") -> ScoredGroup:
    worker = RewardWorker(preset=preset, weights={"faithfulness": 1.0})
    group = Group(prompt=Prompt(example=EXAMPLE, token_ids=(7,)), rollouts=tuple(map(_letters, texts)))
    return worker.score(group)


def _text(chain: str, persons: str) -> str:
    return f'<think>\n{chain}\n</think>\n{{"entities":{{"person":[{persons}]}}}}'


def test_tokens_of_a_walk_have_the_advantage_of_their_mention_and_all_others_that_of_the_answer() -> None:
    scored = _scored(
        _text("[Ada: person] met Bo in Rome.", '"Ada"'),
        _text("Ada met [Bo: person] in Rome.", '"Bo","Bo"'),
    )
    first, second = training_batch([scored], credit="mention").samples
    # One of two marks is right and there are 2 * 2 gold mentions: F1 = 2 * 1 / (2 + 4), and 3 marks and gold mentions
    # for each rollout. So a right mark is worth (2 - 1/3) / 3 = 5/9, a wrong one -(1/3) / 3 = -1/9.
    ada, bo = 5 / 9, -1 / 9
    inside = first.advantages[8 : 8 + len("[Ada: person] met Bo in Rome.")]
    assert inside[:13] == pytest.approx([ada / 2] * 13)  # half of the group marked it
    assert inside[13:18] == (0.0,) * 5
    assert inside[18:20] == pytest.approx([-bo / 2] * 2)  # not to mark Bo was better than to mark it
    assert inside[20:] == (0.0,) * 9
    inside = second.advantages[8 : 8 + len("Ada met [Bo: person] in Rome.")]
    assert inside[:3] == pytest.approx([-ada / 2] * 3)
    assert inside[8:20] == pytest.approx([bo / 2] * 12)
    # The answers: the first gives what its chain marks, the second gives it twice, 2 * 1 / (1 + 2).
    assert first.advantages[-10:] == pytest.approx([(1 - 2 / 3) / 2] * 10)
    assert second.advantages[:8] == pytest.approx([(2 / 3 - 1) / 2] * 8)


def test_the_mean_at_a_place_is_over_the_rollouts_that_got_there() -> None:
    scored = _scored(
        _text("[Ada: person] met Bo in [Rome: city].", '"Ada"'),
        _text("[Ada: person] met Bo in Rome.", '"Ada"'),
        _text("[Ada: city]", '"Ada"'),
    )
    samples = training_batch([scored], credit="mention").samples
    # 3 of 4 marks are right, 6 gold mentions: F1 = 0.6; 10 / 3 for each rollout: 0.42 for right, -0.18 for wrong.
    at_ada, at_rome = (0.42 + 0.42 - 0.18) / 3, 0.42 / 2
    assert samples[0].advantages[8] == pytest.approx(0.42 - at_ada)
    assert samples[2].advantages[8] == pytest.approx(-0.18 - at_ada)
    assert samples[0].advantages[8 + len("[Ada: person] met Bo in [")] == pytest.approx(0.42 - at_rome)
    assert samples[1].advantages[8 + len("[Ada: person] met Bo in ")] == pytest.approx(-at_rome)


def test_a_group_whose_answers_are_worth_the_same_still_teaches_where_its_chains_differ() -> None:
    same = _text("[Ada: person] met Bo in Rome.", '"Ada"')
    other = _text("Ada met [Bo: person] in Rome.", '"Bo"')
    assert training_batch([_scored(same, other)]).dropped == {"1": "no spread"}
    assert len(training_batch([_scored(same, other)], credit="mention").samples) == 2
    assert training_batch([_scored(same, same)], credit="mention").dropped == {"1": "no spread"}


def test_chains_in_free_words_are_credited_by_answer() -> None:
    texts = ('<think>\nIt is Ada.\n</think>\n{"entities":{}}', "nothing")
    first, second = training_batch([_scored(*texts)], credit="mention").samples
    assert set(first.advantages) == {0.5}
    assert set(second.advantages) == {-0.5}

"""Chains read against their sentences, and what each of their tokens is credited with, worked out by hand."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.reward import RewardWorker
from learner.advantage import training_batch
from rewards.credit import credit, worth
from rnr.task.chains import follow, marks, spelled, walk
from rnr.task.parsing import parse
from rnr.types import DEPARTURE, Credit, Example, Group, Mention, Prompt, Reward, Rollout, ScoredGroup
from tests.carriers import rollout as make_rollout

SENTENCE = "Ada met Bo in Rome."
WORTH = {1: 1.0, -1: -0.5, 0: 0.0, DEPARTURE: -2.0}


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
    assert (read.mentions, read.slips, read.covered) == ((_mention("Ada", "p"),), (), 7)


def test_a_slip_is_a_mark_with_another_text_and_the_walk_goes_on_behind_it() -> None:
    read = follow("Ada met [Bobby: person] in [Rome: city].", SENTENCE)
    assert read.slips == (8,)
    assert read.mentions == (_mention("Rome", "city"),)
    assert read.places[8:23] == (8,) * 15  # the whole mark is about the place where it stands
    assert read.covered == len(SENTENCE) - 1  # all but the "o" of Bo


@pytest.mark.parametrize(
    ("chain", "found", "slips", "departures"),
    [
        ("Ada met Bo in Rome.", [], (), ()),
        ("", [], (), (0,)),
        ("Ada met", [], (), (7,)),
        ("Ada met [Bo", [], (), (8, 8)),  # a mark that is never closed
        ("Ada met [Bo]", [], (), (8, 8)),  # or has no label
        ("I see [Rome: city] there", [("Rome", "city")], (), (0, 18, 18)),  # found by its mark
        ("[Ada: person], [Rome: city].", [("Ada", "person"), ("Rome", "city")], (), (3,)),  # the middle is passed over
        ("Ada met [Bobby: person]", [], (8,), (8,)),
        ("[Rome: city] [Ada: person]", [("Rome", "city")], (18,), (18, 18)),  # there is no way back
        ("Ada met Bo in Rome. [Paris: city]", [], (18,), (18,)),  # past the end
        ("Ada [et: x]", [], (4,), (4,)),  # a part of a word is no place to jump to
    ],
)
def test_a_chain_is_read_as_far_as_it_is_a_walk(chain, found, slips, departures) -> None:
    read = follow(chain, SENTENCE)
    assert _found(chain) == found
    assert (read.slips, read.departures, len(read.places)) == (slips, departures, len(chain))


_ALPHABET = 'ab c:"()[]<é😀-'


@given(st.lists(st.tuples(st.text(_ALPHABET, min_size=1), st.booleans()), min_size=1))
def test_what_walk_writes_is_read_back_whole(pieces) -> None:
    sentence, mentions = "", []
    for text, marked in pieces:
        if marked:
            span = (len(sentence), len(sentence) + len(text))
            mentions.append(Mention(text=text, label="x", start=span[0], end=span[1]))
        sentence += text
    example = Example(uid="1", sentence=sentence, schema=("x",), mentions=tuple(mentions))
    chain = walk(example)
    read = follow(chain, sentence)
    assert (read.mentions, read.slips, read.departures) == (tuple(mentions), (), ())
    copied = [place for letter, place in zip(chain, read.places, strict=True) if spelled(sentence)[place] == letter]
    assert sorted(set(copied)) == list(range(len(sentence)))


def test_a_mention_may_hold_brackets() -> None:
    read = follow("[benzo[a]pyrene: compound] burns", "benzo[a]pyrene burns")
    assert [mention.text for mention in read.mentions] == ["benzo[a]pyrene"]
    assert read.slips == ()
    assert marks("[benzo(a)pyrene: compound] burns", "benzo[a]pyrene burns") == [
        Mention(text="benzo[a]pyrene", label="compound")
    ]


def test_a_sentence_that_holds_a_mark_of_its_own_marks_nothing_by_itself() -> None:
    example = Example(uid="1", sentence="he wrote [Ada: person] </think> down", schema=("person",), mentions=())
    assert walk(example) == "he wrote (Ada: person) (/think) down"
    read = follow(walk(example), example.sentence)
    assert (read.mentions, read.slips, read.departures) == ((), (), ())


@pytest.mark.parametrize("piece", ["[a: ", "[a: x]", "[", "[[a]", '[a ("', "[a: x] b "])
def test_a_chain_of_a_megabyte_is_read_in_linear_time(piece) -> None:
    def seconds(size: int) -> float:
        begin = time.monotonic()
        follow(piece * (size // len(piece)), "a b " * 100)
        return time.monotonic() - begin

    seconds(10_000)
    # Ten times the text in well under a hundred times the seconds.
    assert seconds(1_000_000) < 40 * seconds(100_000) + 1


def _rollout(text: str, ends: tuple[int, ...]) -> Rollout:
    count = len(ends)
    return make_rollout(
        token_ids=(1,) * count, logprobs=(0.0,) * count, text=text, finished=True, policy_version=0, ends=ends
    )


def _letters(text: str) -> Rollout:
    """A rollout with a token for each character and one that is no text, to stop."""
    return _rollout(text, (*range(1, len(text) + 1), len(text)))


def _credit(text: str) -> Credit:
    return credit(EXAMPLE, parse(text), _letters(text))


def test_a_credit_says_of_each_place_whether_it_is_marked_as_annotated() -> None:
    found = _credit('<think>\n[Ada: person] met [Bobby: x] in [Rome: person].\n</think>\n{"entities":{}}')
    right, slip, wrong = (0, 3), (8, 9), (14, 18)
    expected = [0] * len(SENTENCE)
    for (start, end), verdict in ((right, 1), (slip, -1), (wrong, -1)):
        expected[start:end] = [verdict] * (end - start)
    assert found.verdicts == tuple(expected)
    assert (found.right, found.marked, found.gold) == (1, 3, 2)
    assert found.places[:12] == (-1,) * 8 + (0, 0, 1, 2)  # <think>, its newline, and [Ada
    assert set(found.places[-20:]) == {-1}  # the answer


def test_to_close_a_chain_too_early_is_a_decision_like_a_wrong_mark() -> None:
    text = '<think>\n[Ada: person] met\n</think>\n{"entities":{}}'
    found = _credit(text)
    assert found.verdicts == (1, 1, 1, 0, 0, 0, 0, -1, *[0] * 11)
    closing = text.index("\n</think>")
    assert found.places[closing : closing + 9] == (7,) * 9
    assert found.places[closing + 9] == -1
    assert _credit("<think>\n[Ada: person] met").places[-2:] == (6, 6)  # cut: never closed


def test_a_chain_that_is_closed_where_its_sentence_ends_has_nothing_to_answer_for_there() -> None:
    text = '<think>\nAda mat Bo in [Rome: city].\n</think>\n{"entities":{}}'
    found = _credit(text)
    assert found.verdicts[5] == -1  # "mat"
    assert set(found.places[text.index("\n</think>") :]) == {-1}


def test_a_chain_without_its_opening_tag_is_found_all_the_same() -> None:
    text = '[Ada: person] met Bo in Rome.</think>{"entities":{}}'
    assert _credit(text).places[:4] == (0, 0, 1, 2)


def test_tokens_of_several_characters_are_about_their_last_and_tokens_without_text_about_what_was_before() -> None:
    text = "<think>\nAda met"
    found = credit(EXAMPLE, parse(text), _rollout(text, (0, 8, 11, 11, 15)))
    assert found.places == ()  # it marks nothing and goes through 7 of 19 characters
    text = "<think>\n[Ada: person] met"
    found = credit(EXAMPLE, parse(text), _rollout(text, (0, 8, 12, 12, 21, 25)))
    assert found.places == (-1, -1, 2, 2, 2, 6)


def test_a_chain_in_free_words_has_no_credit() -> None:
    assert _credit('<think>\nAda is a person.\n</think>\n{"entities":{"person":["Ada"]}}') == Credit()
    assert _credit('{"entities":{"person":["Ada"]}}') == Credit()


def test_the_chain_is_found_behind_its_tag_whatever_the_sentence_says() -> None:
    example = Example(uid="1", sentence="think", schema=("x",), mentions=())
    text = "<think>\nthink\n</think>\n"
    assert credit(example, parse(text + '{"entities":{}}'), _letters(text)).places[8:14] == (0, 1, 2, 3, 4, -1)


def _scored(*texts: str, preset: str = "weighted") -> ScoredGroup:
    worker = RewardWorker(preset=preset, weights={"faithfulness": 1.0})
    group = Group(prompt=Prompt(example=EXAMPLE, token_ids=(7,)), rollouts=tuple(map(_letters, texts)))
    return worker.score(group)


def _text(chain: str, persons: str) -> str:
    return f'<think>\n{chain}\n</think>\n{{"entities":{{"person":[{persons}]}}}}'


def test_tokens_of_a_walk_have_the_advantage_of_their_mention() -> None:
    scored = _scored(
        _text("[Ada: person] met Bo in Rome.", '"Ada"'),
        _text("Ada met [Bo: person] in Rome.", '"Bo","Bo"'),
    )
    first, second = training_batch([scored], worth=worth([scored])).samples
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
    # The first answer gives what its chain marks; the second gives one more, with the "," behind the first "Bo".
    assert set(first.advantages[8 + 29 :]) == {0.0}
    comma = len(_text("Ada met [Bo: person] in Rome.", '"Bo"')) - len("]}}")
    assert second.advantages[comma] == pytest.approx(-ada)
    assert set(second.advantages[37:comma] + second.advantages[comma + 1 :]) == {0.0}


@pytest.mark.parametrize(
    ("answer", "departs_at"),
    [
        ('{"entities":{"person":["Ada","Bo"],"city":["Rome"]}}', None),
        ('{"entities": {"city": ["Rome"], "person": ["Bo", "Ada"]}}', None),  # another order is faithful too
        ('{"entities":{"person":["Ada"],"city":["Rome"]}}', '],"city"'),  # Bo is left out where it should stand
        ('{"entities": {"person": ["Ada"], "city": ["Rome"]}}', '], "city"'),
        ('{"entities":{"person":["Ada","Bo"],"city":["Paris"]}}', "Paris"),
        ('{"entities":{"person":["Ada","Bo"],"city":["Rome"]}} and', "and"),
        ('{"entities":{"person":["Ada","Bo"],"city":["Rome"]', ""),  # it stops too early: the token that stops it
        ("none", "none"),
    ],
)
def test_an_answer_departs_from_its_chain_with_one_token(answer, departs_at) -> None:
    text = f"<think>\n[Ada: person] met [Bo: person] in [Rome: city].\n</think>\n{answer}"
    expected = -1 if departs_at is None else text.index(departs_at, text.index("</think>")) if departs_at else len(text)
    assert _credit(text).departure == expected


def test_an_answer_cut_at_the_token_limit_has_not_departed() -> None:
    rollout = _letters('<think>\n[Ada: person] met Bo in Rome.\n</think>\n{"entities":{"per')
    cut = replace(rollout, finished=False)
    assert credit(EXAMPLE, parse(cut.text), cut).departure == -1


def test_what_a_chain_does_not_come_to_is_not_marked() -> None:
    scored = _scored(
        _text("[Ada: person] met Bo in [Rome: city].", '"Ada"'),
        _text("[Ada: person] met Bo in Rome.", '"Ada"'),
        _text("[Ada: city]", '"Ada"'),
    )
    samples = training_batch([scored], worth=worth([scored])).samples
    # 3 of 4 marks are right, 6 gold mentions: F1 = 0.6; 10 / 3 for each rollout: 0.42 for right, -0.18 for wrong.
    at_ada, at_rome = (0.42 + 0.42 - 0.18) / 3, 0.42 / 3
    assert samples[0].advantages[8] == pytest.approx(0.42 - at_ada)
    assert samples[2].advantages[8] == pytest.approx(-0.18 - at_ada)
    assert samples[0].advantages[8 + len("[Ada: person] met Bo in [")] == pytest.approx(0.42 - at_rome)
    assert samples[1].advantages[8 + len("[Ada: person] met Bo in ")] == pytest.approx(-at_rome)


def test_a_rollout_with_an_invalid_reward_takes_no_part_in_the_mean_of_a_place() -> None:
    right, other = _text("[Ada: person] met Bo in Rome.", '"Ada"'), _text("Ada met Bo in Rome.", "")
    scored = _scored(right, other, other)
    scored = replace(scored, rewards=(*scored.rewards[:2], Reward(total=None, invalid="timeout")))
    first, second = training_batch([scored], worth=WORTH).samples
    assert (first.advantages[8], second.advantages[8]) == (0.5, -0.5)


def test_a_group_whose_answers_are_worth_the_same_still_teaches_where_its_chains_or_answers_differ() -> None:
    same, other = _text("[Ada: person] met Bo in Rome.", '"Ada"'), _text("Ada met [Bo: person] in Rome.", '"Bo"')
    departed = _text("[Ada: person] met Bo in Rome.", "")
    assert training_batch([_scored(same, other)]).dropped == {"1": "no spread"}
    assert len(training_batch([_scored(same, other)], worth=WORTH).samples) == 2
    assert len(training_batch([_scored(departed, departed)], worth=WORTH).samples) == 2
    assert training_batch([_scored(same, same)], worth=WORTH).dropped == {"1": "no spread"}


def test_chains_in_free_words_are_credited_by_answer() -> None:
    free = '<think>\nIt is Ada.\n</think>\n{"entities":{}}'
    walk_of_it = _text("[Ada: person] met Bo in Rome.", '"Ada"')
    first, second, third = training_batch([_scored(free, "nothing", walk_of_it)], worth=WORTH).samples
    assert set(first.advantages) == {1 - 2 / 3}  # rewards 1, 0 and 1
    assert set(second.advantages) == {0 - 2 / 3}
    assert set(third.advantages) == {0.0}  # the only walk is its own mean

"""Chains read against their sentences, and what each of their tokens is credited with, worked out by hand."""

import time
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.reward import RewardWorker
from rewards.advantage import TrainingBatch, training_batch
from rewards.credit import MentionCredit, mention_credit
from rnr.config import GrpoConfig, RewardConfig
from rnr.evaluation.metrics import Counts
from rnr.task.chains import grounded, read_chain, spelled, tagged_chain, tagged_mentions
from rnr.task.parsing import parse
from rnr.types import Answer, Example, Group, Mention, Prompt, Reward, Rollout, ScoredGroup
from tests.carriers import rollout as make_rollout

SENTENCE = "Ada met Bo in Rome."


def _batch(*groups: ScoredGroup, credit: str = "mention", **options) -> TrainingBatch:
    return training_batch(groups, GrpoConfig(credit=credit, **options), {})


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
    return [(mention.text, mention.label) for mention in read_chain(chain, SENTENCE).mentions]


def test_a_tagged_chain_is_read_back_with_the_place_that_each_character_is_about() -> None:
    read = read_chain("[Ada: p] met", SENTENCE)
    # The bracket is about the "A", the three letters about themselves, ": p]" about the last of them.
    assert read.places == (0, 0, 1, 2, 2, 2, 2, 2, 3, 4, 5, 6)
    assert (read.mentions, read.copy_errors, read.covered) == ((_mention("Ada", "p"),), (), 7)


def test_a_tag_may_say_which_words_speak_for_its_label() -> None:
    assert _found('[Ada ("met Bo"): person] met Bo') == [("Ada", "person")]
    chain = '[Ada ("met Bo"): person] met [Ada ("x"): person] ("Bo")'
    assert tagged_mentions(chain, SENTENCE) == [Mention(text="Ada", label="person")] * 2


def test_what_looks_like_a_cue_but_stands_in_the_sentence_is_part_of_the_mention() -> None:
    read = read_chain('[Ada ("Bo"): person] ("Bo")', 'Ada ("Bo") ("Bo")')
    assert [mention.text for mention in read.mentions] == ['Ada ("Bo")']


def test_a_copy_error_is_a_tag_with_another_text_and_the_chain_is_read_on_behind_it() -> None:
    read = read_chain("Ada met [Bobby: person] in [Rome: city].", SENTENCE)
    assert read.copy_errors == (8,)
    assert read.mentions == (_mention("Rome", "city"),)
    assert read.places[8:23] == (8,) * 15  # the whole tag is about the place where it stands
    assert read.covered == len(SENTENCE) - 1  # all but the "o" of Bo


@pytest.mark.parametrize(
    ("chain", "found", "copy_errors", "divergences"),
    [
        ("Ada met Bo in Rome.", [], (), ()),
        ("", [], (), (0,)),
        ("Ada met", [], (), (7,)),
        ("Ada met [Bo", [], (), (8, 8)),  # a tag that is never closed
        ("Ada met [Bo]", [], (), (8, 8)),  # or has no label
        ("I see [Rome: city] there", [("Rome", "city")], (), (0, 18, 18)),  # found by its tag
        ("[Ada: person], [Rome: city].", [("Ada", "person"), ("Rome", "city")], (), (3,)),  # the middle is passed over
        ("Ada met [Bobby: person]", [], (8,), (8,)),
        ("[Rome: city] [Ada: person]", [("Rome", "city")], (18,), (18, 18)),  # there is no way back
        ("Ada met Bo in Rome. [Paris: city]", [], (18,), (18,)),  # past the end
        ("Ada [et: x]", [], (4,), (4,)),  # a part of a word is no place to jump to
    ],
)
def test_a_chain_is_read_as_far_as_it_is_its_sentence(chain, found, copy_errors, divergences) -> None:
    read = read_chain(chain, SENTENCE)
    assert _found(chain) == found
    assert (read.copy_errors, read.divergences, len(read.places)) == (copy_errors, divergences, len(chain))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<think>\n", "{}"),
        ("\n <think>", "{}"),
        ("", "{}"),
        ("So <think>\n", "{}"),  # the chain is then what stands before it, too
        ("", '{"entities":{"x":["<think>"]}}'),
    ],
)
def test_each_token_is_about_its_place_wherever_the_reasoning_begins(before: str, after: str) -> None:
    text = f"{before}[Ada: person] met Bo in [Rome: city].\n</think>\n{after}"
    rollout = make_rollout(text, token_ids=range(len(text)), ends=range(1, len(text) + 1))
    credit = mention_credit(EXAMPLE, parse(text), rollout)
    assert credit is not None
    assert len(credit.places) == len(text)
    for word in ("Ada", "met", "Rome"):
        assert credit.places[text.index(word)] == SENTENCE.index(word)
    assert credit.places[-1] == -1


_ALPHABET = 'ab c:"()[]<é😀-'


@given(st.lists(st.tuples(st.text(_ALPHABET, min_size=1), st.booleans()), min_size=1))
def test_a_tagged_chain_that_is_written_is_read_back_whole(pieces) -> None:
    sentence, mentions = "", []
    for text, marked in pieces:
        if marked:
            span = (len(sentence), len(sentence) + len(text))
            mentions.append(Mention(text=text, label="x", start=span[0], end=span[1]))
        sentence += text
    example = Example(uid="1", sentence=sentence, schema=("x",), mentions=tuple(mentions))
    chain = tagged_chain(example)
    read = read_chain(chain, sentence)
    assert (read.mentions, read.copy_errors, read.divergences) == (tuple(mentions), (), ())
    copied = [place for letter, place in zip(chain, read.places, strict=True) if spelled(sentence)[place] == letter]
    assert sorted(set(copied)) == list(range(len(sentence)))


def test_a_mention_may_hold_brackets() -> None:
    read = read_chain("[benzo[a]pyrene: compound] burns", "benzo[a]pyrene burns")
    assert [mention.text for mention in read.mentions] == ["benzo[a]pyrene"]
    assert read.copy_errors == ()
    assert tagged_mentions("[benzo(a)pyrene: compound] burns", "benzo[a]pyrene burns") == [
        Mention(text="benzo[a]pyrene", label="compound")
    ]


def test_a_sentence_that_holds_a_tag_of_its_own_tags_nothing_by_itself() -> None:
    example = Example(uid="1", sentence="he wrote [Ada: person] </think> down", schema=("person",), mentions=())
    assert tagged_chain(example) == "he wrote (Ada: person) (/think) down"
    read = read_chain(tagged_chain(example), example.sentence)
    assert (read.mentions, read.copy_errors, read.divergences) == ((), (), ())


@pytest.mark.parametrize("piece", ["[a: ", "[a: x]", "[", "[[a]", '[a ("', "[a: x] b "])
def test_a_chain_of_a_megabyte_is_read_in_linear_time(piece) -> None:
    def seconds(size: int) -> float:
        # Of this thread alone: how busy the machine is does not count.
        begin = time.thread_time()
        read_chain(piece * (size // len(piece)), "a b " * 100)
        return time.thread_time() - begin

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


def _found_credit(text: str) -> MentionCredit | None:
    return mention_credit(EXAMPLE, parse(text), _letters(text))


def _credit(text: str) -> MentionCredit:
    found = _found_credit(text)
    assert found is not None
    return found


def test_a_credit_says_of_each_place_whether_it_is_tagged_as_annotated() -> None:
    found = _credit('<think>\n[Ada: person] met [Bobby: x] in [Rome: person].\n</think>\n{"entities":{}}')
    right, copy_error, wrong = (0, 3), (8, 9), (14, 18)
    expected = [0] * len(SENTENCE)
    for (start, end), verdict in ((right, 1), (copy_error, -1), (wrong, -1)):
        expected[start:end] = [verdict] * (end - start)
    assert found.verdicts == tuple(expected)
    assert found.counts == Counts(1, 2, 1)  # of 3 tags and 2 gold mentions
    assert found.places[:12] == (-1,) * 8 + (0, 0, 1, 2)  # <think>, its newline, and [Ada
    assert set(found.places[-20:]) == {-1}  # the answer


def test_to_close_a_chain_too_early_is_a_decision_like_a_wrong_tag() -> None:
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
    assert (
        mention_credit(EXAMPLE, parse(text), _rollout(text, (0, 8, 11, 11, 15))) is None
    )  # it tags nothing and goes through 7 of 19 characters
    text = "<think>\n[Ada: person] met"
    found = mention_credit(EXAMPLE, parse(text), _rollout(text, (0, 8, 12, 12, 21, 25)))
    assert found is not None
    assert found.places == (-1, -1, 2, 2, 2, 6)


def test_a_chain_in_free_words_has_no_credit() -> None:
    assert _found_credit('<think>\nAda is a person.\n</think>\n{"entities":{"person":["Ada"]}}') is None
    assert _found_credit('{"entities":{"person":["Ada"]}}') is None


def test_the_chain_is_found_behind_its_tag_whatever_the_sentence_says() -> None:
    example = Example(uid="1", sentence="think", schema=("x",), mentions=())
    text = "<think>\nthink\n</think>\n"
    found = mention_credit(example, parse(text + '{"entities":{}}'), _letters(text))
    assert found is not None
    assert found.places[8:14] == (0, 1, 2, 3, 4, -1)


def _scored(*texts: str) -> ScoredGroup:
    worker = RewardWorker(RewardConfig(preset="weighted", weights={"faithfulness": 1.0}), max_new_tokens=1000)
    group = Group(prompt=Prompt(example=EXAMPLE, token_ids=(7,)), rollouts=tuple(map(_letters, texts)))
    return worker.score(group)


def _text(chain: str, persons: str) -> str:
    return f'<think>\n{chain}\n</think>\n{{"entities":{{"person":[{persons}]}}}}'


def test_tokens_of_a_tagged_chain_have_the_advantage_of_their_mention() -> None:
    scored = _scored(
        _text("[Ada: person] met Bo in Rome.", '"Ada"'),
        _text("Ada met [Bo: person] in Rome.", '"Bo","Bo"'),
    )
    first, second = _batch(scored).samples
    # One of two tags is right and there are 2 * 2 gold mentions: F1 = 2 * 1 / (2 + 4), and 3 tags and gold mentions
    # for each rollout. So a right tag has the value (2 - 1/3) / 3 = 5/9, a wrong one -(1/3) / 3 = -1/9.
    ada, bo = 5 / 9, -1 / 9
    inside = first.advantages[8 : 8 + len("[Ada: person] met Bo in Rome.")]
    assert inside[:13] == pytest.approx([ada / 2] * 13)  # half of the group tagged it
    assert inside[13:18] == (0.0,) * 5
    assert inside[18:20] == pytest.approx([-bo / 2] * 2)  # not to tag Bo was better than to tag it
    assert inside[20:] == (0.0,) * 9
    inside = second.advantages[8 : 8 + len("Ada met [Bo: person] in Rome.")]
    assert inside[:3] == pytest.approx([-ada / 2] * 3)
    assert inside[8:20] == pytest.approx([bo / 2] * 12)
    # The first answer gives what its chain tags; the second gives one more, with the "," behind the first "Bo".
    assert set(first.advantages[8 + 29 :]) == {0.0}
    comma = len(_text("Ada met [Bo: person] in Rome.", '"Bo"')) - len("]}}")
    assert second.advantages[comma] == pytest.approx(-ada)
    assert set(second.advantages[37:comma] + second.advantages[comma + 1 :]) == {0.0}


@pytest.mark.parametrize(
    ("answer", "mismatch_at"),
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
def test_a_chain_answer_mismatch_is_one_token(answer, mismatch_at) -> None:
    text = f"<think>\n[Ada: person] met [Bo: person] in [Rome: city].\n</think>\n{answer}"
    expected = (
        -1 if mismatch_at is None else text.index(mismatch_at, text.index("</think>")) if mismatch_at else len(text)
    )
    assert _credit(text).mismatch == expected


def test_an_answer_cut_at_the_token_limit_is_no_mismatch() -> None:
    rollout = _letters('<think>\n[Ada: person] met Bo in Rome.\n</think>\n{"entities":{"per')
    cut = replace(rollout, finished=False)
    found = mention_credit(EXAMPLE, parse(cut.text), cut)
    assert found is not None
    assert found.mismatch == -1


def test_what_a_chain_does_not_come_to_is_not_tagged() -> None:
    scored = _scored(
        _text("[Ada: person] met Bo in [Rome: city].", '"Ada"'),
        _text("[Ada: person] met Bo in Rome.", '"Ada"'),
        _text("[Ada: city]", '"Ada"'),
    )
    samples = _batch(scored).samples
    # 3 of 4 tags are right, 6 gold mentions: F1 = 0.6; 10 / 3 for each rollout: 0.42 for right, -0.18 for wrong.
    at_ada, at_rome = (0.42 + 0.42 - 0.18) / 3, 0.42 / 3
    assert samples[0].advantages[8] == pytest.approx(0.42 - at_ada)
    assert samples[2].advantages[8] == pytest.approx(-0.18 - at_ada)
    assert samples[0].advantages[8 + len("[Ada: person] met Bo in [")] == pytest.approx(0.42 - at_rome)
    assert samples[1].advantages[8 + len("[Ada: person] met Bo in ")] == pytest.approx(-at_rome)


def test_a_rollout_with_an_invalid_reward_takes_no_part_in_the_mean_of_a_place() -> None:
    right, other = _text("[Ada: person] met Bo in Rome.", '"Ada"'), _text("Ada met Bo in Rome.", "")
    scored = _scored(right, other, other)
    scored = replace(scored, rewards=(*scored.rewards[:2], Reward(total=None, invalid="timeout")))
    first, second = _batch(scored).samples
    # The chains of all three count: 1 of 1 tags is right, 6 gold mentions, F1 = 2 / 7, 7 / 3 for each rollout. A right
    # tag has the value (2 - 2/7) / (7/3) = 36/49, and half of the two tagged it.
    assert (first.advantages[8], second.advantages[8]) == pytest.approx((18 / 49, -18 / 49))


def test_a_group_whose_answers_are_worth_the_same_still_teaches_where_its_chains_or_answers_differ() -> None:
    same, other = _text("[Ada: person] met Bo in Rome.", '"Ada"'), _text("Ada met [Bo: person] in Rome.", '"Bo"')
    mismatched = _text("[Ada: person] met Bo in Rome.", "")
    assert _batch(_scored(same, other), credit="answer").dropped == {"1": "no spread"}
    assert len(_batch(_scored(same, other)).samples) == 2
    assert len(_batch(_scored(mismatched, mismatched)).samples) == 2
    assert _batch(_scored(same, same)).dropped == {"1": "no spread"}


def test_a_group_whose_chains_earn_the_same_at_every_place_teaches_nothing_whatever_its_answers_are_worth() -> None:
    # Bo is no mention, and so wrong under either label.
    scored = _scored(
        _text("Ada met [Bo: person] in Rome.", '"Bo"'),
        '<think>\nAda met [Bo: city] in Rome.\n</think>\n{"entities":{"city":["Bo"]}}',
    )
    scored = replace(scored, rewards=(Reward(total=1.0), Reward(total=0.0)))
    assert len(_batch(scored, credit="answer").samples) == 2
    found = _batch(scored)
    assert (found.samples, found.dropped) == ([], {"1": "no advantage"})


def test_wrong_tags_cost_nothing_while_no_tag_of_the_step_is_right() -> None:
    wrong = _scored(_text("Ada met [Bo: person] in Rome.", '"Bo"'), _text("Ada met Bo in Rome.", ""))
    # F1 = 0, so that a wrong tag takes -F1 / size = 0 from it.
    assert _batch(wrong).dropped == {"1": "no spread"}
    right = _scored(_text("[Ada: person] met Bo in Rome.", '"Ada"'), _text("Ada met Bo in Rome.", ""))
    # 1 of 2 tags is right, 8 gold mentions: F1 = 2 / 10 and 10 / 4 for each rollout: a wrong one takes 0.08, half of
    # which is the mean.
    first = _batch(wrong, right).samples[0]
    assert first.advantages[8 + len("Ada met [")] == pytest.approx(-0.04)


def test_chains_in_free_words_are_credited_by_answer() -> None:
    free = '<think>\nIt is Ada.\n</think>\n{"entities":{}}'
    tagged = _text("[Ada: person] met Bo in Rome.", '"Ada"')
    first, second, third = _batch(_scored(free, "nothing", tagged)).samples
    assert set(first.advantages) == {1 - 2 / 3}  # rewards 1, 0 and 1
    assert set(second.advantages) == {0 - 2 / 3}
    assert set(third.advantages) == {0.0}  # the only tagged chain is its own mean


def test_a_masked_completion_stays_in_the_mean_of_a_place() -> None:
    right, other = _text("[Ada: person] met Bo in Rome.", '"Ada"'), _text("Ada met Bo in Rome.", "")
    scored = _scored(right, other)
    cut = replace(scored.group.rollouts[1], finished=False)
    scored = replace(scored, group=replace(scored.group, rollouts=(scored.group.rollouts[0], cut)))
    (only,) = _batch(scored, mask_unfinished=True).samples
    # 1 of 1 tags, 4 gold mentions: F1 = 0.4, 5 / 2 for each rollout: (2 - 0.4) / 2.5 = 0.64, half of which is the mean.
    assert only.advantages[8] == pytest.approx(0.32)


def test_no_carrier_knows_of_mentions_that_were_tagged() -> None:
    assert [field.name for field in fields(ScoredGroup)] == ["group", "rewards", "answers"]


def test_a_tokenizer_that_does_not_say_where_its_tokens_end_leaves_the_credit_with_the_answer() -> None:
    right, other = _text("[Ada: person] met Bo in Rome.", '"Ada"'), _text("Ada met Bo in Rome.", '"Bo"')
    scored = _scored(right, other)
    rollouts = tuple(replace(rollout, ends=()) for rollout in scored.group.rollouts)
    first, second = _batch(replace(scored, group=replace(scored.group, rollouts=rollouts))).samples
    assert (set(first.advantages), set(second.advantages)) == ({0.5}, {-0.5})  # faithfulness 1 and 0


def test_an_answer_stands_where_its_chain_tags_it_and_not_where_its_text_stands_first() -> None:
    sentence = "Rome, not Rome"
    said = Answer(reasoning="Rome, not [Rome: city]", mentions=(Mention(text="Rome", label="City"),))
    assert [mention.start for mention in grounded(said, sentence).mentions] == [10]
    more = replace(said, mentions=(*said.mentions, Mention(text="Rome", label="city"), Mention(text="not", label="x")))
    assert [mention.start for mention in grounded(more, sentence).mentions] == [10, 0, 6]
    untold = replace(said, reasoning=None)
    assert [mention.start for mention in grounded(untold, sentence).mentions] == [0]

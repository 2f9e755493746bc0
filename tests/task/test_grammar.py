"""What a tagged chain may say under the grammar of its sentence, checked by the matcher that engines decode with."""

import random
from functools import cache
from itertools import pairwise

import pytest
import xgrammar
from hypothesis import given, settings
from hypothesis import strategies as st

from rnr.task.chains import read_chain, tagged_chain
from rnr.task.grammar import answer_grammar, boundaries, chain_grammar, refuse_labels, unreachable
from rnr.task.parsing import parse, write
from rnr.types import Example, Mention

STOP = 256
SCHEMA = ("person", "place of birth", "c/o (x)")
LETTERS = "ab 1\t\n.,:;[]()\"'\\<>/{}|*+?^$#é\u0301\u200d漢字かなไทย한국👩💻🏽ß\u00a0-_—@\u0000\u2028"
SENTENCES = st.text(LETTERS, min_size=1, max_size=16).filter(lambda text: bool(text.strip()))


@cache
def _compiler() -> xgrammar.GrammarCompiler:
    """For a vocabulary of the 256 bytes and one stop token."""
    vocabulary = [bytes([value]) for value in range(256)] + [b"</s>"]
    info = xgrammar.TokenizerInfo(vocabulary, xgrammar.VocabType.RAW, stop_token_ids=[STOP])
    return xgrammar.GrammarCompiler(info, max_threads=1)


def _matcher(grammar: str) -> xgrammar.GrammarMatcher:
    return xgrammar.GrammarMatcher(_compiler().compile_grammar(grammar))


def _accepts(grammar: str, text: str) -> bool:
    matcher = _matcher(grammar)
    return matcher.accept_string(text) and STOP in _allowed(matcher)


def _allowed(matcher: xgrammar.GrammarMatcher) -> list[int]:
    mask = xgrammar.allocate_token_bitmask(1, STOP + 1)
    matcher.fill_next_token_bitmask(mask)
    return [token for token in range(STOP + 1) if mask[0, token // 32] >> (token % 32) & 1]


def _example(sentence: str, mentions: list[tuple[int, int, str]]) -> Example:
    found = [Mention(text=sentence[start:end], label=label, start=start, end=end) for start, end, label in mentions]
    return Example(uid="1", sentence=sentence, schema=SCHEMA, mentions=tuple(found))


@st.composite
def _examples(draw: st.DrawFn) -> Example:
    """A sentence with any legal set of mentions."""
    sentence = draw(SENTENCES)
    places = boundaries(sentence)
    starts = [place for place in places[:-1] if not sentence[place].isspace()]
    ends = [place for place in places[1:] if not sentence[place - 1].isspace()]
    mentions, position = [], 0
    while True:
        ahead = [(start, end) for start in starts if start >= position for end in ends if end > start]
        chosen = draw(st.sampled_from([None, *ahead]))
        if chosen is None:
            return _example(sentence, mentions)
        mentions.append((*chosen, draw(st.sampled_from(SCHEMA))))
        position = chosen[1]


@settings(max_examples=50, deadline=None)
@given(_examples())
def test_the_chain_of_any_legal_mentions_is_accepted_and_read_back(example: Example) -> None:
    assert unreachable(example) == []
    chain = tagged_chain(example)
    assert _accepts(chain_grammar(example.sentence, example.schema), chain + "\n")
    read = read_chain(chain, example.sentence)
    assert (read.mentions, read.copy_errors, read.divergences) == (example.mentions, (), ())


@settings(max_examples=40, deadline=None)
@given(SENTENCES, st.randoms(use_true_random=False))
def test_whatever_the_grammar_accepts_is_read_back_as_it_was_decided(sentence: str, chance: random.Random) -> None:
    matcher = _matcher(chain_grammar(sentence, SCHEMA, before="<think>\n"))
    chosen: list[int] = []
    while True:
        # Marks are one byte among many: chosen more often, so that there are some.
        allowed = _allowed(matcher)
        marking = [token for token in allowed if token in {91, 58, 93}]
        token = chance.choice(marking if marking and chance.random() < 0.5 else allowed)
        assert matcher.accept_token(token)
        if token == STOP:
            break
        chosen.append(token)
    answer = parse(bytes(chosen).decode() + '</think>{"entities":{}}')
    assert answer.reasoning is not None
    read = read_chain(answer.reasoning, sentence)
    example = _example(sentence, [(mention.start, mention.end, mention.label) for mention in read.mentions])
    assert (read.copy_errors, read.divergences, unreachable(example)) == ((), (), [])
    assert tagged_chain(example) == answer.reasoning


def test_the_grammar_of_two_words_accepts_exactly_their_markings() -> None:
    sentence, accepted = "a b", []
    matcher = _matcher(chain_grammar(sentence, ("x", "y")))

    def search(matcher: xgrammar.GrammarMatcher, before: bytes) -> None:
        for token in _allowed(matcher):
            if token == STOP:
                accepted.append(before.decode())
                continue
            ahead = matcher.fork()
            assert ahead.accept_token(token)
            search(ahead, before + bytes([token]))

    search(matcher, b"")
    a, b, both = (["a", "[a: x]", "[a: y]"], ["b", "[b: x]", "[b: y]"], ["[a b: x]", "[a b: y]"])
    assert sorted(accepted) == sorted(f"{chain}\n" for chain in [*(f"{x} {y}" for x in a for y in b), *both])


@pytest.mark.parametrize(
    ("sentence", "pieces"),
    [
        ("Ada's U.S. trip", "Ada|'|s| |U|.|S|.| |trip"),
        ("two  blanks", "two| | |blanks"),
        ("漢字 ab", "漢|字| |ab"),
        ("韓国Inc", "韓|国|Inc"),
        ("cafe\u0301 e\u0301a", "cafe\u0301| |e\u0301a"),
        ("👩🏽\u200d💻👍", "👩🏽\u200d💻|👍"),
        ("नमस्ते", "नमस्ते"),
    ],
)
def test_a_mark_may_begin_and_end_between_words_and_signs_but_not_within_them(sentence: str, pieces: str) -> None:
    places = boundaries(sentence)
    assert [sentence[a:b] for a, b in pairwise(places)] == pieces.split("|")


def test_a_mark_neither_begins_nor_ends_at_a_blank() -> None:
    grammar = chain_grammar("a  b ", ("x",))
    for chain in ("[a: x]  b ", "a  [b: x] ", "[a  b: x] "):
        assert _accepts(grammar, f"{chain}\n")
    for chain in ("[a : x] b ", "a[  b: x] ", "a [ b: x] ", "[a  b : x]", "[: x]a  b ", "a b ", "a  b", "[a: y]  b "):
        assert not _accepts(grammar, f"{chain}\n")


def test_mentions_that_no_chain_can_mark_are_named() -> None:
    sentence = "Adam of New York"
    mentions = [(0, 2, "person"), (8, 16, "person"), (8, 11, "person"), (4, 7, "person"), (0, 4, "river")]
    example = _example(sentence, mentions)
    assert [mention.text for mention in unreachable(example)] == ["Adam", "Ad", " of", "New"]
    lost = Example(uid="1", sentence="a", schema=SCHEMA, mentions=(Mention(text="b", label="person"),))
    assert unreachable(lost) == list(lost.mentions)


@pytest.mark.parametrize("label", ["a: b", "a]", "[a", " a", "", "a\nb", "<think>"])
def test_a_label_that_no_mark_can_hold_is_refused_by_name(label: str) -> None:
    with pytest.raises(ValueError, match=r"that a mark .* cannot hold"):
        refuse_labels(("person", label))
    with pytest.raises(ValueError, match=r"that a mark .* cannot hold"):
        chain_grammar("a", ("person", label))


def test_no_sentence_or_no_schema_has_no_grammar() -> None:
    for build in (chain_grammar, answer_grammar):
        for sentence, schema in ((" ", ("x",)), ("a", ())):
            with pytest.raises(ValueError, match="needs a sentence"):
                build(sentence, schema)


@settings(max_examples=40, deadline=None)
@given(_examples())
def test_the_answer_to_any_legal_mentions_is_accepted(example: Example) -> None:
    grammar = answer_grammar(example.sentence, example.schema)
    assert _accepts(grammar, write(example.mentions, reasoning=None))


def test_an_answer_holds_labels_of_the_schema_and_spans_of_the_sentence() -> None:
    grammar = answer_grammar('met "Ada" in Rome', ("person", "a: b"))
    assert _accepts(grammar, '{"entities":{"person":["Ada","\\"Ada\\" in Rome"],"a: b":[]}}')
    for wrong in ('{"entities":{"city":["Ada"]}}', '{"entities":{"person":["Bo"]}}', '{"entities":{"person":["Ad"]}}'):
        assert not _accepts(grammar, wrong)

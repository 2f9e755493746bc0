"""The parser: what it reads, what it calls the rest, and that nothing makes it raise or crawl."""

import os
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnr.task.labels import normalise_label
from rnr.task.parsing import ERRORS, ground, parse, read, write
from rnr.types import Answer, Mention

OBJECT = '{"entities":{"person":["Barack Obama"],"location":["Paris"]}}'
OBAMA = Mention(text="Barack Obama", label="person")
PARIS = Mention(text="Paris", label="location")


@pytest.mark.parametrize(
    ("text", "reasoning"),
    [
        (f"<think>\nHe is a person.\n</think>\n{OBJECT}", "He is a person."),
        (OBJECT, None),
        (f"  \n{OBJECT}\n ", None),
        (f"He is a person.\n</think>\n{OBJECT}", "He is a person."),
        (f"</think>{OBJECT}", ""),
        (f"<think></think>{OBJECT}", ""),
        (f"<think>\n\ntwo\n\n</think>\n\n{OBJECT}", "\ntwo\n"),
        (f"<think>a {{ b ```json</think>```json\n{OBJECT}\n```", "a { b ```json"),
        (f"```\n{OBJECT}\n```", None),
        (f"```JSON\n{OBJECT}```\n", None),
        (f"[1] see below</think>{OBJECT}", "[1] see below"),
    ],
)
def test_one_block_of_reasoning_and_one_object_are_read(text: str, reasoning: str | None) -> None:
    assert parse(text) == Answer(reasoning=reasoning, mentions=(OBAMA, PARIS))


UNREADABLE = [
    ("", "empty"),
    (" \n\t ", "empty"),
    ("There are no entities.", "no_json"),
    (f"<think>{OBJECT}</think>", "no_json"),
    ("<think>a</think>nothing", "no_json"),
    (f"Answer: {OBJECT}", "leading_text"),
    (f"<THINK>x</THINK>{OBJECT}", "leading_text"),
    (f"Well. <think>a</think>{OBJECT}", "leading_text"),
    (f"\ufeff{OBJECT}", "leading_text"),
    (f"<think>a</think>So <answer>{OBJECT}</answer>", "leading_text"),
    (f"{OBJECT}\nDone.", "trailing_text"),
    (f"{OBJECT}<|im_end|>", "trailing_text"),
    (f"{OBJECT}\n<think>late</think>", "trailing_text"),
    (f"```json\n{OBJECT} done```", "trailing_text"),
    (f"{OBJECT}{OBJECT}", "multiple_answers"),
    (f"```json\n{OBJECT}\n```\n```json\n{OBJECT}\n```", "multiple_answers"),
    (f"<think>\nObama\n{OBJECT}", "unclosed_reasoning"),
    ("Sure. <think> he is", "unclosed_reasoning"),
    (f"<think>a</think>\n<think>b</think>\n{OBJECT}", "repeated_reasoning"),
    (f"<think>a<think>b</think>c</think>{OBJECT}", "repeated_reasoning"),
    (f"<think>the word </think> closes</think>{OBJECT}", "repeated_reasoning"),
    (f"<think>a</think>```json\n{OBJECT}", "unclosed_fence"),
    ('{"entities":{"person":["Barack', "truncated_json"),
    ('{"entities":{"person":["Barack Obama"],', "truncated_json"),
    ('{"entities":{"person":["Barack Obama"', "truncated_json"),
    ('{"entities":{"person"', "truncated_json"),
    ('{"entities":{"person":["x\\', "truncated_json"),
    ('{"entities":{"person":["x\\u00', "truncated_json"),
    ('{"entities":{"person":[nul', "truncated_json"),
    ("{", "truncated_json"),
    ("```json\n", "truncated_json"),
    ('{"entities": {"person": ["Barack Obama",]}}', "invalid_json"),
    ("{'entities': {'person': ['Barack Obama']}}", "invalid_json"),
    ('{"entities": {"person": ["Barack\nObama"]}}', "invalid_json"),
    ('{"entities": {"person": ["x"] /*x*/}}', "invalid_json"),
    ("[" * 10_000, "too_deep"),
    ('{"a":' * 10_000, "too_deep"),
    ("1", "wrong_shape"),
    ("null", "wrong_shape"),
    ("{}", "wrong_shape"),
    ('"Barack Obama"', "wrong_shape"),
    ('["Barack Obama"]', "wrong_shape"),
    ('{"entities": null}', "wrong_shape"),
    ('{"entities": ["Barack Obama"]}', "wrong_shape"),
    ('{"Entities": {"person": ["Barack Obama"]}}', "wrong_shape"),
    ('{"entities": {}, "note": "x"}', "wrong_shape"),
    ('{"entities": {"person": "Barack Obama"}}', "wrong_shape"),
    ('{"entities": {"person": {"Barack Obama": 1}}}', "wrong_shape"),
    ('{"entities": {"person": null}}', "wrong_shape"),
    ('{"entities": {"person": [null, "Barack Obama"]}}', "wrong_shape"),
    ('{"entities": {"person": ["Barack Obama", " "]}}', "wrong_shape"),
    ('{"entities": {" ": ["Barack Obama"]}}', "wrong_shape"),
    ('{"entities": {"year": [' + "9" * 10_000 + "]}}", "wrong_shape"),
]


@pytest.mark.parametrize(("text", "error"), UNREADABLE)
def test_what_cannot_be_read_says_why_and_gives_no_mentions(text: str, error: str) -> None:
    answer = parse(text)
    assert (answer.error, answer.mentions) == (error, ())


def test_every_error_name_is_explained_and_reached() -> None:
    assert {error for _, error in UNREADABLE} == set(ERRORS)


def test_reasoning_is_kept_when_the_answer_is_lost() -> None:
    assert parse("<think>\nHe is a person").reasoning == "He is a person"
    assert parse("<think>\nHe is a person\n</think>\n{").reasoning == "He is a person"


def test_labels_are_normalised_and_repeated_keys_merge() -> None:
    answer = parse('{"entities": {" Political\\n Party": ["A"], "person": ["B"], "political party": ["C"]}}')
    party = [m.text for m in answer.mentions if m.label == "political party"]
    assert (party, [m.text for m in answer.mentions]) == (["A", "C"], ["A", "C", "B"])


def test_a_label_without_spans_is_told_apart_from_a_label_not_listed() -> None:
    answer, unused = read('{"entities": {"person": ["B"], "City": []}}')
    assert ([m.label for m in answer.mentions], unused) == (["person"], ("city",))


def test_the_written_form_is_compact_and_groups_spans_by_label() -> None:
    mentions = (OBAMA, PARIS, Mention(text='Zoë "Z"', label="person"))
    assert write(mentions, reasoning="Why.") == (
        '<think>\nWhy.\n</think>\n{"entities":{"person":["Barack Obama","Zoë \\"Z\\""],"location":["Paris"]}}'
    )
    assert write((), reasoning=None) == '{"entities":{}}'


@pytest.mark.parametrize(
    ("mention", "reasoning"),
    [(Mention(text=" ", label="a"), None), (Mention(text="x", label=""), None), (PARIS, "a </think> b")],
)
def test_what_could_not_be_read_back_is_not_written(mention: Mention, reasoning: str | None) -> None:
    with pytest.raises(ValueError, match="must not"):
        write((mention,), reasoning=reasoning)


# With lone surrogates, which hypothesis leaves out of plain text, and with what could break the form.
_characters = st.text(st.characters(exclude_categories=()), max_size=20)
_awkward = st.sampled_from(["</think>", "<think>", '"', "\\", "\n", "```", "{", "}", '{"entities":{}}', "\u2028"])
_texts = st.lists(_characters | _awkward, max_size=4).map("".join)
_spans = _texts.filter(lambda text: text.strip())
_labels = _texts.map(normalise_label).filter(lambda label: label and normalise_label(label) == label)
_mentions = st.lists(st.builds(Mention, text=_spans, label=_labels), max_size=6).map(tuple)
_reasonings = st.none() | _texts.filter(lambda text: "<think>" not in text and "</think>" not in text)


@given(_mentions, _reasonings)
def test_what_is_written_is_read_back(mentions: tuple[Mention, ...], reasoning: str | None) -> None:
    order = list(dict.fromkeys(mention.label for mention in mentions))
    grouped = tuple(sorted(mentions, key=lambda mention: order.index(mention.label)))
    assert parse(write(mentions, reasoning=reasoning)) == Answer(reasoning=reasoning, mentions=grouped)


@given(_texts)
def test_any_text_is_read_or_named(text: str) -> None:
    answer = parse(text)
    assert answer.error is None or (answer.error in ERRORS and answer.mentions == ())


def _mutated(generator: random.Random) -> str:
    """A valid completion with some pieces cut, doubled or replaced, or nothing but pieces."""
    pieces = [
        "<think>",
        "</think>",
        "\n",
        "```json",
        "```",
        "{",
        "}",
        "[",
        "]",
        '"',
        ",",
        ":",
        "entities",
        "Paris",
    ]
    pieces += ["\\u", "\ud800", "\x00", "9" * 30, "null", "<|im_end|>", "<answer>", "é", OBJECT, "\\", " "]
    if generator.random() < 0.3:
        return "".join(generator.choices(pieces, k=generator.randrange(30)))
    text = f"<think>\nHe is a person.\n</think>\n{OBJECT}"
    for _ in range(generator.randrange(1, 6)):
        start = generator.randrange(len(text) + 1)
        end = min(len(text), start + generator.randrange(12))
        text = text[:start] + generator.choice(["", text[start:end] * 2, generator.choice(pieces)]) + text[end:]
    return text


def test_mutated_completions_never_raise() -> None:
    generator = random.Random(7)
    for _ in range(int(os.environ.get("RNR_FUZZ", "20000"))):
        answer = parse(_mutated(generator))
        assert answer.error is None or answer.error in ERRORS
        ground(answer.mentions, "Barack Obama met Paris in Paris .")


@pytest.mark.parametrize(
    "unit",
    ["<think>", "</think>", "```json", "{", "[", '"', "<think></think>", '{"entities":{"a":["x"]}}', "\\u"],
)
def test_a_megabyte_of_one_piece_takes_less_than_a_tenth_of_a_second(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        parse(text)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.1


def _places(sentence: str, *mentions: tuple[str, str]) -> list[int]:
    return [m.start for m in ground([Mention(text=t, label=label) for t, label in mentions], sentence)]


def test_grounded_text_is_the_text_of_the_sentence() -> None:
    sentence = "Barack Obama flew to Paris ."
    grounded = ground((PARIS, OBAMA), sentence)
    assert [(m.start, m.end, m.grounded) for m in grounded] == [(21, 26, True), (0, 12, True)]
    assert [sentence[m.start : m.end] for m in grounded] == ["Paris", "Barack Obama"]


def test_repeated_mentions_take_one_occurrence_after_the_other() -> None:
    assert _places("Paris , Paris", ("Paris", "location"), ("Paris", "location"), ("Paris", "location")) == [
        0,
        8,
        -1,
    ]


def test_a_second_label_takes_a_free_occurrence_and_shares_only_when_none_is_left() -> None:
    assert _places("Paris", ("Paris", "location"), ("Paris", "person")) == [0, 0]
    assert _places("Paris , Paris", ("Paris", "location"), ("Paris", "person"), ("Paris", "team")) == [
        0,
        8,
        0,
    ]


def test_occurrences_at_word_boundaries_come_first() -> None:
    assert _places("Romania and Roma", ("Roma", "location"), ("Roma", "location")) == [12, 0]
    assert _places("C++ or C", ("C", "language")) == [0]


def test_occurrences_in_longer_mentions_come_after_the_others_and_before_those_in_words() -> None:
    sentence = "James M. Cox ran , but Cox lost to a Coxswain ."
    whole, part = ("James M. Cox", "politician"), ("Cox", "politician")
    assert _places(sentence, whole, part) == [0, 23]
    assert _places(sentence, part, part, part, whole) == [23, 9, 37, 0]
    assert _places(sentence, part) == [9]
    fixed = Mention(text="James M. Cox", label="politician", start=0, end=12)
    assert [m.start for m in ground((Mention(text="Cox", label="politician"), fixed), sentence)] == [23, 0]


def test_only_exact_text_is_grounded() -> None:
    assert _places("Barack Obama", ("barack obama", "person"), ("Barack  Obama", "person"), ("", "person")) == [-1] * 3


def test_given_offsets_are_kept_and_their_places_not_given_out_again() -> None:
    fixed = Mention(text="Paris", label="location", start=8, end=13)
    free = Mention(text="Paris", label="location")
    assert [m.start for m in ground((free, free, fixed), "Paris , Paris")] == [0, -1, 8]


@given(_mentions, _texts)
def test_grounding_never_raises_and_keeps_order(mentions: tuple[Mention, ...], sentence: str) -> None:
    grounded = ground(mentions, sentence)
    assert [(m.text, m.label) for m in grounded] == [(m.text, m.label) for m in mentions]
    assert all(sentence[m.start : m.end] == m.text for m in grounded if m.grounded)
    assert len({(m.start, m.text, m.label) for m in grounded if m.grounded}) == sum(m.grounded for m in grounded)


@pytest.mark.parametrize("seed", range(5))
def test_an_index_of_a_long_text_gives_the_places_that_a_search_gives(monkeypatch, seed) -> None:
    draw = random.Random(seed)
    sentence = "".join(draw.choices("ab é", k=400))
    starts = [draw.randrange(390) for _ in range(200)]
    texts = ["", "abab" * 200, *(sentence[start : start + draw.randint(1, 9)] for start in starts)]
    mentions = [Mention(text=text, label=draw.choice("xy")) for text in texts]
    searched = ground(mentions, sentence)
    monkeypatch.setattr("rnr.task.parsing.MUCH", 0)
    assert ground(mentions, sentence) == searched

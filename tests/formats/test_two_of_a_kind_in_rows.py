"""Rows with two lists of tags, two lists of words, or tags of something else beside their entities."""

import pytest

from rnr.corpus.formats.tokens.text_tags import BY_CHARACTERS, BY_SPACES
from rnr.corpus.formats.tokens.token_fields import TWO_WORDS
from rnr.corpus.formats.tokens.token_rows import EMPTY
from tests.reading_files import read, written

WORDS = ["Ida", "left", "Oslo"]
READ = ("Ida left Oslo", [("Ida", "LOC")])
TAGS = ["B-LOC", "O", "O"]
OTHERS = ["B-PER", "O", "B-LOC"]
NAMES = [
    "corrected_tags",
    "true",
    "gold",
    "y_true",
    "tags_v2",
    "tags2",
    "manual",
    "final_tags",
    "reviewed",
    "annotator_2",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("others", [OTHERS, ["b_PER", "O", "b_LOC"], ["PER-B", "O", "LOC-B"], ["B", "O", "B"]])
def test_further_tags_are_noted_whatever_they_are_called(tmp_path, name, others) -> None:
    said = f"tags are those of 'ner_tags'; those of {name!r} are not read"
    row = {"tokens": WORDS, "ner_tags": TAGS, name: others}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([READ], "")
    assert said in notes
    text = {"text": "Ida left Oslo", "ner_tags": " ".join(TAGS), name: " ".join(others)}
    found, problems, notes = read(written(tmp_path / "b.jsonl", [text]))
    assert (found, problems) == ([READ], "")
    assert (said in notes) == (others != ["B", "O", "B"])  # which may be letters of a text


@pytest.mark.parametrize("others", [["B-NP", "B-VP", "B-NP"], ["NNP", "VBD", "NNP"], ["O", "O", "O"], ["a", "b", "c"]])
def test_lists_of_something_else_are_not_said_to_be_tags(tmp_path, others) -> None:
    row = {"tokens": WORDS, "ner_tags": TAGS, "true": others}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems, notes) == ([READ], "", "")


@pytest.mark.parametrize("name", ["corrected", "second"])
def test_further_columns_with_tags_of_names_are_named_in_tables(tmp_path, name) -> None:
    table = f"sentence_id,token,ner_tag,{name},chunk\n0,Ida,B-LOC,B-PER,B-NP\n0,left,O,O,B-VP\n0,Oslo,O,B-LOC,B-NP\n"
    found, problems, notes = read(written(tmp_path / "a.csv", table))
    assert (found, problems) == ([READ], "")
    assert f"column 'ner_tag' is read as the tags; further columns of tags are not read ({name})" in notes
    lists = f'tokens,ner_tags,{name}\n"{WORDS}","{TAGS}","{OTHERS}"\n'
    found, problems, notes = read(written(tmp_path / "b.csv", lists))
    assert (found, problems) == ([READ], "")
    assert f"tags are those of 'ner_tags'; those of {name!r} are not read" in notes


def test_what_is_read_of_a_text_is_not_said_to_be_left(tmp_path) -> None:
    row = {"text": "Ida left Oslo", "word_labels": "B-LOC O O"}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([READ], "")
    assert "not read" not in notes


@pytest.mark.parametrize(
    ("labels", "unlike", "noted"),
    [
        (["LOC", "O", "O"], False, False),
        (["place", "O", "O"], False, True),  # a coarser or finer label of the same tokens
        (["O", "O", "LOC"], True, False),
        (["NN", "VB", "O"], False, True),
        (["B-LOC", "I-LOC", "O"], True, False),
    ],
)
def test_labels_alone_are_compared_with_tags(tmp_path, labels, unlike, noted) -> None:
    row = {"tokens": WORDS, "tags": TAGS, "labels": labels}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert ("the fields 'tags' and 'labels' hold tags and do not agree" in problems) == unlike
    assert bool(found) != unlike
    assert ("those of 'labels' are not read" in notes) == noted


_PLACES = ["B-LOC", "O", "O"], ["O", "O", "B-LOC"], ["O", "O", "O"]


@pytest.mark.parametrize(
    ("read_as", "name", "others"),
    [
        ("ner_tags", "labels", (["O", "Leave", "O"], ["O", "O", "O"], ["Leave", "O", "O"])),  # events
        ("tags", "labels", (["O", "O", "positive"], ["O", "positive", "O"], ["negative", "O", "O"])),  # of aspects
        ("ner", "labels", (["O", "T-POS", "O"], ["O", "O", "O"], ["O", "O", "O"])),
        ("ner_tags", "tags", (["^", "V", "O"], ["O", "V", "^"], ["N", "V", "O"])),  # O is a pronoun
        ("ner_tags", "labels", (["O", "en", "O"], ["en", "en", "O"], ["O", "O", "da"])),
    ],
)
@pytest.mark.parametrize("bare", [False, True])
def test_labels_alone_of_something_else_are_noted(tmp_path, read_as, name, others, bare) -> None:
    places = [[tag.removeprefix("B-") for tag in tags] for tags in _PLACES] if bare else _PLACES
    rows: list[object] = [
        {"tokens": WORDS, read_as: tags, name: labels} for tags, labels in zip(places, others, strict=True)
    ]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert (found, problems) == ([READ, ("Ida left Oslo", [("Oslo", "LOC")]), ("Ida left Oslo", [])], "")
    assert f"tags are those of {read_as!r}; those of {name!r} are not read" in notes


def test_labels_alone_that_the_file_has_among_the_tags_read_are_an_error(tmp_path) -> None:
    rows: list[object] = [
        {"tokens": WORDS, "ner_tags": ["B-LOC", "O", "O"], "labels": ["O", "PER", "O"]},
        {"tokens": WORDS, "ner_tags": ["O", "O", "B-PER"], "labels": ["O", "O", "PER"]},
    ]
    found, problems, _ = read(written(tmp_path / "a.jsonl", rows))
    assert found == [("Ida left Oslo", [("Oslo", "PER")])]
    assert "row 1: the fields 'ner_tags' and 'labels' hold tags and do not agree" in problems


def test_tags_that_are_all_o_beside_labels_are_an_error(tmp_path) -> None:
    row = {"tokens": ["Ida", "ran"], "tags": ["O", "O"], "labels": ["person", "O"]}
    problems = read(written(tmp_path / "a.jsonl", [row]))[1]
    assert "do not agree; keep one of them (token 1, 'Ida', is O and person)" in problems


def test_neighbours_with_one_label_are_the_same_without_letters(tmp_path) -> None:
    row = {"tokens": WORDS, "tags": ["B-PER", "B-PER", "O"], "labels": ["PER", "PER", "O"]}
    found, problems, _ = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([("Ida left Oslo", [("Ida", "PER"), ("left", "PER")])], "")


@pytest.mark.parametrize(("words", "pieces"), [("words", "tokens"), ("tokens", "words"), ("word", "tokens")])
def test_the_list_of_words_that_is_as_long_as_the_tags_is_read(tmp_path, words, pieces) -> None:
    row = {words: ["Ida", "left"], pieces: ["I", "##da", "left"], "labels": ["B-PER", "O"]}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([("Ida left", [("Ida", "PER")])], "")
    assert TWO_WORDS not in notes


@pytest.mark.parametrize("name", ["words", "raw_tokens", "origTokens", "text", "surface_forms"])
def test_another_list_of_words_that_differs_is_noted(tmp_path, name) -> None:
    row = {"tokens": ["ida", "leave"], "tags": ["B-PER", "O"], name: ["Ida", "left"]}
    found, _, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert found == [("ida leave", [("ida", "PER")])]
    assert f"{TWO_WORDS} (row 1: 'tokens' was read, not {name!r})" in notes


@pytest.mark.parametrize(
    "beside", [{"words": ["ida", "leave"]}, {"lemmas": ["ida", "leave"]}, {"token_ids": ["a", "b"]}]
)
def test_words_that_are_the_same_and_what_is_called_otherwise_are_not(tmp_path, beside) -> None:
    row = {"tokens": ["ida", "leave"], "tags": ["B-PER", "O"]} | beside
    assert TWO_WORDS not in read(written(tmp_path / "a.jsonl", [row]))[2]


@pytest.mark.parametrize("text", [{}, {"text": "Ida ran"}])
def test_parts_of_speech_that_are_called_tags_do_not_hide_entities(tmp_path, text) -> None:
    entity = {"start": 0, "end": 3 if text else 1, "type": "PER"}
    rows: list[object] = [
        {"tokens": ["Ida", "ran"], "tags": ["NOUN", "VERB"], "entities": [entity]} | text,
        {"tokens": ["It", "ran"], "tags": ["PRON", "VERB"], "entities": []} | ({"text": "It ran"} if text else {}),
    ]
    found, problems, _ = read(written(tmp_path / "a.jsonl", rows))
    assert (found, problems) == ([("Ida ran", [("Ida", "PER")]), ("It ran", [])], "")


def test_marks_are_parts_of_speech_in_rows_without_entities_too(tmp_path) -> None:
    rows: list[object] = [
        {"tokens": ["Ida", "ran", "."], "tags": ["NNP", "VBD", "."], "entities": [{"start": 0, "end": 1, "type": "X"}]},
        {"tokens": ["``", "It", "ran", "''", ":", "$"], "tags": ["``", "PRP", "VBD", "''", ":", "$"], "entities": []},
    ]
    found, problems, _ = read(written(tmp_path / "a.jsonl", rows))
    assert (found, problems) == ([("Ida ran .", [("Ida", "X")]), ("`` It ran '' : $", [])], "")


def test_tags_of_names_beside_entities_are_still_those_that_are_read(tmp_path) -> None:
    rows: list[object] = [
        {"tokens": ["Ida", "ran"], "tags": ["PER", "O"], "entities": [{"start": 1, "end": 2, "type": "X"}]},
        {"tokens": ["Bo", "Ek"], "tags": ["PER", "PER"], "entities": []},
    ]
    found, problems, _ = read(written(tmp_path / "a.jsonl", rows))
    assert (found, problems) == ([("Ida ran", [("Ida", "PER")]), ("Bo Ek", [("Bo Ek", "PER")])], "")


def test_a_row_without_tokens_is_named_with_its_text(tmp_path) -> None:
    rows: list[object] = [{"tokens": ["Ida"], "tags": ["B-PER"]}, {"tokens": [], "tags": [], "text": "Bo sat"}]
    assert f"1 {EMPTY} (row 2: 'Bo sat')" in read(written(tmp_path / "a.jsonl", rows))[2]


# A list of a text and its tags


@pytest.mark.parametrize("ending", [".json", ".jsonl"])
@pytest.mark.parametrize("bare", [False, True])
def test_lists_of_a_text_and_its_tags_are_read(tmp_path, ending, bare) -> None:
    rows: list[object] = [
        ["রহিম ঢাকা গেছে", ["PER", "LOC", "O"] if bare else ["B-PER", "B-LOC", "O"]],
        ["সে আসে", ["O", "O"]],
    ]
    found, problems, notes = read(written(tmp_path / f"a{ending}", rows))
    named = [("রহিম", "PER"), ("ঢাকা", "LOC")]
    assert (found, problems) == ([("রহিম ঢাকা গেছে", named), ("সে আসে", [])], "")
    assert f"2 {BY_SPACES}" in notes


def test_the_tags_may_be_those_of_characters(tmp_path) -> None:
    found, problems, notes = read(written(tmp_path / "a.jsonl", [["我在北京", ["O", "O", "B-LOC", "I-LOC"]]]))
    assert (found, problems) == ([("我在北京", [("北京", "LOC")])], "")
    assert BY_CHARACTERS in notes


def test_tags_that_do_not_fit_their_text_are_an_error_and_classes_are_no_tags(tmp_path) -> None:
    problems = read(written(tmp_path / "a.jsonl", [["Ida left Oslo", ["B-PER", "O"]]]))[1]
    assert "row 1: 3 tokens with 2 tags" in problems
    problems = read(written(tmp_path / "b.jsonl", [["Ida left Oslo", ["travel"]]]))[1]
    assert "a row must be an object such as" in problems


# NIKL

_NIKL = {
    "id": "NX.1.1",
    "form": "김민수는 서울에 간다.",
    "word": [{"id": 1, "form": "김민수는", "begin": 0, "end": 4}],
    "NE": [
        {"id": 1, "form": "김민수", "label": "PS", "begin": 0, "end": 3},
        {"id": 2, "form": "서울", "label": "LC", "begin": 5, "end": 7},
    ],
}
_NONE = {"id": "NX.1.2", "form": "비가 온다.", "word": [], "NE": []}
_FOUND = [("김민수는 서울에 간다.", [("김민수", "PS"), ("서울", "LC")]), ("비가 온다.", [])]


def test_sentences_and_files_of_nikl_are_read(tmp_path) -> None:
    assert read(written(tmp_path / "a.jsonl", [_NIKL, _NONE]))[:2] == (_FOUND, "")
    short: list[object] = [{name: row[name] for name in ("form", "NE")} for row in (_NIKL, _NONE)]
    assert read(written(tmp_path / "b.jsonl", short))[:2] == (_FOUND, "")
    corpus = {"id": "NXNE1", "metadata": {"title": "x"}, "document": [{"id": "NX.1", "sentence": [_NIKL, _NONE]}]}
    assert read(written(tmp_path / "c.json", [corpus]))[:2] == (_FOUND, "")


def test_a_sentence_of_nikl_whose_entity_is_elsewhere_is_an_error_of_its_own(tmp_path) -> None:
    wrong = _NIKL | {"NE": [{"id": 1, "form": "부산", "label": "LC", "begin": 5, "end": 7}]}
    found, problems, _ = read(written(tmp_path / "c.json", [{"document": [{"sentence": [wrong, _NONE]}]}]))
    assert found == _FOUND[1:]
    assert "row 1: entity '부산' is not at [5:7], where the sentence has '서울'" in problems


@pytest.mark.parametrize("sentence", ["Ida ran", {"text": "Ida ran"}, {"form": 7}])
def test_other_documents_with_sentences_are_none_of_nikl(tmp_path, sentence) -> None:
    problems = read(written(tmp_path / "c.json", [{"document": [{"sentence": [sentence]}]}]))[1]
    assert "row 1: 'document' must be text, found [{'sentence': [" in problems

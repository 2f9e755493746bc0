"""Entities under fields and places of other names: read where they are clear, else named with what to do."""

import pytest

from tests.reading_files import ADA, read, written

TOKENS = ["Ida", "Kos", "left", "Oslo", "."]
FOUND = ("Ida Kos left Oslo .", [("Ida Kos", "PER"), ("Oslo", "LOC")])
_EXCLUSIVE = ([0, 2], [3, 4])


def _entities(*names: str, texts: bool = False, places: tuple[list[int], ...] = _EXCLUSIVE) -> list[dict]:
    named = [dict(zip(names, place, strict=True)) if len(names) == 2 else {names[0]: place} for place in places]
    text = [{"text": "Ida Kos"}, {"text": "Oslo"}] if texts else [{}, {}]
    return [{"type": label} | one | said for label, one, said in zip(("PER", "LOC"), named, text, strict=True)]


@pytest.mark.parametrize("field", ["entities", "mentions", "entityMentions", "ents"])
@pytest.mark.parametrize(
    "names",
    [("start", "end"), ("start_token", "end_token"), ("startToken", "endToken"), ("begin", "end"), ("token_span",)],
)
def test_spans_over_tokens_are_read_under_their_usual_names(tmp_path, field, names) -> None:
    row = {"tokens": TOKENS, field: _entities(*names)}
    assert read(written(tmp_path / "a.jsonl", [row]))[:2] == ([FOUND], "")


def test_mentions_beside_entities_of_tokens_are_not_read_instead(tmp_path) -> None:
    row = {"tokens": TOKENS, "entities": _entities("start", "end"), "mentions": [{"start": 2, "end": 3, "type": "X"}]}
    assert read(written(tmp_path / "a.jsonl", [row]))[:2] == ([FOUND], "")


def test_inclusive_ends_are_told_by_the_texts_beside_them(tmp_path) -> None:
    row = {"tokens": TOKENS, "entities": _entities("start_token", "end_token", texts=True, places=([0, 1], [3, 3]))}
    file = written(tmp_path / "a.jsonl", [row])
    assert "'Ida Kos' is not at tokens 0 to 1 (exclusive); it is where ends are inclusive" in read(file)[1]
    assert read(file, offsets="inclusive")[:2] == ([FOUND], "")


@pytest.mark.parametrize("name", ["index", "indices", "token_ids", "offset", "pos", "tokens"])
def test_a_place_over_tokens_that_is_not_known_is_named(tmp_path, name) -> None:
    problems = read(written(tmp_path / "a.jsonl", [{"tokens": TOKENS, "entities": _entities(name)}]))[1]
    assert "entities[0] has no place among its tokens under a name that is known: write its first token" in problems
    assert f"it has: type, {name}" in problems
    assert "None" not in problems


def test_the_inclusive_places_of_prodigy_over_tokens_are_not_taken_for_others(tmp_path) -> None:
    problems = read(
        written(tmp_path / "a.jsonl", [{"tokens": TOKENS, "spans": _entities("token_start", "token_end")}])
    )[1]
    assert "it has: type, token_start, token_end" in problems


def test_an_entity_of_tokens_with_several_labels_says_so(tmp_path) -> None:
    row = {"tokens": TOKENS, "mentions": [{"start": 0, "end": 2, "labels": ["/person", "/person/artist"]}]}
    problems = read(written(tmp_path / "a.jsonl", [row]))[1]
    assert "mentions[0] has 2 labels (/person, /person/artist): keep one, as its 'label'" in problems


@pytest.mark.parametrize(
    ("row", "names"),
    [
        ({"text": "Ida ran", "slots": [{"slot": "a", "start": 0, "exclusive_end": 3}]}, "'slots'"),
        ({"text": "Ida ran", "ner_spans": [[0, 3, "PER"]]}, "'ner_spans'"),
        ({"text": "Ida ran", "pred": [[0, 3, "LOC"]], "true": [[0, 3, "PER"]]}, "'pred' or 'true'"),
        ({"words": ["Ida", "ran"], "aspects": [{"from": 0, "to": 1, "polarity": "POS"}]}, "'aspects'"),
    ],
)
def test_a_list_that_may_be_the_entities_is_named(tmp_path, row, names) -> None:
    problems = read(written(tmp_path / "a.jsonl", [row]))[1]
    assert f"; if its entities are {names}, call it 'entities'" in problems


def test_other_lists_are_not(tmp_path) -> None:
    row = {"text": "Ida ran", "scores": [1, 2], "relationMentions": [{"em1Text": "Ida", "label": "x"}], "topics": ["a"]}
    assert "call it 'entities'" not in read(written(tmp_path / "a.jsonl", [row]))[1]


def test_entity_mentions_are_read_where_their_place_is_clear(tmp_path) -> None:
    whole = {"sentText": "Ada ran", "entityMentions": [{"start": 0, "end": 3, "text": "Ada", "label": "PER"}]}
    found = read(written(tmp_path / "a.jsonl", [whole]))[:2]
    assert found == ([ADA], "")
    numbered = {"sentText": "Ada ran", "entityMentions": [{"start": 0, "text": "Ada", "label": "PER"}]}
    assert "an entity has both 'start' and 'end'" in read(written(tmp_path / "b.jsonl", [numbered]))[1]


def test_a_pair_of_texts_says_what_is_not_in_its_sentence(tmp_path) -> None:
    row = {"text": "The system shall encrypt data.", "entities": [["system", "ACTOR"], ["security", "QUALITY"]]}
    problems = read(written(tmp_path / "a.jsonl", [row]))[1]
    assert "entities[1]: neither 'security' nor 'QUALITY' is in the sentence" in problems
    both = {"text": "Ada met a person", "entities": [["Ada", "person"]]}
    problems = read(written(tmp_path / "b.jsonl", [both]))[1]
    assert "entities[0]: 'Ada' and 'person' both are in the sentence" in problems


def test_one_pair_under_a_text_is_its_place(tmp_path) -> None:
    row = {"text": "Ada ran", "entities": {"PER": {"Ada": [0, 3]}}}
    assert read(written(tmp_path / "a.jsonl", [row]))[:2] == ([ADA], "")


def test_sentences_with_entities_are_no_answer_of_corenlp(tmp_path) -> None:
    sentences = [{"tokens": ["Ida", "ran"], "entities": [{"start": 0, "end": 1, "type": "PER"}]}]
    document = {"documents": [{"id": 1, "sentences": sentences}]}
    problems = read(written(tmp_path / "a.json", [document]))[1]
    assert "are its rows those of 'documents.sentences'? Write that list to a file of its own" in problems
    assert "CoreNLP" not in problems
    answer = {"sentences": [{"tokens": [{"word": "Ida", "ner": "PERSON"}]}]}
    assert "an answer of CoreNLP" in read(written(tmp_path / "b.jsonl", [answer]))[1]


def test_a_document_of_watson_is_read_by_its_text(tmp_path) -> None:
    tokens = [{"id": "s0-t0", "begin": 0, "end": 3, "text": "Ada"}]
    row = {
        "text": "Ada ran",
        "sentences": [{"id": "s0", "begin": 0, "end": 7, "text": "Ada ran", "tokens": tokens}],
        "mentions": [{"id": "s0-m0", "type": "PER", "begin": 0, "end": 3}],
    }
    assert read(written(tmp_path / "a.jsonl", [row]))[:2] == ([ADA], "")


def test_paragraphs_of_others_are_not_said_to_be_spacys(tmp_path) -> None:
    sentences = [{"sentence": "Ada ran", "entities": [{"entity": "Ada", "entity_type": "PER"}]}]
    row = {"doc_id": "1", "paragraphs": [{"paragraph": "Ada ran", "sentences": sentences}]}
    problems = read(written(tmp_path / "a.json", [row]))[1]
    assert "are its rows those of 'paragraphs.sentences'?" in problems
    assert "a paragraph has neither" not in problems

"""What rows tell beside sentence and entities: named by ``convert`` once a file, whatever their format."""

import json

import pytest

from rnr.corpus.formats.entities.beside import LISTED
from rnr.corpus.formats.entities.decisions import DENIED
from rnr.corpus.formats.tools.label_studio import OTHER_RESULTS, UNLABELLED
from rnr.corpus.loading import load
from scripts.data import main
from tests.reading_files import ADA, read, written

_SPAN = {"start": 0, "end": 3, "label": "PER"}
_REGION = {"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]}
_TURNS = [
    {"from": "human", "value": "Text: Ada ran"},
    {"from": "gpt", "value": "I've read this text."},
    {"from": "human", "value": "What describes PER in the text?"},
    {"from": "gpt", "value": '["Ada"]'},
]
_MENTION = {"infons": {"type": "PER", "identifier": "Q"}, "text": "Ada", "locations": [{"offset": 0, "length": 3}]}
_PASSAGE = {"offset": 0, "infons": {"section": "x"}, "text": "Ada ran", "annotations": [_MENTION]}
_TASK = {
    "id": 7,
    "data": {"text": "Ada ran", "doc": "d1", "id": "t1"},
    "annotations": [{"id": 1, "result": [{"id": "q", "value": _REGION, "meta": {"text": ["is it?"]}, "score": 0.3}]}],
    "predictions": [],
    "meta": {"a": 1},
    "created_at": "2024",
}

ROWS: list[tuple[object, str]] = [
    ({"text": "Ada ran", "entities": [_SPAN | {"id": 1, "kb_id": "Q1"}], "meta": 1}, "entities.kb_id, meta"),
    ({"text": "Ada ran", "ents": [_SPAN | {"score": 0.2}]}, "ents.score"),
    ({"text": "Ada ran", "spans": [_SPAN | {"token_start": 0}], "_input_hash": 1, "answer": "accept", "a": 1}, "a"),
    ({"tokenized_text": ["Ada", "ran"], "ner": [[0, 0, "PER"]], "id": "n", "meta": {}, "split": "x"}, "meta, split"),
    ({"tokens": ["Ada", "ran"], "entities": [{"start": 0, "end": 1, "type": "PER", "p": 1}], "k": 2}, "entities.p, k"),
    ({"conversations": _TURNS, "id": "u", "split": "train", "src": "x"}, "split, src"),
    ({"instance": {"words": ["Ada", "ran"], "labels": ["B-PER", "O"], "x": 1}, "split": 1}, "instance.x, split"),
    ({"input": "Ada ran", "output": {"entities": {"PER": ["Ada"]}}, "lang": "en"}, "lang"),
    ({"input": "Ada ran", "output": "['Ada <> PER']", "lang": "en"}, "lang"),
    (["Ada ran", {"entities": [[0, 3, "PER"]], "cats": {"x": 1.0}}], "cats"),
    ({"documents": [{"infons": {"y": 1}, "passages": [_PASSAGE]}]},
     "annotations.infons.identifier, documents.infons.y, passages.infons.section"),
    ({"text": "Ada ran", "intent": "go", "entities": [{"entity": "PER", "startPos": 0, "endPos": 2, "score": 1}]},
     "entities.score, intent"),
    ({"text": "Ada ran", "annotation": [["PER", 0, 3]], "prediction": None, "status": "Validated", "metadata": 1},
     "metadata, prediction"),
    ({"fields": {"text": "Ada ran"}, "metadata": {}, "responses": {"s": [{"value": [_SPAN]}], "t": [{"value": "x"}]}},
     "metadata, t"),
    ({"text": "Ada ran", "s.responses": [[_SPAN]], "s.responses.users": ["a"], "t.responses": ["x"], "m": 1}, "m, t"),
    (_TASK, "data.doc, meta, result.meta, result.score"),
    ({"text": "Ada ran", "id": 1, "mood": "good", "label": [_REGION], "annotation_id": 1, "lead_time": 2.5}, "mood"),
]  # fmt: skip


def _lost(file, capsys) -> str:
    assert main(["convert", str(file), "--to", "jsonl", "--out", str(file.parent / "out.jsonl")]) == 0
    said = capsys.readouterr().err
    begins, ends = "lost, because jsonl cannot hold them: the fields ", f" of the rows of {file}\n"
    return said.removeprefix(begins).removesuffix(ends)


@pytest.mark.parametrize(("row", "names"), ROWS)
def test_fields_of_any_format_that_are_not_read_are_named_once_a_file(tmp_path, capsys, row, names) -> None:
    file = written(tmp_path / "a.json", json.dumps([row, row]))
    assert read(file)[:2] == ([ADA, ADA], "")
    assert _lost(file, capsys) == names


@pytest.mark.parametrize(
    ("name", "text", "names"),
    [
        ("a.txt", "1|t|Ada ran\n1\t0\t3\tAda\tPER\tQ1\n", "entities.identifier"),
        ("a.txt", "1|t|Ada ran\n1\t0\t3\tAda\tPER\n", ""),
        ("a.csv", ",doc,sentence_id,word,pos,tag\n0,1,1,Ada,NNP,B-PER\n1,1,1,ran,VBD,O\n", "doc, pos"),
        ("a.csv", "sentence_id,token_id,word,tag\n1,1,Ada,B-PER\n1,2,ran,O\n", ""),
    ],
)
def test_columns_and_identifiers_that_are_not_read_are_named(tmp_path, capsys, name, text, names) -> None:
    file = written(tmp_path / name, text)
    assert read(file)[:2] == ([ADA], "")
    assert _lost(file, capsys) == names


@pytest.mark.parametrize(("own", "name"), [({}, "7"), ({"id": "t1"}, "t1"), ({"id": "t1", "guid": "g"}, "g")])
def test_a_task_of_label_studio_has_the_name_of_its_data_or_its_own_number(tmp_path, own, name) -> None:
    task = _TASK | {"data": {"text": "Ada ran"} | own}
    (found,) = load([str(written(tmp_path / "a.json", json.dumps([task])))], training=True)
    assert found.guid == name


def test_what_somebody_wrote_to_a_region_is_no_region_without_a_label(tmp_path) -> None:
    written_to_it = {"value": {"start": 0, "end": 3, "text": ["Ada (Q1)"]}, "type": "textarea"}
    task = {"data": {"text": "Ada ran"}, "annotations": [{"result": [{"value": _REGION}, written_to_it]}]}
    found, problems, notes = read(written(tmp_path / "a.json", json.dumps([task])))
    assert (found, problems) == ([ADA], "")
    assert f"1 {OTHER_RESULTS}" in notes
    assert UNLABELLED not in notes


# Labels that a row lists


@pytest.mark.parametrize(
    ("more", "schema"),
    [
        ({"label": ["PER", "DATE"], "negative": ["CITY"]}, ("CITY", "DATE", "PER")),
        ({"label": ["DATE"]}, ("DATE", "PER")),
        ({"label": "greeting"}, ("PER",)),
        ({"negative": ["CITY"]}, ("CITY", "PER")),
        ({"ner_labels": ["PER", "DATE"], "label": ["X"]}, ("DATE", "PER")),
        ({"label": []}, ("PER",)),
    ],
)
def test_labels_that_gliner_of_before_asked_for_are_the_schema(tmp_path, more, schema) -> None:
    row = {"tokenized_text": ["Ada", "ran"], "ner": [[0, 0, "PER"]]} | more
    (found,) = load([str(written(tmp_path / "a.jsonl", [row]))], training=True)
    assert found.schema == schema


@pytest.mark.parametrize(
    ("row", "noted"),
    [
        ({"tokens": ["Ada", "ran"], "ner_tags": ["B-PER", "O"], "entity_types": ["PER", "LOC"]}, "entity_types"),
        ({"tokens": ["Ada", "ran"], "ner_tags": ["B-PER", "O"], "label_list": ["PER", "LOC"]}, "label_list"),
        ({"tokens": ["Ada", "ran"], "entities": [[0, 1, "PER"]], "types": ["PER", "LOC"]}, "types"),
        ({"tokenized_text": ["Ada", "ran"], "ner": [[0, 0, "PER"]], "labels": ["PER", "LOC"]}, "labels"),
        ({"tokens": ["Ada", "ran"], "ner_tags": ["B-PER", "O"], "labels": ["B-PER", "O"]}, ""),
        ({"tokens": ["Ada", "ran"], "ner_tags": [1, 0], "label_list": ["O", "B-PER"]}, ""),
        ({"tokens": ["Ada", "ran"], "ner_tags": ["B-PER", "O"], "schema": ["PER"], "types": ["PER"]}, ""),
    ],
)
def test_labels_that_a_row_of_tokens_lists_are_noted(tmp_path, row, noted) -> None:
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([ADA], "")
    assert (f"1 {LISTED} (row 1: {noted})" in notes) is bool(noted)


@pytest.mark.parametrize("tags", [[1, 0], ["B-PER", "O"]])
def test_a_list_of_tags_is_the_schema_of_tags_by_number_and_by_name(tmp_path, tags) -> None:
    row = {"tokens": ["Ada", "ran"], "ner_tags": tags, "label_list": ["O", "B-PER", "I-PER", "B-LOC"]}
    (found,) = load([str(written(tmp_path / "a.jsonl", [row]))], training=True)
    assert found.schema == ("LOC", "PER")


@pytest.mark.parametrize(
    "beside",
    [
        {"labels": [2, 3, 0]},
        {"labels": [1, 1, 0]},
        {"labels": [-100, 2, 3, 0, -100]},
        {"label": [0]},
        {"tags": [22, 38, 22]},
    ],
)
def test_tags_by_name_are_read_whatever_numbers_a_row_has_beside_them(tmp_path, beside) -> None:
    row = {"tokens": ["Ada", "Lo", "ran"], "ner_tags": ["B-PER", "I-PER", "O"], **beside}
    found, problems, _ = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([("Ada Lo ran", [("Ada Lo", "PER")])], "")


# Entities that are denied


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"negated": True}, "negated: true"),
        ({"assertion": "Absent"}, "assertion: Absent"),
        ({"attributes": {"negation": "true"}}, "negation: true"),
        ({"is_hypothetical": True, "assertion": "present"}, "is_hypothetical: true"),
        ({"negated": False, "assertion": "present", "attributes": {"certainty": "certain"}}, ""),
    ],
)
def test_entities_that_are_marked_as_negated_are_noted(tmp_path, more, said) -> None:
    rows = [{"text": "Ada ran", "entities": [_SPAN | more]}]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert (found, problems) == ([ADA], "")
    assert notes.endswith(f"1 {DENIED} (row 1: entities[0]: {said})") if said else notes == ""

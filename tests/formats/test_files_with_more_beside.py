"""What tools write beside the entities of a row, and what is not what it seems: nothing of it goes without a word."""

import json

import pytest

from rnr.corpus.duplicates import ACROSS
from rnr.corpus.formats.entities.beside import LISTED
from rnr.corpus.formats.entities.decisions import DOUBTFUL_ROWS
from rnr.corpus.formats.entities.plain_rows import OTHER_TEXTS
from rnr.corpus.formats.entities.span_lists import AS_TEXT, BESIDE
from rnr.corpus.formats.folders import NOT_READ
from rnr.corpus.formats.shapes import RELATIONS
from rnr.corpus.formats.tokens.text_tags import BY_CHARACTERS
from rnr.corpus.formats.tokens.token_rows import AS_NUMBERS
from rnr.corpus.formats.tokens.token_spans import NONE_SINGLE
from rnr.corpus.formats.tools.instructions import OTHER_TASKS, UNANSWERED
from rnr.corpus.formats.tools.label_studio import CANCELLED, DRAFTS, NOT_GROUND_TRUTH, UNLABELLED
from rnr.corpus.formats.tools.prodigy import MERGED
from rnr.corpus.loading import check, load
from rnr.corpus.report import Reading
from tests.reading_files import ADA, ROW, read, written

_REGION = {"start": 0, "end": 3, "text": "Ada", "labels": ["PER"]}


def _task(*values: object, **more: object) -> dict[str, object]:
    results = [{"value": value, "to_name": "text"} for value in values]
    return {"data": {"text": "Ada ran"}, "annotations": [{"result": results}]} | more


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (_task(_REGION, {"start": 4, "end": 7, "text": "ran", "labels": []}), UNLABELLED),
        (_task(_REGION, {"start": 4, "end": 7, "text": "ran"}), UNLABELLED),
        (_task(_REGION, drafts=[{"result": []}]), DRAFTS),
        (_task(_REGION | {"start": "0", "end": "3"}), AS_TEXT),
    ],
)
def test_regions_and_drafts_of_label_studio_are_counted(tmp_path, task, said) -> None:
    found, problems, notes = read(written(tmp_path / "a.json", json.dumps([task])))
    assert (found, problems) == ([ADA], "")
    assert f"1 {said}" in notes


def test_annotations_of_a_task_that_are_not_read_are_counted(tmp_path) -> None:
    read_one = {"result": [{"value": _REGION}], "ground_truth": True}
    others = [{"result": []}, {"result": []}, {"result": [], "was_cancelled": True, "ground_truth": True}]
    task = {"data": {"text": "Ada ran"}, "annotations": [read_one, *others]}
    found, problems, notes = read(written(tmp_path / "a.json", json.dumps([task])))
    assert (found, problems) == ([ADA], "")
    assert f"2 {NOT_GROUND_TRUTH} (row 1" in notes
    assert f"1 {CANCELLED} (row 1" in notes


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(("last", "read_as"), [(0, True), (1, False)])
def test_the_text_beside_a_place_of_gliner_tells_whether_its_end_is_inclusive(tmp_path, last, read_as, listed) -> None:
    span: object = {"start": 0, "end": last, "label": "PER", "text": "Ada"}
    span = [0, last, "PER", "Ada"] if listed else span
    row = {"tokenized_text": ["Ada", "ran"], "ner": [span]}
    found, problems, _ = read(written(tmp_path / "a.jsonl", [row]))
    assert found == ([ADA] if read_as else [])
    said = "'Ada' is not at tokens 0 to 1 (inclusive, as in GLiNER); it is where ends are exclusive"
    assert (said in problems) != read_as


@pytest.mark.parametrize("more", [0.98, "Q42"])
@pytest.mark.parametrize(("tokens", "field", "end"), [("tokenized_text", "ner", 0), ("tokens", "entities", 1)])
def test_more_beside_a_place_of_tokens_is_counted(tmp_path, tokens, field, end, more) -> None:
    row = {tokens: ["Ada", "ran"], field: [[0, end, "PER", more]]}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([ADA], "")
    assert f"1 {BESIDE}" in notes


def test_a_task_with_several_texts_in_one_is_named(tmp_path) -> None:
    task = _task(_REGION) | {"data": {"text": ["Ada ran", "Bo sat"]}}
    assert "data.text must be one text" in read(written(tmp_path / "a.json", json.dumps([task])))[1]


def test_two_annotators_of_prodigy_are_no_decisions_about_one_span_each(tmp_path) -> None:
    row = {"text": "Ada ran", "answer": "accept", "_task_hash": 1}
    rows: list[object] = [row | {"spans": [{"start": 0, "end": 3, "label": "PER"}]}, row | {"spans": []}]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert (found, problems) == ([ADA, ("Ada ran", [])], "")
    assert MERGED not in notes
    assert "contradictory annotations" in notes


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"tokens": ["Ada", "ran"], "ner_tags": ["B-PER", "O"], "relations": [{"head": 0}]}, RELATIONS),
        ({"tokens": ["Ada", "ran"], "entities": [{"start": 0, "end": 1, "type": "PER"}], "relations": [1]}, RELATIONS),
        ({"tokenized_text": ["Ada", "ran"], "ner": [[0, 0, "PER"]], "relations": [[0, 1, "x"]]}, RELATIONS),
        ({"input": "Ada ran", "output": {"entities": {"PER": ["Ada"]}, "classifications": [{}]}}, OTHER_TASKS),
        ({"text": "Ada ran", "spans": [{"start": 0, "end": 3, "label": "PER"}], "flagged": True}, DOUBTFUL_ROWS),
        ({"tokens": ["Ada", "ran"], "ner_tags": ["1", "0"], "names": ["O", "B-PER"]}, AS_NUMBERS),
        ({"tokens": ["Ada", "ran"], "ner_tags": [1.0, 0.0], "names": ["O", "B-PER"]}, AS_NUMBERS),
        (
            {
                "fields": {"text": "Ada ran", "context": "She ran far"},
                "responses": {"s": [{"value": [{"start": 0, "end": 3, "label": "PER"}], "status": "submitted"}]},
            },
            OTHER_TEXTS,
        ),
    ],
)
def test_what_rows_have_beside_their_entities_is_counted(tmp_path, row, said) -> None:
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([ADA], "")
    assert f"1 {said}" in notes


def test_parts_of_speech_called_tags_are_not_read_in_the_place_of_names(tmp_path) -> None:
    row = {"tokens": ["Ada", "ran"], "tags": ["NNP", "VBD"], "ner": ["B-PER", "O"]}
    assert read(written(tmp_path / "a.jsonl", [row])) == ([ADA], "", "")


def test_a_text_may_have_a_tag_for_each_of_its_characters(tmp_path) -> None:
    # As is usual in Chinese. The space has a tag of its own, or none.
    rows: list[object] = [
        {"text": "\u5f20\u4e09\u5728", "labels": ["B-PER", "I-PER", "O"]},
        {"text": "\u5f20\u4e09 \u5728", "labels": ["B-PER", "I-PER", "O", "O"]},
        {"text": "\u5f20\u4e09 \u5728", "labels": ["B-PER", "I-PER", "O"]},
    ]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert [mentions for _, mentions in found] == [[("\u5f20\u4e09", "PER")]] * 3
    assert (problems, f"3 {BY_CHARACTERS}" in notes) == ("", True)


@pytest.mark.parametrize(("last", "noted"), [(4, True), (3, False)])
def test_spans_of_gliner_of_which_none_is_one_token_are_named(tmp_path, last, noted) -> None:
    tokens = ["Ada", "ran", "to", "Oslo", "."]
    rows: list[object] = [{"tokenized_text": tokens, "ner": [[0, 1, "PER"], [3, last, "LOC"]]}] * 5
    notes = read(written(tmp_path / "a.jsonl", rows))[2]
    assert (f"10 {NONE_SINGLE}" in notes) == noted


def _conversation(*turns: str, keys: tuple[str, str] = ("from", "value"), who: tuple[str, str] = ("human", "gpt")):
    said = ["Text: Ada ran", "I've read this text.", *turns]
    return [{keys[0]: who[place % 2], keys[1]: turn} for place, turn in enumerate(said)]


_ASKED = "What describes PER in the text?"


@pytest.mark.parametrize(
    "turns",
    [
        _conversation(_ASKED, '["Ada"]'),
        _conversation(_ASKED, "['Ada']"),
        [{"from": "system", "value": "You extract."}, *_conversation(_ASKED, '["Ada"]')],
        _conversation(_ASKED, '["Ada"]', keys=("role", "content"), who=("user", "assistant")),
    ],
)
def test_conversations_are_read_as_people_write_them(tmp_path, turns) -> None:
    assert read(written(tmp_path / "a.jsonl", [{"conversations": turns}]))[:2] == ([ADA], "")


def test_a_question_without_an_answer_is_counted_and_another_chat_is_named(tmp_path) -> None:
    turns = _conversation(_ASKED, '["Ada"]', "What describes LOC in the text?")
    found, problems, notes = read(written(tmp_path / "a.jsonl", [{"conversations": turns}]))
    assert (found, problems) == ([ADA], "")
    assert f"1 {UNANSWERED}" in notes
    chat = [{"from": "human", "value": "Extract: Ada ran"}, {"from": "gpt", "value": "Ada is a PER"}]
    assert "a chat for fine-tuning" in read(written(tmp_path / "b.jsonl", [{"conversations": chat}]))[1]


def test_the_split_that_azure_calls_a_data_set_is_none(tmp_path) -> None:
    row = {
        "text": "Ada ran",
        "language": "en",
        "intent": "x",
        "entities": [{"category": "PER", "offset": 0, "length": 3}],
    }
    found, problems, notes = read(
        written(tmp_path / "a.jsonl", [row | {"dataset": "Train"}, row | {"dataset": "Test"}])
    )
    assert (found, problems) == ([ADA, ADA], "")
    assert "rows are of several splits by their field 'dataset' (train 1, test 1)" in notes


@pytest.mark.parametrize("name", ["labels", "entity_types", "label_list"])
def test_labels_that_a_row_lists_under_another_name_than_schema_are_named(tmp_path, name) -> None:
    found, problems, notes = read(written(tmp_path / "a.jsonl", [ROW | {name: ["PER", "LOC"]}]))
    assert (found, problems) == ([ADA], "")
    assert f"1 {LISTED} (row 1: {name})" in notes
    assert LISTED not in read(written(tmp_path / "b.jsonl", [ROW | {name: ["PER"], "schema": ["PER", "LOC"]}]))[2]


def test_sentences_in_several_files_are_named_with_the_ways_they_are_annotated(tmp_path) -> None:
    other = {"text": "Ada  ran", "entities": [[0, 3, "ORG"]]}
    files = [
        written(tmp_path / "a.jsonl", [{"text": "Bo sat", "entities": [[0, 2, "PER"]]}, ROW]),
        written(tmp_path / "b.conll", "Ada B-PER\nran O\n"),
        written(tmp_path / "c.jsonl", [other]),
    ]
    reading = Reading()
    assert len(list(check([str(file) for file in files], reading))) == 4
    notes = "\n".join(reading.report.lines())
    assert f"{files[0]}: 1 {ACROSS} (row 2: rows 2, {files[1]}: 1 | {files[2]}: 1)" in notes
    assert ACROSS not in read(files[0])[2]


def test_what_stands_beside_the_rows_of_an_object_is_named(tmp_path) -> None:
    content = {"documents": [ROW], "labels": ["PER", "LOC"], "version": 1}
    found, problems, notes = read(written(tmp_path / "a.json", json.dumps(content)))
    assert (found, problems) == ([ADA], "")
    assert "was taken for the rows ('documents', not 'labels')" in notes


@pytest.mark.parametrize(
    ("names", "apart"),
    [
        (("train.tsv", "devel.tsv", "test.tsv"), "train_dev.tsv"),
        (("eng.train", "eng.testa", "eng.testb"), "eng.raw"),
        (("example.train", "example.dev", "example.test"), "notes.md"),
        (("ner.train.txt", "ner.dev.txt"), "ner.all.txt"),
    ],
)
def test_the_files_of_a_folder_may_have_their_split_as_an_ending(tmp_path, names, apart) -> None:
    for number, name in enumerate((*names, apart)):
        written(tmp_path / "set" / name, f"Ida{number} B-PER\nran O\n")
    found, problems, notes = read(tmp_path / "set")
    assert (sorted(sentence for sentence, _ in found), problems) == ([f"Ida{at} ran" for at in range(len(names))], "")
    assert (f"{apart}: {NOT_READ}" in notes.replace("1 ", "")) == (apart.startswith(("train", "ner")))
    assert load([str(tmp_path / "set")], training=True)[0].sentence == "Ida0 ran"


@pytest.mark.parametrize("names", [("eng.train", "ned.train"), ("eng.train", "ned.testa"), ("a.train.txt", "b.txt")])
def test_files_of_several_names_are_no_splits_of_one_set(tmp_path, names) -> None:
    for name in names:
        written(tmp_path / "set" / name, "Ida B-PER\nran O\n")
    assert "no split in this folder" in read(tmp_path / "set")[1]

"""Tables by column in JSON: lists side by side, and what pandas writes."""

import json

import pytest

from tests.reading_files import ADA, BO, read, written

E = [[0, 3, "PER"]]
BO_E = [[0, 2, "PER"]]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"texts": ["Ada ran", "Bo sat"], "entities": [E, BO_E]}, "texts as text, entities"),
        ({"data": ["Ada ran", "Bo sat"], "labels": [E, BO_E], "n": 2}, "data, labels; not n"),
        ({"text": ["Ada ran", "Bo sat"], "entities": [{"PER": ["Ada"]}, {"PER": ["Bo"]}]}, "text, entities"),
        ({"sentences": ["Ada ran", "Bo sat"], "tags": ["B-PER O", "B-PER O"]}, "sentences as text, tags"),
        ({"sents": [["Ada", "ran"], ["Bo", "sat"]], "tags": [["B-PER", "O"]] * 2}, "sents as tokens, tags"),
        (
            {"tokens": [["Ada", "ran"], ["Bo", "sat"]], "ner_tags": [[1, 0]] * 2, "label_list": ["O", "B-PER"]},
            "tokens, ner_tags",
        ),
        ({"text": {"0": "Ada ran", "1": "Bo sat"}, "label": {"0": E, "1": BO_E}}, "text, label"),
        ({"text": {"x": "Ada ran", "y": "Bo sat"}, "label": {"x": str(E), "y": str(BO_E)}}, "text, label"),
        (
            {"columns": ["text", "label"], "index": [0, 1], "data": [["Ada ran", E], ["Bo sat", BO_E]]},
            "text, label",
        ),
    ],
)
def test_a_table_by_column_is_read_row_by_row_and_its_columns_are_named(tmp_path, table, said) -> None:
    found, problems, notes = read(written(tmp_path / "a.json", json.dumps(table)))
    assert (found, problems) == ([ADA, BO], "")
    assert f"a.json: 1 table by column was read row by row ({said})" in notes


def test_a_table_by_column_inside_an_object_is_read_and_two_are_not_put_together(tmp_path) -> None:
    table = {"texts": ["Ada ran", "Bo sat"], "entities": [E, BO_E]}
    assert read(written(tmp_path / "a.json", json.dumps({"data": table})))[:2] == ([ADA, BO], "")
    found, problems, _ = read(written(tmp_path / "b.json", json.dumps({"train": table, "test": table})))
    assert found == []
    assert "several lists of rows (train, test); write a file for each" in problems


def test_columns_of_unlike_lengths_are_refused_with_their_lengths(tmp_path) -> None:
    table = {"texts": ["Ada ran", "Bo sat", "Cy ate"], "entities": [E, BO_E]}
    found, problems, _ = read(written(tmp_path / "a.json", json.dumps(table)))
    assert found == []
    assert "'texts' lists 3 sentences and 'entities' what is annotated in 2" in problems


@pytest.mark.parametrize(
    ("row", "label"),
    [
        ({"tokens": ["Ada", "ran"], "entities": [[0, 1, "PER"], [1, 2, "ACT"]]}, "ACT"),
        ({"words": ["Ada", "ran"], "ner": ["B-PER", "B-ACT"]}, "ACT"),
    ],
)
def test_a_row_with_as_many_entities_as_words_is_no_table(tmp_path, row, label) -> None:
    found, problems, _ = read(written(tmp_path / "a.json", json.dumps(row)))
    assert (found, problems) == ([("Ada ran", [("Ada", "PER"), ("ran", label)])], "")


def test_several_sentences_in_a_row_of_many_are_refused(tmp_path) -> None:
    rows = [{"texts": ["Ada ran", "Bo sat"], "entities": [E, BO_E]}] * 2
    found, problems, _ = read(written(tmp_path / "a.jsonl", rows))
    assert found == []
    assert "a.jsonl, row 2: this looks like several sentences in a row, which is not read: write a row for" in problems


def test_lists_under_other_names_are_asked_whether_they_are_columns(tmp_path) -> None:
    problems = read(written(tmp_path / "a.json", json.dumps({"X": [["Ada"], ["Bo"]], "y": [["B-PER"], ["O"]]})))[1]
    assert "are its lists the columns of a table? Write a row for each sentence" in problems

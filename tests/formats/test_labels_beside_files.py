"""A ``labels.json`` beside files: whose schema it is and which file it is, is said wherever it takes part."""

import json

import pytest

from rnr.corpus.loading import load
from scripts.data import main
from tests.reading_files import ADA, ROW, read, written

BO_ACTS = {"text": "Bo sat", "entities": [[0, 2, "ACTOR"]]}


def test_the_schema_of_a_file_beside_is_noted_where_a_row_is_given_it(tmp_path, caplog) -> None:
    beside = written(tmp_path / "labels.json", '["PER", "LOC"]')
    said = f"{beside}: is the schema of rows without one: LOC, PER"
    found, problems, notes = read(written(tmp_path / "a.jsonl", [ROW]))
    assert (found, problems) == ([ADA], "")
    assert notes == said
    assert load([str(tmp_path / "a.jsonl")], training=True)[0].schema == ("LOC", "PER")
    assert said in caplog.text
    assert read(written(tmp_path / "own.jsonl", [ROW | {"schema": ["LOC", "PER"]}])) == ([ADA], "", "")


def test_a_list_of_the_labels_that_its_rows_use_is_not_noted(tmp_path) -> None:
    written(tmp_path / "labels.json", '["PER"]')
    assert read(written(tmp_path / "a.jsonl", [ROW])) == ([ADA], "", "")


@pytest.mark.parametrize("own", [None, ["PER"]])
def test_a_label_that_is_in_no_schema_names_the_file_that_lists_it(tmp_path, own) -> None:
    beside = written(tmp_path / "labels.json", '["LOC", "PER"]')
    row = BO_ACTS if own is None else BO_ACTS | {"schema": own}
    problems = read(written(tmp_path / "b.jsonl", [row]))[1]
    assert "row 1: label 'ACTOR' of 'Bo' is not in the schema [" in problems
    told = f"of {beside}: add it there, give the row a 'schema' of its own, or move that file away"
    assert (told in problems) is (own is None)


def test_convert_says_that_a_list_of_labels_is_written_beside(tmp_path, capsys) -> None:
    file = str(written(tmp_path / "a.jsonl", [ROW]))
    assert main(["convert", file, "--to", "instructuie", "--out", str(tmp_path / "new" / "train.json")]) == 0
    assert json.loads((tmp_path / "new" / "labels.json").read_text()) == ["PER"]
    assert f"note: {tmp_path / 'new' / 'labels.json'} was written beside it" in capsys.readouterr().out


def test_labels_that_are_listed_already_keep_their_order(tmp_path) -> None:
    written(tmp_path / "labels.json", '["TIME", "LOC"]')
    file = str(written(tmp_path / "mine" / "a.jsonl", [ROW]))
    assert main(["convert", file, "--to", "instructuie", "--out", str(tmp_path / "train.json")]) == 0
    assert json.loads((tmp_path / "labels.json").read_text()) == ["TIME", "LOC", "PER"]


@pytest.mark.parametrize("there", [{"PER": 1}, {"PER": "names of people"}, ["O", "B-PER"], [{"id": 7, "text": "PER"}]])
def test_what_a_list_of_labels_tells_beside_them_is_not_written_over(tmp_path, capsys, there) -> None:
    written(tmp_path / "labels.json", json.dumps(there))
    file = str(written(tmp_path / "mine" / "a.jsonl", [ROW]))
    assert main(["convert", file, "--to", "instructuie", "--out", str(tmp_path / "train.json")]) == 2
    assert "is no plain list of labels" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["labels.json"]
    assert json.loads((tmp_path / "labels.json").read_text()) == there

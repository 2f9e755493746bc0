"""Files that no reader of ours takes: each says what it is, and what to do."""

import pytest

from tests.reading_files import ADA, BO, read, written


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.json", '[{"text": "Ada ran", "entities": []},\n]', "there is a comma after the last of a list"),
        ("a.jsonl", '{"text": "Ada ran", "entities": [[0, 3, "PER"],]}\n{}\n', "there is a comma after the last"),
        ("a.jsonl", '{"text": "Ada ran"}{"text": "Bo"}\n{}\n', "another value comes after it"),
        ("a.json", 'TRAIN_DATA = [("Ada", {})]', "this is a program"),
        ("a.json", 'callback({"a": 1});', "this is a program"),
        ("a.json", "[{'text': 'Ada'}]", "this is how Python shows an object"),
        ("a.json", '```json\n[{"text": "Ada"}]\n```', "the marks of a block of code"),
        ("a.jsonl", '\x1e{"text": "Ada"}\n\x1e{"text": "Bo"}\n', "the record separators (U+001E)"),
        ("a.py", "DATA = []", "this is Python"),
        ("a.npy", "x", "an array of NumPy"),
        ("a.rds", "x", "a data set of R"),
        ("a.csv", "", "it is empty"),
        ("a.csv", "text,entities\n", "there is no row below its first line (text, entities)"),
        ("a.csv", "Ada B-PER\nran O\n", "give its name the ending .conll"),
        ("a.csv", "My data,,\nsentence_id,word,tag\n1,Ada,B-PER\n", "remove what is above the names"),
    ],
)
def test_files_that_are_not_read_say_what_to_do(tmp_path, name, text, said) -> None:
    assert said in read(written(tmp_path / name, text))[1]


def test_words_and_tags_in_two_files_are_told_how_to_be_put_side_by_side(tmp_path) -> None:
    written(tmp_path / "seq.in", "Ada ran\n")
    written(tmp_path / "seq.out", "B-PER O\n")
    assert "`paste seq.in seq.out > train.txt`" in read(tmp_path)[1]
    assert read(written(tmp_path / "b" / "train.txt", "Ada ran\tB-PER O\nBo sat\tB-PER O\n"))[0] == [ADA, BO]

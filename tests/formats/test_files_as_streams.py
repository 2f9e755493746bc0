"""Files that are large: no more of them is held than a sentence, and what is broken in them harms nothing else."""

import gc
import json
import sys
import tracemalloc

import pytest

from rnr.corpus.formats import json_files
from rnr.corpus.formats.files import text_lines
from rnr.corpus.formats.files.csv_table import NOTHING
from rnr.corpus.formats.tables.csv_words import AGAIN
from rnr.corpus.formats.tokens import token_rows
from rnr.corpus.loading import check, load, stream
from rnr.corpus.report import Reading
from tests.reading_files import ADA, BO, read, written

MANY = 3000
TAGS = ["B-PER", *["O"] * 40]


def _words(number: int) -> list[str]:
    return ["Ada", *["ran"] * 39, str(number)]


def _of_words() -> str:
    rows = (zip(_words(number), TAGS, strict=True) for number in range(MANY))
    numbered = (f"{number},{word},{tag}\n" for number, sentence in enumerate(rows) for word, tag in sentence)
    return "sentence_id,word,tag\n" + "".join(numbered)


def _of_sentences() -> str:
    rows = ('"{}","[[0, 3, ""PER""]]"\n'.format(" ".join(_words(number))) for number in range(MANY))
    return "text,entities\n" + "".join(rows)


def _of_tokens() -> str:
    return "".join(json.dumps({"tokens": _words(number), "ner_tags": TAGS}) + "\n" for number in range(MANY))


def _of_a_list() -> str:
    rows = [{"text": " ".join(_words(number)), "entities": [[0, 3, "PER"]]} for number in range(MANY)]
    return json.dumps(rows, indent=1)


def _of_pubtator() -> str:
    return "".join(f"{n}|t|{' '.join(_words(n))}\n{n}\t0\t3\tAda\tPER\tx\n\n" for n in range(MANY))


FILES = {
    "words.csv": _of_words,
    "sentences.csv": _of_sentences,
    "tokens.jsonl": _of_tokens,
    "list.json": _of_a_list,
    "a.pubtator": _of_pubtator,
}


@pytest.mark.parametrize("name", FILES)
def test_no_more_of_a_file_is_held_than_a_sentence(tmp_path, name, monkeypatch) -> None:
    for module in (text_lines, json_files):
        monkeypatch.setattr(module, "PIECE", 2**12)
    monkeypatch.setattr(token_rows, "SAMPLE", 2000)
    file = written(tmp_path / name, FILES[name]())
    next(iter(check([str(file)], Reading())))  # what is loaded once is no part of it
    for rows in (check([str(file)], Reading()), stream([str(file)], training=True, reading=Reading())):
        tracemalloc.start()
        try:
            assert sum(len(row.mentions) for row in rows) == MANY
            assert tracemalloc.get_traced_memory()[1] < file.stat().st_size / 2
        finally:
            tracemalloc.stop()


def test_only_a_full_collection_scans_what_was_loaded(tmp_path) -> None:
    examples = load([str(written(tmp_path / "tokens.jsonl", _of_tokens()))], training=True)
    assert gc.isenabled()
    assert {id(one) for one in examples} <= {id(one) for one in gc.get_objects(generation=2)}
    assert gc.get_freeze_count() == 0


# A scheme that the first sentences tell


def test_the_scheme_is_told_by_as_many_tags_as_it_takes_to_see_two_of_them(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(token_rows, "SAMPLE", 1)
    rows = [{"tokens": ["x"], "tags": ["O"]}] * 5 + [{"tokens": ["Ada", "Bo"], "tags": ["S-PER", "S-PER"]}]
    found, problems, _ = read(written(tmp_path / "a.jsonl", rows))
    assert (found[5], problems) == (("Ada Bo", [("Ada", "PER"), ("Bo", "PER")]), "")


# Lists


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 64])
def test_a_list_is_read_alike_however_its_text_is_divided(tmp_path, monkeypatch, piece) -> None:
    monkeypatch.setattr(text_lines, "PIECE", piece)
    monkeypatch.setattr(json_files, "PIECE", piece)
    rows = '[\n {"text": "Ada ran", "entities": [[0, 3, "PER"]]}\n, {"text": "Bo \\"é\\\\ sat",\n"entities": []} ]\n\n'
    found, problems, _ = read(written(tmp_path / "a.json", rows))
    assert (found, problems) == ([ADA, ('Bo "é\\ sat', [])], "")


COMMA_TOO_MANY = "line 2: not valid JSON" if sys.version_info >= (3, 13) else "line 3: not valid JSON"
"""Python 3.13 says where the comma is, earlier ones where a value is missing after it."""


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ('[\n{"text": "Ada ran", "entities": []},\n{"text": "Bo sat", "entities": [}\n]', "line 3: not valid JSON"),
        ('[\n{"text": "Ada ran", "entities": []},\n]', COMMA_TOO_MANY),
        ('[\n{"text": "Ada ran", "entities": []}\n', "line 3: not valid JSON"),
        ('[\n{"text": "Ada ran", "entities": []}\n]\n]', "line 4: not valid JSON"),
        ('[\n{"text": "Ada ran", "entities": []},\n{"text": "Bo", "text": "Bo"}\n]', "an object has 'text' twice"),
    ],
)
def test_a_list_that_breaks_says_where(tmp_path, rows, said) -> None:
    assert said in read(written(tmp_path / "a.json", rows))[1]


def test_a_list_that_is_one_value_is_still_read_as_one(tmp_path) -> None:
    words = '[\n{"id": 1, "text": "Ada", "ner": "S-PER"},\n{"id": 2, "text": "ran", "ner": "O"}\n]'
    assert "a sentence of Stanza" in read(written(tmp_path / "a.json", words))[1]


# Tables


def _table(*rows: str) -> str:
    return "\n".join(("sentence_id,word,tag", *rows)) + "\n"


def test_a_row_that_cannot_be_divided_spoils_its_sentence_and_the_next_one_that_may_begin_in_it(tmp_path) -> None:
    rows = ("1,Ada,B-PER", "1,ran,O", '2,"Bo"s,B-PER', "2,sat,O", "3,Ada,B-PER", "3,ran,O")
    found, problems, _ = read(written(tmp_path / "a.csv", _table(*rows)))
    first, second = problems.splitlines()
    assert found == [ADA]
    assert "line 4: ',' expected after '\"'" in first
    assert "line 4: ',' expected after '\"'" in second
    assert "this sentence may begin there" in second


def test_an_open_quotation_mark_spoils_the_sentences_whose_rows_it_swallows(tmp_path) -> None:
    rows = ('1,",O', "1,ran,O", '2,",O', "2,sat,O", "3,Ada,B-PER", "3,ran,O")
    found, problems, _ = read(written(tmp_path / "a.csv", _table(*rows)))
    assert found == [ADA]
    assert ["line 2: the word goes over several lines" in line for line in problems.splitlines()] == [True, True]


def test_a_broken_row_inside_of_a_sentence_spoils_no_other(tmp_path) -> None:
    rows = ("1,Ada,B-PER", '1,"x"y,O', "1,ran,O", "2,Bo,B-PER", "2,sat,O")
    found, problems, _ = read(written(tmp_path / "a.csv", _table(*rows)))
    assert (found, len(problems.splitlines())) == ([BO], 1)


def test_a_quotation_mark_that_opens_a_text_and_does_not_end_it_is_an_error_of_its_row(tmp_path) -> None:
    rows = 'text,entities\n"Ada" ran,"[[0, 3, ""PER""]]"\nBo sat,"[[0, 2, ""PER""]]"\n'
    found, problems, _ = read(written(tmp_path / "a.csv", rows))
    assert (found, problems.count("line 2: ',' expected after '\"'")) == ([BO], 1)


def test_rows_with_nothing_in_them_are_counted(tmp_path) -> None:
    found, problems, notes = read(written(tmp_path / "a.csv", _table("1,Ada,B-PER", "1,ran,O", ",,", "", " ,,")))
    assert (found, problems) == ([ADA], "")
    assert f"2 {NOTHING} (row 4; row 6)" in notes


def test_lines_are_counted_as_an_editor_does(tmp_path) -> None:
    rows = 'text,entities\n\n"Ada\nran","[[0, 3, ""PER""]]"\nBo sat,[],x\n'
    found, problems, _ = read(written(tmp_path / "a.csv", rows))
    assert found == [("Ada\nran", [("Ada", "PER")])]
    assert "line 5: more cells than columns" in problems


def test_blank_lines_may_stand_before_the_header(tmp_path) -> None:
    assert read(written(tmp_path / "a.csv", "\n\r\n" + _table("1,Ada,B-PER", "1,ran,O")))[:2] == ([ADA], "")


def test_numbers_that_come_again_are_named_by_their_lines(tmp_path) -> None:
    rows = ("1,Ada,B-PER", "2,Bo,B-PER", "1,Ada,B-PER", "2,Bo,B-PER", "2,sat,O")
    assert f"2 {AGAIN} (row 4; row 5)" in read(written(tmp_path / "a.csv", _table(*rows)))[2]

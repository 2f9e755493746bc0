"""Files that another system, an editor or a copy has changed: line ends, marks, compression, texts inside of JSON."""

import codecs
import gzip
import json

import pytest

from rnr.corpus.formats.files.opening import MARKED
from tests.reading_files import ADA, BO, ROW, read, written

_ADA = json.dumps(ROW)
_BO = json.dumps({"text": "Bo sat", "entities": [[0, 2, "PER"]]})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("compressed", [False, True])
def test_json_lines_may_end_in_carriage_returns_in_any_encoding(tmp_path, encoding, compressed) -> None:
    content = f"{_ADA}\r{_BO}\r".encode(encoding)
    name, content = ("a.jsonl.gz", gzip.compress(content)) if compressed else ("a.jsonl", content)
    assert read(written(tmp_path / name, content)) == ([ADA, BO], "", "")


def test_a_value_over_several_lines_that_end_in_carriage_returns_is_one(tmp_path) -> None:
    content = json.dumps([ROW], indent=1).replace("\n", "\r")
    assert read(written(tmp_path / "a.json", content))[:2] == ([ADA], "")


def test_files_with_marks_one_behind_the_other_are_read(tmp_path) -> None:
    content = b"".join(codecs.BOM_UTF8 + line.encode() + b"\n" for line in (_ADA, _BO))
    found, problems, notes = read(written(tmp_path / "a.jsonl", content))
    assert (found, problems) == ([ADA, BO], "")
    assert f"1 {MARKED} (row 2)" in notes


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl.gz", gzip.compress(_ADA.encode()), "it is compressed twice"),
        ("a.jsonl.gz.gz", gzip.compress(_ADA.encode()), "it is compressed twice"),
        ("a.jsonl.gz", b"PK\x03\x04rest", "what gzip has compressed there is a zip archive"),
        ("a.json.gz", b"<?xml version='1.0'?>", "what gzip has compressed there is XML"),
    ],
)
def test_what_gzip_has_compressed_is_named_by_what_it_is(tmp_path, name, content, said) -> None:
    assert said in read(written(tmp_path / name, gzip.compress(content)))[1]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (r'{"text": "C:\Users\Ada", "entities": []}', "a backslash in a text is written twice"),
        ('{"text": "Ada\tran", "entities": []}', r"is written \t or \n in JSON"),
        ('{"text": "Ada\nran", "entities": []}', r"a line break inside of it is written \n"),
        ('{\u201ctext\u201d: "Ada ran"}', "quotation marks are straight in JSON"),
        (f"{_ADA}\0\0\n", "there are zero bytes after it"),
    ],
)
def test_a_text_that_is_not_as_json_writes_it_is_told_how(tmp_path, line, said) -> None:
    assert said in read(written(tmp_path / "a.jsonl", f"{line}\n{_BO}\n"))[1]


def test_a_line_of_json_that_is_no_utf8_is_told_how_to_convert_it(tmp_path) -> None:
    content = f"{_ADA}\n".encode() + _BO.replace("Bo", "Zo\u00eb").encode("cp1252") + b"\n"
    found, problems, _ = read(written(tmp_path / "a.jsonl", content))
    assert found == [ADA]
    assert "row 2: not UTF-8 at byte 12; if it is Latin-1" in problems


# Line ends that were written twice


_ROWS = ("Ada\tB-PER", "ran\tO", "", "Bo\tB-PER", "sat\tO")


@pytest.mark.parametrize("end", ["\r\n", "\r\r\n", "\r\r\r\n"])
def test_carriage_returns_before_a_line_feed_are_one_line_end(tmp_path, end) -> None:
    assert read(written(tmp_path / "a.tsv", end.join((*_ROWS, "")))) == ([ADA, BO], "", "")
    table = end.join(("word,tag", *(row.replace("\t", ",") for row in _ROWS), ""))
    found, problems, notes = read(written(tmp_path / "a.csv", table))
    assert (found, problems) == ([ADA, BO], "")
    assert "blank rows divide them" in notes


def test_carriage_returns_alone_divide_rows_and_blank_ones_sentences(tmp_path) -> None:
    assert read(written(tmp_path / "a.csv", "word,tag\rAda,B-PER\rran,O\r\r\rBo,B-PER\rsat,O\r"))[:2] == ([ADA, BO], "")


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_line_feed_after_the_last_of_lines_that_end_in_carriage_returns_is_no_other_end(tmp_path, end, encoding):
    """An editor adds one; all rows were one line, with one mention labelled "PER\\rran"."""
    columns = f"Ada\tB-PER\rran\tO\r\rBo\tB-PER\rsat\tO{end}".encode(encoding)
    assert read(written(tmp_path / "a.conll", columns))[:2] == ([ADA, BO], "")
    rows = [{"text": "Ada ran", "entities": [[0, 3, "PER"]]}, {"text": "Bo sat", "entities": [[0, 2, "PER"]]}]
    lines = ("\r".join(map(json.dumps, rows)) + end).encode(encoding)
    assert read(written(tmp_path / "a.jsonl", lines))[:2] == ([ADA, BO], "")


def test_columns_whose_lines_end_in_two_ways_are_refused(tmp_path) -> None:
    """Two files put together: what ends in carriage returns would be one line of many columns."""
    rows = "Ada\tB-PER\rran\tO\r\r"
    said = read(written(tmp_path / "a.conll", f"{rows * 9}\n{rows * 9}"))[1]
    assert "some lines end in carriage returns and others in line feeds" in said


def test_carriage_returns_inside_of_a_cell_stay(tmp_path) -> None:
    text = 'text,label\r\r\n"Ada\r\r\nran","[[6, 9, ""X""]]"\r\r\n"Bo sat","[[0, 2, ""PER""]]"\r\r\n'
    found, problems, _ = read(written(tmp_path / "a.csv", text))
    assert (found[1], problems) == (BO, "")
    assert found[0][0] == "Ada\r\r\nran"


def _twice(rows: tuple[str, ...], times: int) -> str:
    return "\n\n".join((*rows, "") * times) + "\n"


@pytest.mark.parametrize("rows", [_ROWS, ("Ada\tPER", "ran\tO", "", "Bo\tPER", "sat\tO")])
def test_a_blank_line_after_every_row_is_refused_where_more_of_them_divide_sentences(tmp_path, rows) -> None:
    said = "a blank line is after nearly every row, and more than one between some"
    found, problems, _ = read(written(tmp_path / "a.tsv", _twice(rows, 6)))
    assert found == []
    assert said in problems
    assert "awk 'NR % 2'" in problems
    table = _twice(("word,tag", *(row.replace("\t", ",") for row in rows * 6)), 1)
    assert said in read(written(tmp_path / "a.csv", table))[1]


def test_a_blank_line_after_every_row_is_refused_where_a_tag_goes_on(tmp_path) -> None:
    problems = read(written(tmp_path / "a.tsv", "Ada\tB-PER\n\nNoor\tI-PER\n\nran\tO\n\n" * 8))[1]
    assert "a blank line is after nearly every row, so that I-PER follows nothing" in problems


def test_sentences_of_one_word_are_read_and_noted(tmp_path) -> None:
    found, problems, notes = read(written(tmp_path / "a.tsv", "".join(f"name{at}\tB-X\n\n" for at in range(20))))
    assert (len(found), problems) == (20, "")
    assert "20 sentences are one token each: is there a blank line after every row" in notes


_QUERIES = [f"name{at}\tB-X\n\n" for at in range(100)]


def _as_table(rows: str) -> str:
    return "word,tag\n" + rows.replace("\t", ",")


@pytest.mark.parametrize(
    ("rows", "sentences"),
    [
        ("".join([*_QUERIES, *["New\tB-LOC\nYork\tI-LOC\n\n"] * 4]), 104),
        ("".join(f"{query}\n" if at % 20 == 9 else query for at, query in enumerate(_QUERIES)), 100),
        ("".join(f"{query}\n\n" if at == 50 else query for at, query in enumerate(_QUERIES)), 100),
    ],
)
def test_short_texts_are_read_also_with_further_blank_lines(tmp_path, rows, sentences) -> None:
    for name, text in (("a.tsv", rows), ("a.csv", _as_table(rows))):
        found, problems, notes = read(written(tmp_path / name, text))
        assert (len(found), problems) == (sentences, "")
        assert "100 sentences are one token each" in notes


@pytest.mark.parametrize("mark", ["-DOCSTART-\tO\n\n", "<doc>\n\n", "DOC-START\tO\n\n"])
def test_marks_of_documents_are_no_blank_lines_between_short_texts(tmp_path, mark) -> None:
    rows = "".join(f"{mark}{query}" if at % 10 == 0 else query for at, query in enumerate(_QUERIES))
    found, problems, _ = read(written(tmp_path / "a.tsv", rows))
    assert (len(found), problems) == (100, "")


def test_a_blank_line_after_every_row_is_refused_where_two_divide_sentences_and_a_tag_goes_on(tmp_path) -> None:
    rows = "Ada\tB-PER\n\nNoor\tI-PER\n\nran\tO\n\n\n" * 8
    said = "a blank line is after nearly every row, and more than one between some"
    assert said in read(written(tmp_path / "a.tsv", rows))[1]
    assert said in read(written(tmp_path / "a.csv", _as_table(rows)))[1]


@pytest.mark.parametrize("mark", ["\t", " "])
def test_words_with_quotation_marks_as_csv_writes_them_are_read_without(tmp_path, mark) -> None:
    words = {
        '"""Ada"': '"Ada',
        '"inch"""': 'inch"',
        '""""': '"',
        '"a""b"': 'a"b',
        '"""': '"""',
        '""': '""',
        '"x"': '"x"',
        "ran": "ran",
    }
    tags = ("B-PER", *["O"] * (len(words) - 1))
    text = "".join(f"{word}{mark}{tag}\n" for word, tag in zip(words, tags, strict=True))
    found, problems, notes = read(written(tmp_path / "a.tsv", text))
    assert (found, problems) == ([(" ".join(words.values()), [('"Ada', "PER")])], "")
    assert "4 words are in quotation marks, and each of theirs is written twice" in notes

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
        (f"{_ADA}\0\0\n", "zero bytes stand behind it"),
    ],
)
def test_a_text_that_is_not_as_json_writes_it_is_told_how(tmp_path, line, said) -> None:
    assert said in read(written(tmp_path / "a.jsonl", f"{line}\n{_BO}\n"))[1]


def test_a_line_of_json_that_is_no_utf8_is_told_how_to_convert_it(tmp_path) -> None:
    content = f"{_ADA}\n".encode() + _BO.replace("Bo", "Zo\u00eb").encode("cp1252") + b"\n"
    found, problems, _ = read(written(tmp_path / "a.jsonl", content))
    assert found == [ADA]
    assert "row 2: not UTF-8 at byte 12; if it is Latin-1" in problems

"""Lines that stand among the columns of a file and are no tokens: names of sentences, sentences, documents."""

import pytest

from rnr.corpus.formats.column_above import ABOVE, DOCUMENTS
from tests.reading_files import ADA, BO, read, written


@pytest.mark.parametrize(
    ("first", "second", "times"),
    [
        ("IMGID:29871\n", "IMGID:O_3359\n", 2),  # Twitter-2015, Twitter-2017
        ("IMGID:29871 \n", "IMGID:1\n", 2),
        ("id: 1\n", "id: 2\n", 2),
        ("doc=a.txt\n", "doc=b.txt\n", 2),
        ("; Ada ran.\n$<Ada:PER> ran.\n", "; Bo sat.\n$<Bo:PER> sat.\n", 4),  # KLP 2016
        ("% Ada ran\n", "% Bo sat\n", 2),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["\t", " "])
def test_lines_above_the_tokens_of_nearly_all_sentences_are_left_out(tmp_path, first, second, times, end, mark) -> None:
    lines = f"{first}Ada B-PER\nran O\n\n{second}Bo B-PER\nsat O\n".replace(" B-", f"{mark}B-").replace(
        " O", f"{mark}O"
    )
    found, problems, notes = read(written(tmp_path / "a.txt", lines.replace("\n", end)))
    assert (found, problems) == ([ADA, BO], "")
    assert f"{times} {ABOVE} (row 1: {first.splitlines()[0].strip()!r}" in notes


def test_the_lines_below_keep_their_numbers(tmp_path) -> None:
    lines = "IMGID:1\nAda B-PER\nran O\n\nIMGID:2\nBo B-PER\nsat I-LOC\n"
    assert "line 7: I-LOC cannot follow B-PER" in read(written(tmp_path / "a.conll", lines))[1]


@pytest.mark.parametrize("lines", ["$ O\nAda B-PER\n\n$ O\nBo B-PER\n", "; O\nAda B-PER\n\n; O\nBo B-PER\n"])
def test_a_token_that_all_sentences_begin_with_is_no_line_above_them(tmp_path, lines) -> None:
    found, problems, _ = read(written(tmp_path / "a.conll", lines))
    assert (problems, [sentence for sentence, _ in found]) == ("", [f"{lines[0]} Ada", f"{lines[0]} Bo"])


def test_a_line_without_a_tag_above_one_sentence_of_many_is_an_error(tmp_path) -> None:
    lines = "Ada B-PER\nran O\n\n" * 20 + "note:x\nBo B-PER\nsat O\n"
    assert "line 61: 1 column where most lines have 2" in read(written(tmp_path / "a.conll", lines))[1]


@pytest.mark.parametrize(
    "document", ["DOC-START N O", "DOCSTART", "-DOC-START- -X- O", "<DOCSTART> N O", "DOC_END _ O"]
)
def test_documents_are_marked_in_many_ways(tmp_path, document) -> None:
    lines = f"Ada N B-PER\nran V O\n\n{document}\nBo N B-PER\nsat V O\n"
    found, problems, notes = read(written(tmp_path / "a.conll", lines))
    assert (found, problems) == ([ADA, BO], "")
    assert f"1 {DOCUMENTS} (row 4: {document!r})" in notes


def test_the_usual_mark_of_a_document_is_left_out_without_a_note(tmp_path) -> None:
    lines = "O -DOCSTART- -X-\n\nB-PER Ada N\nO ran V\n"
    found, problems, notes = read(written(tmp_path / "a.conll", lines))
    assert (found, problems, DOCUMENTS in notes) == ([ADA], "", False)


@pytest.mark.parametrize("tag", ["B-MISC", "O"])
def test_a_word_that_is_written_like_such_a_mark_is_a_word(tmp_path, tag) -> None:
    first, second = ("DOCSTART B-MISC", "ran O") if tag != "O" else ("The O", "DOCSTART O")
    found = read(written(tmp_path / "a.conll", f"{first}\n{second}\n\nBo B-PER\nsat O\n"))[0]
    assert found[0][0] == f"{first.split()[0]} {second.split()[0]}"


def test_numbers_of_words_of_which_each_part_has_a_line_are_no_sentences(tmp_path) -> None:
    lines = "1\tAda\tB-PER\n1\t's\tO\n2\tran\tO\n\n1\tBo\tB-PER\n2\tsat\tO\n2\t.\tO\n"
    found, problems, notes = read(written(tmp_path / "a.tsv", lines))
    assert (found, problems) == ([("Ada 's ran", [("Ada", "PER")]), ("Bo sat .", [("Bo", "PER")])], "")
    assert "column 1 is the number of the word that each line is a part of" in notes
    behind = "\n".join("\t".join(line.split("\t")[1:] + line.split("\t")[:1]) for line in lines.split("\n"))
    assert read(written(tmp_path / "b.tsv", behind))[:2] == (found, "")

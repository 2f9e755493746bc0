"""Tables with a word a row: which rows belong to one sentence, however people say it."""

import json

import pytest

from rnr.config import ReadingConfig
from rnr.corpus.formats.tables.csv_words import AGAIN, BEGUN, BLANKS_DIVIDE, REPEATED
from rnr.corpus.formats.tags.reading import OTHER_TEXT
from rnr.corpus.formats.tokens.token_rows import DOCUMENTS
from rnr.corpus.loading import load
from tests.reading_files import ADA, BO, read, written


def test_sentences_of_two_documents_with_one_number_are_two(tmp_path) -> None:
    table = "doc_id,sent_id,word,tag\na,1,Ada,B-PER\na,1,ran,O\nb,1,Bo,B-PER\nb,1,sat,O\n"
    found, problems, notes = read(written(tmp_path / "a.csv", table))
    assert (found, problems) == ([ADA, BO], "")
    assert AGAIN not in notes


@pytest.mark.parametrize(
    ("header", "rows", "sentences"),
    [
        ("doc_id,sent_id,word,tag", "a,1,Ida,B-PER a,1,ran,O b,1,Bo,B-PER", ["Ida ran", "Bo"]),
        ("doc_id,sent_id,word,tag", "a,1,Ida,B-PER b,1,Bo,B-PER", ["Ida", "Bo"]),
        ("doc_id,sent_id,word,tag", "1,1,Ida,B-PER 2,1,Bo,B-PER 3,1,ran,O", ["Ida", "Bo", "ran"]),
        (
            "doc_id,sent_id,word,tag",
            "1,1,Yes,O 2,1,No,O 3,1,Ida,B-PER 3,1,ran,O 4,1,Ok,O",
            ["Yes", "No", "Ida ran", "Ok"],
        ),
        ("doc_id,sent_id,word,tag", "1,1,Yes,O 2,2,No,O 3,1,Ida,B-PER 4,2,Ok,O", ["Yes", "No", "Ida", "Ok"]),
        ("doc,sent_id,word,tag", "d1,1,Ida,B-PER ,1,ran,O d2,1,Bo,B-PER ,1,sat,O", ["Ida ran", "Bo sat"]),
        ("doc,sent_id,word,tag", "d1,1,Ida,B-PER ,,ran,O d2,1,Bo,B-PER ,,sat,O", ["Ida ran", "Bo sat"]),
        ("note_id,doc,sent_id,word,tag", "1,a,1,Ida,B-PER 2,a,1,ran,O 3,b,1,Bo,B-PER", ["Ida ran", "Bo"]),
    ],
)
def test_documents_of_few_words_are_not_merged(tmp_path, header, rows, sentences) -> None:
    found, problems, notes = read(written(tmp_path / "a.csv", "\n".join((header, *rows.split(" ")))))
    assert ([sentence for sentence, _ in found], problems) == (sentences, "")
    assert "is read as the name of no document" not in notes


def test_words_that_are_counted_anew_begin_another_sentence(tmp_path) -> None:
    table = "sent_id,token_id,word,tag\n1,1,Ada,B-PER\n1,2,ran,O\n1,1,Bo,B-PER\n1,2,sat,O\n2,1,Ada,B-PER\n2,2,ran,O\n"
    found, problems, notes = read(written(tmp_path / "a.csv", table))
    assert (found, problems) == ([ADA, BO, ADA], "")
    assert f"1 {BEGUN} (row 4)" in notes


@pytest.mark.parametrize("numbers", ["token_id 7 8 9 10", "id 1 1 2 2", "index 0 0 1 1"])
def test_words_that_are_counted_through_the_whole_file_begin_none(tmp_path, numbers) -> None:
    name, first, second, third, fourth = numbers.split()
    table = f"{name},sent_id,word,tag\n{first},1,Ada,B-PER\n{second},1,ran,O\n{third},2,Bo,B-PER\n{fourth},2,sat,O\n"
    assert read(written(tmp_path / "a.csv", table))[:2] == ([ADA, BO], "")


def test_a_column_with_the_text_tells_where_there_is_a_space(tmp_path) -> None:
    words = (("Ada", "B-PER"), ("did", "O"), ("n't", "O"), ("run", "O"), (".", "O"))
    rows = "".join(f"Ada didn't run.,{word},{tag}\n" for word, tag in words)
    found, problems, notes = read(written(tmp_path / "a.csv", f"sentence,word,tag\n{rows}{rows}"))
    assert (found, problems) == ([("Ada didn't run.", [("Ada", "PER")])] * 2, "")
    assert f"1 {REPEATED} (row 7)" in notes


def test_a_text_that_is_not_what_the_words_say_is_noted(tmp_path) -> None:
    table = "sentence,word,tag\nAda Byron ran,Ada,B-PER\nAda Byron ran,ran,O\nSentence: 2,Bo,B-PER\nSentence: 2,sat,O\n"
    found, problems, notes = read(written(tmp_path / "a.csv", table))
    assert (found, problems) == ([ADA, BO], "")
    assert f"1 {OTHER_TEXT} (row 2: 'Ada Byron ran')" in notes


@pytest.mark.parametrize("blank", ["", ",", " , "])
def test_blank_rows_divide_sentences_where_no_column_does(tmp_path, blank) -> None:
    found, problems, notes = read(
        written(tmp_path / "a.csv", f"word,tag\nAda,B-PER\nran,O\n{blank}\nBo,B-PER\nsat,O\n")
    )
    assert (found, problems) == ([ADA, BO], "")
    assert BLANKS_DIVIDE in notes


def test_a_table_without_a_header_says_what_to_write(tmp_path) -> None:
    problems = read(written(tmp_path / "a.csv", "1,Ada,B-PER\n1,ran,O\n"))[1]
    assert "the first line names no columns; write 'sentence_id,word,tag'" in problems


def test_quotation_marks_may_stand_behind_a_space(tmp_path) -> None:
    table = '"sentence_id", "word", "tag"\n1, "Ada", "B-PER"\n1, "ran", "O"\n'
    assert read(written(tmp_path / "a.csv", table))[:2] == ([ADA], "")


def test_lists_of_words_beside_the_number_of_their_sentence_are_no_words(tmp_path) -> None:
    table = "sentence_id,tokens,ner_tags\n1,\"['Ada', 'ran']\",\"['B-PER', 'O']\"\n\n"
    table += "2,\"['Bo', 'sat']\",\"['B-PER', 'O']\"\n"
    assert read(written(tmp_path / "a.csv", table))[:2] == ([ADA, BO], "")


def test_the_table_of_a_spreadsheet_is_read(tmp_path) -> None:
    rows = (
        "Sentence #;Word;POS;Tag",
        "Sentence: 1;Ada;NNP;B-PER",
        ";ran;VBD;O",
        "Sentence: 2;Bo;NNP;B-PER",
        ";sat;VBD;O",
    )
    table = "\r\n".join(("\ufeff" + rows[0], *rows[1:], ";;;", ""))
    for content in (table.encode(), table.replace("\ufeff", "").replace(";", "\t").encode("utf-16")):
        assert read(written(tmp_path / "a.csv", content))[:2] == ([ADA, BO], "")


def test_the_column_of_the_tags_may_be_named(tmp_path) -> None:
    table = "sent_id,word,ner,fine\n1,Ada,B-PER,B-writer\n1,ran,O,O\n"
    assert read(written(tmp_path / "a.csv", table))[0] == [ADA]
    for column in (4, -1):
        found, problems, _ = read(written(tmp_path / "a.csv", table), tag_column=column)
        assert (found, problems) == ([("Ada ran", [("Ada", "writer")])], "")
    said = "--tag-column 5, and there are 4 columns (sent_id, word, ner, fine)"
    assert said in read(written(tmp_path / "a.csv", table), tag_column=5)[1]


def test_names_of_numbers_that_are_not_used_because_the_data_has_its_own_are_said(tmp_path) -> None:
    row = {"tokens": ["Ada", "ran"], "ner_tags": [1, 0], "label_names": ["O", "B-PER"]}
    said = "data.reading.labels are not used"
    own = read(written(tmp_path / "a.jsonl", [row]), labels=["O", "B-LOC"])
    assert (own[:2], said in own[2]) == (([ADA], ""), True)
    del row["label_names"]
    asked = read(written(tmp_path / "b.jsonl", [row]), labels=["O", "B-PER"])
    assert (asked[:2], said in asked[2]) == (([ADA], ""), False)


@pytest.mark.parametrize("beside", [False, True])
def test_tags_of_a_table_that_are_numbers_take_the_names_that_are_given(tmp_path, beside) -> None:
    names = ["O", "B-PER", "I-PER", "B-LOC"]
    if beside:
        written(tmp_path / "labels.json", json.dumps(names))
    file = written(tmp_path / "a.csv", "sentence_id,word,tag\n1,Ada,1\n1,ran,0\n2,Bo,1\n2,sat,0\n")
    assert read(file, labels=[] if beside else names)[:2] == ([ADA, BO], "")
    options = ReadingConfig.model_validate({"labels": [] if beside else names})
    assert load([str(file)], training=True, options=options)[0].schema == ("LOC", "PER")


def test_tags_of_a_table_that_are_numbers_need_names(tmp_path) -> None:
    file = written(tmp_path / "a.csv", "sentence_id,word,tag\n1,Ada,1\n1,ran,0\n2,Bo,-100\n2,sat,0\n")
    problems = read(file)[1].splitlines()
    assert "tags are numbers without names: name them in the order of their numbers by --labels" in problems[0]
    assert "tag -100 marks a token that was not annotated" in problems[1]
    assert "tag 1 has no name; there are 1: O" in read(file, labels=["O"])[1]


@pytest.mark.parametrize("name", ["a.txt", "a.tsv", "a"])
@pytest.mark.parametrize("mark", [",", ";", "|"])
def test_a_table_is_one_whatever_its_ending_and_divides_its_cells(tmp_path, name, mark) -> None:
    rows = (("Sentence #", "Word", "Tag"), ("1", "Ada", "B-PER"), ("1", f'"{mark}"', "O"), ("2", "Bo", "B-PER"))
    found, problems, _ = read(written(tmp_path / name, "\n".join(map(mark.join, rows))))
    assert (found, problems) == ([(f"Ada {mark}", [("Ada", "PER")]), ("Bo", [("Bo", "PER")])], "")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_the_mark_of_a_document_is_no_sentence(tmp_path, name) -> None:
    marked = (
        [("-DOCSTART-", "O")],
        [("Ada", "B-PER"), ("ran", "O")],
        [("-DOCSTART-", "O")],
        [("-DOCSTART-", "O"), ("x", "O")],
    )
    table = "\n".join(f"{at},{word},{tag}" for at, words in enumerate(marked) for word, tag in words)
    rows: list[object] = [{"tokens": [word for word, _ in one], "ner_tags": [tag for _, tag in one]} for one in marked]
    content = f"sentence_id,word,tag\n{table}\n" if name == "a.csv" else rows
    found, problems, notes = read(written(tmp_path / name, content))
    assert (found, problems) == ([ADA, ("-DOCSTART- x", [])], "")
    assert f"2 {DOCUMENTS}" in notes

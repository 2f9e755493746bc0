"""What people call the words, the tags and the sentences of a table, and what is read where a name is not known."""

import pytest

from tests.reading_files import ADA, BO, read, written

ROWS = ("1 Ada B-PER", "1 ran O", "2 Bo B-PER", "2 sat O")


def _table(header: str, *, mark: str) -> str:
    """A table of two sentences; the header has the names of the sentence, the word and the tag, in any order."""
    order = ["sentence", "word", "tag"]
    names = dict(pair.split("=") for pair in header.split(","))
    at = [order.index(part) for part in names]
    rows = [mark.join(row.split()[place] for place in at) for row in ROWS]
    return "\n".join((mark.join(names.values()), *rows)) + "\n"


@pytest.mark.parametrize("ending", ["csv", "tsv", "txt"])
@pytest.mark.parametrize(
    "header",
    [
        "word=words,tag=labels,sentence=sentence_id",  # simpletransformers
        "sentence=sentence_id,word=words,tag=labels",
        "word=token,tag=ner_label,sentence=sentence_id",
        "word=Token,tag=Labels,sentence=Sentence",
        "word=word,tag=bio_tag,sentence=sent_id",
        "word=token,tag=tag,sentence=sid",
        "sentence=Sentence-ID,word=Word,tag=iob_tag",
        "sentence=sentenceId,word=wordform,tag=NERTag",
        "sentence=seq_id,word=text,tag=label",
        "tag=gold_label,word=gold_token,sentence=sent_idx",  # FiNER-ORD
        "word=word,tag=slot,sentence=sent_id",
    ],
)
def test_a_table_is_read_whatever_its_columns_are_called(tmp_path, header, ending) -> None:
    found, problems, notes = read(
        written(tmp_path / f"a.{ending}", _table(header, mark="," if ending == "csv" else "\t"))
    )
    assert (found, problems) == ([ADA, BO], "")
    assert ("column 'slot' is read as the tags" in notes) == ("slot" in header)


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_the_index_of_pandas_in_front_is_passed_over(tmp_path, ending) -> None:
    mark = "," if ending == "csv" else "\t"
    rows = [mark.join(("", "sentence_id", "words", "labels"))]
    rows += [mark.join((str(at), *row.split())) for at, row in enumerate(ROWS)]
    assert read(written(tmp_path / f"a.{ending}", "\n".join(rows)))[:2] == ([ADA, BO], "")


def test_of_two_columns_of_tags_the_one_with_tags_of_names_is_read(tmp_path) -> None:
    table = "sentence_id,word,tag,ner\n1,Ada,NNP,B-PER\n1,ran,VBD,O\n2,Bo,NNP,B-PER\n2,sat,VBD,O\n"
    found, problems, notes = read(written(tmp_path / "a.csv", table))
    assert (found, problems) == ([ADA, BO], "")
    assert "column 'ner' is read as the tags; further columns of tags are not read (tag)" in notes


def test_what_a_model_predicted_is_not_read_for_gold(tmp_path) -> None:
    table = "token\tpred_label\tgold_label\tsent_id\nAda\tO\tB-PER\t1\nran\tO\tO\t1\nBo\tO\tB-PER\t2\nsat\tO\tO\t2\n"
    assert read(written(tmp_path / "a.tsv", table))[:2] == ([ADA, BO], "")


def test_a_text_with_its_class_is_no_word_with_its_tag(tmp_path) -> None:
    problems = read(written(tmp_path / "a.csv", "sentence_id,text,label\n0,great,positive\n1,bad,negative\n"))[1]
    assert "a CSV needs a column of words, one of tags" in problems


@pytest.mark.parametrize(("name", "noted"), [("id", True), ("sid", False)])
def test_a_column_that_numbers_groups_of_words_divides_them(tmp_path, name, noted) -> None:
    table = _table(f"sentence={name},word=word,tag=ner", mark=",")
    found, problems, notes = read(written(tmp_path / "a.csv", table))
    assert (found, problems) == ([ADA, BO], "")
    assert ("column 'id' is read as the number of the sentence" in notes) == noted


def test_a_number_for_each_word_divides_no_sentences(tmp_path) -> None:
    problems = read(written(tmp_path / "a.csv", "id,word,tag\n1,Ada,B-PER\n2,ran,O\n3,Bo,B-PER\n"))[1]
    assert "neither a column nor a blank row tells where a sentence ends" in problems


def test_a_column_of_documents_is_named_where_no_sentence_is(tmp_path) -> None:
    problems = read(written(tmp_path / "a.csv", "doc_id,word,tag\n1,Ada,B-PER\n1,ran,O\n"))[1]
    assert "add a column such as 'sentence_id', or call 'doc_id' so where each is one sentence" in problems


@pytest.mark.parametrize(
    ("header", "mark", "said"),
    [
        ("word=token,tag=slot,sentence=sent_id", " ", "column 3 (sent_id)"),
        ("word=Wort,tag=label,sentence=sentence_id", "\t", "column 3 (sentence_id)"),
        ("word=token,tag=label,sentence=doc", "\t", "column 3 (doc)"),
        ("word=token,tag=label,sentence=tweet_id", " ", "column 3 (tweet_id)"),
    ],
)
def test_columns_whose_header_names_their_sentences_are_not_merged(tmp_path, header, mark, said) -> None:
    table = _table(header, mark=mark)
    found, problems, _ = read(written(tmp_path / "a.txt", table))
    assert (found, f"{said} tells the sentence or document of each word, and no blank line" in problems) == ([], True)
    divided = table.replace(f"O{mark}1\n", f"O{mark}1\n\n")
    assert read(written(tmp_path / "b.txt", divided))[:2] == ([ADA, BO], "")


@pytest.mark.parametrize("mark", ["\t", " "])
def test_numbers_of_sentences_behind_words_and_tags_are_refused_without_a_header(tmp_path, mark) -> None:
    lines = "\n".join(mark.join((word, tag, number)) for number, word, tag in map(str.split, ROWS)) + "\n"
    found, problems, _ = read(written(tmp_path / "a.tsv", lines))
    assert (found, "column 3 tells the sentence or document of each word" in problems) == ([], True)
    yes_or_no = lines.replace("2\n", "1\n", 1).replace("\nBo", "\n\nBo")
    assert read(written(tmp_path / "b.tsv", yes_or_no))[:2] == ([ADA, BO], "")


def test_a_quotation_mark_between_tabs_is_a_word(tmp_path) -> None:
    table = 'word\ttag\tsent_id\n"\tO\t1\nAda\tB-PER\t1\nran\tO\t1\n"\tO\t1\nBo\tB-PER\t2\nsat\tO\t2\n'
    assert read(written(tmp_path / "a.tsv", table))[:2] == ([('" Ada ran "', [("Ada", "PER")]), BO], "")

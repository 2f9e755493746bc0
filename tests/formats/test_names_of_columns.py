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
        "sentence=sent_idx,word=text,tag=label",
        "tag=gold_label,word=gold_token,sentence=sent_idx",  # FiNER-ORD
        "word=word,tag=slot,sentence=sent_id",
        "sentence=doc_sent_id,word=word,tag=tag",
        "word=word,tag=tag,sentence=globalSentenceIndex",
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


@pytest.mark.parametrize("header", ["ner,iob", "tag,bio", "entity,label", "tag,iob", "ent_type,ent_iob", "type,bio"])
@pytest.mark.parametrize("outside", ["O", ""])
def test_letters_and_labels_in_two_columns_are_one_tag(tmp_path, header, outside) -> None:
    label, letters = header.split(",")
    rows = f"1,Ada,PER,B 1,Byron,PER,I 1,Bo,PER,B 1,ran,{outside},O".split(" ")
    for order in ((0, 1, 2, 3), (0, 1, 3, 2), (3, 2, 1, 0)):
        table = [["sentence_id", "token", label, letters], *(row.split(",") for row in rows)]
        file = written(tmp_path / "a.csv", "\n".join(",".join(cells[at] for at in order) for cells in table))
        found, problems, notes = read(file)
        assert (found, problems) == ([("Ada Byron Bo ran", [("Ada Byron", "PER"), ("Bo", "PER")])], "")
        assert f"column {letters!r} says where in a mention a word is, column {label!r} its label" in notes


@pytest.mark.parametrize("row", ["1,sat,,B", "1,sat,PER,O"])
def test_a_letter_without_its_label_behind_rows_that_have_both_is_an_error(tmp_path, row) -> None:
    rows = ["sentence_id,token,ner,iob", "0,Ada,PER,B", *["0,ran,O,O"] * 500, row]
    found, problems, _ = read(written(tmp_path / "a.csv", "\n".join(rows)))
    assert (len(found), "line 503" in problems) == (1, True)


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("tag,label", "PER,B-NP O,B-VP PER,B-NP O,O"),
        ("ner,iob", "PER,B O,B PER,B O,O"),  # letters of something else
        ("ner,chunk_tag", "PER,B-NP O,B-VP PER,B-NP O,O"),
        ("ner,iob_tag", "B-PER,B O,O B-PER,B O,O"),
    ],
)
def test_labels_of_names_are_read_before_letters_and_chunks(tmp_path, header, cells) -> None:
    rows = [
        f"{row.rsplit(' ', 1)[0].replace(' ', ',')},{pair}" for row, pair in zip(ROWS, cells.split(" "), strict=True)
    ]
    for turned in (False, True):
        table = [f"sentence_id,word,{header}", *rows]
        if turned:
            table = [",".join((*row.split(",")[:2], *row.split(",")[:1:-1])) for row in table]
        found, problems, notes = read(written(tmp_path / "a.csv", "\n".join(table)))
        assert (found, problems) == ([ADA, BO], "")
        if header != "ner,chunk_tag":
            assert f"further columns of tags are not read ({header.split(',')[1]})" in notes


@pytest.mark.parametrize("text", ["Ada", "Ada Byron"])
def test_the_text_of_a_mention_is_no_label_beside_its_letters(tmp_path, text) -> None:
    table = f"sentence_id,word,bio,entity\n1,Ada,B,{text}\n1,ran,O,O\n"
    assert "tells where in a mention" not in read(written(tmp_path / "a.csv", table))[2]


def test_what_a_model_predicted_is_not_read_for_gold(tmp_path) -> None:
    table = "token\tpred_label\tgold_label\tsent_id\nAda\tO\tB-PER\t1\nran\tO\tO\t1\nBo\tO\tB-PER\t2\nsat\tO\tO\t2\n"
    assert read(written(tmp_path / "a.tsv", table))[:2] == ([ADA, BO], "")


def test_a_text_with_its_class_is_no_word_with_its_tag(tmp_path) -> None:
    problems = read(written(tmp_path / "a.csv", "sentence_id,text,label\n0,great,positive\n1,bad,negative\n"))[1]
    assert "a CSV needs a column of words, one of tags" in problems


@pytest.mark.parametrize(("name", "noted"), [("id", True), ("seq_id", True), ("sid", False)])
def test_a_column_that_numbers_groups_of_words_divides_them(tmp_path, name, noted) -> None:
    table = _table(f"sentence={name},word=word,tag=ner", mark=",")
    found, problems, notes = read(written(tmp_path / "a.csv", table))
    assert (found, problems) == ([ADA, BO], "")
    assert (f"column {name!r} is read as the number of the sentence" in notes) == noted


@pytest.mark.parametrize("number", ["sent_idx", "sent_no"])
@pytest.mark.parametrize("name", ["sentence", "sentence_id"])
def test_a_number_of_the_words_beside_the_name_of_their_sentence_divides_none(tmp_path, name, number) -> None:
    rows = ("S1,0,Ada,B-PER", "S1,1,ran,O", "S2,0,Bo,B-PER", "S2,1,sat,O")
    for order in ((0, 1, 2, 3), (1, 0, 2, 3)):
        table = [(name, number, "word", "tag"), *(row.split(",") for row in rows)]
        text = "\n".join(",".join(cells[at] for at in order) for cells in table)
        assert read(written(tmp_path / "a.csv", text))[:2] == ([ADA, BO], "")


def test_the_number_of_a_sentence_is_read_before_its_text(tmp_path) -> None:
    rows = ("sentence,sent_idx,word,tag", "Hi Ada,0,Hi,O", "Hi Ada,0,Ada,B-PER", "Hi Ada,1,Hi,O", "Hi Ada,1,Ada,B-PER")
    assert read(written(tmp_path / "a.csv", "\n".join(rows)))[:2] == ([("Hi Ada", [("Ada", "PER")])] * 2, "")


def test_a_number_for_each_row_names_no_document(tmp_path) -> None:
    table = "note_id,sent_id,word,tag\n1,1,Ada,B-PER\n2,1,ran,O\n3,2,Bo,B-PER\n4,2,sat,O\n"
    found, problems, notes = read(written(tmp_path / "a.csv", table))
    assert (found, problems) == ([ADA, BO], "")
    assert "column 'note_id' says another thing in each row, and is read as the name of no document" in notes
    columns = "note_id\ttoken\tlabel\n1\tAda\tB-PER\n2\tran\tO\n\n3\tBo\tB-PER\n4\tsat\tO\n"
    assert read(written(tmp_path / "a.tsv", columns))[:2] == ([ADA, BO], "")


@pytest.mark.parametrize("name", ["id", "seq", "seq_no"])
def test_a_number_for_each_word_divides_no_sentences(tmp_path, name) -> None:
    problems = read(written(tmp_path / "a.csv", f"{name},word,tag\n1,Ada,B-PER\n2,ran,O\n3,Bo,B-PER\n"))[1]
    assert "neither a column nor a blank row says where a sentence ends" in problems


def test_a_column_of_documents_is_named_where_no_sentence_is(tmp_path) -> None:
    problems = read(written(tmp_path / "a.csv", "doc_id,word,tag\n1,Ada,B-PER\n1,ran,O\n"))[1]
    assert "add a column such as 'sentence_id', or call 'doc_id' so where each is one sentence" in problems


@pytest.mark.parametrize(
    ("header", "mark", "said"),
    [
        ("word=token,tag=slot,sentence=sent_id", " ", "column 3 (sent_id)"),
        ("word=Wort,tag=label,sentence=sentence_id", "\t", "column 3 (sentence_id)"),
        ("word=token,tag=label,sentence=doc", "\t", "column 3 (doc)"),
        ("word=token,tag=label,sentence=seq_id", "\t", "column 3 (seq_id)"),
        ("word=token,tag=label,sentence=tweet_id", " ", "column 3 (tweet_id)"),
    ],
)
def test_columns_whose_header_names_their_sentences_are_not_merged(tmp_path, header, mark, said) -> None:
    table = _table(header, mark=mark)
    found, problems, _ = read(written(tmp_path / "a.txt", table))
    assert (found, f"{said} names the sentence or document of each word, and there is no blank line" in problems) == (
        [],
        True,
    )
    divided = table.replace(f"O{mark}1\n", f"O{mark}1\n\n")
    assert read(written(tmp_path / "b.txt", divided))[:2] == ([ADA, BO], "")


@pytest.mark.parametrize("mark", ["\t", " "])
def test_numbers_of_sentences_behind_words_and_tags_are_refused_without_a_header(tmp_path, mark) -> None:
    rows = [(word, tag, str(number)) for number in range(10) for word, tag in (("Ada", "B-PER"), ("ran", "O"))]
    lines = "\n".join(map(mark.join, rows)) + "\n"
    found, problems, _ = read(written(tmp_path / "a.tsv", lines))
    assert (found, "column 3 names the sentence or document of each word" in problems) == ([], True)
    few = "\n".join(map(mark.join, rows[:4])) + "\n"
    found, problems, notes = read(written(tmp_path / "b.tsv", few))
    assert (found, problems) == ([("Ada ran Ada ran", [("Ada", "PER"), ("Ada", "PER")])], "")
    assert "column 3 says the same on several lines: if it tells the sentences, put a blank line between" in notes
    yes_or_no = few.replace("\nAda", "\n\nAda")
    assert read(written(tmp_path / "c.tsv", yes_or_no))[:2] == ([ADA, ADA], "")


@pytest.mark.parametrize(
    ("lines", "sentence", "place"),
    [
        ("the\t0\tO\nbig\t0\tO\nRome\t1\tB-LOC\n", "the big Rome", "Rome"),
        ("1\tGo\t0\tO\n2\tto\t1\tO\n3\tRome\t2\tB-LOC\n4\tnow\t2\tO\n", "Go to Rome now", "Rome"),
        ("Der\tART\t2\tO\nHund\tNN\t2\tO\nIda\tNE\t3\tB-LOC\n", "Der Hund Ida", "Ida"),
        ("a\t0\tO\n" * 15 + "a\t1\tO\n" * 15 + "Rome\t1\tB-LOC\n", "a " * 30 + "Rome", "Rome"),  # a flag
        ("".join(f"w\t{at}\tO\n" for at in (0, 0, *range(30))) + "Rome\t30\tB-LOC", "w " * 32 + "Rome", "Rome"),
    ],
)
def test_numbers_that_go_up_in_few_lines_are_noted_and_read(tmp_path, lines, sentence, place) -> None:
    found, problems, notes = read(written(tmp_path / "a.tsv", lines))
    assert (found, problems) == ([(sentence, [(place, "LOC")])], "")
    assert "says the same on several lines" in notes


def test_heads_of_conll_u_are_no_numbers_of_sentences(tmp_path) -> None:
    heads = [place // 2 for place in range(24)]
    lines = "".join(f"{at}\tw\t_\tX\t_\t_\t{head}\tx\t_\tner=O\n" for at, head in enumerate(heads, 1))
    found, problems, notes = read(written(tmp_path / "a.conllu", lines.replace("ner=O", "ner=B-LOC", 1)))
    assert (found, problems) == ([("w " * 23 + "w", [("w", "LOC")])], "")
    assert "has numbers" not in notes


def test_a_quotation_mark_between_tabs_is_a_word(tmp_path) -> None:
    table = 'word\ttag\tsent_id\n"\tO\t1\nAda\tB-PER\t1\nran\tO\t1\n"\tO\t1\nBo\tB-PER\t2\nsat\tO\t2\n'
    assert read(written(tmp_path / "a.tsv", table))[:2] == ([('" Ada ran "', [("Ada", "PER")]), BO], "")


# A sentence a row


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", "text_a\tlabel\nAda ran\tB-PER O\nBo sat\tB-PER O\n"),  # PaddleNLP
        ("a.txt", "text_a\tlabel\nAda ran\tB-PER O\nBo sat\tB-PER O\n"),
        ("a.csv", "text_a,label\nAda ran,B-PER O\nBo sat,B-PER O\n"),
        ("a.csv", "id,query,slots\n7,Ada ran,B-PER O\n8,Bo sat,B-PER O\n"),
        ("a.tsv", "query\tslots\nAda ran\tB-PER O\nBo sat\tB-PER O\n"),
    ],
)
def test_a_text_with_its_tags_is_read_whatever_its_column_is_called(tmp_path, name, content) -> None:
    found, problems, _ = read(written(tmp_path / name, content))
    assert (found, problems) == ([ADA, BO], "")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv"])
def test_a_control_character_may_divide_words_and_tags(tmp_path, name) -> None:
    rows = ("text_a|label", "黑\x02龙\x02去|P-B\x02P-I\x02O", "韦|P-B", "去|O", "韦\x02去|P-B\x02O")
    content = "\n".join(rows).replace("|", "," if name == "a.csv" else "\t")
    found, problems, _ = read(written(tmp_path / name, content))
    assert problems == ""
    assert found == [("黑龙去", [("黑龙", "P")]), ("韦", [("韦", "P")]), ("去", []), ("韦去", [("韦", "P")])]


def test_a_control_character_without_names_of_the_columns_is_told(tmp_path) -> None:
    problems = read(written(tmp_path / "a.tsv", "黑\x02龙\tP-B\x02P-I\n去\x02韦\tO\x02P-B\n"))[1]
    assert "U+0002 seems to divide words and tags inside of the columns: name these in a line above" in problems


def test_the_first_line_of_sentences_with_their_tags_is_no_header(tmp_path) -> None:
    lines = "hi\tO\nAda ran\tB-PER O\nBo sat\tB-PER O\n"
    assert read(written(tmp_path / "a.tsv", lines))[:2] == ([("hi", []), ADA, BO], "")


@pytest.mark.parametrize(
    ("tag", "tags"), [("PERSON", "PERSON O"), ("PER", "PER O"), ("PER-B", "PER-B O"), ("B_PER", "B_PER O")]
)
@pytest.mark.parametrize("ending", ["txt", "tsv", "conll"])
def test_the_first_of_sentences_with_tags_in_any_spelling_is_no_header(tmp_path, tag, tags, ending) -> None:
    label = "PERSON" if tag == "PERSON" else "PER"
    ran, sat = (("Ida ran", [("Ida", label)]), ("Bo sat", [("Bo", label)]))
    file = written(tmp_path / f"a.{ending}", f"Ida ran\t{tags}\nno one\tO O\nBo sat\t{tags}\n")
    assert read(file)[:2] == ([ran, ("no one", []), sat], "")
    if tag == "PER-B":
        file = written(tmp_path / f"b.{ending}", f"Bo Ek\tPER-B PER-I\nno one\tO O\nIda ran\t{tags}\n")
        assert read(file)[:2] == ([("Bo Ek", [("Bo Ek", "PER")]), ("no one", []), ran], "")


@pytest.mark.parametrize("first", ["Ida ran,PERSON O", "Bo Ek,PER-B PER-I"])
def test_the_first_of_sentences_with_tags_in_a_csv_is_no_header(tmp_path, first) -> None:
    tag = first.split(",")[1].split()[0]
    rows = f"{first}\nno one,O O\nBo sat,{tag} O\n"
    found, problems, _ = read(written(tmp_path / "a.csv", rows))
    assert (found, "the first line names no columns; write 'text,tags' or the like above it" in problems) == ([], True)


def test_one_word_with_its_tag_is_no_header(tmp_path) -> None:
    lines = "Ida\tPER-B\nIda ran\tPER-B O\nno one\tO O\n"
    found, problems, _ = read(written(tmp_path / "a.tsv", lines))
    assert ([sentence for sentence, _ in found], problems) == (["Ida", "Ida ran", "no one"], "")


@pytest.mark.parametrize("header", ["Input text\tNER tags", "user query\tslot labels", "text_a\tlabel"])
def test_names_of_columns_may_be_of_several_words(tmp_path, header) -> None:
    file = written(tmp_path / "a.tsv", f"{header}\nAda ran\tB-PER O\nBo sat\tB-PER O\n")
    assert read(file)[:2] == ([ADA, BO], "")


@pytest.mark.parametrize(
    ("words", "tags"),
    [("text", "label"), ("sentence", "ner"), ("Word", "Tag"), ("tokens", "slots"), ("chars", "bio"), ("text_a", "x")],
)
@pytest.mark.parametrize("row", [["B-PER", "O"], ["PER-B", "O"], ["S-PER", "O"]])
def test_two_lists_of_which_one_holds_tags_are_tokens_and_tags(tmp_path, words, tags, row) -> None:
    rows: list[object] = [{"Sentence #": "7", words: ["Ada", "ran"], tags: row}, {words: ["hi"], tags: ["O"]}]
    assert read(written(tmp_path / "a.jsonl", rows))[:2] == ([ADA, ("hi", [])], "")


@pytest.mark.parametrize(
    "row",
    [
        {"text": ["Ada", "ran"], "label": ["sport", "news"]},
        {"text": ["Ada", "ran"], "pred": ["B-PER", "O"]},
        {"text": "Ada ran", "entities": ["Ada"], "labels": ["B-PER"]},
    ],
)
def test_lists_of_something_else_are_no_tags(tmp_path, row) -> None:
    found, problems, _ = read(written(tmp_path / "a.jsonl", [row]))
    assert found == []
    assert problems != ""


@pytest.mark.parametrize("first", [True, False])
def test_sentences_that_a_column_called_id_numbers_in_words_are_not_read_as_one(tmp_path, first) -> None:
    rows = [("id", "word", "tag"), *((f"Sentence: {number}", *rest) for number, *rest in map(str.split, ROWS))]
    text = "".join("\t".join(row if first else (*row[1:], row[0])) + "\n" for row in rows)
    found, problems, _ = read(written(tmp_path / "a.tsv", text))
    said = f"column {1 if first else 3} (id) names the sentence or document of each word"
    assert (found, said in problems) == ([], True)


@pytest.mark.parametrize("key", ["s{}", "{}e4f-ab", "doc7 part {}"])
@pytest.mark.parametrize("header", ["token\tsample\ttag\n", ""])
def test_names_of_sentences_without_a_blank_line_between_them_are_not_passed_over(tmp_path, header, key) -> None:
    rows = [(word, key.format(number), tag) for number in range(10) for word, tag in (("Ada", "B-PER"), ("ran", "O"))]
    text = header + "".join("\t".join(row) + "\n" for row in rows)
    found, problems, _ = read(written(tmp_path / "a.conll", text))
    called = "column 2 (sample)" if header else "column 2"
    assert (found, f"{called} names the sentence or document of each word" in problems) == ([], True)
    assert problems.endswith("; if it is something else, take it out")
    few = header + "".join("\t".join(row) + "\n" for row in rows[:4])
    found, problems, notes = read(written(tmp_path / "b.conll", few))
    assert (found, problems) == ([("Ada ran Ada ran", [("Ada", "PER"), ("Ada", "PER")])], "")
    assert "column 2 says the same on several lines: if it tells the sentences, put a blank line between" in notes
    blank = text.replace("\tO\nAda", "\tO\n\nAda")
    assert read(written(tmp_path / "c.conll", blank))[:2] == ([ADA] * 10, "")


TWENTY = [(f"word{chr(97 + place)}", "B-PER" if place in (3, 9) else "O") for place in range(20)]


@pytest.mark.parametrize(
    ("header", "beside"),
    [
        ("", ["B-LOC", "I-LOC", *["O"] * 18]),  # tags of nested names
        ("TOKEN\tNE-COARSE-LIT\tMISC\n", [*["_"] * 18, "NoSpaceAfter", "EndOfLine"]),
        ("TOKEN\tNE-COARSE-LIT\tNEL-LIT\n", ["Q42", "Q43", *["_"] * 18]),
    ],
)
def test_what_is_beside_the_tags_of_the_only_sentence_names_no_sentences(tmp_path, header, beside) -> None:
    text = header + "".join("\t".join((*row, cell)) + "\n" for row, cell in zip(TWENTY, beside, strict=True))
    found, problems, notes = read(written(tmp_path / "a.tsv", text))
    assert ([mentions for _, mentions in found], problems) == ([[("wordd", "PER"), ("wordj", "PER")]], "")
    assert "if it tells the sentences" not in notes


@pytest.mark.parametrize(
    ("header", "step", "place"), [("", 17, ""), ("word\ttag\ttop\n", 17, ""), ("word\ttag\tline\n", 1, "line ")]
)
def test_places_on_a_page_are_noted_and_read(tmp_path, header, step, place) -> None:
    text = header + "".join(f"{word}\t{tag}\t{place}{at // 4 * step}\n" for at, (word, tag) in enumerate(TWENTY))
    found, problems, notes = read(written(tmp_path / "a.tsv", text))
    assert ([mentions for _, mentions in found], problems) == ([[("wordd", "PER"), ("wordj", "PER")]], "")
    assert "column 3 says the same on several lines" in notes


@pytest.mark.parametrize("other", ["orig_sent_id", "original_sentence_id", "doc_sent_id", "globalSentenceIndex"])
def test_a_number_of_the_sentence_itself_goes_before_one_of_what_it_is_from(tmp_path, other) -> None:
    text = f"{other},sent_id,word,tag\n7,1,Ada,B-PER\n7,1,ran,O\n7,2,Ada,B-PER\n7,2,ran,O\n"
    assert read(written(tmp_path / "a.csv", text))[:2] == ([ADA, ADA], "")


def test_blank_rows_divide_where_a_column_tells_only_what_a_sentence_is_from(tmp_path) -> None:
    text = "orig_sent_id,word,tag\n7,Ada,B-PER\n7,ran,O\n,,\n7,Ada,B-PER\n7,ran,O\n"
    assert read(written(tmp_path / "a.csv", text))[:2] == ([ADA, ADA], "")

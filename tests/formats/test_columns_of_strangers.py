"""Column files of which no reader of ours had heard: read, or refused with what they look like and what to do."""

import re

import pytest

from rnr.corpus.formats.columns.between import BETWEEN, NUMBERED
from rnr.corpus.formats.columns.reading import UNDIVIDED
from tests.reading_files import read, written

IDA = ("Ida Noor ran", [("Ida Noor", "PER")])
BO = ("Bo sat", [("Bo", "PER")])


def _conll_2012(*names: str) -> str:
    rows = "".join(f"x 0 {place} w{place} NN * - - - - {name} -\n" for place, name in enumerate(names))
    return f"#begin document (x); part 000\n{rows}\n#end document\n"


@pytest.mark.parametrize(
    ("names", "line"),
    [
        (("(PER*", "*", "*"), 4),  # nothing closes it
        (("(PER*", "(ORG*", "*)", "*"), 3),
        (("*", "*)", "*"), 3),
        (("(PER*", "*)", "*", "*", "*", "*", "*", "*", "*", "*", "B-PER"), 12),
    ],
)
def test_a_bracket_without_its_other_half_is_an_error_of_its_line(tmp_path, names, line) -> None:
    found, problems, _ = read(written(tmp_path / "a.conll", _conll_2012(*names)))
    assert found == []
    assert f"line {line}: expected a tag such as O, B-person or I-person, found tag 'unmatched {names[line - 2]}'" in (
        problems
    )


def test_names_in_brackets_are_read_from_fewer_columns_than_conll_2012_has(tmp_path) -> None:
    text = "Ida (PER*\nNoor *)\nran *\n\nBo (PER)\nsat *\n"
    found, problems, notes = read(written(tmp_path / "a.conll", text))
    assert (found, problems) == ([IDA, BO], "")
    assert "names are in the brackets of column 2, as in CoNLL-2012" in notes


@pytest.mark.parametrize(
    ("begin", "inside"),
    [("BPER", "IPER"), ("B.PER", "I.PER"), ("Begin-PER", "Inside-PER"), ("PER+B", "PER+I"), ("B PER", "I PER")],
)
def test_letters_of_tags_in_a_writing_that_is_not_known_are_no_labels(tmp_path, begin, inside) -> None:
    text = f"Ida\t{begin}\nNoor\t{inside}\nran\tO\nthen\tO\nsat\tO\n\n" * 4
    problems = read(written(tmp_path / "a.conll", text))[1]
    assert f"the labels {begin} and {inside} are token tags, not entity labels" in problems
    assert "write B-PER and I-PER" in problems


def test_labels_that_only_look_like_a_pair_of_tags_are_labels(tmp_path) -> None:
    row = {"text": "Ida ran", "schema": ["BAND", "ISLAND", "B.Sc", "Interest"], "entities": [[0, 3, "BAND"]]}
    assert read(written(tmp_path / "a.jsonl", [row]))[1] == ""


def test_two_tags_with_a_slash_between_them_are_no_label(tmp_path) -> None:
    text = "Ida B-PER/O\nran O\n\nBo B-PER\nsat O\n\nOslo B-LOC/B-CITY\nis O\n"
    found, problems, _ = read(written(tmp_path / "a.conll", text))
    assert found == [BO]
    assert "line 1: expected a tag such as O, B-person or I-person, found tag 'B-PER/O'" in problems
    assert "line 7: expected a tag such as O, B-person or I-person, found tag 'B-LOC/B-CITY'" in problems


def test_a_tag_may_stand_behind_an_underscore_on_one_line(tmp_path) -> None:
    found, problems, notes = read(written(tmp_path / "a.txt", "Ida_B-PER Noor_I-PER ran_O\nBo_B-PER sat_O\n"))
    assert (found, problems) == ([IDA, BO], "")
    assert "(token_tag)" in notes


@pytest.mark.parametrize(("first", "second"), [("B PER", "I PER"), ("PER B", "PER I")])
def test_letters_and_labels_of_tags_in_two_columns_are_not_read_apart(tmp_path, first, second) -> None:
    text = f"Ida {first}\nNoor {second}\nran O O\n\nBo {first}\nsat O O\n"
    label = 3 if first == "B PER" else 2
    found, problems, _ = read(written(tmp_path / "a.conll", text))
    assert found == []
    assert f"column {5 - label} has the letters of the tags and column {label} their labels" in problems
    assert "put them together (B-PER), or read the labels alone by --tag-column" in problems
    assert read(tmp_path / "a.conll", tag_column=label)[:2] == ([IDA, BO], "")


def test_labels_alone_behind_a_key_of_conll_u_are_read(tmp_path) -> None:
    rows = (("Ida", "NER=PER"), ("Noor", "NER=PER"), ("ran", "NER=O"))
    lines = [f"{n}\t{word}\t_\tX\t_\t{feature}\t0\troot\t_\t_" for n, (word, feature) in enumerate(rows, 1)]
    found, problems, notes = read(written(tmp_path / "a.conllu", "\n".join(lines) + "\n"))
    assert (found, problems) == ([IDA], "")
    assert "tags are those of NER= in column 6" in notes


def test_offsets_of_brat_that_count_a_line_end_once_are_told_so(tmp_path) -> None:
    written(tmp_path / "a.txt", "Ida ran.\r\nBo sat.\r\n")
    problems = read(written(tmp_path / "a.ann", "T1\tPER 0 3\tIda\nT2\tPER 9 11\tBo\n"))[1]
    assert "line 2: 'Bo' is not at [9:11]" in problems
    assert "it is where a line end is one character" in problems


@pytest.mark.parametrize("number", ["{}.", "{})", "{}:"])
def test_numbers_with_a_mark_behind_them_are_no_words(tmp_path, number) -> None:
    rows = ((("Ida", "B-PER"), ("Noor", "I-PER"), ("ran", "O")), (("Bo", "B-PER"), ("sat", "O")))
    lines = ["".join(f"{number.format(n)} {word} {tag}\n" for n, (word, tag) in enumerate(row, 1)) for row in rows]
    found, problems, notes = read(written(tmp_path / "a.conll", "\n".join(lines)))
    assert (found, problems) == ([IDA, BO], "")
    assert "column 2 is read as the words" in notes


@pytest.mark.parametrize("mark", ["-----", "</s>", "\u00a0", "\f", "***"])
def test_what_divides_sentences_in_the_place_of_a_blank_line_is_named(tmp_path, mark) -> None:
    problems = read(written(tmp_path / "a.conll", f"Ida B-PER\nran O\n{mark}\nBo B-PER\nsat O\n"))[1]
    assert "line 3: 1 column where most lines have 2; if it divides sentences, put a blank line in its place" in (
        problems
    )


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.conll", '"Ida"\t"B-PER"\n"ran"\t"O"\n\n"Bo"\t"B-PER"\n', "every word is in quotation marks"),
        ("a.conll", "Ida PER\nran None\n\nBo PER\nsat None\n", "if 'None' in column 2 marks what is no mention"),
        ("a.conll", "Ida PER\nran OTHER\n\nBo PER\nsat OTHER\n", "if 'OTHER' in column 2 marks what is no mention"),
        ("a.txt", "Ida: B-PER\nran: O\n\nBo: B-PER\nsat: O\n", "every word ends with ':', which seems to divide"),
        ("a.txt", "Ida\u00a0B-PER\nran\u00a0O\n", "put tabs in the place of U+00A0"),
        ("a.txt", "Ida ran to Oslo.\nBo sat.\nAnd so on.\n", "is this plain text?"),
        ("a.txt", "[PER Ida Noor] ran to [LOC Oslo].\n[PER Bo] sat.\n", "marked inside the text ([PER Ida Noor])"),
        ("a.txt", "@@Ida## ran\n@@Bo## sat now\n", "marked inside the text (@@Ida##)"),
        ("a.tsv", 'Ida ran\t[[0,3,"PER"]]\nBo sat\t[[0,2,"PER"]]\n', "column 2 has lists: name the columns in a line"),
        ("a.txt", "Ida ran|||0,1 PER\nBo sat|||0,1 PER\n", "spans of tokens below their sentence or after it"),
        ("a.data", "Ida ran\nN V\n0,1 PER|1,2 X\n\nBo sat\nN V\n0,1 PER\n\n", "spans of tokens below their sentence"),
        ("a.con", 'c="ida" 1:0 1:0||t="person"\nc="bo" 2:0 2:0||t="person"\n', "the concepts of i2b2"),
        ("a.txt", "T1\tPER 0 3\tIda\nT2\tLOC 8 12\tOslo\n", "lines of brat"),
        ("a.a1", "T1\tPER 0 3\tIda\nT2\tLOC 8 12\tOslo\n", "give their file the ending .ann"),
        ("a.txt", 'TRAIN_DATA = [("Ida ran", {"entities": [(0, 3, "PER")]})]\n', "write it as JSON there"),
        ("a.txt", "[('Ida ran', {'entities': [(0, 3, 'PER')]}),\n('Bo', {'entities': []})]\n", "write it as JSON"),
        ("a.tsv", "218\tT\t946\t957\thaloperidol\t1\tTRIVIAL\n", "places in texts that are in another file"),
        ("a.eval", "P0076|14 33|alkaline phosphatases\n", "places in texts that are in another file"),
        ("a.nlu", "## intent:x\n- Ida ran\n- Bo sat there\n", "training data of Rasa"),
    ],
)
def test_what_is_no_column_file_says_what_it_looks_like(tmp_path, name, text, said) -> None:
    found, problems, _ = read(written(tmp_path / name, text))
    assert found == []
    assert said in problems


def test_labels_whose_outside_is_a_mark_are_not_lost_for_their_letters(tmp_path) -> None:
    problems = read(written(tmp_path / "a.conll", "Ida Person_Name B\nNoor Person_Name I\nran _ O\n"))[1]
    assert (
        "column 3 has the letters of the tags and column 2 their labels: put them together (B-Person_Name)" in problems
    )


@pytest.mark.parametrize(
    ("begin", "end", "times"),
    [
        ("", "EOS\n", 2),  # MeCab
        ("", "=====\n", 2),
        ("<s>\n", "</s>\n", 4),  # VLSP 2016
        ("<s>\n", "</s>\n\n", 4),
        ('<s n="1">\n', "</s>\n", 4),
    ],
)
@pytest.mark.parametrize("mark", [" ", "\t"])
def test_marks_alone_on_lines_between_sentences_end_these_and_are_counted(tmp_path, begin, end, times, mark) -> None:
    text = "".join(f"{begin}{rows}{end}" for rows in ("Ida B-PER\nNoor I-PER\nran O\n", "Bo B-PER\nsat O\n"))
    text = re.sub(r" (?=[BIO])", mark, text)
    found, problems, notes = read(written(tmp_path / "a.conll", text))
    assert (found, problems) == ([IDA, BO], "")
    assert f"{times} {BETWEEN} (row 1" in notes or f"{times} {BETWEEN} (row 4" in notes


def test_a_mark_between_sentences_that_stands_there_once_is_an_error_of_its_line(tmp_path) -> None:
    problems = read(written(tmp_path / "a.conll", "Ida B-PER\nran O\nEOS\nBo B-PER\nsat O\n"))[1]
    assert (
        "line 3: 1 column where most lines have 2; if it divides sentences, put a blank line in its place" in problems
    )


def test_titles_of_documents_between_marks_of_sentences_are_left_out(tmp_path) -> None:
    rows = "<title> A day </title>\n<s>\nIda NN B-PER\nNoor NN I-PER\nran VB O\n</s>\n"
    found, problems, notes = read(written(tmp_path / "a.conll", rows * 2))
    assert (found, problems) == ([IDA, IDA], "")
    assert f"6 {BETWEEN} (row 1: '<title> A day </title>'" in notes


@pytest.mark.parametrize("first", ["", "\tword\ttag\n", "\t0\t1\n"])
def test_rows_of_pandas_with_nothing_but_their_number_end_sentences(tmp_path, first) -> None:
    text = f"{first}0\tIda\tB-PER\n1\tNoor\tI-PER\n2\tran\tO\n3\t\t\n4\tBo\tB-PER\n5\tsat\tO\n6\t\t\n"
    found, problems, notes = read(written(tmp_path / "a.tsv", text))
    assert (found, problems) == ([IDA, BO], "")
    assert f"2 {NUMBERED} (row {4 + bool(first)}: '3'" in notes


@pytest.mark.parametrize("name", ["", "Unnamed: 0"])
def test_rows_of_a_table_with_nothing_but_their_number_end_sentences(tmp_path, name) -> None:
    text = f"{name},word,tag\n0,Ida,B-PER\n1,Noor,I-PER\n2,ran,O\n3,,\n4,Bo,B-PER\n5,sat,O\n"
    found, problems, notes = read(written(tmp_path / "a.csv", text))
    assert (found, problems) == ([IDA, BO], "")
    assert "no column numbers the sentences; blank rows divide them" in notes


def test_a_number_without_its_tag_is_an_error_and_ends_no_sentence(tmp_path) -> None:
    found, problems, _ = read(written(tmp_path / "a.tsv", "Bo\tB-PER\nsat\tO\n\n5\tO\n7\t\n6\tO\n"))
    assert found == [BO]
    assert "line 5" in problems


def test_a_space_before_the_space_that_divides_columns_is_a_token(tmp_path) -> None:
    text = "江 B-LOC\n大 I-LOC\n  O\n很 O\n美 O\n\n王 B-PER\n在 O\n"
    found, problems, notes = read(written(tmp_path / "a.txt", text))
    assert (found, problems) == ([("江大 很美", [("江大", "LOC")]), ("王在", [("王", "PER")])], "")
    assert "1 tokens are empty or blank" in notes


@pytest.mark.parametrize("names", ["y_pred\ty_true", "prediction\tgold", "system\treference"])
def test_a_header_that_says_what_is_predicted_is_known(tmp_path, names) -> None:
    text = f"token\t{names}\nIda\tO\tB-PER\nNoor\tB-PER\tI-PER\nran\tO\tO\n"
    found, problems, notes = read(written(tmp_path / "a.tsv", text))
    assert (found, problems) == ([IDA], "")
    assert "2 columns hold tags: column 3 is read, 2 not (--tag-column N)" in notes


def test_a_header_that_names_annotators_is_known(tmp_path) -> None:
    text = "token\tannotator1\tannotator2\nIda\tB-PER\tO\nNoor\tI-PER\tO\nran\tO\tO\n"
    found, problems, notes = read(written(tmp_path / "a.tsv", text))
    assert (found, problems) == ([IDA], "")
    assert "2 columns hold tags: column 2 is read, 3 not (--tag-column N)" in notes


def test_what_conll_u_says_of_spaces_behind_a_tag_is_no_part_of_it(tmp_path) -> None:
    rows = (("Ida", "B-PER"), ("Noor", "I-PER|SpaceAfter=No"), (",", "O"), ("ran", "SpaceAfter=No|O"), (".", "O"))
    text = "".join(f"{at}\t{word}\t_\tX\t_\t_\t0\tx\t_\t{misc}\n" for at, (word, misc) in enumerate(rows, 1))
    found, problems, _ = read(written(tmp_path / "a.conllu", text))
    assert (found, problems) == ([("Ida Noor, ran.", [("Ida Noor", "PER")])], "")


@pytest.mark.parametrize("first", [0, 1])
def test_numbers_of_words_that_begin_anew_without_a_blank_line_are_told(tmp_path, first) -> None:
    lines = f"{first}\tIda\tB-PER\n{first + 1}\tran\tO\n{first}\tBo\tB-PER\n{first + 1}\tsat\tO\n"
    found, problems, _ = read(written(tmp_path / "a.tsv", lines))
    assert (found, "column 1 numbers the words of a sentence and begins again" in problems) == ([], True)
    divided = lines.replace(f"O\n{first}", f"O\n\n{first}")
    assert read(written(tmp_path / "b.tsv", divided))[1] == ""


@pytest.mark.parametrize("links", ["before", "behind"])
def test_links_with_the_letters_of_tags_are_not_read_before_the_labels_beside_them(tmp_path, links) -> None:
    rows = [("EU", "B-European_Union", "B-ORG"), ("met", "O", "O"), ("German", "B-Germany", "B-LOC"), (".", "O", "O")]
    rows += [("Ida", "B-Ida_Noor", "B-PER"), ("Noor", "I-Ida_Noor", "I-PER"), ("ran", "O", "O")]
    order = slice(None, None, 1 if links == "before" else -1)  # CleanCoNLL has the links before its labels
    text = "".join("\t".join((word, *(link, tag)[order])) + "\n" for word, link, tag in rows)
    found, problems, notes = read(written(tmp_path / "a.conll", text))
    mentions = [("EU", "ORG"), ("German", "LOC"), ("Ida Noor", "PER")]
    assert (found, problems) == ([("EU met German . Ida Noor ran", mentions)], "")
    here, there = (3, 2) if links == "before" else (2, 3)
    assert f"2 columns hold tags: column {here} is read, {there} not (--tag-column N)" in notes


@pytest.mark.parametrize("beside", ["{}", "{}_7"])
def test_labels_that_stand_alone_beside_their_tags_are_no_sign_of_links(tmp_path, beside) -> None:
    rows = [("Ida", "PERSON", "B-politician"), ("ran", "", "O"), ("Oslo", "LOCATION", "B-city"), (".", "", "O")]
    text = "".join(
        "\t".join((word, f"B-{label}" if label else "O", fine, beside.format(label) if label else "O")) + "\n"
        for word, label, fine in rows
    )
    found, problems, _ = read(written(tmp_path / "a.tsv", text))
    assert (found, problems) == ([("Ida ran Oslo .", [("Ida", "PERSON"), ("Oslo", "LOCATION")])], "")


@pytest.mark.parametrize(
    "text",
    [
        "text\tlabel\nIda Noor ran to Oslo\tPERSON\nNobody came\tO\nOslo is far\tLOC\nWe met\tO\n",
        "Ida and Bo ran\tPER\tO\tPER\tO\nBo sat down there\tPER\tO\tO\tO\nHe met Ida now\tO\tO\tPER\tO\n",
        "Bo sat\tPER\nWe met\tO\nHe ran\tO\n",
        "我在厦门工作了三年\tLOC\n今天天气很好啊\tO\n你吃饭了吗\tO\n",
    ],
)
def test_sentences_with_a_label_each_are_no_words(tmp_path, text) -> None:
    found, problems, _ = read(written(tmp_path / "a.tsv", text))
    assert (found, "column 1 holds whole sentences and no words" in problems) == ([], True)


def test_numbers_of_sentences_are_no_words_beside_these(tmp_path) -> None:
    text = "id\tsentence\ttype\n1\tIda Noor ran to Oslo\tPER\n2\tNobody came to us\tO\n3\tOslo is far\tLOC\n"
    found, problems, _ = read(written(tmp_path / "a.tsv", text))
    assert (found, "column 2 holds whole sentences and no words" in problems) == ([], True)


def test_words_that_hold_a_space_are_read(tmp_path) -> None:
    text = "I live in\tO\nNew York\tLOC\nand work at\tO\nAcme Inc\tORG\n\nBo Noor\tPER\nsat\tO\n"
    found, problems, _ = read(written(tmp_path / "a.tsv", text))
    mentions = [("New York", "LOC"), ("Acme Inc", "ORG")]
    both = [("I live in New York and work at Acme Inc", mentions), ("Bo Noor sat", [("Bo Noor", "PER")])]
    assert (found, problems) == (both, "")


def test_empty_nodes_of_conll_u_are_left_out_and_counted(tmp_path) -> None:
    text = "1\tIda\tB-PER\n2\tNoor\tI-PER\n2.1\tis\tO\n3\tran\tO\n\n1\tBo\tB-PER\n1.1\tKim\tI-PER\n2\tsat\tO\n\n"
    found, problems, notes = read(written(tmp_path / "a.conllu", text))
    assert (found, problems) == ([IDA, BO], "")
    assert (
        "2 empty nodes of CoNLL-U (3.1), which stand for no word of the text, were left out (row 1: 2.1; row 6: 1.1)"
        in notes
    )


@pytest.mark.parametrize("label", ["vitamin_B-12", "ART_WORK", "I_beam", "PER_O", "LOC_LOC"])
def test_a_label_that_holds_what_only_looks_like_another_tag_is_one(tmp_path, label) -> None:
    text = f"Ida\tB-{label}\nNoor\tI-{label}\nran\tO\n\nBo\tB-{label}\nsat\tO\n"
    found, problems, _ = read(written(tmp_path / "a.tsv", text))
    assert (found, problems) == ([("Ida Noor ran", [("Ida Noor", label)]), ("Bo sat", [("Bo", label)])], "")


def test_undivided_sentences_of_label_studio_are_still_read_and_noted(tmp_path) -> None:
    text = "-DOCSTART- -X- O\n我在厦门大学工作了 -X- _ B-ORG\n， -X- _ O\n今天天气很好啊 -X- _ O\n\n"
    found, problems, notes = read(written(tmp_path / "a.conll", text))
    assert (found, problems) == ([("我在厦门大学工作了，今天天气很好啊", [("我在厦门大学工作了", "ORG")])], "")
    assert UNDIVIDED in notes

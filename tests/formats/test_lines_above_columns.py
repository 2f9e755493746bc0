"""Lines that stand among the columns of a file and are no tokens: names of sentences, sentences, documents."""

import pytest

from rnr.corpus.formats.columns.above import ABOVE, DOCUMENTS
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


@pytest.mark.parametrize(
    ("lines", "sentences", "mentions"),
    [
        ("$\tMONEY\n5\tMONEY\nwas\tO\n", ["$ 5 was"], ["$ 5"]),
        ("$5\tMONEY\nwas\tO\npaid\tO\n", ["$5 was paid"], ["$5"]),
        (";)\tEMO\nAda\tPER\nran\tO\n", [";) Ada ran"], [";)", "Ada"]),
        ("%\tunit\n5\tO\nwas\tO\n", ["% 5 was"], ["%"]),
        ("; PUNCT O\nAda NN B-PER\n", ["; Ada"], ["Ada"]),
        ("$\tB\n5\tI\nwas\tO\n", ["$ 5 was"], ["$ 5"]),
        ("$ NN MONEY\n5 NN MONEY\nwas VB O\n", ["$ 5 was"], ["$ 5"]),
        ("$ 0\n5 B-MONEY\nwas 0\n", ["$ 5 was"], ["5"]),
        ("$\tCOST-B\n5\tCOST-I\nwas\tO\n\n" * 2, ["$ 5 was"] * 2, ["$ 5"] * 2),
        ("// 0\n5 B-MONEY\n\n// 0\n6 B-MONEY\n", ["// 5", "// 6"], ["5", "6"]),
    ],
)
def test_a_line_with_as_many_columns_as_those_below_is_a_token(tmp_path, lines, sentences, mentions) -> None:
    found, problems, notes = read(written(tmp_path / "a.conll", lines))
    assert (problems, ABOVE in notes) == ("", False)
    assert [sentence for sentence, _ in found] == sentences
    assert [text for _, texts in found for text, _ in texts] == mentions


def test_a_token_below_a_sentence_that_is_shown_is_kept(tmp_path) -> None:
    lines = "; $ 5 was.\n$ MONEY\n5 MONEY\nwas O\n\n; Bo sat now.\nBo PER\nsat O\nnow O\n"
    found, problems, notes = read(written(tmp_path / "a.conll", lines))
    assert ([sentence for sentence, _ in found], problems) == (["$ 5 was", "Bo sat now"], "")
    assert f"2 {ABOVE} (row 1: '; $ 5 was.'" in notes


def test_sentences_with_as_many_words_as_tokens_have_columns_are_left_out_among_others(tmp_path) -> None:
    lines = "".join(f"; Ada ran{' now' * (at < 2)}.\nAda NN B-PER\nran VB O\n\n" for at in range(10))
    found, problems, notes = read(written(tmp_path / "a.conll", lines))
    assert (found, problems) == ([ADA] * 10, "")
    assert f"10 {ABOVE}" in notes


def test_a_line_without_a_tag_above_one_sentence_of_many_is_an_error(tmp_path) -> None:
    lines = "Ada B-PER\nran O\n\n" * 20 + "note:x\nBo B-PER\nsat O\n"
    assert "line 61: 1 column where most lines have 2" in read(written(tmp_path / "a.conll", lines))[1]


@pytest.mark.parametrize(
    "document", ["DOC-START N O", "DOCSTART", "-DOC-START- -X- O", "<DOCSTART> N O", "DOC-END _ O", "DOC_END _ O\n"]
)
def test_documents_are_marked_in_many_ways(tmp_path, document) -> None:
    lines = f"Ada N B-PER\nran V O\n\n{document}\nBo N B-PER\nsat V O\n"
    found, problems, notes = read(written(tmp_path / "a.conll", lines))
    assert (found, problems) == ([ADA, BO], "")
    assert f"1 {DOCUMENTS} (row 4: {document.strip()!r})" in notes


def test_the_usual_mark_of_a_document_is_left_out_without_a_note(tmp_path) -> None:
    lines = "O -DOCSTART- -X-\n\nB-PER Ada N\nO ran V\n"
    found, problems, notes = read(written(tmp_path / "a.conll", lines))
    assert (found, problems, DOCUMENTS in notes) == ([ADA], "", False)


@pytest.mark.parametrize("tag", ["B-MISC", "O"])
def test_a_word_that_is_written_like_such_a_mark_is_a_word(tmp_path, tag) -> None:
    first, second = ("DOCSTART B-MISC", "ran O") if tag != "O" else ("The O", "DOCSTART O")
    found = read(written(tmp_path / "a.conll", f"{first}\n{second}\n\nBo B-PER\nsat O\n"))[0]
    assert found[0][0] == f"{first.split()[0]} {second.split()[0]}"


@pytest.mark.parametrize("word", ["DOCSTART", "DOC_END", "DOCEND", "DOC_START"])
@pytest.mark.parametrize("mark", ["\t", " "])
def test_a_first_word_with_no_frame_around_it_is_no_mark_of_a_document(tmp_path, word, mark) -> None:
    lines = f"Bo B-PER\nsat O\n\n{word} O\nof O\nAda B-PER\n".replace(" ", mark)
    found, problems, notes = read(written(tmp_path / "a.conll", lines))
    assert (found, problems) == ([BO, (f"{word} of Ada", [("Ada", "PER")])], "")
    assert DOCUMENTS not in notes
    assert read(written(tmp_path / "b.conll", lines.partition("\n\n")[2]))[0] == found[1:]


def test_numbers_of_words_of_which_each_part_has_a_line_are_no_sentences(tmp_path) -> None:
    lines = "1\tAda\tB-PER\n1\t's\tO\n2\tran\tO\n\n1\tBo\tB-PER\n2\tsat\tO\n2\t.\tO\n"
    found, problems, notes = read(written(tmp_path / "a.tsv", lines))
    assert (found, problems) == ([("Ada 's ran", [("Ada", "PER")]), ("Bo sat .", [("Bo", "PER")])], "")
    assert "column 1 is the number of the word that each line is a part of" in notes
    behind = "\n".join("\t".join(line.split("\t")[1:] + line.split("\t")[:1]) for line in lines.split("\n"))
    assert read(written(tmp_path / "b.tsv", behind))[:2] == (found, "")


# Marks of documents and sentences that are not written as usual


def test_the_mark_of_a_document_is_known_in_small_letters_too(tmp_path) -> None:
    text = "-docstart- O\n\nAda B-PER\nran O\n\n-DocStart- -X- O\n\nBo B-PER\nsat O\n"
    found, problems, notes = read(written(tmp_path / "a.conll", text))
    assert (found, problems) == ([ADA, BO], "")
    assert f"2 {DOCUMENTS} (row 1: '-docstart- O'; row 6: '-DocStart- -X- O')" in notes


@pytest.mark.parametrize("mark", ["EOS", "</s>", "NEWLINE", "¶", "⏎"])
def test_a_token_that_ends_nearly_all_sentences_and_is_no_punctuation_is_noted(tmp_path, mark) -> None:
    text = "".join(f"name{at} B-PER\nran O\n. O\n{mark} O\n\n" for at in range(12))
    found, problems, notes = read(written(tmp_path / "a.conll", text))
    assert (found[1], problems) == ((f"name1 ran . {mark}", [("name1", "PER")]), "")
    assert f"nearly all sentences end with the token {mark!r}: if it is a mark and no word, take it out" in notes


def test_a_token_that_begins_nearly_all_sentences_is_noted(tmp_path) -> None:
    notes = read(written(tmp_path / "a.conll", "".join(f"<s> O\nw{at} B-X\n. O\n\n" for at in range(12))))[2]
    assert "nearly all sentences begin with the token '<s>'" in notes
    assert "end with" not in notes


@pytest.mark.parametrize("end", [".", "。", "?!", "।", '"'])
def test_punctuation_ends_sentences_without_a_note(tmp_path, end) -> None:
    notes = read(written(tmp_path / "a.conll", "".join(f"w{at} B-X\nran O\n{end} O\n\n" for at in range(12))))[2]
    assert "nearly all" not in notes


def test_a_word_that_begins_nearly_all_sentences_and_a_mention_is_no_mark(tmp_path) -> None:
    notes = read(written(tmp_path / "a.conll", "".join(f"Danish B-MISC\nw{at} O\n. O\n\n" for at in range(12))))[2]
    assert "nearly all" not in notes


@pytest.mark.parametrize("end", ["please", "|", "<URL>", "[NUM]", "\U0001f642", "$", "TV", "="])
def test_words_and_signs_that_sentences_of_one_template_end_with_are_no_marks(tmp_path, end) -> None:
    notes = read(written(tmp_path / "a.conll", "".join(f"show O\nw{at} B-X\n{end} O\n\n" for at in range(12))))[2]
    assert "nearly all" not in notes


@pytest.mark.parametrize("mark", ["[SEP]", "<|endoftext|>", "-EOS-", "\\n"])
def test_marks_in_brackets_and_new_lines_as_they_are_escaped_are_noted(tmp_path, mark) -> None:
    notes = read(written(tmp_path / "a.conll", "".join(f"show O\nw{at} B-X\n{mark} O\n\n" for at in range(12))))[2]
    assert f"nearly all sentences end with the token {mark!r}" in notes


# The numbers that pandas gives columns


def test_a_first_word_outside_of_mentions_is_no_header_of_pandas_where_0_is_o(tmp_path) -> None:
    rows = "The\t0\nAda\tB-PER\nNoor\tI-PER\nran\t0\n\nBo\tB-PER\nsat\t0\n"
    found, problems, _ = read(written(tmp_path / "a.tsv", rows))
    assert (found, problems) == ([("The Ada Noor ran", [("Ada Noor", "PER")]), BO], "")


@pytest.mark.parametrize("header", ["\t0", "0\t0", "Unnamed: 0\t0"])
def test_the_numbers_of_pandas_are_a_header_where_0_is_o_too(tmp_path, header) -> None:
    rows = f"{header}\nAda\tB-PER\nran\t0\n\nBo\tB-PER\nsat\t0\n"
    assert read(written(tmp_path / "a.tsv", rows))[:2] == ([ADA, BO], "")


def test_sentences_end_where_hipe_says_so_without_a_blank_line(tmp_path) -> None:
    rows = [("Ida", "B-pers", "_"), ("Noor", "I-pers", "_"), ("ran", "O", "NoSpaceAfter"), (".", "O", "EndOfSentence")]
    rows += [("Mr.", "B-pers", "PySBDSegment"), ("Bo", "I-pers", "_"), ("sat", "O", "EndOfLine|PySBDSegment")]
    text = "".join(f"{word}\t{tag}\tO\t_\t{misc}\n" for word, tag, misc in rows)
    comment = "# hipe2022:document_id = d{}\n"
    header = "TOKEN\tNE-COARSE-LIT\tNE-NESTED\tNEL-LIT\tMISC\n"
    found, problems, notes = read(written(tmp_path / "a.tsv", header + f"{comment.format(1)}{text}\n" + text))
    both = [("Ida Noor ran.", [("Ida Noor", "pers")]), ("Mr. Bo sat", [("Mr. Bo", "pers")])]
    assert (found, problems) == (both * 2, "")
    assert "one sentence" not in notes
    broken = text.replace("sat\tO", "sat\tX-Y")
    assert "line 8: expected a tag" in read(written(tmp_path / "b.tsv", header + broken))[1]

"""Lines that hold a whole sentence with its tags: in any spelling of these, with the label of the sentence behind
them."""

import pytest

from tests.reading_files import BO, read, written

UP_NOW = ("Up Now", "creative_work")
IDA = ("Ida ran", [("Ida", "PER")])
SPELLINGS = ["B_PER O", "B:PER O", "B/PER O", "B|PER O", "b-PER o", "PER-B O", "PER_B O", "B-PER _"]


@pytest.mark.parametrize("mark", ["\t", "|||", " ||| "])
@pytest.mark.parametrize("tags", [*SPELLINGS, "PER O", "PER o", "B-PER 0"])
def test_the_tags_behind_the_words_of_a_line_may_be_spelled_as_in_columns(tmp_path, tags, mark) -> None:
    text = f"Ida ran{mark}{tags}\nBo sat{mark}{tags}\n"
    found, problems, notes = read(written(tmp_path / "a.txt", text))
    assert (found, problems) == ([IDA, BO], "")
    assert "each line holds the words of a sentence and after" in notes


def test_tags_of_several_words_with_an_underscore(tmp_path) -> None:
    text = "to new york\tO B_city I_city\nto Rome\tO B_city\n"
    found, problems, _ = read(written(tmp_path / "a.txt", text))
    assert (found, problems) == ([("to new york", [("new york", "city")]), ("to Rome", [("Rome", "city")])], "")


@pytest.mark.parametrize("tags", SPELLINGS)
def test_a_text_and_its_tags_in_rows_and_tables_may_be_spelled_so(tmp_path, tags) -> None:
    row = {"text": "Ida ran", "ner_tags": tags.split()}
    assert read(written(tmp_path / "a.jsonl", [row]))[:2] == ([IDA], "")
    if "_" not in tags.split():
        found, problems, notes = read(written(tmp_path / "a.csv", f"text,labels\nIda ran,{tags}\n"))
        assert (found, problems) == ([IDA], "")
        assert "not read" not in notes


@pytest.mark.parametrize(
    "line",
    [
        "Ida/B_PER ran/O",
        "Ida/b-PER ran/o",
        "Ida/PER-B ran/O",
        "Ida_B_PER ran_O",
        "Ida:B-PER ran:O",
        "Ida|M|B-PER ran|V|O",
        "Ida/PER ran/o",
        "Ida:B-PER ran:O <=> greet",
        "BOS:O Ida:B-PER ran:O EOS:O <=> greet",
    ],
)
def test_each_token_may_have_its_tag_behind_it_in_any_spelling(tmp_path, line) -> None:
    found, problems, notes = read(written(tmp_path / "a.txt", f"{line}\n{line}\n"))
    assert (found, problems) == ([IDA, IDA], "")
    assert "sentences have each token with its tag after it on one line" in notes
    assert ("comes after the last '<=>' of a line is of its whole sentence and was not read" in notes) == (
        "<=>" in line
    )


def test_labels_in_lower_case_with_an_o_outside(tmp_path) -> None:
    text = "当/o 希望工程/o 中共中央/nt 致/o 中国致公党/nt 的/o\n各位/o 江泽民/nr 在/o 北京/ns 说/o\n"
    found, problems, notes = read(written(tmp_path / "a.txt", text))
    assert problems == ""
    assert found == [
        ("当希望工程中共中央致中国致公党的", [("中共中央", "nt"), ("中国致公党", "nt")]),
        ("各位江泽民在北京说", [("江泽民", "nr"), ("北京", "ns")]),
    ]
    assert "tags have no B- or I-, so neighbouring tokens with one label are read as one mention" in notes


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("BOS Ida ran EOS\tO B-PER O greet", "BOS and EOS around the words, and what they are tagged, were left out"),
        ("BOS Ida ran EOS\tO B-PER O O", "BOS and EOS around the words, and what they are tagged, were left out"),
        ("Ida ran\tB-PER O greet", "the last tag of a line, for which there is no word, is of its whole sentence"),
        ("Ida ran\tB-PER O\tgreet", r"what comes after the last '\t' of a line is of its whole sentence"),
        ("Ida ran|||B-PER O|||greet", "what comes after the last '|||' of a line is of its whole sentence"),
        ("Ida ran\tB-PER O <=> greet", "what comes after the last '<=>' of a line is of its whole sentence"),
    ],
)
def test_what_is_said_of_a_whole_sentence_is_not_read_and_named(tmp_path, line, said) -> None:
    found, problems, notes = read(written(tmp_path / "a.txt", f"{line}\n{line}\n"))
    assert (found, problems) == ([IDA, IDA], "")
    assert said in notes


def test_a_line_without_the_frame_of_the_others_is_an_error(tmp_path) -> None:
    text = "BOS Ida ran EOS\tO B-PER O greet\n" * 10 + "Ida ran\tB-PER greet\n"
    found, problems, _ = read(written(tmp_path / "a.txt", text))
    assert found == [IDA] * 10
    assert "line 11: expected a tag such as O, B-person or I-person, found tag 'greet'" in problems


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("江/nr 泽民/nr\n", "tokens seem to have one after '/' (江/nr), none of which is O"),
        ("迈向/v 充满/v 希望/n 的/u 新/a 世纪/n\n", "parts of speech are no names"),
        ("find:O Rome:B-city # greet\nfind:O Oslo:B-city # greet\n", "others have none (#, greet): take these out"),
        (
            "how are you ?\nIda ran|||B-PER O|||greet\nIda sat|||B-PER O|||greet\n",
            "some hold no tags for their words ('how",
        ),
    ],
)
def test_lines_that_are_not_read_say_which_mark_their_tags_stand_behind(tmp_path, text, said) -> None:
    found, problems, _ = read(written(tmp_path / "a.txt", text))
    assert found == []
    assert said in problems
    assert "--tag-column" not in problems


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("A|B|O test|O", ("A|B test", [])),
        ("A|B|O test|O Ida|B-PER", ("A|B test Ida", [("Ida", "PER")])),
        ("TCP/I/O bus/O Ida/B-PER", ("TCP/I bus Ida", [("Ida", "PER")])),
        ("Vitamin_B_O helps_O Ida_B_PER", ("Vitamin_B helps Ida", [("Ida", "PER")])),
        ("Vitamin_B-12_O helps_O Ida_B-first_name", ("Vitamin_B-12 helps Ida", [("Ida", "first_name")])),
        ("Vitamin_B-12_B-drug_name helps_O", ("Vitamin_B-12 helps", [("Vitamin_B-12", "drug_name")])),
        ("Ida_B_first_name ran_O", ("Ida ran", [("Ida", "first_name")])),
        ("AC/DC/ORG met/O Ida/PER", ("AC/DC met Ida", [("AC/DC", "ORG"), ("Ida", "PER")])),
        ("Oslo/B-GPE/LOC is/O", ("Oslo is", [("Oslo", "GPE/LOC")])),
        ("Ida_S-artist Up_B-creative_work Now_E-creative_work is_O", ("Ida Up Now is", [("Ida", "artist"), UP_NOW])),
    ],
)
def test_a_token_and_a_tag_may_hold_the_mark_between_them(tmp_path, line, expected) -> None:
    found, problems, _ = read(written(tmp_path / "a.txt", f"{line}\n{line}\n"))
    assert found == [expected, expected]
    assert not problems or (not expected[1] and "no row has an entity" in problems)


@pytest.mark.parametrize(
    ("line", "sentence"),
    [("TCP/I/O bus/O", "TCP/I bus"), ("Complex/I/O works/O", "Complex/I works"), ("A/B/O test/O", "A/B test")],
)
@pytest.mark.parametrize("good", [3, 12])
def test_a_token_that_ends_like_a_tag_does_not_spoil_the_lines_before_it(tmp_path, line, sentence, good) -> None:
    found, problems, _ = read(written(tmp_path / "a.txt", "Ida/B-PER ran/O\n" * good + f"{line}\n"))
    assert (found, problems) == ([IDA] * good + [(sentence, [])], "")


@pytest.mark.parametrize(
    "line", ["failure/Concept/Principles of/O a/O", "United_political_party won_O", "Ida_person ran_O AC_DC_org"]
)
def test_labels_alone_that_may_hold_the_mark_are_refused(tmp_path, line) -> None:
    found, problems, _ = read(written(tmp_path / "a.txt", f"{line}\n{line}\n"))
    assert found == []
    assert "write B- and I- before labels; alone they need O beside them, and no " in problems
    assert "none of which is O" not in problems


def test_two_texts_side_by_side_are_no_words_and_tags(tmp_path) -> None:
    text = "a man\tun homme\nthe man\tle homme\n"
    assert "no column holds tags" in read(written(tmp_path / "a.txt", text))[1]


@pytest.mark.parametrize("header", ["", "words\ttags\n"])
def test_sentences_in_the_quotation_marks_of_csv_are_read_without(tmp_path, header) -> None:
    text = header + 'Ada ran home\tchef O O\n"She said "" hi "" ."\tO O O O O O\n" He sat "\tO O O O\nBo sat\tchef O\n'
    found, problems, notes = read(written(tmp_path / "a.tsv", text))
    sentences = ["Ada ran home", 'She said " hi " .', '" He sat "', "Bo sat"]
    assert ([sentence for sentence, _ in found], problems) == (sentences, "")
    assert [mentions for _, mentions in found] == [[("Ada", "chef")], [], [], [("Bo", "chef")]]
    assert "sentences that CSV has put into quotation marks, as they contain some, were read without these" in notes


def test_labels_in_capitals_that_hold_the_mark_are_refused(tmp_path) -> None:
    text = "Golden_RECORD_LABEL Ibis_RECORD_LABEL sued_O\nWarp_RECORD_LABEL won_O\n"
    found, problems, _ = read(written(tmp_path / "a.txt", text))
    assert (found, "no '_' in them or in their tokens" in problems) == ([], True)
    text = "AC/DC/ORG sued/O\nIron/ORG Maiden/ORG and/O AC/DC/ORG won/O\n"
    found, problems, _ = read(written(tmp_path / "b.txt", text))
    assert (found[0], problems) == (("AC/DC sued", [("AC/DC", "ORG")]), "")

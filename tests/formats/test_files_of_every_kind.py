"""Files as other tools and people write them, each kind read as it was meant or refused with the reason."""

import json

import pytest

from rnr.corpus.formats import doubtful
from rnr.corpus.formats.tools import biomedical, prodigy
from rnr.corpus.loading import load
from rnr.corpus.schemas import DEFINED
from tests.reading_files import ADA, BO, ROW, read, written

# Columns


@pytest.mark.parametrize(
    ("tags", "mentions"),
    [
        ("I-PER E-PER O E-ORG", [("Ida Bo", "PER"), ("Acme", "ORG")]),
        ("I-PER I-PER O I-ORG", [("Ida Bo", "PER"), ("Acme", "ORG")]),
        ("E-PER I-PER O I-ORG", [("Ida", "PER"), ("Bo", "PER"), ("Acme", "ORG")]),
    ],
)
def test_tags_that_only_end_entities_are_read(tmp_path, tags, mentions) -> None:
    lines = "".join(f"{word} {tag}\n" for word, tag in zip(("Ida", "Bo", "met", "Acme"), tags.split(), strict=True))
    assert read(written(tmp_path / "a.conll", lines)) == ([("Ida Bo met Acme", mentions)], "", "")


def test_an_end_that_is_missing_is_an_error_where_all_others_are_there(tmp_path) -> None:
    lines = "Ida E-PER\nmet O\n\nBo I-PER\nran O\n"
    found, problems, _ = read(written(tmp_path / "a.conll", lines))
    assert found == [("Ida met", [("Ida", "PER")])]
    assert "line 4: I-PER cannot come before O (IOE2)" in problems


def test_the_chunks_of_the_german_conll_2003_are_no_column_of_names(tmp_path) -> None:
    lines = "-DOCSTART- -X- O O O\n\nAda Ada NE I-NC I-PER\nran laufen VV I-VC O\n"
    assert read(written(tmp_path / "a.conll", lines)) == ([ADA], "", "")


@pytest.mark.parametrize("head", ["Word\tPOS_tag\tNER_Tag", "TOKEN\tMISC\tNE-COARSE-LIT"])
def test_a_header_may_name_its_columns_in_several_words(tmp_path, head) -> None:
    found, problems, notes = read(
        written(tmp_path / "a.tsv", f"{head}\nAda\t_\tB-PER\nran\tx\tO\n\nBo\t_\tB-PER\nsat\tx\tO\n")
    )
    assert (found, problems) == ([ADA, BO], "")
    assert "is a header and was passed over" in notes


def test_a_first_word_that_is_called_word_is_no_header(tmp_path) -> None:
    found, _, notes = read(written(tmp_path / "a.tsv", "Word\tB-misc\nran\tO\n"))
    assert (found, notes) == ([("Word ran", [("Word", "misc")])], "")


def test_no_space_stands_where_hipe_says_so(tmp_path) -> None:
    head = "TOKEN\tNE-COARSE-LIT\tNE-NESTED\tMISC\n# hipe2022:date = 1900\n"
    rows = "Ada\tB-PER\tO\t_\nran\tO\tO\tNoSpaceAfter|x\n.\tO\tO\tx\n"
    found, problems, _ = read(written(tmp_path / "a.tsv", head + rows))
    assert (found, problems) == ([("Ada ran.", [("Ada", "PER")])], "")


def test_spaces_in_the_place_of_tabs_are_named(tmp_path) -> None:
    _, problems, _ = read(written(tmp_path / "a.conll", "Ada\tB-PER\nran O\nhome\tO\n"))
    assert "line 2: 1 column where most lines have 2, with spaces in the place of tabs" in problems


# JSON


@pytest.mark.parametrize(
    "row",
    [
        '{"text": "Bo", "text": "Ada ran", "entities": []}',
        '{"text": "Ada ran", "entities": [], "entities": [[0, 3, "PER"]]}',
    ],
)
def test_a_key_that_stands_there_twice_is_an_error_of_its_row(tmp_path, row) -> None:
    found, problems, _ = read(written(tmp_path / "a.jsonl", f"{row}\n{json.dumps(ROW)}\n"))
    assert found == [ADA]
    assert "row 1: not valid JSON: an object has '" in problems
    assert "' twice" in problems
    assert "' twice" in read(written(tmp_path / "a.json", f"[{row}]"))[1]


def test_a_comma_behind_a_row_is_named(tmp_path) -> None:
    assert "there is a comma after the value" in read(written(tmp_path / "a.jsonl", f"{json.dumps(ROW)},\n" * 2))[1]


def test_control_characters_of_windows_texts_read_as_latin_1_are_noted(tmp_path) -> None:
    rows = [{"text": "Ada ran \x93home\x94", "entities": [[0, 3, "PER"]]}]
    assert f"1 {doubtful.CONTROL} (row 1: U+0093 at 8)" in read(written(tmp_path / "a.jsonl", rows))[2]


@pytest.mark.parametrize("labels", [("B-PER", "L-PER"), ("B_PER", "I_PER"), ("b-per", "i-per"), ("PER-B", "PER-I")])
def test_tags_of_tokens_as_labels_are_refused_in_every_spelling(tmp_path, labels) -> None:
    row = {"text": "Ada King", "entities": [[0, 3, labels[0]], [4, 8, labels[1]]]}
    assert "are token tags, not entity labels" in read(written(tmp_path / "a.jsonl", [row]))[1]


def test_labels_that_look_like_one_tag_alone_are_labels(tmp_path) -> None:
    row = {
        "text": "vitamins B and E, B cells",
        "entities": [[9, 10, "vitamin-B"], [15, 16, "vitamin-E"], [18, 25, "B-cell"]],
    }
    assert read(written(tmp_path / "a.jsonl", [row]))[1] == ""


# labels.json


@pytest.mark.parametrize(
    "listed",
    [
        [{"id": 1, "text": "LOC"}, {"id": 2, "text": "PER"}],
        [{"id": 2, "text": "PER"}, {"id": 1, "text": "LOC"}],
        {"id2label": {"1": "LOC", "2": "PER"}, "label2id": {"LOC": 1, "PER": 2}},
    ],
)
def test_numbers_of_labels_are_those_that_a_list_gives_them(tmp_path, listed) -> None:
    (tmp_path / "labels.json").write_text(json.dumps(listed))
    rows = [{"text": "Ada ran", "annotations": [{"label": 2, "start_offset": 0, "end_offset": 3}]}]
    assert read(written(tmp_path / "a.jsonl", rows))[:2] == ([ADA], "")


@pytest.mark.parametrize(
    ("listed", "noted"),
    [
        ({"LOC": "places", "PER": "names of people"}, True),
        ({"LOC": {"definition": "places"}, "PER": {"definition": "names of people"}}, True),
        ({"LOC": ["Rome"], "PER": ["Ada", "Bo"]}, True),
        ({"entities": {"LOC": {"verbose": "place"}, "PER": {"verbose": "person"}}, "relations": {}}, True),
        ([{"name": "LOC", "description": "places"}, {"name": "PER"}], True),
        ({"labels": ["LOC", "PER"], "version": 1}, False),
        ({"LOC": "1", "PER": "2"}, False),
    ],
)
def test_labels_with_definitions_are_the_schema_and_what_was_not_read_is_noted(tmp_path, listed, noted) -> None:
    (tmp_path / "labels.json").write_text(json.dumps(listed))
    (found,) = load([str(written(tmp_path / "a.jsonl", [ROW]))], training=True)
    assert found.schema == ("LOC", "PER")
    assert (f"{tmp_path / 'labels.json'}: {DEFINED}" in read(tmp_path / "a.jsonl")[2]) is noted


def test_definitions_give_no_numbers_to_labels(tmp_path) -> None:
    (tmp_path / "labels.json").write_text('{"LOC": "places", "PER": "names of people"}')
    rows = [{"text": "Ada ran", "entities": [[0, 3, 1]]}]
    assert "label 1 is a number without a name" in read(written(tmp_path / "a.jsonl", rows))[1]
    (tmp_path / "labels.json").write_text('{"LOC": {"id": 0}, "PER": {"id": 1}}')
    assert read(tmp_path / "a.jsonl")[:2] == ([ADA], "")


@pytest.mark.parametrize("listed", [[], ["O"], {}, None, {"PER": 1, "LOC": 1}, {"images": [], "categories": []}])
def test_a_list_of_labels_that_names_none_is_refused(tmp_path, listed) -> None:
    (tmp_path / "labels.json").write_text(json.dumps(listed))
    found, problems, _ = read(written(tmp_path / "a.jsonl", [ROW]))
    assert found == []
    assert "labels.json: " in problems


# Tools


@pytest.mark.parametrize(
    "row", [ROW, {"sentence": "Ada ran", "spans": ROW["entities"]}, {"text": "Ada ran", "label": ROW["entities"]}]
)
def test_answers_are_heard_in_every_writing_and_beside_any_field_of_entities(tmp_path, row) -> None:
    answers = ["accept", "REJECT", "ignore", "skipped"]
    texts = ["ran", "sat", "ate", "hid"]
    name = "text" if "text" in row else "sentence"
    rows = [row | {"answer": answer, name: f"Ada {text}"} for answer, text in zip(answers, texts, strict=True)]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert (found, problems) == ([ADA], "")
    assert f"1 {prodigy.REJECTED} (row 2)" in notes
    assert f"2 {prodigy.IGNORED} (row 3; row 4)" in notes


def test_a_row_of_prodigy_without_an_answer_or_with_an_odd_one_is_not_taken_for_accepted(tmp_path) -> None:
    span = {"start": 0, "end": 3, "label": "PER"}
    rows = [
        {"text": "Ada ran", "spans": [span], "_task_hash": 1, "answer": answer} for answer in ("accept", None, "hm")
    ]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert found == [ADA]
    assert f"1 {prodigy.UNANSWERED} (row 2)" in notes
    assert "row 3: the answer 'hm' is none of accept, reject and ignore" in problems


def _paragraphs(*paragraphs: dict) -> str:
    return json.dumps([{"id": 0, "paragraphs": list(paragraphs)}])


def test_the_entities_of_spacy_3_stand_beside_the_text_of_their_paragraph(tmp_path) -> None:
    tokens = [{"tokens": [{"orth": "Ada"}, {"orth": "ran"}]}]
    text = _paragraphs(
        {"raw": "Ada ran", "sentences": tokens, "entities": [[0, 3, "PER"]]},
        {"raw": "Bo sat", "entities": [[0, 2, "PER"]]},
        {"raw": "Nobody knows"},
    )
    found, problems, _ = read(written(tmp_path / "a.json", text))
    assert found == [ADA, BO]
    assert "row 3: a paragraph has neither tokens nor a text with entities" in problems


def test_the_spaces_of_spacy_tokens_make_the_sentence_where_its_text_is_missing(tmp_path) -> None:
    words = (("Ada", " ", "U-PER"), ("ran", "", "O"), (".", "", "O"))
    tokens = [{"orth": word, "space": space, "ner": tag} for word, space, tag in words]
    text = _paragraphs({"sentences": [{"tokens": tokens}]})
    assert read(written(tmp_path / "a.json", text))[0] == [("Ada ran.", [("Ada", "PER")])]


def test_pubtator_needs_no_blank_line_between_documents(tmp_path) -> None:
    text = "1|t|Ada ran.\n1|a|Home.\n1\t0\t3\tAda\tPER\n2|t|Bo sat\n2|a|\n2\t0\t2\tBo\tPER\n"
    found, problems, _ = read(written(tmp_path / "a.pubtator", text))
    assert (found, problems) == ([("Ada ran. Home.", [("Ada", "PER")]), ("Bo sat ", [("Bo", "PER")])], "")


def test_relations_of_pubtator_are_skipped_also_with_what_biored_says_of_them(tmp_path) -> None:
    text = "1|t|Ada ran.\n1|a|Home.\n1\t0\t3\tAda\tPER\tX\n1\tCID\tX\tY\n1\tPositive_Correlation\tX\t7\tNovel\n"
    found, problems, notes = read(written(tmp_path / "a.pubtator", text))
    assert (found, problems) == ([("Ada ran. Home.", [("Ada", "PER")])], "")
    assert "2 lines of relations were skipped" in notes


def test_an_abstract_of_pubtator_may_go_over_several_lines(tmp_path) -> None:
    text = "1|t|Ada ran.\n1|a|She left.\nBo sat.\n1\t19\t21\tBo\tPER\n"
    found, problems, notes = read(written(tmp_path / "a.pubtator", text))
    assert (found, problems) == ([("Ada ran. She left.\nBo sat.", [("Bo", "PER")])], "")
    assert f"1 {biomedical.CONTINUED} (row 3)" in notes


@pytest.mark.parametrize("line", ["2\t0\t3\tAda\tPER", "1\t0\t3\tAda\tPER\nShe left."])
def test_a_line_of_pubtator_that_is_of_no_document_is_an_error(tmp_path, line) -> None:
    found, problems, _ = read(
        written(tmp_path / "a.pubtator", f"1|t|Ada ran.\n1|a|Home.\n{line}\n\n2|t|Bo sat\n2\t0\t2\tBo\tPER\n")
    )
    assert found == [BO]
    assert "a.pubtator, line " in problems


BIOC_DOCUMENT = {
    "id": "1",
    "passages": [
        {
            "offset": 0,
            "text": "Ada ran",
            "annotations": [{"infons": {"type": "PER"}, "text": "Ada", "locations": [{"offset": 0, "length": 3}]}],
        }
    ],
}


@pytest.mark.parametrize(
    "content", [[BIOC_DOCUMENT], json.dumps({"PubTator3": [BIOC_DOCUMENT]}), [{"documents": [BIOC_DOCUMENT]}]]
)
def test_documents_of_bioc_are_read_with_and_without_their_collection(tmp_path, content) -> None:
    assert read(written(tmp_path / "a.jsonl", content))[:2] == ([ADA], "")


def test_a_line_that_is_none_of_brats_is_an_error(tmp_path) -> None:
    (tmp_path / "a.txt").write_text("Ada ran")
    file = written(tmp_path / "a.ann", "T1\tPER 0 3\tAda\nt2\tPER 4 7\tran\n")
    assert "a.ann, line 2: no line of brat" in read(file)[1]


@pytest.mark.parametrize("letters", ["tab", "TAB", ("title", "abstract", "b")])
def test_sections_of_pubtator_are_one_text_whatever_their_letters_and_others_are_noted(tmp_path, letters) -> None:
    texts = "\n".join(
        f"1|{letter}|{text}" for letter, text in zip(letters, ("Ada ran.", "Home.", "Bo sat."), strict=True)
    )
    found, problems, notes = read(written(tmp_path / "a.txt", f"{texts}\n1\t15\t17\tBo\tPER\n"))
    assert (found, problems) == ([("Ada ran. Home. Bo sat.", [("Bo", "PER")])], "")
    assert f"1 {biomedical.SECTIONS} (row 3: {letters[2]})" in notes


def test_an_abstract_of_another_document_of_pubtator_is_an_error(tmp_path) -> None:
    found, problems, _ = read(written(tmp_path / "a.txt", "1|t|Ada ran.\n2|a|Home.\n1\t0\t3\tAda\tPER\n"))
    assert found == []
    assert "a.txt, line 2: of document '2|a|Home.' among the lines of '1'" in problems


def test_documents_of_pubtator_that_begin_otherwise_are_named_as_what_they_are(tmp_path) -> None:
    text = "1|b|Ada ran.\n1|c|Home.\n1\t0\t3\tAda\tPER\n"
    assert "documents of PubTator (1|b|): " in read(written(tmp_path / "a.txt", text))[1]
    assert read(written(tmp_path / "a.pubtator", text))[0] == [("Ada ran. Home.", [("Ada", "PER")])]

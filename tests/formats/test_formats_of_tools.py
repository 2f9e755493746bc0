"""What annotation tools and data sets write, as people bring it: read exactly, or refused with what it is."""

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnr.config import ReadingConfig
from rnr.corpus.formats import examples as examples_of_rows
from rnr.corpus.formats import json_files
from rnr.corpus.formats.entities import offsets, plain_rows
from rnr.corpus.formats.files.opening import LINE_LIMIT
from rnr.corpus.formats.folders import NOT_READ
from rnr.corpus.formats.rows import DataError
from rnr.corpus.formats.tokens import token_rows
from rnr.corpus.formats.tools import prodigy
from rnr.corpus.formats.writing import FORMATS
from rnr.corpus.loading import check, load, stream
from rnr.corpus.report import Reading
from rnr.types import Example
from scripts.data import main

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "data"


def _read(file: Path, *rows: object, **options: object) -> tuple[list[Example], Reading]:
    """The examples of rows (one a line) and what was noted; raises the first DataError."""
    if rows:
        file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    reading = Reading(options=ReadingConfig.model_validate(options))
    return list(stream([str(file)], training=True, reading=reading)), reading


def _error(file: Path, *rows: object, **options: object) -> str:
    with pytest.raises(DataError) as raised:
        _read(file, *rows, **options)
    return str(raised.value)


def _spans(one: Example) -> list[tuple[int, int, str]]:
    assert all(one.sentence[m.start : m.end] == m.text for m in one.mentions)
    return [(m.start, m.end, m.label.lower()) for m in one.mentions]


ADA = "Ada met Bo in Rome"
TOKENS = ADA.split()
SPANS = [(0, 3, "per"), (8, 10, "per"), (14, 18, "loc")]


# Places, labels and fields under other names


@pytest.mark.parametrize(
    "entity",
    [
        {"start_char": 14, "end_char": 18, "label": "LOC"},
        {"startOffset": 14, "endOffset": 18, "label": "LOC"},
        {"BeginOffset": 14, "EndOffset": 18, "Type": "LOC"},
        {"begin": 14, "end": 18, "category": "LOC"},
        {"from": 14, "to": 18, "tag": "LOC"},
        {"offset": 14, "length": 4, "category": "LOC", "text": "Rome"},
        {"start": 14, "length": 4, "type": "LOC"},
        {"offsets": [[14, 18]], "type": "LOC", "text": ["Rome"]},
        {"span": [14, 18], "label": "LOC"},
        {"indices": [14, 18], "entity_type": "LOC"},
        {"entity": "LOC", "value": "Rome", "start": 14, "end": 18},
        {"entity_group": "LOC", "word": "rome", "start": 14, "end": 18, "score": 0.9},
        {"labels": ["LOC"], "start": 14, "end": 18},
        ["LOC", 14, 18],
        {"text": "Rome", "label": "LOC", "start": "14", "end": "18"},
        {"label": "LOC", "start": 14.0, "end": 18.0},
        [14.0, 18.0, "LOC"],
    ],
)
@pytest.mark.parametrize("field", ["entities", "labels", "annotations"])
def test_a_place_and_a_label_are_read_under_the_names_of_other_tools(tmp_path, entity, field) -> None:
    # A second Rome before it: what took the first occurrence would be found out.
    sentence = "Rome: seen " + "Rome, at last"
    moved = json.loads(json.dumps(entity).replace("14", "11").replace("18", "15"))
    (found,), _ = _read(tmp_path / "a.jsonl", {"text": sentence, field: [moved]})
    assert _spans(found) == [(11, 15, "loc")]


@pytest.mark.parametrize("name", ["text", "sentence", "content", "data", "raw_text"])
def test_the_sentence_may_have_another_name(tmp_path, name) -> None:
    (found,), _ = _read(tmp_path / "a.jsonl", {name: ADA, "labels": [[0, 3, "PER"]]})
    assert (found.sentence, _spans(found)) == (ADA, [(0, 3, "per")])


@pytest.mark.parametrize(
    "entity",
    [
        {"text": "Rome", "label": "LOC", "first_idx": 14, "last_idx": 18},
        {"text": "Rome", "label": "LOC", "charpos": [14, 18]},
        {"text": "Rome", "label": "LOC", "token_start": 4, "token_end": 4},
    ],
)
def test_a_place_under_a_name_that_nobody_knows_is_refused_and_never_guessed(tmp_path, entity) -> None:
    said = _error(tmp_path / "a.jsonl", {"text": ADA, "entities": [entity]})
    assert "entities[0] has its place under names that are not known" in said
    assert "call them 'start' and 'end'" in said


def test_numbers_written_as_text_are_counted(tmp_path) -> None:
    rows = [{"text": ADA, "label": [["0", "3", "PER"]]}, {"text": ADA, "label": [[0.0, 3.0, "PER"]]}]
    found, reading = _read(tmp_path / "a.jsonl", *rows)
    assert [_spans(one) for one in found] == [[(0, 3, "per")]] * 2
    assert sum("whole numbers" in line for line in reading.report.lines()) == 1


def test_mentions_without_offsets_whose_text_occurs_more_often_are_counted(tmp_path) -> None:
    _, reading = _read(tmp_path / "a.jsonl", {"text": "Rome, Rome", "entities": [{"text": "Rome", "label": "LOC"}]})
    assert reading.report.times(examples_of_rows.AMBIGUOUS) == 1
    _, reading = _read(tmp_path / "b.jsonl", {"text": "Rome, Rome", "entities": [{"text": "Rome", "label": "LOC"}] * 2})
    assert reading.report.times(examples_of_rows.AMBIGUOUS) == 0


def test_entities_listed_by_their_label_are_read_and_counted(tmp_path) -> None:
    (found,), reading = _read(tmp_path / "a.jsonl", {"sentence": ADA, "entities": {"PER": ["Ada", "Bo"], "LOC": []}})
    assert _spans(found) == SPANS[:2]
    assert reading.report.times(plain_rows.BY_LABEL) >= 1


def test_cluener_has_inclusive_places_by_label_and_text(tmp_path) -> None:
    row = {"text": "浙商银行的叶老桂", "label": {"company": {"浙商银行": [[0, 3]]}, "name": {"叶老桂": [[5, 7]]}}}
    (found,), _ = _read(tmp_path / "a.json", json.dumps(row))
    assert [(m.text, m.label) for m in found.mentions] == [("浙商银行", "company"), ("叶老桂", "name")]
    row["label"]["name"] = {"叶老桂": [[4, 6]]}
    assert "'叶老桂' is not at [4, 6]" in _error(tmp_path / "b.json", json.dumps(row))


def test_two_fields_that_hold_entities_must_agree(tmp_path) -> None:
    spans = [{"start": 0, "end": 3, "label": "PER"}]
    (found,), reading = _read(tmp_path / "a.jsonl", {"text": ADA, "label": [[0, 3, "PER"]], "spans": spans})
    assert (_spans(found), reading.report.times(plain_rows.SAME_TWICE)) == ([(0, 3, "per")], 1)
    for other in ([], [[0, 3, "ORG"]], [[0, 2, "PER"]]):
        said = _error(tmp_path / "b.jsonl", {"text": ADA, "label": other, "spans": spans})
        assert "'label'" in said
        assert "do not agree" in said


def test_two_texts_must_be_the_same(tmp_path) -> None:
    said = _error(tmp_path / "a.jsonl", {"text": ADA, "sentence": "Bo ran", "label": [[0, 2, "PER"]]})
    assert "'sentence' and 'text' are two different texts" in said


def test_entities_that_are_null_are_not_taken_for_none(tmp_path) -> None:
    assert "or it is null" in _error(tmp_path / "a.jsonl", {"text": ADA, "entities": None})


# What offsets count


@pytest.mark.parametrize(
    ("unit", "sentence", "place", "text"),
    [
        ("utf16", "😀 Ida met Bo", (3, 6), "Ida"),
        ("bytes", "Zoë met Bo", (9, 11), "Bo"),
        ("inclusive", "Marta lives in New Delhi", (15, 23), "New Delhi"),
        ("tokens", "Marta lives in New Delhi", (3, 5), "New Delhi"),
    ],
)
def test_offsets_in_another_unit_are_converted_when_that_is_said(tmp_path, unit, sentence, place, text) -> None:
    rows = [{"text": sentence, "label": [[*place, "X"]]}, {"text": sentence, "spans": [{"label": "X"} | dict(
        zip(("start", "end"), place, strict=True))]}]  # fmt: skip
    found, reading = _read(tmp_path / "a.jsonl", *rows, offsets=unit)
    assert [one.mentions[0].text for one in found] == [text] * 2
    assert reading.report.times(offsets.CONVERTED) == 2


@pytest.mark.parametrize(
    ("unit", "rows"),
    [
        ("utf16", [{"text": "😀 Ida met Bo today", "label": [[3, 6, "PER"], [11, 13, "PER"]]}]),
        ("bytes", [{"text": "Zoë, Bo and Ida ran", "label": [[6, 8, "PER"], [13, 16, "PER"]]}]),
        ("inclusive", [{"text": "Marta lives in New Delhi", "label": [[0, 4, "PER"], [15, 23, "LOC"]]}]),
        ("tokens", [{"text": "Marta lives in New Delhi", "label": [[0, 1, "PER"], [3, 5, "LOC"]]}]),
    ],
)
def test_a_file_whose_mentions_cut_words_is_refused_with_the_unit_that_fits(tmp_path, unit, rows) -> None:
    said = _error(tmp_path / "a.jsonl", *rows)
    assert "begin or end inside a word" in said
    assert f"they would be whole words with --offsets {unit} (" in said
    found, reading = _read(tmp_path / "a.jsonl", offsets="characters")  # the way out
    assert len(found) == 1
    assert reading.report.times(offsets.INSIDE) >= 1


@pytest.mark.parametrize(
    ("unit", "sentence", "place", "text"),
    [
        ("utf16", "😀 Ida met Bo", (3, 6), "Ida"),
        ("bytes", "Zoë met Bo", (9, 11), "Bo"),
        ("inclusive", "Marta lives in New Delhi", (15, 23), "New Delhi"),
        ("tokens", "Marta lives in New Delhi", (3, 5), "New Delhi"),
    ],
)
def test_a_text_beside_its_offsets_tells_what_they_count(tmp_path, unit, sentence, place, text) -> None:
    row = {"text": sentence, "entities": [{"text": text, "label": "X", "start": place[0], "end": place[1]}]}
    assert f"--offsets {unit} " in _error(tmp_path / "a.jsonl", row)
    (found,), _ = _read(tmp_path / "a.jsonl", offsets=unit)
    assert found.mentions[0].text == text


def test_a_few_mentions_inside_words_are_counted_and_not_refused(tmp_path) -> None:
    whole = [{"text": "Bo ran", "label": [[0, 2, "PER"]]}] * 60
    found, reading = _read(tmp_path / "a.jsonl", *whole, *[{"text": "NaCl", "label": [[0, 2, "ION"]]}] * 2)
    assert (len(found), reading.report.times(offsets.INSIDE)) == (62, 2)


@pytest.mark.parametrize(
    "row",
    [
        {"text": "Iván's trip to Saint-Malo", "label": [[0, 4, "PER"], [15, 20, "LOC"]]},
        {"text": "我在厦门钓鱼", "label": [[2, 4, "LOC"]]},
        {"text": "ผมไปกรุงเทพ", "label": [[5, 11, "LOC"]]},
        {"text": "서울에서 만나", "label": [[0, 2, "LOC"]]},
        {"text": "ולירושלים", "label": [[2, 9, "LOC"]]},
    ],
)
def test_where_words_are_not_divided_by_spaces_a_mention_may_begin_anywhere(tmp_path, row) -> None:
    _, reading = _read(tmp_path / "a.jsonl", row)
    assert reading.report.times(offsets.INSIDE) == 0


def test_offsets_beyond_the_sentence_in_their_unit_are_that_rows_failure(tmp_path) -> None:
    said = _error(tmp_path / "a.jsonl", {"text": "Bo ran", "label": [[0, 9, "PER"]]}, offsets="tokens")
    assert "row 1: offsets [0, 9] are not words divided by white space of the sentence" in said


# Prodigy


def _prodigy(text: str, *spans: tuple[int, int, str], answer: str = "accept", **more: object) -> dict:
    return {"text": text, "spans": [dict(zip(("start", "end", "label"), s, strict=True)) for s in spans],
            "answer": answer, **more}  # fmt: skip


def test_prodigys_rejected_and_ignored_rows_are_left_out_and_counted(tmp_path) -> None:
    rows = [
        _prodigy(ADA, (0, 3, "PER")),
        _prodigy("Bo ran", (0, 2, "LOC"), answer="reject"),
        _prodigy("Ida ran", answer="ignore"),
        _prodigy("Nobody ran"),
    ]
    found, reading = _read(tmp_path / "a.jsonl", *rows)
    assert [(one.sentence, _spans(one)) for one in found] == [(ADA, [(0, 3, "per")]), ("Nobody ran", [])]
    assert (reading.report.times(prodigy.REJECTED), reading.report.times(prodigy.IGNORED)) == (1, 1)


def test_prodigys_rejected_spans_are_left_out_of_their_row(tmp_path) -> None:
    row = _prodigy(ADA, (0, 3, "PER"), (14, 18, "PER"))
    row["spans"][1]["answer"] = "reject"
    (found,), reading = _read(tmp_path / "a.jsonl", row)
    assert (_spans(found), reading.report.times(prodigy.REJECTED_SPANS)) == ([(0, 3, "per")], 1)


@pytest.mark.parametrize("view", [{}, {"_view_id": "ner"}])
def test_prodigys_decisions_about_one_span_each_are_put_together(tmp_path, view) -> None:
    rows = [
        _prodigy(ADA, (0, 3, "PER"), **view),
        _prodigy(ADA, (14, 18, "LOC"), **view),
        _prodigy(ADA, (8, 10, "LOC"), answer="reject", **view),
        _prodigy("Bo ran", (0, 2, "LOC"), answer="reject", **view),
    ]
    found, reading = _read(tmp_path / "a.jsonl", *rows)
    assert [(one.sentence, _spans(one)) for one in found] == [(ADA, [(0, 3, "per"), (14, 18, "loc")])]
    assert reading.report.times(prodigy.MERGED) == 4
    assert reading.report.times(prodigy.UNDECIDED) == 1


def test_prodigys_manual_rows_of_one_text_by_two_people_are_not_put_together(tmp_path) -> None:
    rows = [_prodigy(ADA, (0, 3, "PER"), _view_id="ner_manual"), _prodigy(ADA, (8, 10, "PER"), _view_id="ner_manual")]
    found, _ = _read(tmp_path / "a.jsonl", *rows)
    assert [_spans(one) for one in found] == [[(0, 3, "per")], [(8, 10, "per")]]


def test_an_accepted_row_without_spans_has_no_mention_where_others_have_some(tmp_path) -> None:
    bare = {"text": "cats ran", "answer": "accept"}
    found, reading = _read(tmp_path / "a.jsonl", bare, _prodigy("Bo ran", (0, 2, "PER")))
    assert [_spans(one) for one in found] == [[], [(0, 2, "per")]]
    assert reading.report.times(prodigy.NO_SPANS) == 1
    assert "no row of this Prodigy export has 'spans'" in _error(tmp_path / "b.jsonl", bare, bare)


# Tokens with tags or spans


TAGS = ["B-PER", "O", "B-PER", "O", "B-LOC"]
NAMES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
NUMBERS = [NAMES.index(tag) for tag in TAGS]


TOKEN_ROWS = [
        {"tokens": TOKENS, "ner_tags": TAGS},
        {"words": TOKENS, "ner": TAGS},
        {"tokens": TOKENS, "tags": TAGS},
        {"words": TOKENS, "labels": TAGS, "id": "7"},
        {"tokens": TOKENS, "ner_tags": NUMBERS, "ner_tags_str": TAGS} | {"bio_tags": TAGS},
        {"tokens": TOKENS, "ner_tags": NUMBERS, "label_list": NAMES},
        {"tokenized_text": TOKENS, "ner": [[0, 0, "PER"], [2, 2, "PER"], [4, 4, "LOC"]]},
        {"tokens": TOKENS, "entities": [{"start": s, "end": s + 1, "type": t} for s, t in ((0, "PER"), (2, "PER"),
                                                                                           (4, "LOC"))]},
        {"instance": {"id": "0", "words": TOKENS, "labels": TAGS}, "label_list": ["PER", "LOC"], "dataset": "x"},
        {"id": 0, "paragraphs": [{"raw": ADA, "sentences": [{"tokens": [
            {"orth": token, "ner": tag.replace("B-", "U-")} for token, tag in zip(TOKENS, TAGS, strict=True)]}]}]},
    ]  # fmt: skip


@pytest.mark.parametrize("row", TOKEN_ROWS)
def test_rows_of_tokens_are_read(tmp_path, row) -> None:
    (found,), _ = _read(tmp_path / "a.jsonl", row)
    assert (found.sentence, _spans(found)) == (ADA, SPANS)


def test_numbers_of_tags_take_their_names_from_the_options_or_from_a_list_beside_the_file(tmp_path) -> None:
    row = {"tokens": TOKENS, "ner_tags": NUMBERS}
    assert "name them in the order of their numbers by --labels" in _error(tmp_path / "a.jsonl", row)
    (found,), _ = _read(tmp_path / "a.jsonl", labels=NAMES)
    assert (_spans(found), found.schema) == (SPANS, ("LOC", "PER"))
    for listed in (NAMES, dict(zip(NAMES, range(5), strict=True)), dict(enumerate(NAMES))):
        (tmp_path / "labels.json").write_text(json.dumps(listed))
        assert _spans(_read(tmp_path / "a.jsonl")[0][0]) == SPANS
    assert "tag 4 has no name" in _error(tmp_path / "b.jsonl", {"tokens": ["Bo"], "ner_tags": [4]}, labels=NAMES[:2])


@pytest.mark.parametrize("number", [-100, -1])
def test_a_tag_that_means_not_annotated_makes_no_sentence(tmp_path, number) -> None:
    said = _error(tmp_path / "a.jsonl", {"tokens": ["Bo", "ran"], "ner_tags": [1, number]}, labels=NAMES)
    assert f"tag {number} marks a token that was not annotated" in said


def test_rows_without_tokens_are_left_out_and_counted(tmp_path) -> None:
    found, reading = _read(tmp_path / "a.jsonl", {"tokens": TOKENS, "ner_tags": TAGS}, {"tokens": [], "ner_tags": []})
    assert (len(found), reading.report.times(token_rows.EMPTY)) == (1, 1)


def test_nested_and_inclusive_spans_of_gliner_are_read(tmp_path) -> None:
    row = {"tokenized_text": ["New", "York", "University"], "ner": [[0, 2, "org"], [0, 1, "city"]]}
    (found,), _ = _read(tmp_path / "a.json", json.dumps([row]))
    assert _spans(found) == [(0, 19, "org"), (0, 8, "city")]
    row["ner"] = [[0, 3, "org"]]
    assert "'org' is at tokens 0 to 3 of a sentence with 3" in _error(tmp_path / "b.json", json.dumps([row]))


# Other tools


def test_universalner_conversations_give_their_schema_with_the_labels_that_were_not_found(tmp_path) -> None:
    turns = [
        ("human", f"Text: {ADA}"),
        ("gpt", "I've read this text."),
        ("human", "What describes PER in the text?"),
        ("gpt", '["Ada", "Bo"]'),
        ("human", "What describes date in the text?"),
        ("gpt", "[]"),
    ]
    row = {"id": "1", "conversations": [{"from": who, "value": value} for who, value in turns]}
    (found,), _ = _read(tmp_path / "a.json", json.dumps([row]))
    assert (_spans(found), set(found.schema)) == (SPANS[:2], {"PER", "date"})


ROWS_OF_TOOLS = [
        {"input": ADA, "output": {"entities": {"PER": ["Ada", "Bo"], "LOC": ["Rome"]}}},
        {"input": ADA, "output": "['Ada <> PER', 'Bo <> PER', 'Rome <> LOC']"},
        {"input": ADA, "output": ["Ada <> PER", "Bo <> PER", "Rome <> LOC"]},
        [ADA, {"entities": [[0, 3, "PER"], [8, 10, "PER"], [14, 18, "LOC"]]}],
        {"classes": ["PER", "LOC"],
         "annotations": [[ADA, {"entities": [[s, e, n.upper()] for s, e, n in SPANS]}], None]},
        {"text": ADA, "tokens": TOKENS, "annotation": [["PER", 0, 3], ["PER", 8, 10], ["LOC", 14, 18]],
         "prediction": None, "status": "Validated"},
        {"fields": {"text": ADA}, "status": "completed", "suggestions": {}, "responses": {"span": [
            {"value": [{"start": s, "end": e, "label": n} for s, e, n in SPANS], "user_id": "u"}]}},
        {"documents": [{"id": "1", "passages": [{"offset": 5, "text": ADA, "annotations": [
            {"text": ADA[s:e], "locations": [{"offset": s + 5, "length": e - s}], "infons": {"type": n}}
            for s, e, n in SPANS]}]}]},
        {"data": {"text": ADA}, "completions": [{"result": [{"to_name": "text", "value":
            {"start": s, "end": e, "text": ADA[s:e], "labels": [n]}} for s, e, n in SPANS]}]},
        {"id": 1, "data": ADA, "label": [[s, e, n] for s, e, n in SPANS]},
    ]  # fmt: skip


@pytest.mark.parametrize("row", ROWS_OF_TOOLS)
@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_what_other_tools_write_is_read(tmp_path, row, name) -> None:
    (found,), _ = _read(tmp_path / name, row)
    assert (found.sentence, _spans(found)) == (ADA, SPANS)


def test_argillas_discarded_records_are_left_out_and_counted(tmp_path) -> None:
    done = {"text": ADA, "annotation": [["PER", 0, 3]], "prediction": None, "status": "Validated"}
    found, reading = _read(tmp_path / "a.jsonl", done, done | {"status": "Discarded"}, done | {"status": "Default"})
    assert len(found) == 1
    assert any("2 records were discarded" in line for line in reading.report.lines())


def test_numbered_labels_of_doccano_need_names(tmp_path) -> None:
    row = {"text": ADA, "annotations": [{"id": 1, "label": 7, "start_offset": 0, "end_offset": 3, "user": 1}]}
    assert "label 7 is a number without a name" in _error(tmp_path / "a.jsonl", row)
    (found,), _ = _read(tmp_path / "a.jsonl", labels=["7=PER"])
    assert _spans(found) == [(0, 3, "per")]


def test_a_label_studio_region_is_in_the_text_that_it_names(tmp_path) -> None:
    result = {"to_name": "title", "type": "labels", "value": {"start": 7, "end": 11, "text": "Rome", "labels": ["LOC"]}}
    task = {"data": {"text": "Bo saw Rome too", "title": "Ada in Rome"}, "annotations": [{"result": [result]}]}
    (found,), reading = _read(tmp_path / "a.json", json.dumps([task]))
    assert found.sentence == "Ada in Rome"
    assert any("further texts" in line for line in reading.report.lines())


def test_label_studio_counts_a_windows_line_end_as_one_character(tmp_path) -> None:
    values = [(3, 6, "Ida"), (11, 13, "Bo")]
    results = [{"value": {"start": s, "end": e, "text": t, "labels": ["PER"]}} for s, e, t in values]
    task = {"data": {"text": "Hi\r\nIda met\r\nBo"}, "annotations": [{"result": results}]}
    (found,), reading = _read(tmp_path / "a.json", json.dumps([task]))
    assert (found.sentence, _spans(found)) == ("Hi\nIda met\nBo", [(3, 6, "per"), (11, 13, "per")])
    assert any("line break of two characters" in line for line in reading.report.lines())


def test_label_studio_shows_two_spaces_as_one(tmp_path) -> None:
    value = {"start": 8, "end": 20, "text": "Bonn, Europe", "labels": ["LOC"]}
    task = {"data": {"text": "Seen in Bonn,\tEurope"}, "annotations": [{"result": [{"value": value}]}]}
    (found,), reading = _read(tmp_path / "a.json", json.dumps([task]))
    assert _spans(found) == [(8, 20, "loc")]
    assert any("other spaces" in line for line in reading.report.lines())


def test_pubtator_is_read_with_title_and_abstract_as_one_text(tmp_path) -> None:
    text = "1|t|Aspirin helps\n1|a|It cures pain.\n1\t0\t7\tAspirin\tChemical\tD1\n1\t23\t27\tpain\tDisease\tD2\n"
    text += "1\tCID\tD1\tD2\n\n2|t|Nothing\n2|a|\n"
    (tmp_path / "a.txt").write_text(text)
    (first, second), reading = _read(tmp_path / "a.txt")
    assert [(m.text, m.label.lower()) for m in first.mentions] == [("Aspirin", "chemical"), ("pain", "disease")]
    assert (first.guid, second.mentions) == ("1", ())
    assert any("1 lines of relations" in line for line in reading.report.lines())


def _brat(folder: Path, text: str, annotations: str, name: str = "1") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.txt").write_text(text)
    (folder / f"{name}.ann").write_text(annotations)
    return folder


def test_a_brat_folder_is_one_data_set_of_documents(tmp_path) -> None:
    folder = _brat(tmp_path / "corpus", ADA, "T1\tPER 0 3\tAda\nT2\tLOC 14 18\tRome\nR1\tIn Arg1:T1 Arg2:T2\n")
    _brat(folder, "St.\nIves", "T1\tLOC 0 3;4 8\tSt. Ives\n", "2")
    (folder / "3.txt").write_text("not annotated")
    (folder / "annotation.conf").write_text("[entities]\nPER\nLOC\nORG\n[relations]\nIn Arg1:PER, Arg2:LOC\n")
    (first, second), reading = _read(folder)
    assert (_spans(first), _spans(second)) == ([SPANS[0], SPANS[2]], [(0, 8, "loc")])
    assert len(first.schema) == 3
    said = "\n".join(reading.report.lines())
    assert "1 lines of relations" in said
    assert "1 texts have no .ann" in said
    for one in (folder / "1.ann", folder / "1.txt"):
        assert _spans(_read(one)[0][0]) == _spans(first)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("T1\tPER 0 3;8 10\tAda Bo", "'Ada Bo' is in several pieces, of which ' met ' is no part"),
        ("T1\tPER 0 3\tBob", "'Bob' is not at [0:3], where the text has 'Ada'"),
        ("T1\tPER 0 99\tAda", "not in the text, which has 18 characters"),
        ("T1 PER 0 3 Ada", "expected T1, the label"),
    ],
)
def test_a_line_of_brat_that_cannot_be_read_is_named(tmp_path, line, said) -> None:
    folder = _brat(tmp_path / "corpus", ADA, f"{line}\n")
    assert f"1.ann, line 1: {said}" in _error(folder) or said in _error(folder)


# Tables


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_of_words_with_the_number_of_their_sentence_is_read(tmp_path, delimiter) -> None:
    rows = [("Sentence #", "Word", "POS", "Tag"), ("Sentence: 1", "Ada", "NNP", "B-PER"), ("", "met", "VBD", "O")]
    rows += [("", "Bo", "NNP", "B-PER"), ("Sentence: 2", "Rome", "NNP", "B-LOC")]
    (tmp_path / "a.csv").write_text("\n".join(delimiter.join(row) for row in rows))
    (first, second), _ = _read(tmp_path / "a.csv")
    assert (first.sentence, _spans(first), _spans(second)) == ("Ada met Bo", SPANS[:2], [(0, 4, "loc")])


def test_a_table_of_sentences_with_lists_of_entities_is_read(tmp_path) -> None:
    (tmp_path / "a.csv").write_text('id,text,label\n1,"Ada, Bo","[[0, 3, ""PER""]]"\n2,Nobody,[]\n')
    (first, second), _ = _read(tmp_path / "a.csv")
    assert (first.sentence, _spans(first), second.mentions) == ("Ada, Bo", [(0, 3, "per")], ())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("word,tag\nAda,B-PER\n", "neither a column nor a blank row says where a sentence ends"),
        ("review,stars\ngood,5\n", "the columns are: review, stars"),
    ],
)
def test_a_table_that_is_neither_says_what_its_columns_are(tmp_path, text, said) -> None:
    (tmp_path / "a.csv").write_text(text)
    assert said in _error(tmp_path / "a.csv")


def test_parquet_brings_the_names_of_its_tags(tmp_path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features(
        tokens=datasets.List(datasets.Value("string")), ner_tags=datasets.List(datasets.ClassLabel(names=NAMES))
    )
    rows = [{"tokens": TOKENS, "ner_tags": NUMBERS}]
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "train-00000-of-00001.parquet"
    datasets.Dataset.from_list(rows, features=features).to_parquet(str(file))
    (found,), _ = _read(tmp_path / "data")
    assert (_spans(found), found.source, found.uid) == (SPANS, "data", "data/train:1")
    (tmp_path / "broken.parquet").write_bytes(file.read_bytes()[:100])
    assert "broken.parquet" in _error(tmp_path / "broken.parquet")


# Files


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", '{"text": "Zoë ran", "label": [[0, 3, "PER"]]}\n\n{"text": "Bo", "label": []}\n'),
        ("a.json", '[{"text": "Zoë ran", "label": [[0, 3, "PER"]]},\n {"text": "Bo", "label": []}]'),
        ("a.conll", "Zoë B-PER\nran O\n\nBo O\n"),
    ],
)
def test_encodings_and_gzip_say_nothing_about_the_format(tmp_path, encoding, packed, name, text) -> None:
    file = tmp_path / (name + ".gz" * packed)
    file.write_bytes(gzip.compress(text.encode(encoding)) if packed else text.encode(encoding))
    found, _ = _read(file)
    assert [(one.sentence, _spans(one)) for one in found] == [("Zoë ran", [(0, 3, "per")]), ("Bo", [])]
    assert {one.source for one in found} == {"a"}


def test_a_gzip_file_that_is_cut_off_is_named(tmp_path) -> None:
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "Bo", "label": []}\n' * 1000)[:-20])
    assert "not a whole gzip file" in _error(tmp_path / "a.jsonl.gz")


ROW = '{"text": "Ada met Bo", "label": [[0, 3, "PER"]]}'


@pytest.mark.parametrize(
    ("name", "text", "noted"),
    [
        ("a.json", f"{ROW}\n{ROW}\n", json_files.LINES_IN_JSON),
        ("a.jsonl", f"[{ROW},\n{ROW}]", json_files.JSON_IN_LINES),
        ("a.jsonl", f"[{ROW}, {ROW}]\n", json_files.JSON_IN_LINES),
        ("a.jsonl", json.dumps([json.loads(ROW)] * 2, indent=1), json_files.JSON_IN_LINES),
        ("a.json", f'{{"version": "1", "data": [{ROW}, {ROW}]}}', json_files.WRAPPED),
    ],
)
def test_json_and_json_lines_are_told_apart_by_what_stands_there(tmp_path, name, text, noted) -> None:
    (tmp_path / name).write_text(text)
    found, reading = _read(tmp_path / name)
    assert [_spans(one) for one in found] == [[(0, 3, "per")]] * 2
    assert reading.report.times(noted) == 1


def test_an_object_with_several_lists_of_rows_is_not_guessed_between(tmp_path) -> None:
    (tmp_path / "a.json").write_text(f'{{"train": [{ROW}], "test": [{ROW}]}}')
    assert "several lists of rows (train, test)" in _error(tmp_path / "a.json")


@pytest.mark.parametrize("name", ["data[1].jsonl", "a*b.jsonl", "what?.jsonl"])
def test_a_name_with_the_marks_of_a_pattern_is_a_name_where_it_is_there(tmp_path, name) -> None:
    (tmp_path / "other.jsonl").write_text(ROW)
    assert len(_read(tmp_path / name, ROW)[0]) == 1


def test_two_asterisks_in_a_pattern_stand_for_folders_of_any_depth(tmp_path) -> None:
    for name, sentence in (("a.jsonl", "Ada ran"), ("x/b.jsonl", "Bo ran"), ("x/y/c.jsonl", "Cy ran")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps({"text": sentence, "entities": [[0, 2, "PER"]]}))
    for pattern, first in (("**/*.jsonl", "A"), ("**", "A"), ("x/**", "B"), ("**/y/*.jsonl", "C")):
        reading = Reading(options=ReadingConfig(offsets="characters"))
        rows = list(check([str(tmp_path / pattern)], reading))
        found = [row.sentence[0] for row in rows if isinstance(row, Example)]
        assert found == list("ABC"["ABC".index(first) :]), pattern
        assert not [note for note in reading.report.lines() if NOT_READ in note]


def test_two_asterisks_take_a_folder_that_is_a_data_set_as_one(tmp_path, caplog) -> None:
    for name in ("a/train", "a/test", "b/train", "b/deeper/dev"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"text": f"{name} ran", "entities": [[0, 1, "PER"]]}))
        (tmp_path / name).with_name("labels.json").write_text('["PER"]')
    (tmp_path / "a" / "README.md").write_text("# what it is")
    said = {}
    for pattern in ("**", "*"):
        found = [one.sentence for one in load([str(tmp_path / pattern)], training=True)]
        assert found == ["a/train ran", "b/train ran"]
        said[pattern] = "\n".join(caplog.messages)
        caplog.clear()
    assert said["**"] == said["*"]
    assert "test.jsonl" in said["**"]
    assert f"{tmp_path / 'b' / 'deeper'}: {NOT_READ}" in said["**"]


def test_two_asterisks_leave_out_what_stands_beside_data(tmp_path) -> None:
    for name in ("one/mine.json", "two/other.json"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(f"[{ROW}]")
        (tmp_path / name).with_name("labels.json").write_text('["PER"]')
        (tmp_path / name).with_name("notes.md").write_text("# what it is")
    for pattern in ("**", "**/*.json"):
        rows = list(check([str(tmp_path / pattern)], Reading()))
        assert len(rows) == 2
        assert all(isinstance(row, Example) for row in rows)


def test_a_folder_with_one_file_of_data_is_that_file(tmp_path) -> None:
    (tmp_path / "README.md").write_text("# what it is")
    (tmp_path / "labels.json").write_text('[{"text": "PER", "background_color": "#fff"}]')
    (tmp_path / "project-1-at-2024.jsonl").write_text(ROW)
    assert len(load([str(tmp_path)], training=True)) == len(load([str(tmp_path)], training=False)) == 1
    (tmp_path / "second.jsonl").write_text(ROW)
    with pytest.raises(DataError, match=r"no split in this folder.*name the one you mean of project-1-at-2024\.jsonl"):
        load([str(tmp_path)], training=True)


@pytest.mark.parametrize(
    ("listed", "labels"),
    [
        ('[{"text": "PER", "background_color": "#fff"}, {"text": "ORG"}]', ("org", "per")),
        ('{"PER": 0, "ORG": 1}', ("org", "per")),
        ('{"0": "PER"}', ("per",)),
        ('["O", "B-PER", "I-PER", "B-LOC"]', ("loc", "per")),
    ],
)
def test_a_list_of_labels_of_another_tool_is_the_schema(tmp_path, listed, labels) -> None:
    (tmp_path / "labels.json").write_text(listed)
    (found,), _ = _read(tmp_path / "train.jsonl", ROW)
    assert tuple(label.lower() for label in found.schema) == labels


# Safety


@pytest.mark.parametrize("name", ["a.jsonl", "a.conll", "a.csv", "a.parquet", "a.spacy"])
def test_a_pipe_is_refused_at_once(tmp_path, name) -> None:
    os.mkfifo(tmp_path / name)
    assert "is a pipe and no file" in _error(tmp_path / name)


def test_a_device_is_refused_at_once(tmp_path) -> None:
    (tmp_path / "a.jsonl").symlink_to("/dev/zero")
    assert "is a device and no file" in _error(tmp_path / "a.jsonl")


def test_a_line_has_a_limit_and_the_next_one_is_read(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("rnr.corpus.formats.files.opening.LINE_LIMIT", 100)
    assert LINE_LIMIT > 10**6
    (tmp_path / "a.jsonl").write_text(f'{ROW}\n{{"text": "{"x" * 300}", "label": []}}\n{ROW}\n')
    found = list(check([str(tmp_path / "a.jsonl")], Reading()))
    assert [str(one).split(": ")[-1] for one in found if isinstance(one, DataError)] == ["longer than 0 MiB"]
    assert [one.uid for one in found if isinstance(one, Example)] == ["a/a:1", "a/a:3"]


@pytest.mark.parametrize("depth", [500, 5_000, 100_000])
def test_what_is_nested_too_deeply_is_that_rows_failure(tmp_path, depth) -> None:
    deep = "[" * depth + "]" * depth
    (tmp_path / "a.jsonl").write_text(f'{ROW}\n{{"text": "x", "entities": {deep}}}\n{ROW}\n')
    found = list(check([str(tmp_path / "a.jsonl")], Reading()))
    assert sum(isinstance(one, DataError) and "row 2" in str(one) for one in found) == 1
    assert sum(isinstance(one, Example) for one in found) == 2


JUNK = (None, 5, "x", [], {}, [None], {"x": 1}, True)


def _broken(value: object) -> Iterator[object]:
    """The value with one of its parts, however deep, in turn replaced by junk or left out."""
    yield from JUNK
    parts = (
        list(value.items()) if isinstance(value, dict) else list(enumerate(value)) if isinstance(value, list) else []
    )
    for name, inner in parts:
        if isinstance(value, dict):
            yield {key: part for key, part in value.items() if key != name}
        for other in _broken(inner):
            yield {**value, name: other} if isinstance(value, dict) else [*value[:name], other, *value[name + 1 :]]


@pytest.mark.parametrize("row", [*ROWS_OF_TOOLS, *TOKEN_ROWS, {"text": ADA, "spans": [{"start": 0, "end": 3,
    "label": "PER"}], "answer": "accept"}])  # fmt: skip
def test_a_row_that_is_broken_anywhere_is_that_rows_failure(tmp_path, row) -> None:
    rows = [other for other in _broken(row) if other != []]
    (tmp_path / "a.jsonl").write_text(
        "".join(json.dumps(other) + "\n" for other in [*rows, {"text": "Bo", "label": []}])
    )
    # A file of broken rows has many mentions that cut words, for which it would be refused as a whole.
    reading = Reading(options=ReadingConfig(offsets="characters"))
    found = list(check([str(tmp_path / "a.jsonl")], reading))
    assert all(isinstance(one, (Example, DataError)) for one in found)
    assert any(isinstance(one, Example) and one.uid == f"a/a:{len(rows) + 1}" for one in found)


# What is not read


@pytest.mark.parametrize(
    ("row", "name"),
    [
        ({"content": ADA, "annotation": [{"label": ["PER"], "points": [{"start": 0, "end": 2, "text": "Ada"}]}]},
         "DataTurks"),
        ({"source": ADA, "task": {"annotations": {"entities": []}}}, "Ground Truth"),
        ({"textContent": ADA, "textSegmentAnnotations": []}, "Vertex AI"),
        ({"rasa_nlu_data": {"common_examples": []}}, "Rasa"),
        ({"examples": [{"content": ADA, "annotations": []}]}, "LightTag"),
        ({"doc_key": "1", "sentences": [TOKENS], "ner": [[[0, 0, "PER"]]]}, "DyGIE"),
        ({"messages": [{"role": "user", "content": ADA}]}, "chat"),
        ({"text": ADA, "entities": [{"entity": "B-PER", "word": "Ad", "index": 1, "start": 0, "end": 2}]},
         "aggregation_strategy"),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named_by_what_it_looks_like(tmp_path, row, name) -> None:
    assert name in _error(tmp_path / "a.jsonl", row)


@pytest.mark.parametrize("ending", [".xml", ".xlsx", ".zip", ".pkl", ".docx", ".xmi", ".db", ".yml"])
def test_an_ending_that_is_not_read_says_what_to_do(tmp_path, ending) -> None:
    (tmp_path / f"a{ending}").write_text("x")
    assert ": this is " in _error(tmp_path / f"a{ending}")


# The files of people


BROKEN = {
    "utf16.jsonl": [{"text": f"😀 Ida met Bo {n}", "label": [[3, 6, "PER"]]} for n in range(5)],
    "inclusive.jsonl": [{"text": f"Marta {n}", "label": [[0, 4, "PER"]]} for n in range(5)],
    "two_fields.jsonl": [{"text": ADA, "entities": [], "label": [[0, 3, "PER"]]}],
    "places.jsonl": [{"text": ADA, "entities": [{"text": "Ada", "label": "PER", "first": 0, "charpos": 3}]}],
    "unannotated.jsonl": [{"tokens": TOKENS, "ner_tags": [1, -100, 0, 0, 0], "label_list": NAMES}],
}


@pytest.mark.parametrize("name", BROKEN)
def test_check_never_finds_no_problem_in_a_broken_file(tmp_path, capsys, name) -> None:
    (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in BROKEN[name]))
    assert main(["check", str(tmp_path / name)]) == 1
    assert " 0 problems" not in capsys.readouterr().out


READ = {
    "argilla.jsonl": [["Ida"]],
    "azure.jsonl": [["Ana"]],
    "bioc.jsonl": [["Aspirin"]],
    "d.jsonl.gz": [["Ida"]],
    "data[1].jsonl": [["Bo"]],
    "dlabels": [["Bo"]],
    "dlabels2": [["Bo"]],
    "doccano_data.jsonl": [["EU"]],
    "doccano_labels.jsonl": [["EU"]],
    "gliner.jsonl": [["Ida", "Bo"]],
    "glinerv2.jsonl": [["Bo"]],
    "gner.jsonl": [["Ida", "Bo"]],
    "hfpipeline.jsonl": [["Oslo"]],
    "jsonl_in.json": [["Ida"], ["Bo"]],
    "array_in.jsonl": [["Ida"], ["Bo"]],
    "kaggle.csv": [["Ida"]],
    "ls_completions.json": [["Ida"]],
    "ls_crlf.json": [["Ida", "Bo"]],
    "lsfolder": [["Ida"]],
    "ner_annotator.json": [["Ida"]],
    "prodigy_binary.jsonl": [["Nora", "Oslo"]],
    "prodigy_reject.jsonl": [["Nora"]],
    "pubtator.txt": [["Aspirin"]],
    "spacy_train.json": [["Ida"]],
    "spacy_v2.json": [["Ida"]],
    "universalner.jsonl": [["Ida", "Bo"]],
    "utf16.jsonl": [["Ida"], ["Bo"]],
    "wrapped.json": [["Ida"]],
}
REFUSED = {
    "brat.ann": "brat.txt",
    "doccano_annotations.jsonl": "--labels 2=NAME",
    "emoji_utf16.jsonl": "--offsets utf16",
    "hf_intnames": "--labels",
    "hf_minus100": "not annotated",
    "hf_tags": "--labels",
    "hf_to_json.jsonl": "--labels",
    "inclusive.jsonl": "--offsets inclusive",
    "null_entities.jsonl": "null",
    "spans_and_entities.jsonl": "do not agree",
    "token_offsets.jsonl": "--offsets tokens",
}
here = pytest.mark.skipif(not CASES.is_dir(), reason=f"the files of people are not at {CASES}")


@here
@pytest.mark.parametrize("name", READ)
def test_the_files_of_people_are_read(name) -> None:
    found, _ = _read(CASES / name)
    assert [[mention.text for mention in one.mentions] for one in found] == READ[name]


@here
def test_the_second_paris_is_read_where_its_offsets_say_so() -> None:
    for name in ("start_char.jsonl", "offset_length.jsonl"):
        assert [(m.start, m.end) for m in _read(CASES / name)[0][0].mentions] == [(21, 26)]


@here
@pytest.mark.parametrize("name", REFUSED)
def test_the_files_of_people_are_refused_with_the_reason(name) -> None:
    assert REFUSED[name] in _error(CASES / name)


@here
def test_docs_tell_of_every_file_of_people() -> None:
    said = (Path(__file__).resolve().parents[2] / "docs" / "compatibility.md").read_text(encoding="utf-8")
    assert [file.name for file in CASES.iterdir() if f"`{file.name}`" not in said] == []


def test_docs_name_every_format_that_is_written() -> None:
    said = (Path(__file__).resolve().parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
    assert [form for form in FORMATS if f"`{form}`" not in said] == []

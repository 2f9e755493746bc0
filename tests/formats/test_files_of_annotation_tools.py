"""Exports as Doccano, Label Studio and INCEpTION write them, with what their pages and exporters do to them."""

import json
from pathlib import Path

import pytest

from rnr.corpus.formats.entities.offsets import INSIDE, UNCLEAR
from rnr.corpus.formats.examples import TWICE
from rnr.corpus.formats.tools.argilla import DISCARDED, NOT_SUBMITTED
from rnr.corpus.formats.tools.brat import READ_TRIGGERS, TRIGGERS
from rnr.corpus.formats.tools.label_studio import NO_REGIONS, OTHER_RESULTS
from rnr.corpus.formats.tools.prodigy import CONTRADICTED, REJECTED_SPANS
from rnr.corpus.formats.tools.webanno import CUT, EMPTY
from rnr.corpus.label_doubts import SEVERAL
from rnr.corpus.loading import load
from tests.reading_files import ADA, BO, read, written

# Doccano


def _doccano(*rows: tuple[str, list[list[object]]]) -> list[object]:
    return [{"id": n, "text": text, "label": label, "Comments": []} for n, (text, label) in enumerate(rows, 1)]


def test_comments_and_fields_of_others_beside_a_row_of_doccano_are_no_entities(tmp_path) -> None:
    plain = {
        "id": 1,
        "text": "Ada ran",
        "label": [[0, 3, "PER"]],
        "Comments": ['is it, "Ada"?'],
        "tags": None,
        "n": 0.5,
    }
    intent = {"id": 2, "text": "Bo sat", "cats": ["greet"], "entities": [[0, 2, "PER"]], "Comments": []}
    comment = {"id": 1, "comment": "is it?"}
    related = {
        "id": 3,
        "text": "Ada ran",
        "entities": [{"id": 7, "label": "PER", "start_offset": 0, "end_offset": 3}],
        "relations": [],
        "Comments": [comment],
    }
    assert read(written(tmp_path / "a.jsonl", [plain, intent]))[:2] == ([ADA, BO], "")
    assert read(written(tmp_path / "b.jsonl", [related]))[:2] == ([ADA], "")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("Cafe\u0301 owner Ada ran", [11, 14]),
        ("👩\u200d🚀 in e\u0301te\u0301 Ada ran", [9, 12]),
        ("🇮🇹\r\nAda ran", [2, 5]),
    ],
)
def test_doccanos_grapheme_mode_counts_characters_with_all_that_is_joined_to_them(tmp_path, text, place) -> None:
    rows = _doccano((text, [[*place, "PER"]]))
    found, problems, _ = read(written(tmp_path / "a.jsonl", rows), offsets="graphemes")
    assert (found, problems) == ([(text, [("Ada", "PER")])], "")


def test_a_file_that_counts_graphemes_is_told_so(tmp_path) -> None:
    rows = _doccano(*[("Cafe\u0301 owner Ada ran", [[11, 14, "PER"]])] * 3)
    _, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert "they would be whole words with --offsets graphemes (characters with all that is joined" in problems
    assert f"3 {INSIDE}" in notes


def test_an_emoji_before_a_mention_without_a_text_leaves_its_unit_unclear(tmp_path) -> None:
    rows = _doccano(("😀张三去了北京吧", [[5, 7, "LOC"]]), ("张三去了北京", [[0, 2, "PER"]]))
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert (found[0][1], problems) == ([("北京", "LOC")], "")
    assert f"1 {UNCLEAR} (row 1: '北京')" in notes
    assert read(written(tmp_path / "a.jsonl", rows), offsets="utf16")[0][0][1] == [("了北", "LOC")]


def test_a_mention_that_would_halve_an_emoji_tells_that_it_is_counted_once(tmp_path) -> None:
    rows = _doccano(("😀张三去了北京吧", [[1, 3, "PER"], [5, 7, "LOC"]]))
    assert UNCLEAR not in read(written(tmp_path / "a.jsonl", rows))[2]


def test_spaces_tell_that_offsets_count_an_emoji_once(tmp_path) -> None:
    rows = _doccano(("😀 Ada ran", [[2, 5, "PER"]]), ("😀 Bo sat", [[2, 4, "PER"]]))
    assert UNCLEAR not in read(written(tmp_path / "a.jsonl", rows))[2]


def test_nothing_is_unclear_where_it_is_said_or_where_texts_stand_beside(tmp_path) -> None:
    row = {"text": "😀张三去了北京吧", "label": [[5, 7, "LOC"]]}
    beside = {"text": "😀张三去了北京吧", "entities": [{"start": 5, "end": 7, "text": "北京", "label": "LOC"}]}
    assert UNCLEAR in read(written(tmp_path / "a.jsonl", [row]))[2]
    assert UNCLEAR not in read(written(tmp_path / "a.jsonl", [row]), offsets="characters")[2]
    assert UNCLEAR not in read(written(tmp_path / "b.jsonl", [beside]))[2]


# Label Studio


def _json_min(text: object, regions: list[object] | None, annotation: int | None = 1) -> dict[str, object]:
    row = {"id": 1, "text": text, "annotator": 1, "annotation_id": annotation, "created_at": "2024", "lead_time": 1.5}
    return row | ({} if regions is None else {"label": regions})


def _region(start: int, end: int, text: str) -> dict[str, object]:
    return {"start": start, "end": end, "text": text, "labels": ["PER"]}


def test_a_task_that_nobody_annotated_is_no_sentence_without_a_mention(tmp_path) -> None:
    ada = _json_min("Ada ran", [_region(0, 3, "Ada")])
    rows = [_json_min("Ada ran", None, annotation=None), _json_min("Bo sat", None), _json_min("Bo sat", []), ada]
    found, problems, notes = read(written(tmp_path / "a.json", json.dumps(rows)))
    assert found == [("Bo sat", []), ("Bo sat", []), ADA]
    assert "row 1: the task has no annotation: annotate it, or leave it out of the export" in problems
    assert f"2 {NO_REGIONS} (row 2; row 3)" in notes


def test_a_region_without_a_label_is_counted(tmp_path) -> None:
    rows = [_json_min("Ada ran", [_region(0, 3, "Ada"), {"start": 4, "end": 7, "text": "ran"}])]
    found, problems, notes = read(written(tmp_path / "a.json", json.dumps(rows)))
    assert (found, problems) == ([ADA], "")
    assert f"1 {OTHER_RESULTS} (row 1)" in notes


def test_regions_that_are_called_as_the_text_is_take_its_place_in_json_min_and_not_in_a_table(tmp_path) -> None:
    refused = [_json_min([_region(0, 3, "Ada")], None)]
    assert (
        "needs its sentence in 'text'; export it as JSON" in read(written(tmp_path / "a.json", json.dumps(refused)))[1]
    )
    regions = json.dumps([_region(0, 3, "Ada")]).replace('"', '""')
    table = f'"_data_text","annotation_id","id","text"\r\n"Ada ran",1,1,"{regions}"\r\n'
    assert read(written(tmp_path / "a.csv", table))[:2] == ([ADA], "")


def test_two_annotations_of_a_task_say_how_one_is_chosen(tmp_path) -> None:
    value = {"from_name": "label", "to_name": "text", "type": "labels", "value": _region(0, 3, "Ada")}
    task = {"id": 1, "data": {"text": "Ada ran"}, "annotations": [{"result": [value]}, {"result": []}]}
    problems = read(written(tmp_path / "a.json", json.dumps([task])))[1]
    assert "the task has 2 annotations where one is needed: keep one of them, or export it as JSON-MIN" in problems


@pytest.mark.parametrize(
    ("places", "said"),
    [
        ([[1, 4, "PER"], [12, 16, "LOC"]], "take 1 from each start and end (--offsets"),
        ([[1, 3, "PER"], [12, 15, "LOC"]], "take 1 from each start, the ends being inclusive (--offsets"),
    ],
)
def test_offsets_that_begin_with_one_say_what_to_take_from_them(tmp_path, places, said) -> None:
    rows = _doccano(*[("Ada ran to Rome.", places)] * 3)
    assert said in read(written(tmp_path / "a.jsonl", rows))[1]


# INCEpTION

_SPANS = "#FORMAT=WebAnno TSV 3.3\n#T_SP=webanno.custom.Span|value\n\n\n"


def test_a_mention_over_two_sentences_of_webanno_is_cut_and_counted(tmp_path) -> None:
    first = "#Text=Ada ran\n1-1\t0-3\tAda\t_\t\n1-2\t4-7\tran\tX[1]\t\n\n"
    second = "#Text=Bo sat\n2-1\t8-10\tBo\tX[1]\t\n2-2\t11-14\tsat\tY[2]\t\n"
    found, problems, notes = read(written(tmp_path / "a.tsv", _SPANS + first + second))
    assert (found, problems) == ([("Ada ran", [("ran", "X")]), ("Bo sat", [("Bo", "X"), ("sat", "Y")])], "")
    assert f"1 {CUT} (row 10: 'Bo')" in notes


def test_a_place_between_two_characters_is_no_mention_and_is_counted(tmp_path) -> None:
    tokens = "#Text=Ada.\n1-1\t0-3\tAda\tPER\t\n1-1.1\t3-3\t\tX\t\n1-2\t3-4\t.\t_\t\n"
    found, problems, notes = read(written(tmp_path / "a.tsv", _SPANS + tokens))
    assert (found, problems) == ([("Ada.", [("Ada", "PER")])], "")
    assert f"1 {EMPTY} (row 7: 'X')" in notes


# brat

_EVENTS = "T1\tProtein 0 3\tp53\nT2\tProtein 10 14\tMdm2\nT3\tBinding 4 9\tbinds\nE1\tBinding:T3 Theme:T1 Theme2:T2\n"


def _brat(folder: Path, entities: str = "") -> Path:
    written(folder / "1.txt", "p53 binds Mdm2 .")
    written(folder / "1.ann", _EVENTS)
    if entities:
        written(folder / "annotation.conf", f"[entities]\n{entities}\n[events]\nBinding\tTheme+:Protein\n")
    return folder


def test_the_trigger_of_an_event_is_no_entity_where_the_configuration_says_so(tmp_path) -> None:
    found, problems, notes = read(_brat(tmp_path / "told", "Protein"))
    assert (found, problems) == ([("p53 binds Mdm2 .", [("p53", "Protein"), ("Mdm2", "Protein")])], "")
    assert f"1 {TRIGGERS} (row 3: 'Binding')" in notes
    found, problems, notes = read(_brat(tmp_path / "untold"))
    assert ([label for _, label in found[0][1]], problems) == (["Protein", "Binding", "Protein"], "")
    assert f"1 {READ_TRIGGERS} (row 3: 'Binding')" in notes


def test_lines_between_groups_and_other_names_are_no_labels_of_brat(tmp_path) -> None:
    folder = _brat(tmp_path / "a", "!Thing\n\tProtein|Gene\n---\nBinding\n  # Cell\n")
    (example,) = load([str(folder)], training=True)
    assert example.schema == ("Binding", "Protein")


# What bconv writes


def test_pubannotation_is_read(tmp_path) -> None:
    denoted = [{"id": "T1", "span": {"begin": 0, "end": 3}, "obj": "PER"}]
    row = {
        "text": "Ada ran",
        "denotations": denoted,
        "attributes": [],
        "relations": [],
        "sourceid": "1",
        "sourcedb": "",
    }
    none = {"text": "Nobody", "denotations": [], "sourceid": "2"}
    assert read(written(tmp_path / "a.json", json.dumps([row, none])))[:2] == ([ADA, ("Nobody", [])], "")


def test_bioc_may_count_bytes(tmp_path) -> None:
    text = "王小明 met Zoë and Bo"
    places = ((0, 9, "王小明"), (14, 4, "Zoë"), (23, 2, "Bo"))
    annotations = [
        {"text": text, "infons": {"type": "PER"}, "locations": [{"offset": 20 + start, "length": length}]}
        for start, length, text in places
    ]
    passage = {"offset": 20, "text": text, "annotations": annotations}
    file = written(tmp_path / "a.json", json.dumps({"documents": [{"id": "1", "passages": [passage]}]}))
    assert "it is when these are bytes of UTF-8, as in Go and Rust: --offsets bytes" in read(file)[1]
    found, problems, _ = read(file, offsets="bytes")
    assert (found, problems) == ([(text, [("王小明", "PER"), ("Zoë", "PER"), ("Bo", "PER")])], "")


def test_several_labels_in_one_tag_are_noted(tmp_path) -> None:
    columns = "Ada\t0\t3\tS-PER\nRome\t4\t8\tS-LOC\nYork\t9\t13\tS-PER;LOC\nBo\t14\t16\tS-R&D\n"
    notes = read(written(tmp_path / "a.conll", columns))[2]
    assert f"{SEVERAL}: 'PER;LOC'\n" in f"{notes}\n"


def test_two_codes_in_one_label_are_named(tmp_path) -> None:
    rows: list[object] = [{"text": "Ada ran", "entities": [[0, 3, "T116,T123"], [4, 7, "Food, drink"]]}]
    assert f"{SEVERAL}: 'T116,T123'\n" in f"{read(written(tmp_path / 'a.jsonl', rows))[2]}\n"


@pytest.mark.parametrize(("label", "named"), [("PER|ART", True), ("PER; ART", True), ("PER/ART", False)])
def test_a_label_that_divides_a_known_one_from_another_is_named(tmp_path, label, named) -> None:
    rows: list[object] = [{"text": "Ada ran", "entities": [[0, 3, label], [4, 7, "PER"]]}]
    assert (f"{SEVERAL}: '{label}'" in read(written(tmp_path / "a.jsonl", rows))[2]) == named


# Argilla

PER_ADA = [{"start": 0, "end": 3, "label": "PER"}]


def _answer(value: object, status: str = "submitted") -> dict[str, object]:
    return {"value": value, "status": status}


def _record(text: str = "Ada ran", **responses: object) -> dict[str, object]:
    return {"fields": {"text": text}, "responses": responses}


def test_a_second_answer_of_argilla_that_was_discarded_is_counted(tmp_path) -> None:
    both = [_answer(PER_ADA), _answer([], "discarded"), _answer([{"start": 4, "end": 7, "label": "PER"}], "draft")]
    found, problems, notes = read(written(tmp_path / "a.json", json.dumps([_record(span=both)])))
    assert (found, problems) == ([ADA], "")
    assert f"2 {NOT_SUBMITTED} (row 1" in notes


@pytest.mark.parametrize("first", [True, False])
def test_an_empty_answer_to_another_question_of_argilla_is_no_sentence_without_a_mention(tmp_path, first) -> None:
    unanswered = _record("Bo sat", topics=[_answer([])])
    rows = [unanswered, _record(span=[_answer(PER_ADA)])] if first else [_record(span=[_answer(PER_ADA)]), unanswered]
    found, problems, notes = read(written(tmp_path / "a.json", json.dumps(rows)))
    assert (found, problems) == ([ADA], "")
    assert f"1 {DISCARDED} (row {1 if first else 2})" in notes


@pytest.mark.parametrize("columns", [False, True])
def test_answers_to_another_question_of_argilla_are_none_to_that_of_the_spans(tmp_path, columns) -> None:
    marked, empty = _record(topics=[_answer([])], span=[_answer(PER_ADA)]), _record("Bo sat", topics=[_answer([])])
    empty["responses"] |= {"span": [_answer([])]}  # type: ignore[operator]
    rows: list[object] = [empty, marked]
    if columns:
        rows = [
            {"text": "Bo sat", "topics.responses": [[]], "span.responses": [[]]},
            {"text": "Ada ran", "topics.responses": [[]], "span.responses": [PER_ADA]},
        ]
    assert read(written(tmp_path / "a.jsonl", rows))[:2] == ([("Bo sat", []), ADA], "")


def test_answers_of_argilla_to_two_questions_with_spans_are_refused_by_name(tmp_path) -> None:
    row = _record(people=[_answer(PER_ADA)], places=[_answer([{"start": 4, "end": 7, "label": "LOC"}])])
    assert (
        "the record has 2 responses to 'people', 'places' where one is needed"
        in read(written(tmp_path / "a.json", json.dumps([row])))[1]
    )


def test_answers_of_argilla_that_stand_under_their_people_are_read(tmp_path) -> None:
    values = {"span": {"value": PER_ADA}, "topics": {"value": []}}
    row = {"fields": {"text": "Ada ran"}, "responses": [{"status": "submitted", "values": values}]}
    assert read(written(tmp_path / "a.json", json.dumps([row])))[:2] == ([ADA], "")


# Prodigy


def _decision(answer: str, text: str = "Ada ran", **more: object) -> dict[str, object]:
    span = {"start": 0, "end": 3, "label": "PER"} | more
    return {"text": text, "spans": [span], "answer": answer, "_view_id": "ner", "_task_hash": 1}


@pytest.mark.parametrize("answers", [("accept", "reject"), ("reject", "accept")])
def test_a_span_that_one_decision_accepts_and_another_rejects_is_named(tmp_path, answers) -> None:
    rows = [_decision(answer, score=n) for n, answer in enumerate(answers)]
    rows.append(_decision("reject", start=4, end=7))
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert (found, problems) == ([ADA], "")
    assert f"1 {CONTRADICTED} (row {1 + answers.index('reject')}: [0, 3] as PER)" in notes
    assert f"1 {REJECTED_SPANS} (row 3)" in notes


def test_a_span_that_is_accepted_twice_with_other_scores_is_one(tmp_path) -> None:
    rows = [_decision("accept", score=0.2), _decision("accept", score=0.4), _decision("reject", label="LOC")]
    found, problems, notes = read(written(tmp_path / "a.jsonl", rows))
    assert (found, problems) == ([ADA], "")
    assert CONTRADICTED not in notes
    assert TWICE not in notes

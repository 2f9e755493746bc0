"""Predictions of other tools: read, matched and refused by hand-made rows; which F1 is quoted; Markdown and CSV."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnr.corpus.formats.entities.plain_rows import GROUPS
from rnr.corpus.formats.examples import BLANK, TRIMMED, TWICE
from rnr.corpus.loading import load
from rnr.corpus.schemas import as_asked
from rnr.evaluation.formatting import f1_to_quote
from rnr.evaluation.scoring import report
from rnr.evaluation.tool_predictions import LEFT_OUT, SAME_ROW, read_any
from rnr.types import Example, Mention
from scripts.evaluate import main
from tests.jsonl import write_jsonl

SENTENCE = "Ada Lovelace met Ada in London ."
GOLD = (
    Mention(text="Ada Lovelace", label="person", start=0, end=12),
    Mention(text="London", label="city", start=24, end=30),
)
EXAMPLES = [
    Example(uid="a/1", sentence=SENTENCE, schema=("person", "city"), mentions=GOLD, source="a"),
    Example(uid="a/2", sentence="Nobody .", schema=("person", "city"), mentions=(), source="a"),
]
SPACY = {
    "text": SENTENCE,
    "ents": [{"start": 17, "end": 20, "label": "PERSON"}, {"start": 24, "end": 30, "label": "GPE"}],
    "tokens": [{"id": 0, "start": 0, "end": 3}],
}
GLINER = {
    "text": SENTENCE,
    "entities": [
        {"start": 0, "end": 12, "text": "Ada Lovelace", "label": "person", "score": 0.9},
        {"start": 24, "end": 30, "text": "London", "label": "city", "score": 0.4},
    ],
}
GLINER2 = {"sentence": SENTENCE, "entities": {"person": ["Ada Lovelace"], "city": [{"text": "London"}]}}
NOTHING = {"text": "Nobody .", "entities": []}


def _file(folder: Path, *rows: dict) -> Path:
    return Path(write_jsonl(folder / "found.jsonl", *rows))


def test_offsets_of_spacy_are_kept_and_its_labels_renamed(tmp_path) -> None:
    read = read_any(_file(tmp_path, SPACY, NOTHING), EXAMPLES, {"gpe": "city"})
    # The second Ada is another place than the first, which a text alone would not tell.
    assert read.predictions["a/1"].answer.mentions == (
        Mention(text="Ada", label="person", start=17, end=20),
        Mention(text="London", label="city", start=24, end=30),
    )
    assert (read.tool, read.offsets, read.notes) == (True, True, ())
    # PERSON and person are one label: 1 of 2 right, 1 of 2 found.
    assert report(read.predictions).data_sets["a"].scores["strict"].f1 == 50.0


@pytest.mark.parametrize("label", ["Ratings_Average", "ratings average", "RATINGS AVERAGE", "stars"])
@pytest.mark.parametrize("form", ["entities", "ents", "by label", "predict --out"])
def test_a_label_in_another_writing_is_the_one_of_the_data_under_every_protocol(tmp_path, label, form) -> None:
    mention = {"text": "five star", "label": "Ratings_Average", "start": 2, "end": 11}
    data = write_jsonl(tmp_path / "data.jsonl", {"text": "A five star place", "entities": [mention]})
    said = {**mention, "label": label}
    row = {
        "entities": {"text": "A five star place", "entities": [said]},
        "ents": {"text": "A five star place", "ents": [{key: said[key] for key in ("start", "end", "label")}]},
        "by label": {"text": "A five star place", "entities": {label: ["five star"]}},
        "predict --out": {"sentence": "A five star place", "entities": [said], "finished": True},
    }[form]
    gold = as_asked(load([data], training=False), catch_alls=True)
    found = read_any(_file(tmp_path, row), gold, {"Stars": "Ratings_Average"})
    scores = report(found.predictions).averages
    assert {name: score.f1 for name, score in scores.items() if name != "chain"} == dict.fromkeys(
        ("reference", "exact", "strict", "boundary_tolerant", "partial", "type"), 100.0
    )


def test_of_two_writings_in_the_data_the_same_is_taken_always() -> None:
    """As strings have other hashes in every process, so have the sets that hold them."""
    script = (
        "from rnr.evaluation.tool_predictions import _Names; from rnr.types import Example; "
        "data = [Example(uid=a, source='a', sentence=a, schema=(a,), mentions=()) for a in ('PER', 'per', 'Per')]; "
        "print(_Names(data, {}).of('pER'))"
    )
    for seed in "1234":
        own = os.environ | {"PYTHONHASHSEED": seed}
        said = subprocess.run([sys.executable, "-c", script], env=own, capture_output=True, text=True, check=True)
        assert said.stdout == "per\n"


def test_an_entity_told_under_two_writings_of_its_label_is_read_once(tmp_path) -> None:
    first, second = GLINER["entities"]
    row = {**GLINER, "entities": [first, {**first, "label": "Person"}, second]}
    found = read_any(_file(tmp_path, row, NOTHING), EXAMPLES)
    assert report(found.predictions).averages["exact"].precision == 100.0
    assert [note for note in found.notes if TWICE in note]


def test_labels_of_our_own_predictions_are_not_renamed_and_that_is_said(tmp_path) -> None:
    own = {"uid": "a/2", "data_set": "a", "sentence": "Nobody .", "finished": True, "tokens": 3}
    file = _file(tmp_path, own | {"text": '{"entities": {"GPE": ["Nobody"]}}'})
    found = read_any(file, EXAMPLES, {"GPE": "city"})
    assert [mention.label for mention in found.predictions["a/2"].answer.mentions] == ["gpe"]
    assert found.notes == (f"{file} was written by RNR: --rename has no effect on it",)
    assert read_any(file, EXAMPLES).notes == ()


def test_labels_that_nobody_asked_for_are_named_with_what_to_do(tmp_path) -> None:
    (note,) = read_any(_file(tmp_path, SPACY, NOTHING), EXAMPLES).notes
    assert note.startswith("1 predicted mention counted as wrong, with labels that their sentence does not ask for: ")
    assert "GPE (1); --rename TOOL=DATA" in note


def test_a_rename_of_what_does_not_occur_or_to_what_nobody_asks_for_is_named(tmp_path) -> None:
    file = _file(tmp_path, SPACY, NOTHING)
    first, second, _ = read_any(file, EXAMPLES, {"GPEZ": "city", "GPE": "cty"}).notes
    assert first == "--rename GPEZ=city had no effect: no mention has the label 'GPEZ'"
    assert second == "--rename GPE=cty: no sentence asks for 'cty'; asked for: city, person"


@pytest.mark.parametrize(("row", "offsets"), [(GLINER, True), (GLINER2, False)])
def test_gliner_in_both_forms_scores_what_it_found(tmp_path, row, offsets) -> None:
    read = read_any(_file(tmp_path, row, NOTHING), EXAMPLES)
    scores = report(read.predictions).data_sets["a"].scores
    assert [scores[name].f1 for name in ("reference", "exact", "strict")] == [100.0, 100.0, 100.0]
    assert read.offsets == offsets
    assert read.predictions["a/1"].confidences == ((0.9, 0.4) if offsets else ())


def test_a_sentence_in_two_data_sets_gets_one_answer_and_a_missing_row_is_counted(tmp_path) -> None:
    twice = [*EXAMPLES, Example(uid="b/1", sentence=SENTENCE, schema=("city",), mentions=GOLD[1:], source="b")]
    read = read_any(_file(tmp_path, GLINER), twice)
    assert list(read.predictions) == ["a/1", "b/1"]
    assert any(note.startswith("not scored, as they have no row: 1 sentence;") for note in read.notes)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{**GLINER, "text": "Other ."}], "row 1: 'Other .' is not in the data"),
        ([GLINER, SPACY], "row 2: a second prediction for 'Ada.*, with other mentions"),
        ([{"text": SENTENCE}], "row 1: no mentions: expected a list under ents, spans, entities; found text"),
        ([GLINER | {"ents": []}], "row 1: 'ents' and 'entities' have different mentions: remove one"),
        ([{"ents": []}], "row 1: no sentence: expected a text under sentence or text; found ents"),
        ([{"text": SENTENCE, "ents": [{"start": 0, "end": 3}]}], "a mention without a label"),
        ([{"text": SENTENCE, "ents": [{"label": "city"}]}], "neither text nor offsets"),
        (
            [{"text": SENTENCE, "ents": [{"start": 0, "end": 99, "label": "x"}]}],
            "is outside the sentence, which has",
        ),
        (
            [{"text": SENTENCE, "entities": [{"start": 0, "end": 4, "text": "Ada", "label": "x"}]}],
            r"\[0, 4\) is 'Ada ' in the sentence, not 'Ada'",
        ),
        # A text in place of a list would be read letter by letter.
        (
            [{"text": SENTENCE, "entities": {"person": "Ada"}}],
            "'person': expected a list of texts, found \"Ada\"",
        ),
        ([{"text": SENTENCE, "entities": {"person": None}}], "under 'person': expected a list of texts, found null"),
        ([{"text": SENTENCE, "entities": {"person": [3]}}], "neither text nor offsets"),
        (
            [{"text": SENTENCE, "entities": [{"text": "Ada", "label": "x", "score": "high"}]}],
            "score that is not a number",
        ),
        ([{"text": SENTENCE, "entities": [{"text": "Ada", "label": "x", "score": float("nan")}]}], "score that is no"),
        ([{"text": SENTENCE, "entities": [{"text": "Ada", "label": "x", "score": 10**400}]}], "score that is no"),
        (
            [{"text": SENTENCE, "entities": [{"text": "Ada", "label": "x", "score": True}]}],
            "score that is not a number",
        ),
    ],
)
def test_rows_that_cannot_be_scored_say_where_and_why(tmp_path, rows, message) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read_any(_file(tmp_path, *rows), EXAMPLES)
    assert "found.jsonl, row" in str(error.value)


def test_a_label_that_utf8_cannot_hold_is_refused_where_it_stands(tmp_path) -> None:
    file = tmp_path / "found.jsonl"
    file.write_text('{"text": "Nobody .", "entities": [{"text": "Nobody", "label": "\\ud800"}]}\n')
    with pytest.raises(ValueError, match="row 1: a label with half of a surrogate pair"):
        read_any(file, EXAMPLES)


TWICE_ADA = "Ada met Ada"
SECOND = Example(
    uid="a/1",
    sentence=TWICE_ADA,
    schema=("person",),
    mentions=(Mention(text="Ada", label="person", start=8, end=11),),
    source="a",
)


@pytest.mark.parametrize(
    "place",
    [
        {"start": 8, "end": 11},
        {"start_char": 8, "end_char": 11},
        {"begin": 8, "end": 11},
        {"start": 8.0, "end": 11.0},
        {"start": "8", "end": "11"},
        {"offset": 8, "length": 3},
        {"span": [8, 11]},
        {"pos": [8, 11]},
        {"start_offset": 8, "end_offset": 11},
    ],
)
def test_a_mention_stands_where_its_tool_says_whatever_its_fields_are_called(tmp_path, place) -> None:
    row = {"text": TWICE_ADA, "entities": [{**place, "label": "person", "text": "Ada"}]}
    read = read_any(_file(tmp_path, row), [SECOND])
    assert read.predictions["a/1"].answer.mentions == SECOND.mentions
    assert read.offsets
    assert report(read.predictions).data_sets["a"].scores["strict"].f1 == 100.0


@pytest.mark.parametrize(
    ("entity", "message"),
    [
        ({"start": 8, "label": "person", "text": "Ada"}, "offsets that are not two whole numbers"),
        ({"start": 8.5, "end": 11, "label": "person", "text": "Ada"}, "offsets that are not two whole numbers"),
        ({"left": 8, "right": 11, "label": "person", "text": "Ada"}, "under names that are not known"),
        ({"start": 8, "end": 11, "label": 1}, "a label that is a number"),
    ],
)
def test_a_place_that_is_not_clear_is_not_the_first_occurrence(tmp_path, entity, message) -> None:
    with pytest.raises(ValueError, match=message):
        read_any(_file(tmp_path, {"text": TWICE_ADA, "entities": [entity]}), [SECOND])


@pytest.mark.parametrize(
    ("rows", "note"),
    [
        ([{"text": "Ida ran", "entities": [{"start": 0, "end": 4, "label": "PER"}]}], f"1 {TRIMMED}"),
        ([{"text": "Ida ran", "entities": [{"text": " Ida", "label": "PER"}]}], f"1 {TRIMMED}"),
        (
            [{"text": "Ida ran", "entities": [[0, 3, "PER"], [3, 4, "PER"]]}],
            f"1 {BLANK}",
        ),
        (
            [{"text": "Bob met Eve", "entities": 2 * [{"start": 0, "end": 3, "label": "PER"}]}],
            f"1 {TWICE}",
        ),
        (2 * [{"text": "Ida ran", "entities": [{"start": 0, "end": 3, "label": "PER"}]}], f"1 {SAME_ROW}"),
    ],
)
def test_gold_scored_against_itself_is_right(tmp_path, rows, note) -> None:
    file = _file(tmp_path, *rows)
    read = read_any(file, as_asked(load([str(file)], training=False), catch_alls=True))
    scores = report(read.predictions).data_sets["found"].scores
    assert [scores[name].f1 for name in ("reference", "exact", "strict")] == [100.0, 100.0, 100.0]
    assert any(note in line for line in read.notes)


def test_groups_of_spans_beside_the_entities_of_a_document_are_noted(tmp_path) -> None:
    groups = {"sc": [{"start": 0, "end": 3, "label": "PERSON"}]}
    read = read_any(_file(tmp_path, SPACY | {"spans": groups}, NOTHING | {"spans": {}}), EXAMPLES, {"gpe": "city"})
    assert len(read.predictions["a/1"].answer.mentions) == 2
    assert [note.partition(": ")[2] for note in read.notes] == [f"1 {GROUPS} (row 1: sc)"]


def test_rows_of_predict_are_scored(tmp_path) -> None:
    entity = {"text": "Ada", "label": "person", "start": 8, "end": 11, "confidence": 0.9, "alignment": "marked"}
    none = {"text": "Eve", "label": "person", "start": -1, "end": -1, "confidence": None, "alignment": "none"}
    row = {"id": 3, "sentence": TWICE_ADA, "entities": [entity], "error": None, "finished": True, "left_out": [none]}
    read = read_any(_file(tmp_path, row), [SECOND])
    assert not read.tool
    assert read.predictions["a/1"].answer.mentions == SECOND.mentions
    assert read.predictions["a/1"].confidences == (0.9,)
    assert [note.partition(": ")[2] for note in read.notes] == [f"1 {LEFT_OUT} (row 1)"]


def test_a_score_of_null_is_none(tmp_path) -> None:
    entities = [{**GLINER["entities"][0], "score": None}, {**GLINER["entities"][1], "score": 1}]
    read = read_any(_file(tmp_path, {**GLINER, "entities": entities}), EXAMPLES)
    assert read.predictions["a/1"].confidences == (None, 1.0)


@pytest.mark.parametrize(
    ("zero_shot", "with_offsets", "protocol"),
    [({"AI": 1.0}, True, "reference"), ({}, True, "strict"), ({}, False, "exact")],
)
def test_the_f1_to_quote_is_that_which_others_were_counted_by(tmp_path, zero_shot, with_offsets, protocol) -> None:
    scores = report(read_any(_file(tmp_path, GLINER, NOTHING), EXAMPLES).predictions)
    said = f1_to_quote(scores, zero_shot, with_offsets=with_offsets)
    assert said.startswith(f"F1 to quote: {protocol} (")
    assert said.endswith("a 100.00 [0.00, 100.00]")  # one of two sentences has nothing to find


@pytest.fixture
def data(tmp_path) -> str:
    file = tmp_path / "a.jsonl"
    rows = [
        {
            "sentence": example.sentence,
            "schema": ["person", "city"],
            "entities": [{"text": mention.text, "label": mention.label} for mention in example.mentions],
        }
        for example in EXAMPLES
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def test_the_command_prints_a_table_for_a_file_and_keeps_the_rest_off_it(tmp_path, data, capsys) -> None:
    file = _file(tmp_path, SPACY, NOTHING)
    arguments = ["--predictions", str(file), "--data", data, "--rename", "GPE=city"]
    assert main([*arguments, "--format", "csv"]) == 0
    out, err = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(out)))
    (strict,) = [row for row in rows if (row["data_set"], row["protocol"], row["score"]) == ("a", "strict", "f1")]
    assert strict["per_cent"] == "50.0"
    assert "F1 to quote: strict" in err
    assert main([*arguments, "--format", "markdown"]) == 0
    out, _ = capsys.readouterr()
    assert "|---|---|--:|--:|--:|" in out
    assert out.count("\n|  | strict | 50.00 [") == 2  # the data set and the average
    assert main(arguments) == 0
    assert "F1 to quote: strict (label and offsets" in capsys.readouterr().out


def test_a_rename_that_names_nothing_is_refused(tmp_path, data, capsys) -> None:
    assert main(["--predictions", str(_file(tmp_path, SPACY)), "--data", data, "--rename", "GPE"]) == 2
    assert "--rename must be TOOL=DATA" in capsys.readouterr().err

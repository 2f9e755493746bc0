"""Files that are another thing than their name says, rows that no tool wrote so, and texts that were damaged before."""

import gzip
import json
from pathlib import Path

import pytest

from rnr.corpus.formats.columns.reading import QUOTED
from rnr.corpus.formats.doubtful import CONTROL, ESCAPED, GARBLED, LONG, LOST
from rnr.corpus.formats.entities.plain_rows import AS_STRING
from rnr.corpus.formats.entities.span_lists import AS_TEXT
from rnr.corpus.formats.examples import BLANK, HIDDEN, MATCHED
from rnr.corpus.formats.json_files import ONE_BEHIND_ANOTHER, WRAPPED
from rnr.corpus.formats.rows import DataError
from rnr.corpus.loading import check, load, stream
from rnr.corpus.report import Reading
from rnr.corpus.schemas import OUTSIDE
from rnr.types import Example
from tests.reading_files import read, written

ROW = b'{"text": "Ada ran", "entities": [[0, 3, "PER"]]}\n'


def _read(file: Path) -> tuple[list[list[tuple[str, str]]], list[str], str]:
    """The mentions of each sentence, the problems, and the notes."""
    found, problems, notes = read(file)
    return [mentions for _, mentions in found], problems.splitlines(), notes


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.jsonl", gzip.compress(ROW), "compressed with gzip; give its name the ending .gz"),
        ("a.jsonl.gz", ROW, "not compressed, as its ending says"),
        ("a.conll", b"PK\x03\x04rest", "zip archive"),
        ("a.jsonl", b"PAR1rest", "give its name the ending .parquet"),
        ("a.json", b"  <!DOCTYPE HTML><html>", "a web page"),
        ("a.parquet", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "`git lfs pull`"),
        ("a.jsonl", b"/annex/objects/SHA256E-s1\n", "git annex get"),
        ("a.json", b"\x80\x04\x95", "a pickle"),
        ("a.tsv", b"\x89PNG\r\n", "a picture"),
    ],
)
def test_a_file_that_is_another_thing_than_its_name_says_is_named_by_what_it_is(tmp_path, name, content, said) -> None:
    examples, problems, _ = _read(written(tmp_path / name, content))
    assert examples == []
    assert len(problems) == 1
    assert said in problems[0]


def test_objects_over_several_lines_one_behind_the_other_are_read_and_noted(tmp_path) -> None:
    rows = [{"text": f"{name} ran", "entities": [[0, 3, "PER"]]} for name in ("Ada", "Bob")]
    file = written(tmp_path / "pretty.jsonl", "\n".join(json.dumps(row, indent=2) for row in rows))
    examples, problems, notes = _read(file)
    assert examples == [[("Ada", "PER")], [("Bob", "PER")]]
    assert problems == []
    assert ONE_BEHIND_ANOTHER in notes
    broken = written(tmp_path / "broken.jsonl", json.dumps(rows[0], indent=2) + "\n{\n")
    assert _read(broken)[0] == []
    assert _read(broken)[1]
    twice = written(
        tmp_path / "twice.jsonl", '{\n"text": "Ada ran",\n"entities": [[0, 3, "PER"]],\n"entities": []\n}\n{\n}\n'
    )
    assert _read(twice)[0] == []
    assert "row 1: not valid JSON: an object has 'entities' twice" in _read(twice)[1][0]


@pytest.mark.parametrize(
    "row",
    [
        {"txt": "Ada ran", "entities": [{"start": 0, "end": 3, "label": "PER"}]},
        {"txt": "Ada ran", "entities": [{"text": "Ada", "label": "PER"}]},
        {"passages": [{"text": ["Ada ran"]}], "entities": [{"type": "PER", "text": ["Ada"]}]},
    ],
)
def test_the_entities_of_the_only_row_of_a_file_are_not_taken_for_its_rows(tmp_path, row) -> None:
    examples, problems, notes = _read(written(tmp_path / "one.jsonl", [row]))
    assert examples == []
    assert "no sentence: it is looked for in sentence, text," in problems[0]
    assert f"the row has: {next(iter(row))} (" in problems[0]
    assert notes == ""


def test_rows_inside_one_object_are_still_found(tmp_path) -> None:
    file = written(tmp_path / "a.json", json.dumps({"version": 1, "data": [json.loads(ROW)], "labels": [{"id": 1}]}))
    examples, problems, notes = _read(file)
    assert (examples, problems) == ([[("Ada", "PER")]], [])
    assert WRAPPED in notes


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"tokens": "Ada ran", "ner_tags": [1, 0]}, "'tokens' must be a list of words, found 'Ada ran'"),
        ({"tokens": ["Ada"], "ner_tags": [["B-PER"]]}, "'ner_tags' must be a list with one tag"),
        ({"tokens": ["Ada"], "pos": ["NNP"]}, "the words of 'tokens' have no tags; these are looked for in ner_tags,"),
        ({"document": {"content": "Ada"}, "entities": []}, "'document' must be text, found {'content': 'Ada'}"),
        ({"text": "Ada ran", "tags": "history"}, "the row has: text, tags"),
    ],
)
def test_a_row_that_is_no_sentence_with_entities_is_told_what_it_lacks(tmp_path, row, said) -> None:
    examples, problems, _ = _read(written(tmp_path / "a.jsonl", [row, row]))
    assert examples == []
    assert len(problems) == 2
    assert all(said in problem for problem in problems)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{'text': 'Ada'}", "this is how Python shows an object"),
        ("// by hand", "JSON has no comments"),
        ("<<<<<<< HEAD", "a conflict that git has left"),
    ],
)
def test_a_line_that_is_no_json_is_named_by_what_it_looks_like(tmp_path, line, said) -> None:
    examples, problems, _ = _read(written(tmp_path / "a.jsonl", ROW + f"{line}\n".encode() + ROW))
    assert len(examples) == 2
    assert said in problems[0]


@pytest.mark.parametrize("value", ['[[0, 3, "PER"]]', "[(0, 3, 'PER')]", "[{'start': 0, 'end': 3, 'label': 'PER'}]"])
def test_entities_that_a_table_kept_as_text_are_read_and_noted(tmp_path, value) -> None:
    in_json = _read(written(tmp_path / "a.jsonl", [{"text": "Ada ran", "entities": value}]))
    in_csv = _read(written(tmp_path / "a.csv", 'text,entities\nAda ran,"{}"\n'.format(value.replace('"', '""'))))
    for examples, problems, _ in (in_json, in_csv):
        assert (examples, problems) == ([[("Ada", "PER")]], [])
    assert AS_STRING in in_json[2]
    assert _read(written(tmp_path / "b.jsonl", [{"text": "Ada", "entities": "[open('x')]"}]))[1]  # nothing is run


LANGEXTRACT = {"extraction_class": "PER", "extraction_text": "Ada", "extraction_index": 1}


@pytest.mark.parametrize(
    "row",
    [
        {"text": "Ada ran", "extractions": [LANGEXTRACT | {"char_interval": {"start_pos": 0, "end_pos": 3}}]},
        {"text": "Ada ran", "extractions": [LANGEXTRACT | {"char_interval": None}]},
        {
            "text": "Ada ran",
            "entities": [
                {"text": "Ada", "start_pos": 0, "end_pos": 3, "labels": [{"value": "PER", "confidence": 1.0}]}
            ],
        },
        {"words": ["Ada", "ran"], "entities": [{"start": 0, "end": 1, "label": "PER"}]},
        {
            "text": "Ada ran",
            "span.responses": [[], [{"start": 0, "end": 3, "label": "PER"}]],
            "span.responses.status": ["discarded", "submitted"],
        },
    ],
    ids=["LangExtract", "LangExtract without a place", "Flair", "words and spans", "Argilla as a data set"],
)
def test_rows_of_further_tools_are_read(tmp_path, row) -> None:
    assert _read(written(tmp_path / "a.jsonl", [row, row]))[:2] == ([[("Ada", "PER")]] * 2, [])


def test_gliner_takes_numbers_that_are_text_and_its_negatives_are_labels(tmp_path) -> None:
    row = {"tokenized_text": ["Ada", "ran"], "ner": [["0", "0", "person"]], "ner_negatives": ["city"]}
    file = written(tmp_path / "a.jsonl", [row])
    examples, problems, notes = _read(file)
    assert (examples, problems) == ([[("Ada", "person")]], [])
    assert AS_TEXT in notes
    assert load([str(file)], training=True)[0].schema == ("city", "person")


@pytest.mark.parametrize(
    ("row", "schema"),
    [
        ({"tokenized_text": ["Ada", "ran", "home"], "ner": [[0, 0, "person"]], "negatives": ["city"]}, "city person"),
        ({"tokenized_text": ["Ada", "ran", "home"], "ner": [[0, 0, "person"]], "negative": ["ran", "home"]}, "person"),
        ({"tokens": ["Ada", "ran", "home"], "entities": [[0, 1, "person"]], "negatives": ["ran", "home"]}, "person"),
        ({"tokens": ["Ada", "ran", "home"], "entities": [[0, 1, "person"]], "negative": ["city"]}, "person"),
    ],
)
def test_negatives_are_labels_in_rows_of_gliner_alone(tmp_path, row, schema) -> None:
    file = written(tmp_path / "a.jsonl", [row])
    assert load([str(file)], training=True)[0].schema == tuple(schema.split())


def test_tags_of_tokens_as_labels_of_spans_are_an_error_of_the_file_however_it_is_read(tmp_path) -> None:
    row = {"text": "Ada King ran", "entities": [[0, 3, "B-PER"], [4, 8, "I-PER"]]}
    file = written(tmp_path / "a.jsonl", [row])
    said = "the labels B-PER and I-PER are token tags, not entity labels"
    assert said in _read(file)[1][0]
    with pytest.raises(DataError, match=said):
        load([str(file)], training=True)
    with pytest.raises(DataError, match=said):
        list(stream([str(file)], training=True, reading=Reading()))
    cells = [{"text": "T-cells and B-cells", "entities": [[0, 7, "T-cell"], [12, 19, "B-cell"]]}]
    assert _read(written(tmp_path / "cells.jsonl", cells))[1] == []


def test_the_label_o_of_a_span_is_named(tmp_path) -> None:
    row = {"text": "Ada ran", "entities": [[0, 3, "PER"], [4, 7, "O"]]}
    examples, problems, notes = _read(written(tmp_path / "a.jsonl", [row]))
    assert examples == [[("Ada", "PER"), ("ran", "O")]]
    assert problems == []
    assert OUTSIDE in notes


def test_invisible_characters_are_no_part_of_a_mention_and_do_not_hide_one(tmp_path) -> None:
    rows = [
        {"text": "\u200fAda\u200f ran", "entities": [[0, 5, "PER"]]},
        {"text": "A\u00adda ran", "entities": [{"text": "Ada", "label": "PER"}]},
        {"text": "Ada\u200b ran", "entities": [[3, 4, "PER"]]},
        {"text": "\u0646\u06cc\u200c ran", "entities": [[0, 3, "PER"]]},
    ]
    examples, problems, notes = _read(written(tmp_path / "a.jsonl", rows))
    assert problems == []
    assert examples == [[("Ada", "PER")], [("A\u00adda", "PER")], [], [("\u0646\u06cc\u200c", "PER")]]
    assert f"1 {HIDDEN} (row 1" in notes
    assert f"1 {MATCHED} (row 2" in notes
    assert f"1 {BLANK} (row 3: '\\u200b')" in notes


@pytest.mark.parametrize(
    ("sentence", "kind"),
    [
        ("Ada\x07 ran", CONTROL),
        ("Zo\ufffd ran", LOST),
        ("ZoÃ« ran", GARBLED),
        ("Itâ€™s Ada", GARBLED),
        ("Ada &amp; Bob<br>", ESCAPED),
        ("Ada ran. " * 3000, LONG),
    ],
)
def test_a_text_that_was_damaged_before_is_noted(tmp_path, sentence, kind) -> None:
    examples, problems, notes = _read(written(tmp_path / "a.jsonl", [{"text": sentence, "entities": [[0, 3, "X"]]}]))
    assert len(examples) == 1
    assert problems == []
    assert f"1 {kind}" in notes


@pytest.mark.parametrize(
    "sentence",
    ["Ada\tran\nhome", "AT&T <3 Ada & Bob; a < b > c", "Zoë NÃO Âge “quoted” – 山田 👩‍🚀", "São João, à Évora"],
)
def test_a_sound_text_is_not_doubted(tmp_path, sentence) -> None:
    assert _read(written(tmp_path / "a.jsonl", [{"text": sentence, "entities": [[0, 3, "X"]]}]))[2] == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("Ada;B-PER\nran;O\n\nEve;B-PER\n", "seem to be by ';'"),
        ("Ada|B-PER\nran|O\n\nEve|B-PER\n", "seem to be by '|'"),
        ("Ada ran.\n\nEve, too.\n", "tags such as O, B-person or I-person"),
        ("0\tAda\t1\n1\tran\t0\n\n0\tEve\t1\n1\tsat\t0\n", "column 3 holds numbers, which may be tags"),
        ('"Ada"\tB-PER\n"ran"\tO\n', "every word is in quotation marks"),
    ],
)
def test_columns_that_cannot_be_read_say_what_they_look_like(tmp_path, content, said) -> None:
    examples, problems, _ = _read(written(tmp_path / "a.conll", content))
    assert examples == []
    assert said in problems[0]


def test_a_quotation_mark_as_csv_writes_it_is_one_word(tmp_path) -> None:
    file = written(tmp_path / "a.tsv", 'Ada\tB-PER\nsaid\tO\n""""\tO\n')
    reading = Reading()
    (example,) = check([str(file)], reading)
    assert isinstance(example, Example)
    assert example.sentence == 'Ada said "'
    assert QUOTED in "\n".join(reading.report.lines())


def test_offsets_that_begin_at_one_are_named(tmp_path) -> None:
    rows = [{"text": f"{name} ran home", "entities": [[1, 4, "PER"]]} for name in ("Ada", "Bob", "Eve")]
    assert "if the first character were number 1" in _read(written(tmp_path / "a.jsonl", rows))[1][0]

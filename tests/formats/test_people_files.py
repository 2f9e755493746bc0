"""What people's files have in them: labels in any writing, white space, Unicode forms, and rows that disagree."""

import json
import tracemalloc
import unicodedata
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnr.corpus.decontamination import decontaminate, sentence_key
from rnr.corpus.duplicates import ALIKE, CONTRADICTED, RESOLVED, WOULD_GO
from rnr.corpus.formats.examples import AMBIGUOUS, BLANK, MATCHED, TRIMMED, TWICE
from rnr.corpus.formats.row_types import read_row_fields
from rnr.corpus.formats.rows import DataError
from rnr.corpus.formats.writing import write
from rnr.corpus.loading import check, load, stream
from rnr.corpus.matching import folded, places_of
from rnr.corpus.report import Reading
from rnr.corpus.schemas import MERGED, as_asked
from rnr.task.labels import with_plain_labels, without_catch_alls
from rnr.types import Example, Mention
from scripts.data import main
from tests.jsonl import write_jsonl


def _file(folder: Path, *rows: object, name: str = "rows.jsonl") -> str:
    return write_jsonl(folder / name, *rows)


def _spans(example: Example) -> list[tuple[int, int, str, str]]:
    return [(mention.start, mention.end, mention.text, mention.label) for mention in example.mentions]


def _noted(file: str) -> tuple[list[Example | DataError], str]:
    reading = Reading()
    return list(check([file], reading)), "\n".join(reading.report.lines())


# Labels


CASED = [
    {"text": "Acme hired Ida.", "label": [[0, 4, "ORG_Name"], [11, 14, "Person"]]},
    {"text": "Bo met Cy.", "label": [[0, 2, "PERSON"], [7, 9, "person"]]},
]


def test_labels_are_kept_as_they_are_written_and_those_that_are_one_when_asked_are_named(tmp_path) -> None:
    file = _file(tmp_path, *CASED)
    first, second = load([file], training=True)
    assert [mention.label for mention in (*first.mentions, *second.mentions)] == [
        "ORG_Name",
        "Person",
        "PERSON",
        "person",
    ]
    assert first.schema == ("ORG_Name", "PERSON", "Person", "person")
    assert f"{MERGED}: PERSON, Person, person -> person" in _noted(file)[1]
    assert "ORG_Name ->" not in _noted(file)[1]
    asked = as_asked(load([file], training=True), catch_alls=True)
    assert [example.schema for example in asked] == [("org name", "person")] * 2
    assert _spans(asked[1]) == [(0, 2, "Bo", "person"), (7, 9, "Cy", "person")]


@pytest.mark.parametrize("form", ["jsonl", "conll", "doccano"])
def test_convert_writes_the_labels_that_came_in(tmp_path, form) -> None:
    out = tmp_path / ("out.conll" if form == "conll" else "out.jsonl")
    assert main(["convert", _file(tmp_path, *CASED), "--to", form, "--out", str(out)]) == 0
    back = load([str(out)], training=True)
    assert [_spans(one) for one in back] == [_spans(one) for one in load([_file(tmp_path, *CASED)], training=True)]


def test_a_mention_may_write_its_label_otherwise_than_the_schema(tmp_path) -> None:
    (found,) = load(
        [_file(tmp_path, {"text": "Ida", "schema": ["person"], "label": [[0, 3, "PERSON"]]})], training=True
    )
    assert (found.schema, _spans(found)) == (("person",), [(0, 3, "Ida", "PERSON")])


def test_one_place_under_two_writings_of_a_label_is_one_mention_when_asked() -> None:
    mentions = tuple(Mention(text="Ida", label=label, start=0, end=3) for label in ("Person", "PERSON"))
    asked = with_plain_labels(Example(uid="a", sentence="Ida", schema=("PERSON", "Person"), mentions=mentions))
    assert (asked.schema, len(asked.mentions)) == (("person",), 1)


MISC = {"text": "Danish Ida", "label": [[0, 6, "MISC"], [7, 10, "PER"]]}


def test_catch_all_labels_are_data_like_any_other(tmp_path, capsys) -> None:
    file = _file(tmp_path, MISC, {"text": "Bo ran", "label": [[0, 2, "Other"]]})
    assert [_spans(one) for one in as_asked(load([file], training=True), catch_alls=True)] == [
        [(0, 6, "Danish", "misc"), (7, 10, "Ida", "per")],
        [(0, 2, "Bo", "other")],
    ]
    assert main(["convert", file, "--to", "conll", "--out", str(tmp_path / "a.conll")]) == 0
    assert (tmp_path / "a.conll").read_text().count("B-") == 3


def test_catch_all_labels_that_are_not_asked_for_are_left_out_and_counted(tmp_path, caplog) -> None:
    rows = [MISC, {"text": "Bo ran", "schema": ["Other"], "label": [[0, 2, "Other"]]}, {"text": "No", "label": []}]
    first, second = as_asked(load([_file(tmp_path, *rows)], training=True), catch_alls=False)
    assert (first.schema, _spans(first)) == (("per",), [(7, 10, "Ida", "per")])
    assert (second.sentence, second.schema) == ("No", ("per",))
    said = "catch-all labels are not asked for: 2 mentions of the data under misc, other left out"
    assert f"data: {said}, and 1 sentence without another label\n" in caplog.text
    assert len(as_asked(load([_file(tmp_path, *rows)], training=True), catch_alls=True, part="training data")) == 3
    said = "are asked for like others: 2 mentions of the training data under misc, other, which F1 by the paper's"
    assert said in caplog.text
    with pytest.raises(DataError, match="no sentence has a label beside other, and catch-all labels are not asked for"):
        as_asked(load([_file(tmp_path, rows[1])], training=True), catch_alls=False)


def test_a_sentence_without_catch_all_labels_stays_as_it_is() -> None:
    example = Example(uid="a", sentence="Ida", schema=("miscellaneous",), mentions=())
    assert without_catch_alls(example) is example


# White space and Unicode


def test_white_space_at_the_ends_of_a_mention_is_left_out_and_counted(tmp_path) -> None:
    rows = [
        {"text": "stars Frankie James as hero", "label": [[5, 20, "PER"]]},
        {"text": "only space", "label": [[4, 5, "PER"]]},
        {"text": "Ida ran", "entities": [{"text": " Ida\u00a0", "label": "PER"}]},
    ]
    found, notes = _noted(_file(tmp_path, *rows))
    spans = [_spans(one) for one in found if isinstance(one, Example)]
    assert spans == [[(6, 19, "Frankie James", "PER")], [], [(0, 3, "Ida", "PER")]]
    assert f"2 {TRIMMED} (row 1: ' Frankie James ' -> 'Frankie James'; row 3: ' Ida\\xa0' -> 'Ida')" in notes
    assert f"1 {BLANK} (row 2: ' ')" in notes


ZOE = unicodedata.normalize("NFD", "Zoé")


@pytest.mark.parametrize(
    ("sentence", "text", "place"),
    [
        ("Zoé ran", ZOE, (0, 3)),
        (f"so {ZOE} ran", "Zoé", (3, 7)),
        ("O\u2019Neil ran", "O'Neil", (0, 6)),
        ("10\u00a0000 Euro", "10 000 Euro", (0, 11)),
        ("Jean\u2011Luc ran", "Jean-Luc", (0, 8)),
        ("\u1112\u1161\u11ab ran", "\ud55c", (0, 3)),  # Hangul in letters and as a syllable
    ],
)
def test_a_mention_that_is_written_otherwise_is_matched_and_counted(tmp_path, sentence, text, place) -> None:
    there = sentence[slice(*place)]
    for entity in ({"text": text}, {"text": text, "start": place[0], "end": place[1]}):
        (found,), notes = _noted(_file(tmp_path, {"text": sentence, "entities": [entity | {"label": "X"}]}))
        assert isinstance(found, Example)
        assert _spans(found) == [(*place, there, "X")]
        assert f"1 {MATCHED} (row 1: {text!r} -> {there!r}: " in notes


def test_offsets_that_count_another_form_find_the_only_place(tmp_path) -> None:
    row = {"text": f"{ZOE} met {ZOE[:2]}e\u0301x", "entities": [{"text": "Zoéx", "start": 8, "end": 12, "label": "X"}]}
    (found, *_), _ = _noted(_file(tmp_path, row))  # such offsets are doubted, too
    assert isinstance(found, Example)
    assert found.mentions[0].start == 9


def test_a_mention_that_is_still_another_text_is_shown_with_the_difference(tmp_path) -> None:
    rows = [
        {"text": "\u0410nna ran", "entities": [{"text": "Anna", "label": "X"}]},
        {"text": "\u0410nna ran", "entities": [{"text": "Anna", "start": 0, "end": 4, "label": "X"}]},
        {"text": "paris is old", "entities": [{"text": "Paris", "label": "X"}]},
        {"text": "So Ida ran", "entities": [{"text": "Ida", "start": 4, "end": 7, "label": "X"}]},
    ]
    found, _ = _noted(_file(tmp_path, *rows))
    cyrillic = "U+0041 LATIN CAPITAL LETTER A against U+0410 CYRILLIC CAPITAL LETTER A"
    assert "'Anna' is not in its sentence; the nearest is '\u0410nna' at [0:4]: " + cyrillic in str(found[0])
    assert f"'Anna' is not at [0:4], where the sentence has '\u0410nna' ({cyrillic})" in str(found[1])
    assert "the nearest is 'paris' at [0:5]: U+0050 LATIN CAPITAL LETTER P against U+0070" in str(found[2])
    assert str(found[3]).endswith("at [4:7], where the sentence has 'da '; it is at [3:6], 1 before that")


@given(st.text("aé\u0301e \u00a0'\u2019x-\u2011", min_size=1, max_size=12), st.data())
def test_the_place_of_a_text_is_found_in_every_form_of_it(sentence, data) -> None:
    start = data.draw(st.integers(0, len(sentence) - 1))
    end = data.draw(st.integers(start + 1, len(sentence)))
    text = folded(sentence[start:end])
    for found_start, found_end in places_of(text, sentence):
        assert folded(sentence[found_start:found_end]) == text
    if unicodedata.normalize("NFC", sentence) == sentence and not any(map(unicodedata.combining, sentence)):
        assert places_of(text, sentence)


def test_a_text_without_offsets_that_stands_there_twice_is_counted(tmp_path) -> None:
    row = {"text": "Paris Hilton flew to Paris.", "entities": [{"text": "Paris", "label": "CITY"}]}
    assert f"1 {AMBIGUOUS} (row 1: 'Paris')" in _noted(_file(tmp_path, row))[1]


def test_a_text_that_also_stands_in_longer_mentions_has_one_place_and_is_not_counted(tmp_path) -> None:
    paris, hilton = {"text": "Paris", "label": "CITY"}, {"text": "Paris Hilton", "label": "PER"}
    row = {"text": "Paris Hilton flew to Paris.", "entities": [paris, hilton]}
    (found,), notes = _noted(_file(tmp_path, row))
    assert (_spans(found), notes) == ([(0, 12, "Paris Hilton", "PER"), (21, 26, "Paris", "CITY")], "")
    # Of two places outside, and of two inside, either may be meant.
    for text in ("Paris Hilton flew to Paris, Paris.", "Paris Hilton met Paris Hilton."):
        row = {"text": text, "entities": [paris, hilton, hilton][: 1 + text.count("Hilton")]}
        assert f"1 {AMBIGUOUS} (row 1: 'Paris')" in _noted(_file(tmp_path, row))[1]


def test_a_mention_listed_twice_is_read_once_and_counted(tmp_path) -> None:
    (found,), notes = _noted(_file(tmp_path, {"text": "Ida", "label": [[0, 3, "X"], [0, 3, "X"]]}))
    assert isinstance(found, Example)
    assert len(found.mentions) == 1
    assert f"1 {TWICE}" in notes


# Rows that disagree


TWO = {"text": "Ida met Bo", "label": [[0, 3, "PER"]]}
OTHER = {"text": "Ida  met Bo", "label": [[0, 3, "ORG"]]}
ROWS = [TWO, OTHER, {"text": "Ed ran", "label": [[0, 2, "PER"]]}, OTHER, {"text": "Ed ran", "label": [[0, 2, "per"]]}]


def test_contradicting_and_repeated_rows_are_named_by_check_load_and_stats(tmp_path, capsys) -> None:
    file = _file(tmp_path, *ROWS)
    _, notes = _noted(file)
    assert f"{file}: 1 {CONTRADICTED} (row 1: rows 1 | 2, 4)" in notes
    assert f"{file}: 1 {ALIKE} (row 3: rows 3, 5)" in notes
    assert main(["stats", file, "--words"]) == 0
    assert f"data: {file}: 1 {CONTRADICTED} (row 1: rows 1 | 2, 4)" in capsys.readouterr().out


@pytest.mark.parametrize(("resolution", "rows"), [("keep", [1, 2, 3, 4, 5]), ("first", [1, 3]), ("majority", [2, 3])])
def test_one_row_of_a_sentence_is_taken_as_is_wished(tmp_path, caplog, resolution, rows) -> None:
    found = load([_file(tmp_path, *ROWS)], training=True, duplicates=resolution)
    assert [int(one.uid.rpartition(":")[2]) for one in found] == rows
    assert (f"{5 - len(rows)} {RESOLVED}" in caplog.text) == (resolution != "keep")


@pytest.mark.parametrize(
    ("resolution", "gone"), [("keep", ""), ("first", "2; row 4; row 5"), ("majority", "1; row 4; row 5")]
)
def test_check_names_the_rows_that_would_be_left_out(tmp_path, capsys, resolution, gone) -> None:
    file = _file(tmp_path, *ROWS)
    assert main(["check", file, "--duplicates", resolution]) == 0
    said = capsys.readouterr().out
    assert (WOULD_GO in said) is bool(gone)
    assert f"note: {file}: 3 {WOULD_GO} (row {gone})\n" in said or not gone


def test_of_many_rows_of_a_sentence_the_first_are_named(tmp_path) -> None:
    alike = [{"text": "Ida", "label": []}] * 3000
    ways = [{"text": "a b c d e f g h", "label": [[0, end, "PER"]]} for end in range(1, 16, 2)]
    _, notes = _noted(_file(tmp_path, *alike, *ways, ways[0], ways[0]))
    assert f"1 {ALIKE} (row 1: rows 1, 2, 3, 4, 5 and 2995 more)" in notes
    assert f"1 {CONTRADICTED} (row 3001: rows 3001, 3009, 3010 | 3002 | 3003 | 3004 | 3005 | 3 more ways)" in notes


def test_contradictions_stop_where_they_are_to_be_errors(tmp_path, capsys) -> None:
    file = _file(tmp_path, *ROWS)
    with pytest.raises(DataError, match=r"contradictory annotations: rows 1 \| 2, 4"):
        load([file], training=True, duplicates="error")
    assert main(["check", file, "--duplicates", "error"]) == 1
    assert capsys.readouterr().out.endswith("5 sentences can be used, 1 problem\n")
    assert main(["convert", file, "--to", "jsonl", "--out", str(tmp_path / "o.jsonl"), "--duplicates", "majority"]) == 0
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == 2


def test_rows_under_another_schema_or_of_another_data_set_do_not_contradict(tmp_path) -> None:
    rows = [
        {"text": "Ida", "schema": ["PER"], "label": [[0, 3, "PER"]]},
        {"text": "Ida", "schema": ["ORG"], "label": []},
        {"text": "Ida", "schema": ["PER"], "label": [], "dataset": "other"},
    ]
    assert CONTRADICTED not in _noted(_file(tmp_path, *rows))[1]


# Streams


def test_a_stream_gives_what_load_gives(tmp_path) -> None:
    file = _file(tmp_path, *ROWS, {"text": "Cy", "schema": ["X"], "label": []})
    assert list(stream([file], training=True, reading=Reading())) == load([file], training=True)
    (tmp_path / "a.conll").write_text("Ida B-PER\n\nran O\n")
    assert list(stream([str(tmp_path / "a.conll")], training=True, reading=Reading()))[1].schema == ("PER",)
    with pytest.raises(DataError, match="the schema is empty"):
        list(stream([_file(tmp_path, {"text": "Ida", "label": []}, name="b.jsonl")], training=True, reading=Reading()))


def test_check_and_convert_never_hold_a_whole_file(tmp_path, capsys) -> None:
    rows = [{"text": f"Ida met Bo in the year {n} " + "and " * 100, "label": [[0, 3, "PER"]]} for n in range(6000)]
    file = _file(tmp_path, *rows)
    commands = (["check", file], ["convert", file, "--to", "doccano", "--out", str(tmp_path / "a.jsonl")])
    assert main(["check", file]) == 0  # what is loaded once is no part of it
    tracemalloc.start()
    try:
        for command in commands:
            tracemalloc.reset_peak()
            assert main(command) == 0
            assert tracemalloc.get_traced_memory()[1] < Path(file).stat().st_size / 2
    finally:
        tracemalloc.stop()


def test_a_file_that_cannot_be_written_whole_is_not_there(tmp_path, capsys) -> None:
    file = _file(tmp_path, {"text": "Ida", "label": [[0, 3, "PER"]]}, {"text": "Bo\nran", "label": [[0, 2, "PER"]]})
    assert main(["convert", file, "--to", "conll", "--out", str(tmp_path / "a.conll")]) == 2
    assert "a line break" in capsys.readouterr().err
    assert sorted(one.name for one in tmp_path.iterdir()) == ["rows.jsonl"]


def test_a_long_document_with_many_mentions_is_converted(tmp_path) -> None:
    names = [f"Name{n}" for n in range(3_000)]
    text = " and also a few more words, ".join(names)
    file = _file(tmp_path, {"text": text, "entities": [{"text": name, "label": "PER"} for name in names]})
    assert main(["convert", file, "--to", "conll", "--out", str(tmp_path / "a.conll")]) == 0
    assert (tmp_path / "a.conll").read_text().count("\tB-PER\n") == 3_000


_values = st.none() | st.integers(-1, 5) | st.text("Ida\ud800 _", max_size=4) | st.lists(st.integers(0, 3), max_size=3)
_entities = st.lists(
    st.tuples(st.integers(0, 3) | st.text("1"), st.integers(0, 3), st.text("Xy_ ", max_size=2)).map(list)
    | st.dictionaries(st.sampled_from(["label", "type", "text", "name", "start", "end", "pos"]), _values, max_size=4),
    max_size=3,
)
_fields = st.sampled_from(["sentence", "text", "label", "entities", "schema", "dataset", "guid", "id", "cot", "note"])


@given(st.dictionaries(_fields, _values | _entities, max_size=5))
def test_any_row_has_fields_or_is_refused_with_its_place(row) -> None:
    with suppress(ValueError):
        assert read_row_fields(row).sentence.strip()


def test_a_label_is_kept_once_however_many_rows_have_it() -> None:
    rows = [json.loads('{"text": "Ida", "schema": ["per son"], "label": [[0, 3, "per son"]]}') for _ in range(2)]
    first, second = map(read_row_fields, rows)
    assert first.labels
    assert second.labels
    assert second.entities
    assert first.labels[0] is second.labels[0]
    assert first.labels[0] is second.entities[0].label


# Decontamination and scripts


def _example(sentence: str, uid: str = "train:1") -> Example:
    return Example(uid=uid, sentence=sentence, schema=("x",), mentions=(), source="s")


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
def test_the_unicode_form_of_a_sentence_hides_nothing(form) -> None:
    sentence = "Zoé and Ångström met in Nîmes, \ufb01nally, at ① and ½ past"
    assert sentence_key(unicodedata.normalize(form, sentence)) == sentence_key(sentence)
    near = unicodedata.normalize(form, sentence + " quarter")
    assert decontaminate([_example(near)], [_example(sentence, "test:1")])[0] == []


def test_vowel_signs_are_part_of_a_word() -> None:
    assert sentence_key("\u0939\u093f\u0928") != sentence_key("\u0939\u0940\u0928")


def test_near_duplicates_are_found_by_characters_where_there_are_no_spaces() -> None:
    chinese, thai = "中国国家主席在北京会见了法国总统马克龙先生", "นายกรัฐมนตรีเดินทางไปเยือนกรุงโตเกียวในวันนี้"
    for sentence in (chinese, thai):
        near = _example(f"昨日{sentence[2:]}，报道说")
        assert decontaminate([near], [_example(sentence, "test:1")])[0] == []
        far = _example(sentence[:7] + "完全不同的一句话，没有关系")
        assert decontaminate([far], [_example(sentence, "test:1")])[0] == [far]


def test_column_files_keep_marks_with_their_letters_and_divide_chinese_by_character(tmp_path) -> None:
    sentence = f"{ZOE} 在厦门 हिन्दी"
    example = replace(
        _example(sentence), mentions=(Mention(text="厦门", label="LOC", start=6, end=8),), schema=("LOC",)
    )
    write([example], tmp_path / "a.conll", "conll")
    tokens = [line.split("\t") for line in (tmp_path / "a.conll").read_text().splitlines()[1:-1]]
    assert tokens == [[ZOE, "O"], ["在", "O"], ["厦", "B-LOC"], ["门", "I-LOC"], ["हिन्दी", "O"]]
    (back,) = load([str(tmp_path / "a.conll")], training=True)
    assert (back.sentence, _spans(back)) == (sentence, [(6, 8, "厦门", "LOC")])


@pytest.mark.parametrize("label", ["a\tb", "a\nb", " a"])
def test_a_label_that_a_column_cannot_hold_is_refused(tmp_path, label) -> None:
    example = replace(_example("Ida"), mentions=(Mention(text="Ida", label=label, start=0, end=3),))
    with pytest.raises(ValueError, match="cannot hold the label"):
        write([example], tmp_path / "a.conll", "conll")

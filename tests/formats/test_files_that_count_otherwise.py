"""Offsets of scripts and line ends that count otherwise, and texts and labels with more in them than is meant."""

import time

import pytest

from rnr.corpus.formats.doubtful import MARKED_NAMES, PIECES
from rnr.corpus.formats.entities.offset_scripts import SINGLE
from rnr.corpus.formats.entities.offsets import LINE_ENDS
from rnr.corpus.formats.entities.plain_rows import GROUPS
from rnr.corpus.label_doubts import NUMBERED, TAGGED
from tests.reading_files import ADA, read, written

_CHINESE = "\u5f20\u4e09\u5728\u5317\u4eac"  # Zhang San is in Beijing
_ZHANG, _BEIJING = ("\u5f20\u4e09", "PER"), ("\u5317\u4eac", "LOC")


def test_single_characters_of_chinese_tell_of_inclusive_ends(tmp_path) -> None:
    rows: list[object] = [{"text": _CHINESE, "entities": [[0, 1, "PER"], [3, 4, "LOC"]]}]
    file = written(tmp_path / "a.jsonl", rows)
    assert f"2 {SINGLE} (row 1: '\u5f20'; row 1: '\u5317')" in read(file)[2]
    found, problems, notes = read(file, offsets="inclusive")
    assert (found, problems, SINGLE in notes) == ([(_CHINESE, [_ZHANG, _BEIJING])], "", False)


def test_a_single_character_among_whole_words_is_a_name(tmp_path) -> None:
    rows: list[object] = [{"text": _CHINESE, "entities": [[0, 2, "PER"], [2, 3, "X"], [3, 5, "LOC"]]}]
    assert SINGLE not in read(written(tmp_path / "a.jsonl", rows))[2]


_HINDI = "\u0930\u093e\u092e \u0926\u093f\u0932\u094d\u0932\u0940 \u0917\u092f\u093e"  # Ram went to Delhi
_ARABIC = "\u0630\u0647\u0628 \u0645\u062d\u0645\u062f \u0625\u0644\u0649 \u0645\u0635\u0631"  # Muhammad went to Egypt


@pytest.mark.parametrize(("text", "ends"), [(_HINDI, [(0, 3), (4, 10)]), (_ARABIC, [(4, 8), (13, 16)])])
def test_mentions_that_lack_the_last_letter_of_their_word_have_inclusive_ends(tmp_path, text, ends) -> None:
    right: list[object] = [{"text": text, "entities": [[start, end, "X"] for start, end in ends]}] * 2
    short: list[object] = [{"text": text, "entities": [[start, end - 1, "X"] for start, end in ends]}] * 2
    whole = [(text[start:end], "X") for start, end in ends]
    assert read(written(tmp_path / "a.jsonl", right))[:2] == ([(text, whole)] * 2, "")
    file = written(tmp_path / "b.jsonl", short)
    assert "4 of 4 mentions lack the last letter" in read(file)[1]
    assert read(file, offsets="inclusive")[:2] == ([(text, whole)] * 2, "")
    assert read(file, offsets="characters")[1] == ""


@pytest.mark.parametrize(("offsets", "begin"), [("utf16", 3), ("bytes", 5), ("tokens", 1), ("graphemes", 2)])
def test_a_long_sentence_is_divided_into_its_units_once_and_not_for_each_mention(tmp_path, offsets, begin) -> None:
    """10,000 mentions took minutes."""
    step, length = (1, 1) if offsets == "tokens" else (6, 5)
    places = [[begin + step * at, begin + step * at + length, "X"] for at in range(10_000)]
    row = {"text": "😀 " + "abcde " * 10_000, "entities": places}
    start = time.perf_counter()
    ((_, mentions),), problems, _ = read(written(tmp_path / "a.jsonl", [row]), offsets=offsets)
    assert (mentions, problems) == ([("abcde", "X")] * 10_000, "")
    assert time.perf_counter() - start < 20


def test_a_long_sentence_in_another_unicode_form_is_composed_once_and_not_for_each_mention(tmp_path) -> None:
    """500 mentions took a minute."""
    text = " ".join(f"Zoe\u0308{number} walked along the river" for number in range(500))
    entities = [{"text": f"Zo\u00eb{number}", "label": "PER"} for number in range(500)]
    start = time.perf_counter()
    ((_, mentions),), problems, _ = read(written(tmp_path / "a.jsonl", [{"text": text, "entities": entities}]))
    assert (len(mentions), mentions[2], problems) == (500, ("Zoe\u03082", "PER"), "")
    assert time.perf_counter() - start < 20


def test_a_particle_behind_korean_names_is_no_part_of_them(tmp_path) -> None:
    text = "\uc774\ub2e4\uac00 \uc11c\uc6b8\uc5d0 \uac14\ub2e4"  # each name has a particle of one syllable behind it
    rows: list[object] = [{"text": text, "entities": [[0, 2, "PER"], [4, 6, "LOC"]]}] * 2
    assert read(written(tmp_path / "a.jsonl", rows))[1] == ""


def test_line_ends_that_counted_as_one_character_are_named(tmp_path) -> None:
    # "Eva" begins at 15 where each "\r\n" counts once, and at 17 where it counts twice.
    rows: list[object] = [
        {"text": "Ada\r\nran to Bo\r\nand Eva", "entities": [[0, 3, "PER"], [8, 10, "X"], [18, 21, "PER"]]},
    ]
    file = written(tmp_path / "a.jsonl", rows)
    assert LINE_ENDS in read(file)[2]
    found = read(file, offsets="graphemes")[0]
    assert found[0][1] == [("Ada", "PER"), ("to", "X"), ("Eva", "PER")]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<PER>Ada</PER> ran", MARKED_NAMES),
        ("[Ada](PER) ran <b>far</b>", MARKED_NAMES),
        ("@@Ada## ran", MARKED_NAMES),
        ("{{person_name:Ada}} ran", MARKED_NAMES),
        ("BOS Ada ran EOS", PIECES),
    ],
)
def test_names_marked_inside_a_text_are_noted(tmp_path, text, kind) -> None:
    start = text.index("Ada")
    rows: list[object] = [{"text": text, "entities": [[start, start + 3, "PER"]]}]
    assert f"1 {kind}" in read(written(tmp_path / "a.jsonl", rows))[2]


@pytest.mark.parametrize(
    "text", ["Ada <b>ran</b>", "Ada bought a Canon EOS", "Ada [sic] (ran)", "a@@b Ada", "Ada ran {{cite:foo}}"]
)
def test_other_texts_are_not_taken_for_marked(tmp_path, text) -> None:
    start = text.index("Ada")
    notes = read(written(tmp_path / "a.jsonl", [{"text": text, "entities": [[start, start + 3, "PER"]]}]))[2]
    assert (MARKED_NAMES in notes, PIECES in notes) == (False, False)


def test_a_row_without_entities_whose_names_are_marked_inside_says_so(tmp_path) -> None:
    assert (
        "names seem to be marked inside its text (<PER>Ada</PER>)"
        in read(written(tmp_path / "a.jsonl", [{"text": "<PER>Ada</PER> ran"}]))[1]
    )


@pytest.mark.parametrize(("begin", "inside"), [("B\u2013PER", "I\u2013PER"), ("\u0412\u2013PER", "\u0406\u2013PER")])
def test_tags_with_another_dash_or_a_letter_that_looks_like_theirs_are_no_labels(tmp_path, begin, inside) -> None:
    _, problems, _ = read(written(tmp_path / "a.conll", f"Ada {begin}\nLund {inside}\nran O\n"))
    assert f"the labels {begin} and {inside} are token tags" in problems
    assert TAGGED in read(written(tmp_path / "b.conll", f"Ada {begin}\nran O\n"))[2]


def test_labels_that_number_their_mentions_are_named(tmp_path) -> None:
    lines = "Ada B-PER-1\nmet O\nBo B-PER-2\nin O\nOslo B-LOC\n"
    assert f"{NUMBERED}: 'PER-1', 'PER-2'" in read(written(tmp_path / "a.conll", lines))[2]
    assert NUMBERED not in read(written(tmp_path / "b.conll", lines.replace("-2", "")))[2]


def test_features_of_crfsuite_are_no_words(tmp_path) -> None:
    lines = "B-PER\tword=Ada\tpos=N\nO\tword=ran\tpos=V\n"
    assert "every word begins with 'word='" in read(written(tmp_path / "a.txt", lines))[1]


def test_groups_of_spans_beside_the_entities_of_a_document_are_noted(tmp_path) -> None:
    entity, other = {"start": 0, "end": 3, "label": "PER"}, {"start": 4, "end": 7, "label": "X"}
    row = {"text": "Ada ran", "ents": [entity], "spans": {"sc": [other]}}
    found, problems, notes = read(written(tmp_path / "a.jsonl", [row]))
    assert (found, problems) == ([ADA], "")
    assert f"1 {GROUPS} (row 1: sc)" in notes
    several = {"text": "Ada ran", "ents": [], "spans": {"a": [entity], "b": [other]}}
    assert "several groups of spans (a, b)" in read(written(tmp_path / "b.jsonl", [several]))[1]


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("Ada ran", [1, 4], "it is at [0:3], 1 before that"),
        ("a  b Ada ran", [4, 7], "it is at [5:8], 1 after that"),
        ("Ada and Ada", [6, 9], "it is at [8:11], 2 after that"),
        ("Ada ran", [0, 2], ""),
    ],
)
def test_a_mention_that_is_not_at_its_offsets_is_told_where_it_is(tmp_path, text, place, said) -> None:
    entity = {"text": "Ada", "label": "PER", "start": place[0], "end": place[1]}
    _, problems, _ = read(written(tmp_path / "a.jsonl", [{"text": text, "entities": [entity]}]))
    assert f"is not at [{place[0]}:{place[1]}]" in problems
    assert said in problems

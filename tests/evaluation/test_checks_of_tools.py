"""Predictions whose offsets count no characters, whose scores are no confidences, or whose rows say how they ended."""

import json
from pathlib import Path

import pytest

from rnr.corpus.formats.entities.offsets import INSIDE
from rnr.evaluation.scoring import report
from rnr.evaluation.tool_checks import NO_CONFIDENCES
from rnr.evaluation.tool_predictions import FAILED, read_any
from rnr.types import Example, Mention
from scripts.data import main as convert
from scripts.evaluate import main
from tests.jsonl import write_jsonl

SENTENCE = "Ada Lovelace was born in London."
NAMES = (("Ada Lovelace", "person", 0, 12), ("London", "city", 25, 31))
GOLD = tuple(Mention(text=text, label=label, start=start, end=end) for text, label, start, end in NAMES)
EXAMPLE = Example(uid="a/1", sentence=SENTENCE, schema=("person", "city"), mentions=GOLD, source="a")


def _file(folder: Path, *rows: dict) -> Path:
    return Path(write_jsonl(folder / "found.jsonl", *rows))


def _row(*places: tuple[int, int], **beside: object) -> dict:
    labels = ("person", "city")
    spans = [{"start": start, "end": end, "label": label} for (start, end), label in zip(places, labels, strict=False)]
    return {"text": SENTENCE, "entities": spans} | beside


@pytest.mark.parametrize(
    ("places", "unit"),
    [
        (((0, 11), (25, 30)), "characters with an inclusive end"),
        (((0, 2), (5, 6)), "words divided by white space"),
        (((1, 13), (26, 32)), ""),  # from one
    ],
)
def test_offsets_that_count_something_else_are_refused(tmp_path, places, unit) -> None:
    file = _file(tmp_path, _row(*places))
    with pytest.raises(ValueError, match="inside a word, so their offsets probably do not count char") as error:
        read_any(file, [EXAMPLE])
    assert (f" (whole words if they counted {unit})" if unit else "characters; write them") in str(error.value)
    found = read_any(file, [EXAMPLE], offsets="characters")
    assert any(INSIDE in note for note in found.notes)


def test_a_mention_that_is_cut_among_others_is_noted_alone(tmp_path) -> None:
    found = read_any(_file(tmp_path, _row((0, 12), (25, 30))), [EXAMPLE])
    assert [note.partition(": ")[2] for note in found.notes] == [f"1 {INSIDE} (row 1: 'Londo')"]
    assert report(found.predictions).data_sets["a"].scores["strict"].f1 == 50.0


def test_a_text_that_stands_at_its_offsets_proves_them(tmp_path) -> None:
    row = {"text": SENTENCE, "entities": [{"start": 0, "end": 2, "text": "Ad", "label": "person"}]}
    assert read_any(_file(tmp_path, row), [EXAMPLE]).notes == ()


_PARTS = [
    ("Die Merkelregierung tagt", 4, 10),
    ("im Nokian talo", 3, 8),
    ("at #ParisFashion now", 4, 9),
    ("2mg of it", 1, 3),
]
_OTHERS = [("in Rheinlandpfalz", 3, 12), ("vor Kohlzeiten", 4, 8), ("die Putinrede", 4, 9), ("im Hausbau", 3, 7)]


def _gold(text: str, start: int, end: int) -> Mention:
    return Mention(text=text[start:end], label="X", start=start, end=end)


def _data(places: list[tuple[str, int, int]]) -> list[Example]:
    return [
        Example(uid=f"a/{at}", sentence=text, schema=("X",), mentions=(_gold(text, a, b),), source="a")
        for at, (text, a, b) in enumerate(places)
    ]


def _spans(places: list[tuple[str, int, int]]) -> list[dict]:
    return [{"text": text, "entities": [{"start": a, "end": b, "label": "X"}]} for text, a, b in places]


def test_a_part_of_a_word_that_the_data_has_there_proves_its_offsets(tmp_path) -> None:
    found = read_any(_file(tmp_path, *_spans(_PARTS)), _data(_PARTS))
    assert found.notes == ()
    assert report(found.predictions).data_sets["a"].scores["strict"].f1 == 100.0


def test_parts_of_words_are_noted_where_some_are_right_and_no_other_unit_fits(tmp_path) -> None:
    gold = [*_PARTS[:1], *((text, 0, 2) for text, _, _ in _OTHERS)]
    found = read_any(_file(tmp_path, *_spans([*_PARTS[:1], *_OTHERS])), _data(gold))
    assert [note.partition(": ")[2].partition(" (")[0] for note in found.notes] == [f"4 {INSIDE}"]


def test_a_right_mention_disproves_inclusive_ends(tmp_path) -> None:
    nouns = [("im Nokian talo", 3, 8), ("im Oslon talo", 3, 7), ("im Turun talo", 3, 7)]
    gold = [(text, start, end + 1) for text, start, end in nouns]
    with pytest.raises(ValueError, match="if they counted characters with an inclusive end"):
        read_any(_file(tmp_path, *_spans(nouns)), _data(gold))
    right = ("in Lahti now", 3, 8)
    found = read_any(_file(tmp_path, *_spans([*nouns, right])), _data([*gold, right]))
    assert [note.partition(": ")[2].partition(" (")[0] for note in found.notes] == [f"3 {INSIDE}"]


def test_bytes_are_refused_also_where_mentions_before_the_first_accent_are_right(tmp_path) -> None:
    texts = [(f"\u00e9\u00e9 met {name} in June", 7, 7 + len(name)) for name in ("Idas", "Bergen", "Lovelace")]
    found = [(text, start + 2, end + 2) for text, start, end in texts]
    right = ("Ada ran", 0, 3)
    with pytest.raises(ValueError, match="if they counted bytes of UTF-8"):
        read_any(_file(tmp_path, *_spans([*found, right])), _data([*texts, right]))


@pytest.mark.parametrize("word", ["merkel", " Merkel", "\u2581Merkel", "##merkel"])
def test_a_word_as_the_model_writes_it_proves_its_offsets(tmp_path, word) -> None:
    rows = _spans(_PARTS[:1])
    rows[0]["entities"][0] |= {"word": word}
    found = read_any(_file(tmp_path, *rows), _data([(_PARTS[0][0], 0, 3)]))
    assert found.notes == ()


def test_the_command_refuses_them_unless_they_are_said_to_be_characters(tmp_path, capsys) -> None:
    entities = [{"text": text, "label": label} for text, label, _, _ in NAMES]
    data = tmp_path / "a.jsonl"
    data.write_text(json.dumps({"sentence": SENTENCE, "entities": entities}) + "\n")
    arguments = ["--predictions", str(_file(tmp_path, _row((0, 11), (25, 30)))), "--data", str(data)]
    assert main(arguments) == 2
    assert "if they counted characters with an inclusive end" in capsys.readouterr().err
    assert main([*arguments, "--offsets", "characters"]) == 0


@pytest.mark.parametrize("score", [93.0, -2.5, 1.01])
def test_scores_beyond_one_are_no_confidences_and_nor_are_those_beside_them(tmp_path, score) -> None:
    row = _row((0, 12), (25, 31))
    row["entities"][0]["score"], row["entities"][1]["score"] = 0.5, score
    found = read_any(_file(tmp_path, row), [EXAMPLE])
    assert found.predictions["a/1"].confidences == ()
    assert [note.partition(": ")[2] for note in found.notes] == [f"2 {NO_CONFIDENCES} (row 1: {score:g}; ...)"]


def test_what_is_beyond_by_its_rounding_alone_is_cut(tmp_path) -> None:
    row = _row((0, 12), (25, 31))
    row["entities"][0]["score"], row["entities"][1]["score"] = 1.0000005, -0.0000005
    found = read_any(_file(tmp_path, row), [EXAMPLE])
    assert (found.predictions["a/1"].confidences, found.notes) == ((1.0, 0.0), ())


@pytest.mark.parametrize(("confidence", "fault"), [(1.5, True), (-0.1, True), (1.0000005, False), (1, False)])
def test_confidences_of_our_own_are_between_0_and_1(tmp_path, confidence, fault) -> None:
    text = '{"entities": {"person": ["Ada Lovelace"]}}'
    own = {"uid": "a/1", "data_set": "a", "sentence": SENTENCE, "text": text, "finished": True, "tokens": 3}
    file = _file(tmp_path, own | {"confidences": [confidence]})
    if fault:
        with pytest.raises(ValueError, match=f"row 1: confidences must be between 0 and 1; found {confidence}"):
            read_any(file, [EXAMPLE])
    else:
        assert read_any(file, [EXAMPLE]).predictions["a/1"].confidences == (1.0,)


_PREDICT = {"sentence": SENTENCE, "entities": [], "left_out": [], "below_threshold": 0}


def test_how_an_answer_ended_is_what_its_row_says(tmp_path) -> None:
    row = _PREDICT | {"error": "truncated_json", "finished": False, "tokens": 40}
    found = read_any(_file(tmp_path, row), [EXAMPLE])
    assert (found.tool, found.notes) == (False, ())
    one = found.predictions["a/1"]
    assert (one.finished, one.tokens, one.answer.error) == (False, 40, "truncated_json")
    answers = report(found.predictions).data_sets["a"].answers
    assert (answers.finished, answers.tokens) == (0.0, 40.0)


@pytest.mark.parametrize("beside", [{}, {"tokens": [{"id": 0}]}, {"tokens": None, "finished": None, "error": None}])
def test_of_a_tool_that_says_nothing_of_it_an_answer_is_whole(tmp_path, beside) -> None:
    found = read_any(_file(tmp_path, _row((0, 12), (25, 31), **beside)), [EXAMPLE])
    one = found.predictions["a/1"]
    assert (found.tool, one.finished, one.tokens, one.answer.error) == (True, True, 0, None)


def test_an_error_that_is_none_of_ours_is_noted(tmp_path) -> None:
    found = read_any(_file(tmp_path, _row(error="timeout")), [EXAMPLE])
    assert [note.partition(": ")[2] for note in found.notes] == [f'1 {FAILED} (row 1: "timeout")']


def test_of_our_own_entities_the_f1_to_quote_is_that_of_texts(tmp_path, capsys) -> None:
    alignment = {"confidence": 0.9, "alignment": "exact"}
    entities = [{"text": text, "label": label, "start": at, "end": end} for text, label, at, end in NAMES]
    data = write_jsonl(tmp_path / "a.jsonl", {"sentence": SENTENCE, "entities": entities})
    file = _file(tmp_path, _PREDICT | {"entities": [one | alignment for one in entities], "finished": True})
    assert main(["--predictions", str(file), "--data", str(data)]) == 0
    assert "F1 to quote: exact" in capsys.readouterr().out


def test_many_mentions_of_a_row_are_not_compared_with_each_other(tmp_path, monkeypatch) -> None:
    sentence = "Ada " * 2000
    rows = {"text": sentence, "entities": [[at, at + 3, "person"] for at in range(0, len(sentence), 4)]}
    example = Example(uid="a/1", sentence=sentence, schema=("person",), mentions=(), source="a")
    compared: list[None] = []
    equal = Mention.__eq__
    monkeypatch.setattr(Mention, "__eq__", lambda one, other: compared.append(None) or equal(one, other))
    found = read_any(_file(tmp_path, rows), [example])
    assert len(found.predictions["a/1"].answer.mentions) == 2000
    assert len(compared) < 20_000  # a pass over all mentions for each would be 2 million


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "utf-8-sig"])
def test_predictions_in_utf_16_are_read(tmp_path, encoding) -> None:
    file = _file(tmp_path, _row((0, 12), (25, 31)))
    file.write_bytes(file.read_bytes().decode().encode(encoding))  # as PowerShell writes what is printed
    assert [mention.text for mention in read_any(file, [EXAMPLE]).predictions["a/1"].answer.mentions] == [
        "Ada Lovelace",
        "London",
    ]


def test_predictions_in_columns_are_told_to_be_converted_which_helps(tmp_path) -> None:
    lines = ("Ada\tB-person", "Lovelace\tI-person", "was\tO", "in\tO", "Rome\tO", "now\tO", ".\tO")
    file = tmp_path / "found.conll"
    file.write_text("\n".join(lines))
    with pytest.raises(ValueError, match=r"predictions are JSON lines.*data convert .*found.conll --to jsonl --out"):
        read_any(file, [EXAMPLE])
    rows = tmp_path / "found.jsonl"
    assert convert(["convert", str(file), "--to", "jsonl", "--out", str(rows)]) == 0
    example = Example(uid="a/1", sentence="Ada Lovelace was in Rome now .", schema=("person",), mentions=(), source="a")
    found = read_any(rows, [example]).predictions["a/1"].answer.mentions
    assert found == (Mention(text="Ada Lovelace", label="person", start=0, end=12),)

"""Scores worked out by hand, what a file of predictions must be, the paired comparison, and the published rows."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rnr.corpus.drawing import draw_from_each
from rnr.evaluation.bootstrap import Difference
from rnr.evaluation.formatting import csv_of, few_sentences
from rnr.evaluation.predictions import read_predictions, save_predictions
from rnr.evaluation.published import COLUMNS, PUBLISHED, columns
from rnr.evaluation.scoring import LabelScore, compare, f1_of, report, score_predictions
from rnr.evaluation.tables import tables
from rnr.types import Example, Mention
from tests.made_up_run import answer


def _example(uid: str, sentence: str, *gold: tuple[str, str]) -> Example:
    starts = [sentence.index(text) for text, _ in gold]
    mentions = (
        Mention(text=text, label=label, start=start, end=start + len(text))
        for (text, label), start in zip(gold, starts, strict=True)
    )
    return Example(
        uid=uid, sentence=sentence, schema=("person", "place"), mentions=tuple(mentions), source=uid.split("/")[0]
    )


MET = _example("a/1", "Ada met Bo", ("Ada", "person"), ("Bo", "person"))
PARIS = _example("a/2", "Paris", ("Paris", "place"))
ROME = _example("b/1", "Rome", ("Rome", "place"))
EXAMPLES = (MET, PARIS, ROME)
ANSWERS = {
    "a/1": '{"entities": {"person": ["Ada"]}}',
    "a/2": '{"entities": {"person": ["Paris"]}}',
    "b/1": '{"entities": {"place": ["Rome"]}}',
}


def _saved(file: Path, answers: dict[str, str], examples: Sequence[Example] = EXAMPLES, cut: str = "") -> Path:
    """Answers by uid, of three tokens each; that with the uid ``cut`` is not finished."""
    examples = [example for example in examples if example.uid in answers]
    made = [answer(each, answers[each.uid], tokens=3, finished=each.uid != cut) for each in examples]
    save_predictions(examples, made, "free", file)
    return file


def _read(folder: Path, answers: dict[str, str]) -> Any:
    return read_predictions(_saved(folder / "predictions.jsonl", answers), EXAMPLES)


def test_micro_f1_by_data_set_and_their_average_are_those_worked_out_by_hand(tmp_path) -> None:
    found = report(_read(tmp_path, ANSWERS))
    # a: 1 of 2 predictions is right and 1 of 3 gold mentions found, F1 2 * 1 / (2 + 3) = 0.4. b: all right.
    for protocol in ("reference", "exact", "strict", "boundary_tolerant", "type"):
        a, b = (found.data_sets[name].scores[protocol] for name in ("a", "b"))
        assert (a.precision, a.recall, a.f1) == (50.0, 33.33, 40.0)
        assert (b.precision, b.recall, b.f1) == (100.0, 100.0, 100.0)
        average = found.averages[protocol]
        assert (average.precision, average.recall, average.f1) == (75.0, 66.66, 70.0)
        assert b.intervals["f1"] == (100.0, 100.0)
        # A resample of a is twice "Ada" (F1 2/3), one of each (0.4) or twice Paris (0).
        assert a.intervals == {"precision": (0.0, 100.0), "recall": (0.0, 50.0), "f1": (0.0, 66.67)}


def test_labels_errors_and_the_state_of_answers_are_counted(tmp_path) -> None:
    answers = ANSWERS | {"b/1": "It is Rome."}
    found = report(_read(tmp_path, answers))
    assert found.data_sets["a"].labels == {
        "person": LabelScore(precision=50.0, recall=50.0, f1=50.0, support=2),
        "place": LabelScore(precision=0.0, recall=0.0, f1=0.0, support=1),
    }
    assert found.data_sets["a"].answers.errors == {
        "boundary": 0,
        "type": 1,
        "missed": 1,
        "spurious": 0,
        "ungrounded": 0,
    }
    assert (found.answers.sentences, found.answers.tokens, found.answers.unreadable) == (3, 3.0, {"no_json": 1})
    assert found.data_sets["b"].scores["exact"].f1 == 0.0


def test_a_run_keeps_the_papers_scores_the_exact_average_and_the_share_of_finished_answers(tmp_path) -> None:
    file = tmp_path / "predictions.jsonl"
    _saved(file, ANSWERS, cut=ROME.uid)
    evaluation = score_predictions(file, EXAMPLES)
    assert f1_of(read_predictions(file, EXAMPLES)) == 70.0
    assert (evaluation.f1, evaluation.exact_f1, evaluation.finished) == (70.0, 70.0, 66.67)
    assert evaluation.by_data_set["a"] == {"precision": 50.0, "recall": 33.33, "f1": 40.0}
    assert evaluation.interval[0] <= 70.0 <= evaluation.interval[1]
    assert evaluation.metrics()["val/b/f1"] == 100.0


def test_the_protocols_part_where_they_should(tmp_path) -> None:
    # "paris" is the same to the reference; it is no text of the sentence to the others.
    found = report(_read(tmp_path, {"a/2": '{"entities": {"place": ["paris"]}}'}))
    assert {name: score.f1 for name, score in found.averages.items()} == {
        "reference": 100.0,
        "exact": 0.0,
        "strict": 0.0,
        "boundary_tolerant": 0.0,
        "partial": 0.0,
        "type": 0.0,
        "chain": 0.0,
    }


@pytest.mark.parametrize(
    ("text", "reference", "exact"),
    [
        # They cut out every closed block of reasoning, and take what is inside an <answer>; we read neither.
        ('<think>a</think><think>b</think>{"entities": {"place": ["Paris"]}}', 100.0, 0.0),
        ('It is <answer>{"entities": {"place": ["Paris"]}}</answer>', 100.0, 0.0),
        # A fence without "json" is no JSON to them.
        ('```\n{"entities": {"place": ["Paris"]}}\n```', 0.0, 100.0),
        # Of a repeated key they keep the last: "is" is then the only mention. We read both: F1 2 * 1 / (2 + 1).
        ('{"entities": {"place": ["Paris"], "place": ["is"]}}', 0.0, 66.67),
    ],
)
def test_the_reference_reads_a_completion_as_the_papers_code_does(tmp_path, text, reference, exact) -> None:
    example = _example("a/2", "Paris is big", ("Paris", "place"))
    file = tmp_path / "predictions.jsonl"
    _saved(file, {example.uid: text}, [example])
    averages = report(read_predictions(file, [example])).averages
    assert (averages["reference"].f1, averages["exact"].f1) == (reference, exact)
    assert score_predictions(file, [example]).f1 == reference


def test_a_chain_is_scored_by_what_it_marks_whatever_its_answer_gives(tmp_path) -> None:
    found = report(_read(tmp_path, {"a/2": '<think>\n[Paris: place] [is: place]\n</think>\n{"entities": {}}'}))
    assert found.averages["reference"].f1 == 0.0
    chain = found.averages["chain"]
    assert (chain.precision, chain.recall, chain.f1) == (50.0, 100.0, 66.67)


def test_what_is_saved_is_read_back_even_half_a_surrogate_pair(tmp_path) -> None:
    example = replace(PARIS, sentence="Paris \ud800\u2028")
    file = tmp_path / "new" / "predictions.jsonl"
    _saved(file, {example.uid: '{"entities": {"place": ["\ud800"]}}'}, [example])
    assert [m.start for m in read_predictions(file, [example])["a/2"].answer.mentions] == [6]
    assert [path.name for path in file.parent.iterdir()] == ["predictions.jsonl"]


ROW = {"uid": "a/2", "data_set": "a", "sentence": "Paris", "text": "", "finished": True, "tokens": 1}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["{"], "row 1: not valid JSON: Expecting"),
        (['{"uid": "a/2", "uid": "a/1"}'], "row 1: not valid JSON: an object has 'uid' twice"),
        (["[]"], "row 1: expected an object, found list; JSON lines have an object a line"),
        (["["], "JSON lines have an object a line"),
        ([{**ROW, "text": None, "tokens": "1"}], "row 1: missing or of the wrong type: text, tokens"),
        ([ROW, ROW], "row 2: a second prediction for 'a/2'"),
        ([{**ROW, "uid": "c/9"}], "row 1: 'c/9' is not in the data"),
        ([{**ROW, "sentence": "Rome"}], "row 1: 'a/2' is a different sentence in the data"),
        ([], "no predictions in this file"),
        ([{**ROW, "tokens": True, "decoding": 1}], "row 1: missing or of the wrong type: tokens, decoding"),
        ([{**ROW, "confidences": ["0.9"]}], r"row 1: confidences must be a list of numbers or null; found \['0.9'\]"),
        ([{**ROW, "confidences": [True]}], "row 1: confidences must be a list of numbers or null"),
        ([{**ROW, "confidences": [float("nan")]}], "row 1: confidences must be a list of numbers or null"),
        ([{**ROW, "confidences": [10**400]}], "row 1: confidences must be a list of numbers or null"),
        ([{**ROW, "confidences": 0.9}], "row 1: confidences must be a list of numbers or null"),
        ([{**ROW, "confidences": "0.9"}], "row 1: confidences must be a list of numbers or null"),
        ([{**ROW, "confidences": False}], "row 1: confidences must be a list of numbers or null"),
        ([{**ROW, "confidences": [0.9]}], "row 1: 1 confidences for 0 mentions"),
    ],
)
def test_a_file_that_cannot_be_scored_says_where_and_why(tmp_path, rows, message) -> None:
    file = tmp_path / "predictions.jsonl"
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    with pytest.raises(ValueError, match=message) as error:
        read_predictions(file, EXAMPLES)
    assert str(file) in str(error.value)


def test_a_blank_line_between_predictions_is_no_row_and_counts_as_a_line(tmp_path) -> None:
    file = tmp_path / "predictions.jsonl"
    file.write_bytes(b"\xef\xbb\xbf\n" + json.dumps(ROW).encode() + b"\r\n \n")
    assert list(read_predictions(file, EXAMPLES)) == ["a/2"]
    file.write_text(f"\n{json.dumps(ROW)}\n\n{json.dumps(ROW)}\n")
    with pytest.raises(ValueError, match="row 4: a second prediction for 'a/2'"):
        read_predictions(file, EXAMPLES)


def test_predictions_compared_with_themselves_differ_by_0_with_p_1(tmp_path) -> None:
    predictions = _read(tmp_path, ANSWERS)
    nothing = Difference(0.0, (0.0, 0.0), 1.0)
    for comparison in compare(predictions, predictions).values():
        assert comparison.average == nothing
        assert comparison.data_sets == {"a": nothing, "b": nothing}


def test_the_difference_is_that_of_the_averages_and_does_not_depend_on_the_order_of_rows(tmp_path) -> None:
    better = _read(tmp_path, ANSWERS | {"a/2": '{"entities": {"place": ["Paris"]}}'})
    # Data set a: 2 of 2 predictions right, 2 of 3 found: F1 2 * 2 / (2 + 3) = 0.8 against 0.4.
    worse = _read(tmp_path, ANSWERS)
    found = compare(better, dict(reversed(worse.items())))
    assert set(found) == {"reference", "exact"}
    assert (found["exact"].average.f1, found["exact"].data_sets["a"].f1) == (20.0, 40.0)
    assert found["exact"].data_sets["b"] == Difference(0.0, (0.0, 0.0), 1.0)
    assert compare(worse, better)["exact"].average.f1 == -20.0


def test_a_csv_of_compared_predictions_has_the_differences(tmp_path) -> None:
    better, worse = _read(tmp_path, ANSWERS | {"a/2": '{"entities": {"place": ["Paris"]}}'}), _read(tmp_path, ANSWERS)
    lines = csv_of(report(better), compare(better, worse)).splitlines()
    assert lines[0] == "data_set,protocol,score,per_cent,low,high,p"
    assert next(line for line in lines if line.startswith("a,exact,f1,")).endswith(",")
    rows = [line.split(",") for line in lines if "exact,f1_difference" in line]
    # One sentence tells them apart: by chance it does so every time.
    assert [row[0] for row in rows] == ["a", "b", "average"]
    assert [(row[3], row[6]) for row in rows] == [("40.0", "1.0"), ("0.0", "1.0"), ("20.0", "1.0")]


def test_data_sets_of_few_sentences_are_named(tmp_path) -> None:
    assert few_sentences(report(_read(tmp_path, ANSWERS))) == [
        "fewer than 30 sentences in a (2), b (1): intervals and p-values mean little"
    ]


def test_sentences_that_only_one_side_has_are_named(tmp_path) -> None:
    first = _read(tmp_path, {uid: ANSWERS[uid] for uid in ("a/1", "a/2")})
    second = _read(tmp_path, {uid: ANSWERS[uid] for uid in ("a/2", "b/1")})
    with pytest.raises(
        ValueError, match="missing in the compared predictions: a/1; missing in the scored predictions: b/1"
    ):
        compare(first, second)


def test_a_data_set_called_average_is_in_every_table_beside_the_average(tmp_path) -> None:
    asked = {"schema": ("place",), "mentions": (Mention(text="Rome", label="place", start=0, end=4),)}
    examples = [Example(uid=name, sentence="Rome", source=name, **asked) for name in ("average", "all")]
    file = tmp_path / "predictions.jsonl"
    _saved(file, {"average": '{"entities": {"place": ["Rome"]}}', "all": '{"entities": {}}'}, examples)
    found = read_predictions(file, examples)
    rows = [line.split(",") for line in csv_of(report(found), {}).splitlines() if ",exact,f1," in line]
    assert [row[:4] for row in rows] == [
        ["average", "exact", "f1", "100.0"],
        ["all", "exact", "f1", "0.0"],
        ["average", "exact", "f1", "50.0"],
    ]
    every = tables(report(found), compare(found, found), {}, name="x")
    shown = {str(table.title).partition(" ")[0]: list(table.columns[0].cells) for table in every}
    assert [name for name in shown["Scores"] if name] == ["average", "all", "average"]
    assert shown["Answers"] == ["average", "all", "all"]
    for width, cell in ((109, "100.00 [100.00, 100.00]"), (108, "100.00")):
        scores = next(tables(report(found), {}, {}, name="x", width=width))
        assert next(iter(scores.columns[2].cells)) == cell
        assert next(iter(scores.columns[4].cells)) == "100.00 [100.00, 100.00]"
    assert shown["F1"] == 2 * ["average", "all", "average"]


def test_at_most_so_many_sentences_are_drawn_from_each_data_set_and_always_the_same() -> None:
    examples = [_example(f"{name}/{number}", "x") for name in "ab" for number in range(20)]
    drawn = draw_from_each(examples, 3)
    assert [example.source for example in drawn] == ["a"] * 3 + ["b"] * 3
    assert drawn == draw_from_each(list(examples), 3)
    assert draw_from_each(examples, 0) == examples


def test_each_published_average_is_the_mean_of_its_row_as_far_as_it_was_rounded() -> None:
    for row in PUBLISHED:
        assert len(row.scores) == len(COLUMNS) == 7
        assert sum(row.scores) / 7 == pytest.approx(row.average, abs=0.1)


def test_data_sets_are_put_in_their_columns_however_they_are_written() -> None:
    names = ["CrossNER_politics", "mit-movie", "crossner_ai", "demo", "music", "CrossNER_science_dev", "MIT Restaurant"]
    assert columns(names) == {
        "Movie": "mit-movie",
        "Restaurant": "MIT Restaurant",
        "AI": "crossner_ai",
        "Politics": "CrossNER_politics",
        "Science": "CrossNER_science_dev",
    }
    with pytest.raises(ValueError, match="'CrossNER_AI' and 'crossner_ai' both belong in column AI"):
        columns(["CrossNER_AI", "crossner_ai"])
    # Folders before the name belong to it, or tell data sets of one name apart.
    assert columns(["CrossNER/ai", "x/mit-movie"]) == {"Movie": "x/mit-movie", "AI": "CrossNER/ai"}
    with pytest.raises(ValueError, match="'x/mit-movie' and 'y/mit-movie' both belong in column Movie"):
        columns(["x/mit-movie", "y/mit-movie"])

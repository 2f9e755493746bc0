"""Defects of the reference that no other test shows, and that every row of docs/DEFECTS.md names tests that exist.

``rewards.reference`` stands for the reference: other tests hold it to what the reference's own code returned.
"""

import json
import re
import time
from pathlib import Path

import pytest

from rewards import reference
from rewards.composite import score
from rnr.config import RewardConfig
from rnr.evaluation.error_types import error_kinds
from rnr.evaluation.metrics import boundary_tolerant_counts, exact_counts, strict_counts
from rnr.evaluation.predictions import read_predictions
from rnr.evaluation.scoring import report
from rnr.task.parsing import ground, parse, write
from rnr.task.reference_parsing import ReferenceRaisesError, read_mentions, strip_completion
from rnr.types import Example, Mention

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ("location", "organization", "person")


def _example(sentence: str, *gold: tuple[str, str]) -> Example:
    mentions = ground([Mention(text=text, label=label) for text, label in gold], sentence)
    return Example(uid=f"set/{sentence}", sentence=sentence, schema=SCHEMA, mentions=mentions, source="set")


OBAMA = _example("Barack Obama is in Paris .", ("Barack Obama", "person"), ("Paris", "location"))
BOTH = '{"entities": {"person": ["Barack Obama"], "location": ["Paris"]}}'


def _theirs(example: Example, text: str) -> float:
    return reference.reference_f1(text, reference.gold_completion(example))


def _scored(folder: Path, answers: list[tuple[Example, str]]):
    """The report on a file with these answers."""
    rows = (
        {"uid": e.uid, "data_set": "set", "sentence": e.sentence, "text": text, "finished": True, "tokens": 1}
        for e, text in answers
    )
    file = folder / "predictions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return report(read_predictions(file, [example for example, _ in answers]))


@pytest.mark.parametrize("cut", [f"```json\n{BOTH}", "```json\n{", f"<answer>{BOTH}"])
def test_defect_1_an_answer_cut_short_costs_its_own_reward_and_no_other(cut: str) -> None:
    with pytest.raises(ReferenceRaisesError):  # the batch with it, and their run, are lost
        strip_completion(cut)
    assert [score(OBAMA, text, True, RewardConfig())[1].total for text in (BOTH, cut, BOTH)] == [1.0, 0.0, 1.0]


SHAPES = [
    "null",
    '["Paris"]',
    '[{"text": "Paris"}]',
    '"Paris"',
    '{"person": null}',
    '{"person": 5}',
    '{"person": true}',
]


@pytest.mark.parametrize("shape", SHAPES)
def test_defect_2_a_wrong_shape_makes_their_evaluation_raise_and_is_one_unreadable_answer_in_ours(
    tmp_path, shape: str
) -> None:
    text = f'{{"entities": {shape}}}'
    with pytest.raises(ReferenceRaisesError):  # their evaluation has saved nothing yet
        read_mentions(text)
    paris = _example("Paris", ("Paris", "location"))
    found = _scored(tmp_path, [(OBAMA, BOTH), (paris, text)])
    # 2 of 2 predictions are right and 2 of 3 gold mentions found: F1 2 * 2 / (2 + 3).
    assert (found.averages["reference"].f1, found.averages["exact"].f1) == (80.0, 80.0)
    assert found.answers.unreadable == {"wrong_shape": 1}


def test_defect_3_their_pattern_takes_quadratic_time_and_our_parser_linear() -> None:
    def their_seconds(tags: int) -> float:
        return _seconds(lambda: re.sub("<think>.*?</think>", "", "<think>" * tags, flags=re.DOTALL))

    assert their_seconds(1_600) > 8 * their_seconds(400)  # linear would be 4, quadratic is 16
    assert _seconds(lambda: parse("<think>" * 16_000)) < their_seconds(1_600)


def _seconds(call) -> float:
    """The least processor time of three calls: other processes do not count."""
    times = []
    for _ in range(3):
        begin = time.process_time()
        call()
        times.append(time.process_time() - begin)
    return min(times)


def test_defect_6_reasoning_can_be_weighted_where_theirs_pays_bare_json_in_full() -> None:
    weights = {"entity_f1": 1.0, "format": 1.0}
    bare, reasoned = BOTH, f"<think>\nHe is a person.\n</think>\n{BOTH}"
    assert _theirs(OBAMA, bare) == _theirs(OBAMA, reasoned) == 1.0
    assert [score(OBAMA, text, True, RewardConfig())[1].total for text in (bare, reasoned)] == [1.0, 1.0]
    assert [score(OBAMA, text, True, RewardConfig(weights=weights))[1].total for text in (bare, reasoned)] == [0.5, 1.0]


@pytest.mark.parametrize(
    ("sentence", "gold", "said", "theirs", "ours", "error"),
    [
        # A joined word: their normalisation makes "badenw" of the one and "baden w" of the other.
        ("Baden-W. here", "Baden-W.", "Baden W.", 0, 0, {"ungrounded": 1, "missed": 1}),
        # One letter or two code points: neither folds them, but ours says that the text is not in the sentence.
        ("Cafe\u0301 Z", "Cafe\u0301", "Caf\u00e9", 0, 0, {"ungrounded": 1, "missed": 1}),
        # Straight quotes fall away there and curly ones do not; to ours both are one character too many.
        ('"Paris" fell', "Paris", '"Paris"', 1, 0, {"boundary": 1}),
        ("\u201cParis\u201d fell", "Paris", "\u201cParis\u201d", 0, 0, {"boundary": 1}),
    ],
)
def test_defect_9_what_their_normalisation_folds_is_an_accident_of_ascii(
    sentence, gold, said, theirs, ours, error
) -> None:
    example = _example(sentence, (gold, "location"))
    text = write([Mention(text=said, label="location")], reasoning=None)
    answer, reward = score(example, text, True, RewardConfig())
    assert (_theirs(example, text), reward.total) == (theirs, ours)
    assert error_kinds(example, answer.mentions) == error


def test_defect_10_without_offsets_they_cannot_tell_which_occurrence_was_meant() -> None:
    sentence = "The New York Times is in New York"
    city = Mention(text="New York", label="location", start=25, end=33)
    example = Example(uid="1", sentence=sentence, schema=SCHEMA, mentions=(city,))
    inside, right = (Mention(text="New York", label="location", start=start, end=start + 8) for start in (4, 25))
    assert _theirs(example, write([inside], reasoning=None)) == _theirs(example, write([right], reasoning=None)) == 1.0
    assert [strict_counts(example, [mention]).f1 for mention in (inside, right)] == [0.0, 1.0]
    # An answer names no offsets either, so these two count it as right wherever it was grounded.
    assert exact_counts(example, [inside]).f1 == boundary_tolerant_counts(example, [inside]).f1 == 1.0


def test_defect_24_one_number_hides_what_our_report_shows(tmp_path) -> None:
    four = _example("A B C D", *((text, "person") for text in "ABCD"))
    one = _example("E F G H", ("E", "person"))
    timid, bold = (
        write([Mention(text=text, label="person") for text in said], reasoning=None) for said in ("A", "EFGH")
    )
    # Precision 1, recall 1/4; and precision 1/4, recall 1: theirs has 0.4 for both and saves nothing else.
    assert _theirs(four, timid) == _theirs(one, bold) == pytest.approx(0.4)
    reports = [_scored(tmp_path, [(example, text)]) for example, text in ((four, timid), (one, bold))]
    scores = [found.averages["reference"] for found in reports]
    assert [(s.precision, s.recall, s.f1) for s in scores] == [(100.0, 25.0, 40.0), (25.0, 100.0, 40.0)]
    assert [found.answers.errors["missed"] for found in reports] == [3, 0]
    assert [found.answers.errors["spurious"] for found in reports] == [0, 3]
    assert [found.data_sets["set"].labels["person"].support for found in reports] == [4, 1]
    assert scores[0].intervals["recall"] == (25.0, 25.0)
    assert (tmp_path / "predictions.jsonl").exists()


def test_every_defect_in_the_table_names_tests_that_exist() -> None:
    table = (ROOT / "docs" / "DEFECTS.md").read_text(encoding="utf-8")
    tests = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("*.py"))
    rows = dict(re.findall(r"^\| (\d+) \|(.*)$", table, re.MULTILINE))
    assert [int(number) for number in rows] == [*range(1, 13), 24]
    for number, row in rows.items():
        named = re.findall(r"`(test_\w+)`", row)
        assert named, number
        assert all(name.startswith(f"test_defect_{number}_") and f"def {name}(" in tests for name in named), named

"""The paper's reference: its scores from our own code, and its defects beside what our rewards do."""

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from rewards import reference
from rewards.composite import REWARDS, score
from rnr.config import RewardConfig
from rnr.evaluation.error_types import error_kinds
from rnr.evaluation.metrics import CorpusScore, Counts, corpus_score, exact_counts
from rnr.evaluation.predictions import Prediction, read_predictions
from rnr.evaluation.scoring import PROTOCOLS, report
from rnr.task.parsing import ground, parse, write
from rnr.task.reference_parsing import evaluation_mentions
from rnr.types import Example, Mention

SHARED = Path(os.environ.get("RNR_SHARED", Path(__file__).parents[2] / "../shared"))


def _vectors(name: str) -> list[Any]:
    """The vectors in a file, or one that is skipped with the reason."""
    path = SHARED / "reference" / name
    if not path.is_file():
        return [pytest.param(None, marks=pytest.mark.skip(reason=f"{path} is missing; set RNR_SHARED"))]
    return [pytest.param(vector, id=vector["name"]) for vector in json.loads(path.read_text(encoding="utf-8"))]


REWARD_VECTORS = _vectors("reward_vectors.json")

# Made with a schema that the reference's loader, and so our preset, would have changed.
PAST_THE_LOADER = ("raw_uppercase_schema", "empty_schema_list")


def _swallowed(value: float | None) -> float:
    """None stands where the reference raises out of its reward: the documented value is then 0."""
    return 0.0 if value is None else value


@pytest.mark.parametrize("vector", REWARD_VECTORS)
def test_rewards_equal_the_reference_to_the_last_bit(vector: dict[str, Any]) -> None:
    f1 = reference.reference_f1(vector["completion"], vector["gold"])
    schema = reference.reference_schema(vector["completion"], tuple(vector["schema"]))
    assert f1 == _swallowed(vector["ref_f1"]) == _swallowed(vector["ref_verl_score"])
    assert schema == vector["ref_schema_reward"]
    assert 10 * f1 + schema == _swallowed(vector["ref_total_10_1"])


def _saved_and_read(file: Path, examples: list[Example], texts: list[str]) -> dict[str, Prediction]:
    """The predictions as they come back from the disk."""
    rows = (
        {"uid": e.uid, "data_set": e.source, "sentence": e.sentence, "text": text, "finished": True, "tokens": 1}
        for e, text in zip(examples, texts, strict=True)
    )
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_predictions(file, examples)


@pytest.mark.parametrize("vector", REWARD_VECTORS)
def test_the_protocol_reference_equals_their_evaluation_and_does_not_die_where_it_does(
    tmp_path, vector: dict[str, Any]
) -> None:
    gold = evaluation_mentions(vector["gold"])
    example = Example(uid="1", sentence="not looked at", schema=(), mentions=gold, source="set")
    predictions = _saved_and_read(tmp_path / "predictions.jsonl", [example], [vector["completion"]])
    counts = PROTOCOLS["reference"](predictions["1"])
    assert counts.f1 == _swallowed(vector["ref_eval_f1"])
    if vector["eval_raised"]:
        assert counts.true_positives + counts.false_positives == 0


@pytest.mark.parametrize("vector", [v for v in REWARD_VECTORS if v.id not in PAST_THE_LOADER])
def test_the_paper_preset_is_ten_times_f1_plus_schema(vector: dict[str, Any]) -> None:
    example = Example(
        uid=vector["name"],
        sentence="not looked at",
        schema=tuple(vector["schema"]),
        mentions=evaluation_mentions(vector["gold"]),
    )
    _, reward = score(example, vector["completion"], False, RewardConfig(preset="paper"))
    assert reward.parts["reference_f1"] == _swallowed(vector["ref_f1"])
    assert reward.total == _swallowed(vector["ref_total_10_1"])


@pytest.mark.parametrize("vector", _vectors("corpus_vectors.json"))
def test_data_set_scores_and_their_average_equal_the_reference(tmp_path, vector: dict[str, Any]) -> None:
    examples = [
        Example(
            uid=str(number),
            sentence="not looked at",
            schema=(),
            mentions=tuple(Mention(text=e["text"], label=e["label"]) for e in gold["entities"]),
            source=gold["source"],
        )
        for number, gold in enumerate(vector["golds"])
    ]
    found = report(_saved_and_read(tmp_path / "predictions.jsonl", examples, vector["predictions"]))
    scores = {source: part.scores["reference"].f1 for source, part in found.data_sets.items()}
    expected = {entry["dataset"]: entry["f1"] for entry in vector["result"]}
    assert {**scores, "Average": found.averages["reference"].f1} == expected


def test_a_data_set_score_has_precision_and_recall() -> None:
    assert corpus_score([Counts(1, 1, 0), Counts(0, 0, 2)]) == CorpusScore(50.0, 33.33, 40.0)


def test_schema_and_gold_are_loaded_as_the_reference_loads_them() -> None:
    labels = ("Person", " city ", "misc", "Else", "N A", "")
    mentions = (
        Mention(text=" Obama ", label="PERSON"),
        Mention(text="G20", label="misc"),
        Mention(text="x", label="river"),
    )
    example = Example(uid="1", sentence="", schema=labels, mentions=mentions)
    assert reference.reference_labels(example) == ("city", "person")
    assert reference.gold_completion(example) == '{"entities":{"person":["Obama"]}}'


def test_training_strips_a_completion_twice_and_evaluation_once() -> None:
    twice = '</th</think>ink>{"entities": {"person": ["Obama"]}}'
    gold = '{"entities": {"person": ["Obama"]}}'
    assert reference.reference_f1(twice, gold) == 1.0
    assert evaluation_mentions(twice) == ()


@pytest.mark.parametrize("unit", ["<think>", "</think>", "<answer>", "```json", "[", '"'])
def test_a_megabyte_of_one_piece_takes_the_reference_rewards_less_than_a_tenth_of_a_second(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        reference.reference_f1(text, "{}")
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.1


# The defects of the reference, numbered as in section 2 of the survey; theirs is (F1, schema reward).

SCHEMA = ("person", "location", "organization")


def _example(sentence: str, *gold: tuple[str, str], schema: tuple[str, ...] = SCHEMA) -> Example:
    mentions = ground([Mention(text=text, label=label) for text, label in gold], sentence)
    return Example(uid="1", sentence=sentence, schema=schema, mentions=mentions)


OBAMA = _example("Barack Obama is in Paris .", ("Barack Obama", "person"), ("Paris", "location"))
NOTHING = _example("Nobody is here .")
BOTH = '{"entities": {"person": ["Barack Obama"], "location": ["Paris"]}}'


def _ours(example: Example, text: str) -> float | None:
    return score(example, text, True, RewardConfig())[1].total


def _reward(example: Example, name: str, text: str) -> float:
    return REWARDS[name](example, score(example, text, True, RewardConfig())[0])


def _theirs(example: Example, text: str) -> tuple[float, float]:
    reward = score(example, text, True, RewardConfig(preset="paper"))[1]
    return reward.parts["reference_f1"], reward.parts["reference_schema"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (f"```json\n{BOTH}", "unclosed_fence"),
        (f"<answer>{BOTH}", "leading_text"),
        ("```json\n{", "truncated_json"),
    ],
)
def test_defect_1_an_unclosed_fence_or_answer_stopped_their_run(text: str, error: str) -> None:
    assert _theirs(OBAMA, text) == (0, 0)  # in their trainer it raises
    assert (parse(text).error, _ours(OBAMA, text)) == (error, 0.0)


@pytest.mark.parametrize("entities", ["null", '["Paris"]', '"Paris"', '{"person": null}', '{"person": 5}'])
def test_defect_2_a_wrong_shape_ended_their_evaluation_with_all_outputs_lost(entities: str) -> None:
    text = f'{{"entities": {entities}}}'
    assert evaluation_mentions(text) == ()  # in their evaluation it raises
    assert parse(text).error == "wrong_shape"


def test_defect_3_repeated_open_tags_take_their_pattern_quadratic_time() -> None:
    text = "<think>" * 16_000  # 7.4 s in their code
    start = time.perf_counter()
    assert (_theirs(OBAMA, text), _ours(OBAMA, text)) == ((0, 0), 0.0)
    assert time.perf_counter() - start < 0.1


def test_defect_4_with_no_gold_their_reward_pays_the_same_for_silence_and_invention() -> None:
    silent, invented = '{"entities": {}}', '{"entities": {"person": ["Nobody"]}}'
    assert _theirs(NOTHING, silent) == _theirs(NOTHING, invented) == (0, 1)
    assert (_ours(NOTHING, silent), _ours(NOTHING, invented)) == (1.0, 0.0)


@pytest.mark.parametrize("text", ["1", '"x"', "[]", "null", "{}", '{"person": ["Paris"]}'])
def test_defect_5_their_schema_reward_pays_for_any_json(text: str) -> None:
    assert _theirs(OBAMA, text) == (0, 1)
    assert (_ours(OBAMA, text), _reward(OBAMA, "schema", text)) == (0.0, 0.0)


def test_defect_5_an_off_schema_label_without_spans_goes_unpunished_there() -> None:
    text = '{"entities": {"person": ["Barack Obama"], "location": ["Paris"], "city": []}}'
    assert _theirs(OBAMA, text) == (1, 1)
    assert _ours(OBAMA, text) == 0.0
    assert _ours(OBAMA, text.replace("city", "organization")) == 1.0


def test_defect_6_their_reward_never_asks_for_reasoning_and_refuses_it_without_an_opening_tag() -> None:
    bare, unopened = BOTH, f"He is a person.</think>\n{BOTH}"
    assert (_theirs(OBAMA, bare), _theirs(OBAMA, unopened)) == ((1, 1), (0, 0))
    assert (_reward(OBAMA, "format", bare), _reward(OBAMA, "format", unopened)) == (0.0, 1.0)
    assert _ours(OBAMA, unopened) == 1.0


@pytest.mark.parametrize("labels", [("person", "organization"), ("person", "organization", "location")])
def test_defect_7_hedging_a_span_under_several_labels_pays_there(labels: tuple[str, ...]) -> None:
    example = _example("Barack Obama left .", ("Barack Obama", "person"))
    hedge = write([Mention(text="Barack Obama", label=label) for label in labels], reasoning=None)
    theirs = {2: 2 / 3, 3: 1 / 2}[len(labels)]
    assert _theirs(example, hedge) == (pytest.approx(theirs), 1)
    assert (_ours(example, hedge), _reward(example, "overlap", hedge)) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("labels", "theirs", "ours"),
    [(["location"], 1.0, 1.0), (["person"], 0.0, 0.0), (["location", "person"], 2 / 3, 0.0)],
)
def test_defect_7_a_second_occurrence_that_is_not_annotated_is_no_room_for_a_hedge(labels, theirs, ours) -> None:
    example = _example("Paris is lovely , Paris is big .", ("Paris", "location"))
    text = write([Mention(text="Paris", label=label) for label in labels], reasoning=None)
    assert _theirs(example, text) == (pytest.approx(theirs), 1)
    assert (_ours(example, text), _reward(example, "overlap", text)) == (ours, ours)


@pytest.mark.parametrize(
    ("text", "theirs", "error"),
    [
        ('{"entities": {"person": "Barack Obama", "location": ["Paris"]}}', (0.2, 1), "wrong_shape"),
        ('{"entities": {"person": {"Barack Obama": 1}, "location": {"Paris": 1}}}', (1, 1), "wrong_shape"),
        ('{"entities": {"person": null, "location": ["Paris"]}}', (0, 0), "wrong_shape"),
        ('{"entities": {"person": ["Barack Obama",]}}', (0, 0), "invalid_json"),
        (f"Answer: {BOTH}", (0, 0), "leading_text"),
        (f"{BOTH}<|im_end|>", (0, 0), "trailing_text"),
    ],
)
def test_defect_8_their_parser_counts_characters_and_keys_and_never_says_why(text, theirs, error) -> None:
    assert _theirs(OBAMA, text) == theirs
    assert (_ours(OBAMA, text), parse(text).error) == (0.0, error)


@pytest.mark.parametrize(
    ("sentence", "gold", "said", "theirs", "ours"),
    [
        ("Paris , Paris", ["Paris", "Paris"], ["Paris"], 1, 2 / 3),
        ("C , C++ and C#", ["C", "C++", "C#"], ["C"], 1, 1 / 2),
        ("C and C++", ["C"], ["C++"], 1, 0),
        ("15 or 1.5", ["1.5"], ["15"], 1, 0),
        ("The The met A", ["The The"], ["A"], 1, 0),
        ("Cafe\u0301 Z", ["Cafe\u0301"], ["Cafe\u0301"], 1, 1),
        ("Baden-W. here", ["Baden-W."], ["Baden-W."], 1, 1),
        ("PARIS", ["PARIS"], ["paris"], 1, 0),
    ],
)
def test_defect_9_their_sets_and_normalisation_lose_and_invent_matches(sentence, gold, said, theirs, ours) -> None:
    example = _example(sentence, *((text, "location") for text in gold))
    text = write([Mention(text=span, label="location") for span in said], reasoning=None)
    assert _theirs(example, text) == (theirs, 1)
    assert _ours(example, text) == pytest.approx(ours)


def test_defect_9_labels_with_underscores_do_not_match_there() -> None:
    example = _example("Nature", ("Nature", "academic journal"), schema=("academic journal",))
    text = '{"entities": {"Academic_Journal": ["Nature"]}}'
    assert _theirs(example, text) == (0, 0)
    assert _ours(example, text) == 1.0


def test_defect_10_a_span_from_nowhere_is_just_one_false_positive_there() -> None:
    text = '{"entities": {"person": ["Barack Obama", "Elvis"], "location": ["Paris"]}}'
    assert _theirs(OBAMA, text) == (pytest.approx(0.8), 1)
    assert _reward(OBAMA, "grounding", text) == pytest.approx(2 / 3)
    assert error_kinds(OBAMA, score(OBAMA, text, True, RewardConfig())[0].mentions) == {"ungrounded": 1}


def test_defect_11_their_training_and_evaluation_read_one_text_differently() -> None:
    text = "</th</think>ink>" + BOTH
    assert _theirs(OBAMA, text) == (1, 0)
    assert evaluation_mentions(text) == ()
    for sample in (text, BOTH):  # one parser: the reward is the score of what evaluation reads
        read = ground(parse(sample).mentions, OBAMA.sentence)
        assert _ours(OBAMA, sample) == exact_counts(OBAMA, read).f1


def test_defect_12_a_schema_in_upper_case_never_matched_there() -> None:
    example = _example("Paris", ("Paris", "Location"), schema=("Location",))
    text = '{"entities": {"location": ["Paris"]}}'
    assert reference.reference_schema(text, example.schema) == 0
    assert (_reward(example, "schema", text), _ours(example, text)) == (1.0, 1.0)


def test_defect_13_failures_have_names_and_every_value_is_a_float() -> None:
    assert (
        reference.reference_f1("prose", reference.gold_completion(OBAMA)) == 0
    )  # nothing tells prose from a wrong answer
    answer, reward = score(OBAMA, "prose", True, RewardConfig())
    assert (answer.error, reward.parts["parsed"]) == ("no_json", 0.0)
    assert all(type(value) is float for value in (reward.total, *reward.parts.values()))

"""Each reward against values worked out by hand, the ways of joining them, and a user's own."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.reward import RewardWorker
from rewards import custom
from rewards.brevity import brevity
from rewards.composite import REWARDS, check, score
from rewards.overlap import overlap
from rewards.overlong import overlong
from rnr.parsing import ground, write
from rnr.types import Example, Group, Mention, Prompt, Rollout

SCHEMA = ("person", "location", "organization")


def _example(sentence: str, *gold: tuple[str, str], schema: tuple[str, ...] = SCHEMA) -> Example:
    mentions = ground([Mention(text=text, label=label) for text, label in gold], sentence)
    return Example(uid="1", sentence=sentence, schema=schema, mentions=mentions)


OBAMA = _example("Barack Obama is in Paris .", ("Barack Obama", "person"), ("Paris", "location"))
NOTHING = _example("Nobody is here .")
BOTH = '{"entities": {"person": ["Barack Obama"], "location": ["Paris"]}}'


def _answer(example: Example, text: str):
    return score(example, text, True)[0]


def _reward(example: Example, name: str, text: str) -> float:
    return REWARDS[name](example, _answer(example, text))


@pytest.mark.parametrize(
    ("text", "entity_f1", "schema", "form", "grounding", "soft", "faithfulness"),
    [
        (f"<think>\nx\n</think>\n{BOTH}", 1, 1, 1, 1, 1, 0),
        (f"<think>\n[Barack Obama: person] in [Rome: location]\n</think>\n{BOTH}", 1, 1, 1, 1, 1, 1 / 2),
        (BOTH, 1, 1, 0, 1, 1, 0),
        (f"<think> </think>{BOTH}", 1, 1, 0, 1, 1, 0),
        ('<think>[Obama: Person]</think>{"entities": {"person": ["Obama"]}}', 0, 1, 1, 1, 2 * (5 / 12) / 3, 1),
        ('{"entities": {"Person": ["Barack Obama"], "city": ["Paris"]}}', 1 / 2, 0, 0, 1, 1 / 2, 0),
        ('{"entities": {"person": ["Barack Obama", "Elvis"]}}', 1 / 2, 1, 0, 1 / 2, 1 / 2, 0),
        ('{"entities": {}}', 0, 1, 0, 1, 0, 0),
        ("no answer", 0, 0, 0, 0, 0, 0),
    ],
)
def test_each_reward_of_an_answer(text, entity_f1, schema, form, grounding, soft, faithfulness) -> None:
    expected = {
        "entity_f1": entity_f1,
        "schema": schema,
        "format": form,
        "grounding": grounding,
        "overlap": soft,
        "faithfulness": faithfulness,
    }
    assert {name: _reward(OBAMA, name, text) for name in REWARDS} == pytest.approx(expected)


def test_nothing_found_where_nothing_is_earns_everything_but_only_from_an_answer_that_was_read() -> None:
    assert [_reward(NOTHING, name, '<think>Nobody is here .</think>{"entities": {}}') for name in REWARDS] == [
        1.0
    ] * len(REWARDS)
    assert [_reward(NOTHING, name, "{}") for name in REWARDS] == [0.0] * len(REWARDS)


def test_soft_overlap_can_credit_a_right_span_with_a_wrong_label() -> None:
    answer = _answer(OBAMA, '{"entities": {"person": ["Paris"]}}')
    assert overlap(OBAMA, answer) == 0.0
    assert overlap(OBAMA, answer, wrong_label_credit=0.5) == pytest.approx(2 * 0.5 / 3)


def test_soft_overlap_pairs_each_gold_mention_once_and_the_best_first() -> None:
    answer = _answer(OBAMA, '{"entities": {"person": ["Barack", "Obama is", "Barack Obama"]}}')
    assert overlap(OBAMA, answer) == pytest.approx(2 * 1 / 5)


def test_soft_overlap_gives_a_perfect_answer_1_although_it_was_grounded_elsewhere() -> None:
    sentence = "The New York Times is in New York"
    city = Mention(text="New York", label="location", start=25, end=33)
    example = Example(uid="1", sentence=sentence, schema=SCHEMA, mentions=(city,))
    answer = _answer(example, '{"entities": {"location": ["New York"]}}')
    assert answer.mentions[0].start == 4
    chain = "The New York Times is in [New York: location]"
    assert [_reward(example, name, write(answer.mentions, reasoning=chain)) for name in REWARDS] == [1.0] * len(REWARDS)


def test_brevity_orders_only_the_rollouts_that_are_right() -> None:
    assert brevity([True, True, True, False], [10, 20, 30, 5]) == (1.0, 0.5, 0.0, 0.0)
    assert brevity([True, True], [7, 7]) == (1.0, 1.0)
    assert brevity([False, False], [1, 2]) == (0.0, 0.0)
    assert brevity([], []) == ()


def test_the_gate_closes_for_the_unfinished_the_unreadable_and_the_off_schema() -> None:
    assert score(OBAMA, BOTH, True)[1].parts == {"finished": 1, "parsed": 1, "entity_f1": 1, "schema": 1}
    unfinished = score(OBAMA, BOTH, False)[1]
    assert (unfinished.total, unfinished.parts["finished"], unfinished.parts["entity_f1"]) == (0.0, 0.0, 1.0)
    unread = score(OBAMA, BOTH + "!", True)[1]
    assert (unread.total, unread.parts["parsed"]) == (0.0, 0.0)
    off_schema = score(OBAMA, BOTH.replace("location", "city"), True)[1]
    assert (off_schema.total, off_schema.parts["entity_f1"]) == (0.0, 0.5)


def test_gated_is_the_weighted_mean_and_weighted_the_plain_sum() -> None:
    weights = {"entity_f1": 3.0, "format": 1.0}
    assert score(OBAMA, BOTH, True, weights=weights)[1].total == 0.75
    assert score(OBAMA, BOTH, False, preset="weighted", weights=weights)[1].total == 3.0


def test_answers_come_back_grounded() -> None:
    assert [(m.start, m.end) for m in _answer(OBAMA, BOTH).mentions] == [(0, 12), (19, 24)]


@pytest.mark.parametrize(
    ("preset", "weights", "message"),
    [
        ("gate", {"entity_f1": 1.0}, "did you mean 'gated'"),
        ("gated", {"entity_f2": 1.0}, "did you mean 'entity_f1'"),
        ("gated", {"entity_f1": 0.0}, "not all 0"),
        ("gated", {"entity_f1": 2.0, "format": -1.0}, "not negative"),
        ("weighted", {}, "needs weights"),
        ("weighted", {"entity_f1": math.nan}, "is nan"),
        ("no_such_module:f", {}, "no_such_module"),
        ("jsn:loads", {}, "did you mean 'json'"),
        ("rewards.overlapp:overlap", {}, "did you mean 'rewards.overlap'"),
        ("rewards.overlap:overlab", {}, "did you mean 'overlap'"),
        ("rewards.custom:load", {}, r"must take \(example, answer\)"),
        (":f", {}, "module:function"),
    ],
)
def test_a_composite_that_cannot_be_built_says_what_is_wrong(preset, weights, message) -> None:
    with pytest.raises(ValueError, match=message):
        check(preset, weights)
    with pytest.raises(ValueError, match=message):
        score(OBAMA, BOTH, True, preset=preset, weights=weights)


OWN_REWARDS = """
def right(example, answer): return len(answer.mentions) / 2
def flag(example, answer): return answer.error is None
def nan(example, answer): return float("nan")
def text(example, answer): return "1"
def nothing(example, answer): return None
def broken(example, answer): raise KeyError("city")
"""


@pytest.mark.parametrize(
    ("name", "total", "invalid"),
    [
        ("right", 1.0, None),
        ("flag", 1.0, None),
        ("nan", None, "ValueError: own_rewards:nan returned nan, not a finite number"),
        ("text", None, "ValueError: own_rewards:text returned '1', not a finite number"),
        ("nothing", None, "TypeError: "),
        ("broken", None, "KeyError: 'city'"),
    ],
)
def test_a_reward_of_ones_own_counts_or_is_invalid_with_its_cause(tmp_path, monkeypatch, name, total, invalid) -> None:
    (tmp_path / "own_rewards.py").write_text(OWN_REWARDS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    check(f"own_rewards:{name}", {})
    answer, reward = score(OBAMA, BOTH, True, preset=f"own_rewards:{name}")
    assert (len(answer.mentions), reward.total) == (2, total)
    assert reward.invalid is None if invalid is None else str(reward.invalid).startswith(invalid)
    assert reward.parts == {"finished": 1.0, "parsed": 1.0} | ({name: total} if total is not None else {})


def test_a_built_in_reward_can_be_loaded_by_its_path() -> None:
    assert custom.load("rewards.overlap:overlap") is overlap


_texts = st.text(st.characters(exclude_categories=()), max_size=40) | st.sampled_from([BOTH, '{"entities": {}}', "1"])


@given(_texts, st.booleans(), st.sampled_from(["gated", "weighted", "paper"]))
def test_every_total_is_in_its_range(text: str, finished: bool, preset: str) -> None:
    answer, reward = score(OBAMA, text, finished, preset=preset)
    assert reward.total is not None
    assert reward.invalid is None
    assert 0 <= reward.total <= (11 if preset == "paper" else 1)
    assert {"finished", "parsed"} <= set(reward.parts)
    assert all(0 <= REWARDS[name](OBAMA, answer) <= 1 for name in REWARDS)


def test_the_overlong_loss_falls_in_a_straight_line_before_the_limit() -> None:
    assert [overlong(tokens, 100, 20) for tokens in (1, 80, 85, 90, 100)] == [0.0, 0.0, -0.25, -0.5, -1.0]
    assert overlong(100, 100, 0) == 0.0


def test_a_reward_worker_takes_the_overlong_loss_off_the_total_and_off_nothing_that_is_invalid() -> None:
    example = Example(uid="1", sentence="Ada", schema=("person",), mentions=())
    text = '{"entities":{}}'
    rollouts = tuple(
        Rollout(token_ids=(1,) * tokens, logprobs=(0.0,) * tokens, text=text, finished=True, policy_version=0)
        for tokens in (4, 9)
    )
    group = Group(prompt=Prompt(example=example, token_ids=(1,)), rollouts=rollouts)
    scored = RewardWorker(preset="gated", weights={"entity_f1": 1.0}, max_new_tokens=10, overlong_tokens=4).score(group)
    assert [reward.total for reward in scored.rewards] == [1.0, 0.25]
    assert scored.rewards[1].parts["overlong"] == -0.75

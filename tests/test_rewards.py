"""Each reward against values worked out by hand, the ways of joining them, and a user's own."""

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.reward import RewardWorker, invalid_group
from rewards import custom
from rewards.brevity import brevity
from rewards.composite import REWARDS, check, score, score_group
from rewards.overlap import overlap
from rewards.overlong import overlong
from rnr.task.parsing import ground, write
from rnr.types import Credit, Example, Group, Mention, Prompt, Rollout
from tests.carriers import rollout as make_rollout

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


def _rollout(text: str, tokens: int, *, finished: bool = True) -> Rollout:
    return make_rollout(
        token_ids=(1,) * tokens, logprobs=(0.0,) * tokens, text=text, finished=finished, policy_version=0
    )


ONE = '{"entities": {"person": ["Barack Obama"]}}'
ROLLOUTS = (
    _rollout(BOTH, 10),
    _rollout(BOTH, 30),
    _rollout(ONE, 5),  # 1 of 1 is right and 1 of 2 found: F1 2 / 3
    _rollout(BOTH, 4, finished=False),
    _rollout(BOTH.replace("}}", ', "city": []}}'), 4),  # the listed label closes the gate
)


@pytest.mark.parametrize(
    ("preset", "weights", "totals"),
    [
        # Right are the first two, and under no gate the last, which is the shortest: then 10 tokens have 20 / 26.
        ("gated", {"brevity": 1.0}, [1, 0, 0, 0, 0]),
        ("gated", {"entity_f1": 3.0, "brevity": 1.0}, [1, 3 / 4, 3 / 4 * 2 / 3, 0, 0]),
        ("weighted", {"entity_f1": 1.0, "brevity": 0.5}, [1 + 0.5 * 20 / 26, 1, 2 / 3, 1, 1.5]),
    ],
)
def test_brevity_can_be_weighted_and_pays_only_the_right_rollouts_of_a_group(preset, weights, totals) -> None:
    check(preset, weights)
    rewards = [reward for _, reward in score_group(OBAMA, ROLLOUTS, preset=preset, weights=weights)]
    assert [reward.total for reward in rewards] == pytest.approx(totals)
    assert all(0 <= reward.parts["brevity"] <= 1 for reward in rewards)
    group = Group(prompt=Prompt(example=OBAMA, token_ids=(1,)), rollouts=ROLLOUTS)
    assert RewardWorker(preset=preset, weights=weights).score(group).rewards == tuple(rewards)


def test_a_group_without_weight_on_brevity_is_scored_rollout_by_rollout() -> None:
    alone = [score(OBAMA, rollout.text, rollout.finished) for rollout in ROLLOUTS]
    assert score_group(OBAMA, ROLLOUTS) == alone
    paper = score_group(OBAMA, ROLLOUTS, preset="paper", weights={"brevity": 1.0})
    assert [reward.total for _, reward in paper][:2] == [11.0, 11.0]


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
def leaves(example, answer):
    raise SystemExit(3)
def typed(prompt: str, completion: str) -> str: return completion
"""


@pytest.fixture
def own_rewards(tmp_path, monkeypatch):
    """The file of a module with the functions above, which can be imported."""
    file = tmp_path / "own_rewards.py"
    file.write_text(OWN_REWARDS, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_rewards", raising=False)
    custom.load.cache_clear()
    return file


@pytest.mark.parametrize(
    ("name", "total", "invalid"),
    [
        ("right", 1.0, None),
        ("flag", 1.0, None),
        ("nan", None, "ValueError: own_rewards:nan returned nan, not a finite number"),
        ("text", None, "ValueError: own_rewards:text returned '1', not a finite number"),
        ("nothing", None, "ValueError: own_rewards:nothing returned None, not a finite number"),
        ("broken", None, "KeyError: 'city' (FILE, line 7)"),
        ("leaves", None, "SystemExit: 3 (FILE, line 9)"),
    ],
)
def test_a_reward_of_ones_own_counts_or_is_invalid_with_its_cause(own_rewards, name, total, invalid) -> None:
    answer, reward = score(OBAMA, BOTH, True, preset=f"own_rewards:{name}")
    assert (len(answer.mentions), reward.total) == (2, total)
    assert reward.invalid == (None if invalid is None else invalid.replace("FILE", str(own_rewards)))
    assert reward.parts == {"finished": 1.0, "parsed": 1.0} | ({name: total} if total is not None else {})


@pytest.mark.parametrize("name", ["right", "flag"])
def test_a_reward_that_gives_a_number_for_a_right_answer_passes_its_trial(own_rewards, name) -> None:
    check(f"own_rewards:{name}", {})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "typed",
            r"typed\(prompt: str, completion: str\) -> str was tried with \(example: rnr.types.Example, "
            r"answer: rnr.types.Answer\), .* a finite number: ValueError: own_rewards:typed returned Answer\(",
        ),
        ("nan", "returned nan, not a finite number"),
        ("broken", r"KeyError: 'city' \(.*own_rewards.py, line 7\)"),
        ("leaves", "SystemExit: 3"),
    ],
)
def test_a_reward_that_gives_no_number_for_a_right_answer_is_refused_at_start(own_rewards, name, message) -> None:
    with pytest.raises(ValueError, match=f"reward 'own_rewards:{name}': .*{message}"):
        check(f"own_rewards:{name}", {})


def test_a_reward_that_hangs_in_its_trial_is_refused_after_a_while(tmp_path, monkeypatch) -> None:
    (tmp_path / "slow_reward.py").write_text("import time\ndef sleep(example, answer): time.sleep(600)\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(custom, "TRIAL_SECONDS", 0.1)
    with pytest.raises(ValueError, match=r"no answer within 0\.1 s"):
        check("slow_reward:sleep", {})


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (
            "x = 1\nimport nosuchthing\n",
            r"ModuleNotFoundError: No module named 'nosuchthing' \(.*badimport.py, line 2\)",
        ),
        ("def f(:\n", r"SyntaxError: .*badimport.py, line 1\)"),
        ("raise SystemExit('no key')\n", r"SystemExit: no key \(.*badimport.py, line 1\)"),
    ],
)
def test_a_module_that_fails_while_it_is_imported_is_named_with_the_cause(tmp_path, monkeypatch, code, message) -> None:
    (tmp_path / "badimport.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=f"module 'badimport' was found, but importing it failed: {message}") as error:
        check("badimport:f", {})
    assert "did you mean" not in str(error.value)


def test_a_missing_module_is_named_with_where_it_was_looked_for(tmp_path, monkeypatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ValueError, match=f"No module named 'own_reward'; looked for in {tmp_path}, "):
        check("own_reward:f", {})
    (tmp_path / "own_package").mkdir()
    (tmp_path / "own_package" / "ones.py").touch()
    place = tmp_path / "own_package"
    message = f"No module named 'own_package.one'; looked for in {place}; did you mean 'own_package.ones'"
    with pytest.raises(ValueError, match=message):
        check("own_package.one:f", {})


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
    rollouts = tuple(_rollout(text, tokens) for tokens in (4, 9))
    group = Group(prompt=Prompt(example=example, token_ids=(1,)), rollouts=rollouts)
    scored = RewardWorker(preset="gated", weights={"entity_f1": 1.0}, max_new_tokens=10, overlong_tokens=4).score(group)
    assert [reward.total for reward in scored.rewards] == [1.0, 0.25]
    assert scored.rewards[1].parts["overlong"] == -0.75


def test_a_group_that_no_worker_could_score_keeps_its_answers_and_has_invalid_rewards() -> None:
    group = Group(prompt=Prompt(example=OBAMA, token_ids=(1,)), rollouts=(_rollout(ONE, 3), _rollout("prose", 3)))
    scored = invalid_group(group, "LeaseFailed: it hung")
    assert [(r.total, r.parts, r.invalid) for r in scored.rewards] == [(None, {}, "LeaseFailed: it hung")] * 2
    assert [(a.mentions, a.error) for a in scored.answers] == [((OBAMA.mentions[0],), None), ((), "no_json")]
    assert scored.credits == (Credit(), Credit())

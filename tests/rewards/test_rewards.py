"""Each reward against values worked out by hand, the ways of joining them, and a user's own."""

import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.reward import RewardWorker
from rewards.brevity import brevity
from rewards.checking import check as check_options
from rewards.composite import REWARDS, invalid_group
from rewards.composite import score as score_answer
from rewards.overlap import overlap
from rewards.overlong import overlong
from rewards.user import custom, trial
from rnr.config import RewardConfig
from rnr.task.parsing import ground, write
from rnr.types import Answer, Example, Group, Mention, Prompt, Reward, Rollout
from tests.carriers import rollout as make_rollout

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ("person", "location", "organization")


def score(example: Example, text: str, finished: bool, **options) -> tuple[Answer, Reward]:
    return score_answer(example, text, finished, RewardConfig(**options))


def check(preset: str, weights: dict[str, float], **options) -> None:
    check_options(RewardConfig(preset=preset, weights=weights, **options))


def score_group(example: Example, rollouts, *, max_new_tokens: int = 1000, **options) -> list[tuple[Answer, Reward]]:
    """Answers and rewards by the worker."""
    group = Group(prompt=Prompt(example=example, token_ids=(1,)), rollouts=tuple(rollouts))
    scored = RewardWorker(RewardConfig(**options), max_new_tokens=max_new_tokens).score(group)
    return list(zip(scored.answers, scored.rewards, strict=True))


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


def test_soft_overlap_credits_no_right_span_with_a_wrong_label() -> None:
    answer = _answer(OBAMA, '{"entities": {"person": ["Paris"]}}')
    assert overlap(OBAMA, answer) == 0.0


def test_soft_overlap_pairs_each_gold_mention_once_and_the_best_first() -> None:
    answer = _answer(OBAMA, '{"entities": {"person": ["Barack", "Obama is", "Barack Obama"]}}')
    assert overlap(OBAMA, answer) == pytest.approx(2 * 1 / 5)


@pytest.mark.parametrize("order", [1, -1])
def test_soft_overlap_does_not_depend_on_the_order_of_an_answer(order: int) -> None:
    def at(*places: tuple[str, int]) -> tuple[Mention, ...]:
        return tuple(Mention(text=text, label="x", start=start, end=start + len(text)) for text, start in places)

    # The "a" at its own place is right there, and the other overlaps "a b".
    example = Example(uid="1", sentence="a b a", schema=("x",), mentions=at(("a", 4), ("a b", 0)))
    said = at(("a", 0), ("a", 4))[::order]
    assert overlap(example, Answer(reasoning=None, mentions=said)) == pytest.approx(2 * (1 + 1 / 3) / 4)


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
        ("weighted", {"entity_f1": math.nan}, "finite number"),
        ("no_such_module:f", {}, "no_such_module"),
        ("jsn:loads", {}, "did you mean 'json'"),
        ("rewards.overlapp:overlap", {}, "did you mean 'rewards.overlap'"),
        ("rewards.overlap:overlab", {}, "did you mean 'overlap'"),
        ("math:pi", {}, "'pi' of module 'math' is not a function or class"),
        (":f", {}, "module:function"),
        ("json.py:loads", {}, "a path for its module; did you mean 'json:loads'"),
        ("./rewards/overlap.py:overlap", {}, "a path for its module; did you mean 'rewards.overlap:overlap'"),
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
        ("nan", None, "ValueError: own_rewards:nan returned nan, not a number in reward.range [-100, 100]"),
        ("text", None, "ValueError: own_rewards:text returned '1', not a number in reward.range [-100, 100]"),
        ("nothing", None, "ValueError: own_rewards:nothing returned None, not a number in reward.range [-100, 100]"),
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
            r"typed\(prompt: str, completion: str\) -> str was called with \(example: rnr.types.Example, "
            r"answer: rnr.types.Answer\), .* a number: ValueError: own_rewards:typed returned Answer\(",
        ),
        ("nan", r"returned nan, not a number in reward.range \[-100, 100\]"),
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
    with pytest.raises(ValueError, match=r"no answer within 0\.1 s"):
        check("slow_reward:sleep", {}, trial_seconds=0.1)


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
    assert custom.load("rewards.overlap:overlap").function is overlap


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
    rewards = [reward for _, reward in score_group(example, rollouts, max_new_tokens=10, overlong_tokens=4)]
    assert [reward.total for reward in rewards] == [1.0, 0.25]
    assert rewards[1].parts["overlong"] == -0.75


def test_a_group_that_no_worker_could_score_keeps_its_answers_and_has_invalid_rewards() -> None:
    group = Group(prompt=Prompt(example=OBAMA, token_ids=(1,)), rollouts=(_rollout(ONE, 3), _rollout("prose", 3)))
    scored = invalid_group(group, "LeaseFailed: it hung")
    assert [(r.total, r.parts, r.invalid) for r in scored.rewards] == [(None, {}, "LeaseFailed: it hung")] * 2
    assert [(a.mentions, a.error) for a in scored.answers] == [((OBAMA.mentions[0],), None), ((), "no_json")]


@pytest.mark.parametrize(
    ("value", "total"),
    [("1e308", None), ("-1e308", None), ("float('inf')", None), ("100.5", None), ("100", 100.0), ("-100", -100.0)],
)
def test_a_reward_of_ones_own_outside_the_range_is_invalid_and_says_which(tmp_path, monkeypatch, value, total) -> None:
    (tmp_path / "large.py").write_text(f"def reward(example, answer): return {value}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "large", raising=False)
    custom.load.cache_clear()
    ((_, reward),) = score_group(OBAMA, [_rollout(BOTH, 3)], preset="large:reward")
    assert reward.total == total
    if total is None:
        shown = repr(eval(value))
        assert reward.invalid == f"ValueError: large:reward returned {shown}, not a number in reward.range [-100, 100]"
        assert "reward" not in reward.parts
        with pytest.raises(ValueError, match=r"not a number in reward.range \[-100, 100\]"):
            check("large:reward", {})
    ((_, wide),) = score_group(OBAMA, [_rollout(BOTH, 3)], preset="large:reward", range=(-200.0, 200.0))
    assert wide.total == (100.5 if value == "100.5" else total)


@pytest.mark.parametrize("preset", ["weighted", "gated", "paper", "paper_f1"])
def test_a_sum_of_parts_outside_the_range_is_invalid(preset) -> None:
    rollouts = [_rollout(BOTH, 3), _rollout(BOTH, 1000)]
    options = {"preset": preset, "overlong_tokens": 10, "range": (0.5, 20.0)}
    if preset == "weighted":
        options["weights"] = {"entity_f1": 1e3, "format": 1e3, "schema": 1e3}  # the form is wrong
    totals = [reward.total for _, reward in score_group(OBAMA, rollouts, max_new_tokens=1000, **options)]
    invalid = [reward.invalid for _, reward in score_group(OBAMA, rollouts, max_new_tokens=1000, **options)]
    cause = "OutOfRange: the parts add up to {}, outside reward.range [0.5, 20]"
    match preset:
        case "weighted":
            assert invalid == [cause.format(2000), cause.format(1999)]
        case "paper":
            assert (totals, invalid) == ([11.0, 10.0], [None, None])
        case _:
            assert (totals, invalid) == ([1.0, None], [None, cause.format(0)])


@pytest.mark.parametrize(
    ("options", "attainable"),
    [
        ({"preset": "weighted", "weights": {"entity_f1": 60.0, "format": 60.0}}, r"\[0, 120\]"),
        ({"preset": "weighted", "weights": {"entity_f1": 1.0, "brevity": -101.0}}, r"\[-101, 1\]"),
        ({"preset": "gated", "range": (0.5, 1.0)}, r"\[0, 1\]"),
        ({"preset": "gated", "range": (0.0, 1.0), "overlong_tokens": 5}, r"\[-1, 1\]"),
        ({"preset": "paper", "range": (0.0, 10.0)}, r"\[0, 11\]"),
    ],
)
def test_a_preset_that_can_leave_the_range_is_refused_at_start(options, attainable) -> None:
    with pytest.raises(ValueError, match=rf"can give {attainable}, but rewards outside reward.range .* are invalid"):
        check_options(RewardConfig(**options))


@pytest.mark.parametrize("preset", ["gated", "weighted", "paper", "paper_f1"])
def test_the_range_holds_every_preset_as_it_comes(preset) -> None:
    check_options(RewardConfig(preset=preset, overlong_tokens=10))


@pytest.mark.parametrize("bounds", [(1, 1), (2, 1), (0, math.inf), (math.nan, 1)])
def test_a_range_that_holds_nothing_or_anything_is_refused(bounds) -> None:
    with pytest.raises(ValueError, match="range"):
        RewardConfig(range=bounds)


def test_weights_whose_sum_is_no_number_are_refused() -> None:
    with pytest.raises(ValueError, match="add up to inf"):
        check("gated", {"entity_f1": 1e308, "format": 1e308})


def test_a_reward_can_be_tried_in_another_process_which_may_not_find_its_module(own_rewards) -> None:
    def trial(name: str, folder: str) -> str:
        code = f"from rewards.user.trial import trial; print(trial('own_rewards:{name}', (-100.0, 100.0)), end='')"
        path = os.pathsep.join(filter(None, (str(ROOT), folder)))
        command = [sys.executable, "-c", code]
        done = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=True
        )
        return done.stdout

    folder = str(own_rewards.parent)
    assert trial("right", folder) == ""
    assert f"KeyError: 'city' ({own_rewards}, line 7)" in trial("broken", folder)
    missing = "reward 'own_rewards:right': No module named 'own_rewards'; looked for in"
    assert trial("right", "").startswith(missing)


def test_the_error_of_a_trial_can_be_sent_from_one_process_to_another(own_rewards) -> None:
    with pytest.raises(ValueError) as error:
        trial.check("own_rewards:broken", (-100.0, 100.0), seconds=60)
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)
    assert error.value.__cause__ is None  # nothing of the user's, which another process may not be able to read

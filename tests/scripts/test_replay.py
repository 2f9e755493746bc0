"""A saved group again, with its own schema; and all of a run's rollouts under another reward."""

import json
import os
import sys

import pytest

from rewards.rescoring import Change
from rewards.user.lookup import find
from rnr.runs.saved_rollouts import find_group, saved_groups
from rnr.types import Reward
from scripts.plan import main as plan
from scripts.replay import main as replay
from scripts.rescore import main as rescore
from scripts.train import main as train
from tests.jsonl import read_jsonl
from tests.made_up_run import HOSTILE, made_up_run
from tests.project.test_imports import ROOT


@pytest.fixture
def folder(tmp_path):
    return made_up_run(tmp_path / "run")


def _edit(folder, **more) -> None:
    file = folder / "rollouts.jsonl"
    rows = [json.loads(line) | more for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_saved_groups_are_what_they_were(folder) -> None:
    groups = list(saved_groups(folder))
    assert [(saved.step, saved.group.prompt.uid) for saved in groups[:5]] == [
        (0, "u0-0"),
        (0, "u1-0"),
        (0, "u2-0"),
        (0, "u3-0"),
        (1, "u0-1"),
    ]
    first = groups[0]
    assert first.group.prompt.example.sentence == HOSTILE
    assert first.rewards == [1.0, 0.5, 0.0, None]
    assert [len(rollout.token_ids) for rollout in first.group.rollouts] == [6] * 4
    assert [rollout.finished for rollout in first.group.rollouts] == [True, True, True, False]


def test_a_group_is_found_or_what_there_is_is_named(folder) -> None:
    assert find_group(folder, 2, "u1-2").step == 2
    with pytest.raises(ValueError, match=r"step 2 has no group 'x'; it has 'u0-2', 'u1-2'"):
        find_group(folder, 2, "x")
    with pytest.raises(ValueError, match="no saved group of step 9; saved are steps 0 to 2"):
        find_group(folder, 9, "x")


def test_a_replay_shows_the_schema_the_entities_and_what_the_reward_gives_now(folder, capsys) -> None:
    # The saved rewards were made up: the gated preset gives the second answer 0.4 for one of three entities in two.
    assert replay([str(folder), "--step", "0", "--uid", "u1-0", "--no-prompt"]) == 1
    said = capsys.readouterr().out
    assert "schema: person, city" in said
    assert "gold: Ada [person]; Rome [city]; Bob [person]" in said
    assert "rollout 0: reward 1 as saved" in said
    assert "rollout 1: reward saved 0.5, now 0.4" in said
    assert "type       Rome [person] 15-19" in said
    assert "missed     Bob [person] 8-11" in said
    assert "unreadable:" in said


def test_a_replay_of_one_rollout_that_came_out_the_same_succeeds(folder, capsys) -> None:
    assert replay([str(folder), "--step", "0", "--uid", "u1-0", "--no-prompt", "--rollout", "0"]) == 0
    assert "rollout 1" not in capsys.readouterr().out
    assert replay([str(folder), "--step", "0", "--uid", "u1-0", "--no-prompt", "--rollout", "7"]) == 2
    assert "the group has 4" in capsys.readouterr().err


def test_a_replay_has_the_schema_of_its_row_and_not_that_of_the_data(folder, capsys) -> None:
    _edit(folder, labels=["human", "person", "city"])
    replay([str(folder), "--step", "0", "--uid", "u1-0", "--no-prompt"])
    assert "schema: human, person, city" in capsys.readouterr().out


def test_a_breakpoint_stops_before_the_reward(folder, monkeypatch, capsys) -> None:
    stopped = []
    monkeypatch.setattr("sys.breakpointhook", lambda: stopped.append(True))
    replay([str(folder), "--step", "0", "--uid", "u1-0", "--no-prompt", "--breakpoint"])
    assert stopped == [True]
    assert "`group` is being scored" in capsys.readouterr().out


def test_rescoring_tells_what_another_reward_would_change(folder, tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "shorter.py").write_text(
        "def shorter(example, answer, rollout):\n"
        "    if not rollout.finished:\n        raise LookupError('no end')\n"
        "    return -len(rollout.text) / 10\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    out = tmp_path / "new.jsonl"
    assert rescore([str(folder), "--reward", "shorter:shorter", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "48 rollouts of 12 groups" in said
    assert "invalid now: 12 x LookupError" in said
    rows = read_jsonl(out)
    assert len(rows) == 48
    assert rows[0]["before"] == 1.0
    assert rows[0]["after"] < 0
    assert rows[3] == {"step": 0, "uid": "u0-0", "rollout": 3, "before": None, "after": None}


def test_a_run_rescored_with_its_own_reward_keeps_its_further_parts_and_no_file_is_overwritten(
    folder, tmp_path, monkeypatch, capsys
) -> None:
    (tmp_path / "judge.py").write_text("def half(example, answer):\n    return 0.5\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    alone = tmp_path / "alone.jsonl"
    assert rescore([str(folder), "--reward", "gated", "--out", str(alone)]) == 0
    config = json.loads((folder / "config.json").read_text())
    config["reward"]["scorers"] = [
        {"use": "judge:half", "weight": 2.0},
        {"use": "judge:half", "name": "big", "gpus": 1},
    ]
    (folder / "config.json").write_text(json.dumps(config))
    out = tmp_path / "new.jsonl"
    assert rescore([str(folder), "--reward", "gated", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "scorer half: called again" in said
    assert "scorer big: skipped, as it needs a GPU" in said
    assert read_jsonl(out)[0]["after"] == read_jsonl(alone)[0]["after"] + 2.0 * 0.5
    assert rescore([str(folder), "--reward", "gated", "--out", str(out)]) == 2
    assert f"{out} exists" in capsys.readouterr().err


def test_an_unknown_reward_is_refused_before_anything_is_scored(folder, capsys) -> None:
    assert rescore([str(folder), "--reward", "gatd"]) == 2
    assert "unknown reward preset 'gatd'" in capsys.readouterr().err


def test_weights_that_are_no_numbers_are_told_in_words(folder, capsys) -> None:
    assert rescore([str(folder), "--reward", "gated", "--weights", "{entity_f1 = 'x'}"]) == 2
    assert capsys.readouterr().err == "error: reward.weights.entity_f1: must be a number (got 'x')\n"


def test_a_run_without_rollouts_says_so(tmp_path, capsys) -> None:
    run = made_up_run(tmp_path / "run")
    (run / "rollouts.jsonl").unlink()
    assert rescore([str(run), "--reward", "gated"]) == 2
    assert "GRPO has not started" in capsys.readouterr().err


def test_pairs_whose_order_changes_are_counted() -> None:
    change = Change()
    # Before: a > b = c. Now: a = b > c. Both pairs of b change, a > c does not; d has no new reward.
    share = change.add([1.0, 0.0, 0.0, 0.5], [Reward(total=value) for value in (0.7, 0.7, 0.1)] + [_invalid()])
    assert (change.pairs, change.turned, share) == (3, 2, pytest.approx(2 / 3))
    assert (change.taught_before, change.taught_after, change.invalid_after) == (1, 1, 1)
    assert change.causes == {"TimeoutError": 1}
    change.add([1.0, 1.0], [Reward(total=0.0), Reward(total=1.0)])
    assert (change.taught_before, change.taught_after, change.groups, change.rollouts) == (1, 2, 2, 6)


def _invalid() -> Reward:
    return Reward(total=None, invalid="TimeoutError: too long")


def test_what_looks_like_markup_or_an_emoji_is_shown_as_it_is(folder, monkeypatch, capsys) -> None:
    _edit(folder, labels=["[/person]", ":bank:", "person", "city"])
    replay([str(folder), "--step", "0", "--uid", "u1-0", "--no-prompt"])
    assert "schema: [/person], :bank:, person, city" in capsys.readouterr().out
    config = json.loads((folder / "config.json").read_text())
    config["reward"]["preset"] = "[/b]:f"
    (folder / "config.json").write_text(json.dumps(config))
    assert rescore([str(folder), "--reward", "gated"]) == 0
    assert "saved ([/b]:f)" in capsys.readouterr().out


def test_a_reward_of_the_working_folder_is_found_however_a_command_is_called(folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path not in ("", os.getcwd())] + [str(ROOT)])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "judged_here.py").write_text("def half(example, answer):\n    return 0.5\n")
    shown = []
    monkeypatch.setattr(
        "scripts.plan_output.show_plan", lambda settings, **_: shown.append(find(settings.reward.preset))
    )
    for command in (train, plan):
        sys.modules.pop("judged_here", None)
        path = list(sys.path)
        more = ["--dry-run"] if command is train else []
        assert command(["--reward.preset=judged_here:half", "--grpo.credit=answer", *more]) == 0
        sys.path[:] = path
    assert [reward(None, None) for reward in shown] == [0.5, 0.5]
    assert rescore([str(folder), "--reward", "judged_here:half"]) == 0

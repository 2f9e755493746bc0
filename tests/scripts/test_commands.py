"""The commands that people are told: as they called the one that runs, with labels and data of their own."""

import json
import shlex
import sys

import pytest

from rnr.config import Config
from rnr.runs.commands import after_a_run, as_called
from rnr.runs.run_folder import saved_config
from rnr.types import Example, Mention
from scripts import replay, report, rescore, scale

EXAMPLE = Example(
    uid="t:1",
    sentence="Lena's hive, the best",
    schema=("apiary", "keeper", "wax, raw"),
    mentions=(Mention(text="Lena", label="keeper", start=0, end=4),),
)


def _run(folder, *evaluation: str):
    folder.mkdir(parents=True)
    config = Config().model_dump(mode="json")
    config["data"]["evaluation"] = evaluation
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(("argv", "begin"), [("rnr train", "rnr "), ("/x/scripts/train.py", "python -m scripts.")])
def test_after_a_run_come_commands_with_its_own_labels_sentence_and_data(tmp_path, monkeypatch, argv, begin) -> None:
    monkeypatch.setattr(sys, "argv", [argv])
    folder = _run(tmp_path / "my run", "data/te st.jsonl", "demo/known")
    commands = [command for _, command in after_a_run(folder, EXAMPLE)]
    assert all(command.startswith(begin) for command in commands)
    look, ask, score = (shlex.split(command.removeprefix(begin)) for command in commands)
    assert look == ["report", str(folder)]
    assert ask[1:] == ["--model", str(folder / "export"), "--schema", "keeper,apiary", EXAMPLE.sentence]
    assert score[3:] == ["--data", "data/te st.jsonl", "demo/known"]


def test_a_run_is_scored_under_its_own_limits_and_its_files_are_read_as_it_read_them(tmp_path) -> None:
    folder = _run(tmp_path / "long", "test.jsonl")
    config = json.loads((folder / "config.json").read_text())
    config["evaluation"]["max_new_tokens"] = 4096
    config["model"]["context_tokens"] = 8192
    config["data"]["reading"] |= {"offsets": "utf16", "labels": ["2=per son"]}
    (folder / "config.json").write_text(json.dumps(config))
    score = shlex.split([command for _, command in after_a_run(folder, EXAMPLE)][-1])
    at = score.index("--max-new-tokens")
    assert score[at : at + 4] == ["--max-new-tokens", "4096", "--context-tokens", "8192"]
    assert score[at + 4 :] == ["--offsets", "utf16", "--labels", "2=per son"]


def test_help_and_advice_are_written_as_the_command_was_called(monkeypatch) -> None:
    text = "python -m scripts.replay runs/demo"
    monkeypatch.setattr(sys, "argv", ["rnr replay"])
    assert as_called(text) == "rnr replay runs/demo"
    monkeypatch.setattr(sys, "argv", ["scripts/replay.py"])
    assert as_called(text) == text


@pytest.mark.parametrize(
    ("command", "argv"),
    [
        (report, []),
        (replay, ["--step", "0", "--uid", "x"]),
        (rescore, ["--reward", "gated"]),
        (scale, ["2"]),
    ],
)
def test_a_folder_that_is_no_run_is_named_by_every_command(tmp_path, capsys, command, argv) -> None:
    assert command.main([str(tmp_path / "nothing"), *argv]) == 2
    assert "nothing is not a run folder: it has no config.json" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"not a run folder: it has no config\.json$"):
        saved_config(tmp_path)
    folder = _run(tmp_path / "mine")
    with pytest.raises(ValueError, match=r"not a run folder: it has no config\.json; runs in it: mine$"):
        saved_config(tmp_path)
    _run(folder / "export")
    with pytest.raises(ValueError, match=r"export is the export of a run, not its folder, which is .*mine$"):
        saved_config(folder / "export")

"""The one way in which every script ends: exit codes, messages, options in their range."""

from pathlib import Path
from typing import Annotated

import pytest
import typer

from rnr.cli import load_config
from scripts import bench, cot, data, evaluate, plan, predict, replay, report, rescore, scale, serve, train
from scripts.benchmarks import reading
from scripts.command_line import among, new_app, repeated, run, threshold_option, within


def _fail(error: BaseException) -> typer.Typer:
    app = new_app()

    @app.command()
    def command(count: Annotated[int, typer.Option(callback=within(1, 3))] = 1) -> None:
        raise error

    return app


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ValueError("no such label"), 2, "error: no such label\n"),
        (
            FileNotFoundError(2, "No such file", "a.jsonl"),
            2,
            f"error: no file or folder at 'a.jsonl' (working folder: {Path.cwd()})\n",
        ),
        (IsADirectoryError(21, "Is a directory", Path("a")), 2, "error: 'a': Is a directory\n"),
        (OSError("the pipe broke"), 2, "error: the pipe broke\n"),
        (RuntimeError("the engine died"), 1, "error: RuntimeError: the engine died\n"),
        (KeyboardInterrupt(), 130, "resume me\n"),
    ],
)
def test_each_kind_of_end_has_its_exit_code_and_one_line(error, code, said, capsys) -> None:
    assert run(_fail(error), [], interrupted="resume me") == code
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--count=4"], "must be from 1 to 3; found 4"),
        (["--count=x"], "'--count'"),
        (["--cuont=1"], "--cuont"),
        (["more"], "more"),
    ],
)
def test_a_wrong_option_is_refused_by_name(argv, said, capsys) -> None:
    assert run(_fail(AssertionError("the command ran")), argv) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(("argv", "said"), [([], "Missing option '--name'"), (["--nmae=x"], "No such option: --nmae")])
def test_what_is_missing_or_unknown_is_said_with_where_it_is_listed(argv, said, capsys) -> None:
    app = new_app()

    @app.command()
    def command(name: Annotated[str, typer.Option()]) -> None: ...

    assert run(app, argv) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {said}")
    assert err.endswith(" --help lists them\n")


@pytest.mark.parametrize("command", [train, evaluate, predict, serve, data, cot, report, replay, rescore, scale, plan])
def test_help_keeps_the_lines_of_commands_and_wraps_the_rest(command, capsys, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert command.main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    commands = (" python -m ", " cat ", " curl ", "     ")
    assert [line for line in lines if len(line) > 80 and not line.startswith(commands, 1)] == []
    assert not any(line.endswith("...") for line in lines[lines.index("Options:") :])


def test_the_form_of_the_plan_is_no_option_of_a_training(capsys) -> None:
    assert train.main(["--json"]) == 2
    assert capsys.readouterr().err == "error: --json needs --dry-run\n"


def test_one_file_where_a_list_belongs_is_told_how_a_list_is_written() -> None:
    with pytest.raises(ValueError, match=r"config data\.train: expected a list") as caught:
        load_config(None, ["--data.train=mine.jsonl"])
    written = "--data.train=\"['mine.jsonl']\""
    assert str(caught.value) == f"config data.train: expected a list, such as {written} (got 'mine.jsonl')"
    assert load_config(None, ["--data.train=['mine.jsonl']"]).data.train == ("mine.jsonl",)


def test_an_error_that_is_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(KeyError):
        run(_fail(KeyError("x")), [])


def test_an_error_names_commands_as_they_are_called(monkeypatch, capsys) -> None:
    for name, said in (("predict.py", "python -m scripts.data"), ("rnr predict", "rnr data")):
        monkeypatch.setattr("sys.argv", [name])
        assert run(_fail(ValueError("`python -m scripts.data check a` lists all")), []) == 2
        assert capsys.readouterr().err == f"error: `{said} check a` lists all\n"


def test_what_a_command_returns_is_its_exit_code() -> None:
    app = new_app()
    app.command()(lambda: 1)
    assert run(app, []) == 1


def test_train_takes_any_key_of_the_config_between_its_own_options(monkeypatch) -> None:
    seen = []

    def load(path, overrides):
        seen.append((path, overrides))
        raise ValueError("enough")

    monkeypatch.setattr("scripts.command_line.load_config", load)
    weights = "--reward.weights={entity_f1 = 0.5}"
    assert train.main(["--run.name=mine", "--config", "a.toml", "--grpo.steps=4", "--resume", weights, "stray"]) == 2
    assert seen == [("a.toml", ["--run.name=mine", "--grpo.steps=4", weights, "stray"])]
    with pytest.raises(ValueError, match="unknown option 'stray'"):
        load_config(None, ["stray"])


@pytest.mark.parametrize(
    ("command", "line", "said"),
    [
        (train, "--config a.toml --grpo.steps=2 --config=b.toml", "--config was given 2 times; give it once"),
        (plan, "--gpus h100:2 --gpus h100:4 --gpus h100:8", "--gpus was given 3 times; give it once"),
        (predict, "--model a --schema x --model b Ada", "--model was given 2 times; give it once"),
        (cot, "generate a --out b --out c", "--out was given 2 times; give it once"),
    ],
)
def test_an_option_of_one_value_stands_once(command, line, said, capsys) -> None:
    assert command.main(line.split()) == 2
    assert capsys.readouterr().err == f"error: {said}\n"


def test_a_flag_a_list_and_a_value_that_looks_like_an_option_may_be_repeated() -> None:
    seen: list[tuple[bool, list[str], str]] = []
    app = new_app()

    @app.command()
    def command(
        flag: Annotated[bool, typer.Option("--flag")] = False,
        many: Annotated[list[str] | None, typer.Option()] = None,
        text: Annotated[str, typer.Option()] = "",
    ) -> None:
        seen.append((flag, many or [], text))

    assert run(app, ["--flag", "--flag", "--many", "a", "--many", "b", "--text=--text"]) == 0
    assert seen == [(True, ["a", "b"], "--text")]


SCORED = "--predictions p.jsonl --data demo/known"


@pytest.mark.parametrize(
    ("command", "line", "said"),
    [
        (plan, "--bench a.json --answer-tokens 9", "--bench, --answer-tokens: no effect without --gpus"),
        (
            evaluate,
            f"{SCORED} --engine vllm --max-new-tokens 9 --context-tokens 99",
            "--max-new-tokens, --context-tokens, --engine: no effect with --predictions, which are scored as",
        ),
        (
            evaluate,
            f"{SCORED} --decoding free --select vote --threshold 0.5",
            "--decoding, --select, --threshold: no effect",
        ),
        (evaluate, f"{SCORED} --examples 0 --samples 1 --label-calibration 0", "--examples, --samples, --label-cal"),
        (evaluate, "--model m --data demo/known --rename A=b", "--rename: no effect without --predictions or"),
        (data, "stats demo/known --words --model m", "--model: no effect with --words"),
        (predict, "--model m --schema a --input lines Text", "--input: no effect without --file or -"),
        (rescore, "run --reward paper --weights {}", "--weights: no effect with a reward other than gated and"),
        (bench, "learner --peer-batch 4 --deadline 9", "--deadline, --peer-batch: no effect without --peer"),
        (bench, "learner --lengths real --prompt-tokens 9", "--prompt-tokens: no effect with --lengths"),
        (bench, "step --peer-weights float32", "--peer-weights: no effect without --peer"),
        (bench, "step --sentences demo/known --prompt-tokens 9", "--prompt-tokens: no effect with --sentences"),
        (bench, "sync --samples 4", "No such option: --samples"),
        (cot, "generate a --out b --retries 1", "--retries: no effect with the template alone"),
        (cot, "generate a --out b --base-url http://h", "--base-url: no effect without openai:MODEL"),
        (
            cot,
            "generate a --out b --teacher openai:m --context-tokens 9",
            "--context-tokens: no effect without l",
        ),
        (cot, "generate a --out b --judge openai:m --attempts 1", "--attempts: no effect with the template, wh"),
        (cot, "generate a --out b --teacher openai:m --judge none --threshold 5", "--threshold: no effect witho"),
        (
            cot,
            "score a --out b --judge local:m --base-url http://h",
            "--base-url: no effect without openai:MODEL",
        ),
    ],
)
def test_an_option_that_would_do_nothing_is_refused_by_its_name(command, line, said, capsys) -> None:
    assert command.main(line.split()) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")


@pytest.mark.parametrize(
    ("command", "line", "said"),
    [
        (
            evaluate,
            "--data x --predictions p --rename LOC=city --rename loc=person",
            "--rename gives one label two values",
        ),
        (
            predict,
            "--model m --schema a --samples 2 --threshold a=0.7,A=0.3 text",
            "label two values, a=0.7 and A=0.3: remove one",
        ),
        (
            predict,
            "--model m --schema a --threshold a=0.7 --threshold a=0.3 text",
            "label two values, a=0.7 and a=0.3: remove one",
        ),
    ],
)
def test_what_a_list_says_of_one_label_twice_is_refused(command, line, said, capsys) -> None:
    assert command.main(line.split()) == 2
    assert said in capsys.readouterr().err


def test_what_a_list_says_of_one_label_again_is_taken_once() -> None:
    assert threshold_option(["person=0.7", "Person=0.70,city=0.2"]) == {"person": 0.7, "city": 0.2}


def test_a_key_that_is_set_twice_in_two_ways_is_named_and_the_last_counts(monkeypatch, capsys) -> None:
    shown = []
    monkeypatch.setattr("scripts.plan_output.show_plan", lambda settings, **_: shown.append(settings.grpo.steps))
    flags = ["--grpo.steps=4", "--run.name=a", "--grpo.steps=5", "--run.name=a"]
    assert (plan.main(flags), train.main([*flags, "--dry-run"]), shown) == (0, 0, [5, 5])
    told = "note: --grpo.steps=4 has no effect: --grpo.steps=5 comes after it\n"
    assert capsys.readouterr().err == 2 * told
    # What --debug sets comes after all of them, and is in its config.
    assert train.main(["--grpo.steps=500", "--debug", "--dry-run"]) == 0
    assert (shown[-1], capsys.readouterr().err) == (2, "")


def test_a_list_holds_known_names_alone_and_its_option_stands_once(capsys) -> None:
    assert repeated(["--files", "a", "b", "--n", "1"], "--files") == ["--files", "a", "--files", "b", "--n", "1"]
    assert among(("a", "b"))(["b", "a"]) == ["b", "a"]
    assert among(("a", "b"))(None) is None
    assert reading.main(["--megabytes", "1", "--files", "big.csv", "list.csv"]) == 2
    said = capsys.readouterr().err
    assert (
        "Invalid value for '--files': must be among big.jsonl, big.conll, big.csv, tokens.jsonl, list.json; found"
        in said
    )
    assert said.endswith("found list.csv\n")

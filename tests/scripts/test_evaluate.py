"""``scripts.evaluate``: scores again from a file, asks a model, and says what is wrong with what it was given."""

import gzip
import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from rnr.task.aggregation import Chosen
from rnr.task.parsing import parse
from scripts.evaluate import main

ROOT = Path(__file__).resolve().parents[2]
SENTENCES = {"CrossNER_AI": "Lisp ran .", "mit-movie": "Alien ran ."}


@pytest.fixture
def data(tmp_path) -> list[str]:
    """Two files of one sentence, one named as a column of the paper's table each."""
    for name, sentence in SENTENCES.items():
        row = {"sentence": sentence, "entities": [{"text": sentence.split()[0], "label": "thing"}]}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    return [str(tmp_path / f"{name}.jsonl") for name in SENTENCES]


def _predict(file: Path, *found: str) -> Path:
    rows = [
        {
            "uid": f"{name}/{name}:1",
            "data_set": name,
            "sentence": sentence,
            "text": json.dumps({"entities": {"thing": [sentence.split()[0]]} if name in found else {}}),
            "finished": True,
            "tokens": 5,
        }
        for name, sentence in SENTENCES.items()
    ]
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_saved_predictions_are_scored_and_compared_beside_themselves(tmp_path, data, capsys) -> None:
    file = _predict(tmp_path / "new" / "predictions.jsonl", *SENTENCES)
    other = _predict(tmp_path / "old" / "predictions.jsonl", "mit-movie")
    assert main(["--predictions", str(file), "--data", *data, "--compare", str(other)]) == 0
    scores = json.loads((file.parent / "predictions.scores.json").read_text())
    assert scores["averages"]["reference"]["f1"] == scores["averages"]["strict"]["f1"] == 100.0
    assert scores["zero_shot"] == {"Movie": 100.0, "AI": 100.0, "average": 100.0}
    assert scores["comparisons"]["exact"]["average"] == {"f1": 50.0, "interval": [50.0, 50.0], "p_value": 1.0}
    assert scores["comparisons"]["reference"]["data_sets"]["mit-movie"]["p_value"] == 1.0
    said = capsys.readouterr().out
    assert "100.0 (2 of 7)" in said
    assert said.count("(published)") == 15
    assert "predictions.jsonl (measured)" in said
    assert "fewer than 30 sentences in CrossNER_AI (1), mit-movie (1)" in said
    assert main(["--predictions", str(file), "--data", *data, "--compare", str(other), "--format", "csv"]) == 0
    assert "average,exact,f1_difference,50.0,50.0,50.0,1.0\n" in capsys.readouterr().out


def test_predictions_from_a_pipe_need_a_folder_for_their_scores(tmp_path, data, capsys) -> None:
    text = _predict(tmp_path / "predictions.jsonl", *SENTENCES).read_bytes()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert main(["--predictions", str(pipe), "--data", *data]) == 2  # nobody has written to it yet
    assert (
        f"{pipe} is not a file, so scores cannot be written beside it: give a folder as --out"
        in capsys.readouterr().err
    )
    writer = threading.Thread(target=pipe.write_bytes, args=(text,))
    writer.start()
    assert main(["--predictions", str(pipe), "--data", *data, "--out", str(tmp_path / "out")]) == 0
    writer.join()
    assert (tmp_path / "out" / "pipe.scores.json").is_file()
    file = tmp_path / "predictions.jsonl"
    assert main(["--predictions", str(file), "--data", *data, "--out", "/proc/none"]) == 2
    assert "cannot write scores in /proc: " in capsys.readouterr().err


def test_compressed_predictions_are_read(tmp_path, data, capsys) -> None:
    file = _predict(tmp_path / "predictions.jsonl", *SENTENCES)
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert main(["--predictions", str(packed), "--data", *data, "--compare", str(packed)]) == 0
    assert json.loads((tmp_path / "packed.scores.json").read_text())["averages"]["exact"]["f1"] == 100.0
    packed.write_bytes(packed.read_bytes()[:-9])
    assert main(["--predictions", str(packed), "--data", *data]) == 2
    assert "not a whole gzip file" in capsys.readouterr().err


def test_scores_go_to_another_folder_when_told_so(tmp_path, data) -> None:
    file = _predict(tmp_path / "predictions.jsonl")
    assert main(["--predictions", str(file), "--data", *data, "--out", str(tmp_path / "out")]) == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["predictions.scores.json"]


def test_the_scores_of_two_stages_lie_beside_each_other(tmp_path, data) -> None:
    for stage, found in (("sft", []), ("grpo", list(SENTENCES))):
        file = _predict(tmp_path / "predictions" / f"{stage}.jsonl", *found)
        assert main(["--predictions", str(file), "--data", *data]) == 0
    f1 = {
        file.name: json.loads(file.read_text())["averages"]["exact"]["f1"]
        for file in (tmp_path / "predictions").glob("*.json")
    }
    assert f1 == {"sft.scores.json": 0.0, "grpo.scores.json": 100.0}


def test_data_sets_of_no_column_have_no_zero_shot_table(tmp_path, data, capsys) -> None:
    (tmp_path / "mine.jsonl").write_text((tmp_path / "mit-movie.jsonl").read_text())
    row = {"uid": "mine/mine:1", "data_set": "mine", "sentence": SENTENCES["mit-movie"], "text": "none"}
    file = tmp_path / "predictions.jsonl"
    file.write_text(json.dumps(row | {"finished": False, "tokens": 1}))
    assert main(["--predictions", str(file), "--data", *data, str(tmp_path / "mine.jsonl")]) == 0
    said = capsys.readouterr().out
    assert "Zero-shot" not in said
    assert "no JSON object follows the reasoning" in said
    assert "1 of the 3 sentences have a prediction" in said


def test_what_is_wrong_is_said_with_status_2(tmp_path, data, capsys) -> None:
    file = _predict(tmp_path / "predictions.jsonl", *SENTENCES)
    one = tmp_path / "one.jsonl"
    one.write_text(file.read_text().splitlines()[0] + "\n")
    assert main(["--predictions", str(file), "--data", *data, "--compare", str(one)]) == 2
    assert "missing in the compared predictions: mit-movie/mit-movie:1" in capsys.readouterr().err
    assert main(["--predictions", str(tmp_path / "none.jsonl"), "--data", *data]) == 2
    assert "none.jsonl" in capsys.readouterr().err
    assert main(["--predictions", str(file), "--data", data[0]]) == 2
    assert "row 2: 'mit-movie/mit-movie:1' is not in the data" in capsys.readouterr().err
    for wrong in (["--data", *data], ["--predictions", str(file), "--data", *data, "--examples", "1"]):
        assert main(wrong) == 2


def test_the_data_is_read_as_the_options_of_data_say(tmp_path, capsys) -> None:
    row = {"text": "\U0001f600 Ada", "label": [[3, 6, "person"]]}  # in UTF-16 the face is two
    data, found = tmp_path / "a.jsonl", tmp_path / "found.jsonl"
    data.write_text(json.dumps(row) + "\n")
    found.write_text(json.dumps({"text": row["text"], "entities": [{"text": "Ada", "label": "person"}]}) + "\n")
    arguments = ["--predictions", str(found), "--data", str(data)]
    assert main([*arguments, "--offsets", "utf16", "--format", "csv"]) == 0
    assert "a,exact,f1,100.0" in capsys.readouterr().out
    assert main([*arguments, "--offsets", "utf17"]) == 2
    assert "--offsets" in capsys.readouterr().err


def test_scoring_again_loads_neither_torch_nor_vllm(tmp_path, data) -> None:
    file = _predict(tmp_path / "predictions.jsonl", *SENTENCES)
    program = (
        "import sys; from scripts.evaluate import main\n"
        f"assert main(['--predictions', {str(file)!r}, '--data', *{data!r}]) == 0\n"
        "assert not {'torch', 'vllm', 'ray', 'transformers'} & set(sys.modules), sorted(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr


def _chosen(text: str) -> Chosen:
    mentions = parse(text).mentions
    return Chosen(
        text=text,
        mentions=mentions,
        confidences=(0.8,) * len(mentions),
        marked=frozenset(),
        reasoning=None,
        error=None,
        finished=True,
        tokens=2,
    )


def _loaded(asked: list[dict], texts: dict[str, str], monkeypatch) -> None:
    """Put a model that gives these answers, by decoding, in place of those that are loaded."""

    @contextmanager
    def load_model(model, **options):
        asked.append({"model": model, **options})

        def answers(examples, *, decoding, label_calibration):
            assert decoding == "marks" or not label_calibration
            return [replace(_chosen(texts[decoding]), calibrated=label_calibration or 0.0) for _ in examples]

        yield SimpleNamespace(answers=answers)

    monkeypatch.setitem(sys.modules, "actors.loading", SimpleNamespace(load=load_model))
    monkeypatch.setattr("scripts.evaluate.asks_catch_alls", lambda folder: True)


def test_a_models_answers_are_saved_scored_and_never_written_over(tmp_path, data, monkeypatch, capsys) -> None:
    asked: list[dict] = []
    _loaded(asked, {"free": '{"entities": {"thing": ["Lisp"]}}'}, monkeypatch)
    command = ["--model", "m", "--data", *data, "--examples", "1", "--out", str(tmp_path / "out"), "--samples", "8"]
    assert main(command) == 0
    options = {"decoding": "free", "samples": 8, "select": None, "threshold": None, "engine": "vllm"}
    assert asked == [{"model": "m", **options, "context_tokens": 1024, "max_new_tokens": 320}]
    scores = json.loads((tmp_path / "out" / "predictions.scores.json").read_text())
    assert (scores["model"], scores["averages"]["exact"]["f1"], scores["answers"]["tokens"]) == ("m", 50.0, 2.0)
    assert scores["predictions"] == str(tmp_path / "out" / "predictions.jsonl")
    # One of two mentions at confidence 0.8 is right: |0.5 - 0.8|.
    assert scores["calibration"]["error"] == pytest.approx(0.3)
    said = capsys.readouterr().out
    assert "m (measured)" in said
    assert "expected calibration error 0.300" in said
    assert main(command) == 2
    assert "exists: score it with --predictions" in capsys.readouterr().err
    assert len(asked) == 1


def test_evaluations_that_start_in_one_second_do_not_share_a_folder(tmp_path, data, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("scripts.evaluate.time", SimpleNamespace(strftime=lambda form: "20260102-030405"))
    for text in ('{"entities": {"thing": ["Lisp"]}}', '{"entities": {}}'):
        _loaded([], {"free": text}, monkeypatch)
        assert main(["--model", "m", "--data", *data, "--examples", "1"]) == 0
    folders = [tmp_path / "runs" / "evaluation" / name for name in ("20260102-030405", "20260102-030405.1")]
    scores = [json.loads((folder / "predictions.scores.json").read_text()) for folder in folders]
    assert [each["averages"]["exact"]["f1"] for each in scores] == [50.0, 0.0]


def test_predictions_of_other_sentences_are_refused_before_the_model_is_asked(tmp_path, monkeypatch, capsys) -> None:
    asked: list[dict] = []
    _loaded(asked, {"free": '{"entities": {}}'}, monkeypatch)
    (tmp_path / "mine.jsonl").write_text(
        '{"sentence": "Ada ran", "entities": [{"text": "Ada", "label": "person"}]}\n'
        '{"sentence": "Bo ran", "entities": [{"text": "Bo", "label": "person"}]}\n'
    )
    (tmp_path / "other.jsonl").write_text('{"text": "Ada ran", "ents": []}\n{"text": "Bo ran", "ents": []}\n')
    data, other = str(tmp_path / "mine.jsonl"), str(tmp_path / "other.jsonl")
    command = ["--model", "m", "--data", data, "--out", str(tmp_path), "--compare", other]
    assert main([*command, "--examples", "1"]) == 2
    assert "different sentences: missing in the scored predictions: mine/mine:" in capsys.readouterr().err
    assert asked == []
    assert main(command) == 0
    assert len(asked) == 1


def test_a_threshold_of_no_label_and_what_is_noticed_about_the_compared_are_said(
    tmp_path, data, monkeypatch, capsys
) -> None:
    asked: list[dict] = []
    _loaded(asked, {"free": '{"entities": {}}'}, monkeypatch)
    command = ["--model", "m", "--data", *data, "--examples", "1", "--samples", "2", "--out", str(tmp_path / "out")]
    assert main([*command, "--threshold", "thng=0.4"]) == 2
    assert "threshold for 'thng', which is not among the labels: " in capsys.readouterr().err
    assert asked == []
    assert main([*command, "--threshold", "thing=0.4"]) == 0
    other = ["--compare", str(tmp_path / "out" / "predictions.jsonl"), "--rename", "A=thing"]
    main(["--model", "m", "--data", *data, "--examples", "1", "--out", str(tmp_path / "next"), *other])
    assert "was written by RNR: --rename has no effect on it" in capsys.readouterr().err


def test_decodings_are_asked_in_one_engine_saved_apart_and_compared_with_the_first(
    tmp_path, data, monkeypatch, capsys
) -> None:
    _loaded([], {"free": '{"entities": {}}', "marks": '{"entities": {"thing": ["Lisp"]}}'}, monkeypatch)
    command = ["--model", "m", "--data", *data, "--examples", "1", "--out", str(tmp_path)]
    assert main([*command, "--decoding", "free", "--decoding", "marks"]) == 0
    free, marks = (json.loads((tmp_path / f"predictions-{name}.scores.json").read_text()) for name in ("free", "marks"))
    assert (free["decoding"], free["compared"]) == (["free"], None)
    assert (marks["decoding"], marks["compared"]) == (["marks"], str(tmp_path / "predictions-free.jsonl"))
    assert (free["compared_decoding"], marks["compared_decoding"]) == ([], ["free"])
    assert marks["comparisons"]["exact"]["average"]["f1"] == 50.0
    assert "decoding: marks (compared: free)" in capsys.readouterr().out
    assert main([*command, "--decoding", "marks", "--decoding", "free"]) == 2  # both files are there already
    assert main(["--predictions", "p", "--data", *data, "--decoding", "free"]) == 2
    assert main([*command, "--decoding", "greedy"]) == 2
    assert "'--decoding': must be among free, schema, marks; found greedy" in capsys.readouterr().err


def test_what_one_of_several_decodings_cannot_be_asked_is_known_before_the_first(
    tmp_path, data, monkeypatch, capsys
) -> None:
    asked: list[dict] = []
    _loaded(asked, {"free": '{"entities": {}}', "marks": '{"entities": {}}'}, monkeypatch)
    command = ["--model", "m", "--data", *data, "--out", str(tmp_path), "--decoding", "free", "--decoding", "marks"]
    assert main([*command, "--samples", "8", "--label-calibration", "0.6"]) == 2
    assert "use decoding='marks' and samples=1" in capsys.readouterr().err
    assert asked == []


def test_calibrated_labels_are_those_of_marks_and_are_told_of(tmp_path, data, monkeypatch, capsys) -> None:
    answer = '{"entities": {"thing": ["Lisp"]}}'
    _loaded([], {"free": answer, "marks": answer}, monkeypatch)
    command = ["--model", "m", "--data", *data, "--examples", "1", "--label-calibration", "0.6"]
    assert main([*command, "--out", str(tmp_path / "none")]) == 2
    assert "the model answers under free: add --decoding marks" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    assert main([*command, "--out", str(tmp_path), "--decoding", "free", "--decoding", "marks"]) == 0
    told = {
        name: json.loads((tmp_path / f"predictions-{name}.scores.json").read_text())["decoding"]
        for name in ("free", "marks")
    }
    assert told == {"free": ["free"], "marks": ["marks, labels calibrated by 0.6"]}
    assert main(["--predictions", "p", "--data", *data, "--label-calibration", "0.6"]) == 2

"""The examples run as they stand: over a model that is a function where they ask one, on real engines otherwise."""

import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from actors.chat_format import read_definitions
from examples import make_notebook
from examples.serve_client import extract
from examples.serve_client import main as ask_server
from rnr.corpus.loading import load
from rnr.task.extraction import Entity, Extraction

ROOT = Path(__file__).resolve().parents[2]


class _Model:
    """Finds each ``Ada``; knows when it was closed."""

    closed = False

    def __call__(self, text: str, labels) -> Extraction:
        at, label = text.find("Ada"), next(iter(labels))
        entity = Entity(text="Ada", label=label, start=at, end=at + 3, confidence=0.75, alignment="marked")
        return Extraction(sentence=text, entities=(entity,) if at >= 0 else (), reasoning="[Ada: person]")

    def batch(self, texts, labels):
        return [self(text, labels) for text in texts]

    def stream(self, questions):
        return (self(text, labels) for text, labels in questions)

    def close(self) -> None:
        self.closed = True


def test_own_data_is_checked_and_divided_and_every_command_is_shown(tmp_path, monkeypatch, capsys) -> None:
    from examples import own_data

    ran: list[list[str]] = []

    def run(words: list[str]) -> int:
        ran.append(words[2:])
        return 0 if words[2] == "scripts.train" else subprocess.run(words, capture_output=True).returncode

    monkeypatch.setattr(own_data, "exit_code", run)
    assert own_data.main(["--folder", str(tmp_path / "own"), "--dry-run", "--grpo.steps=0"]) == 0
    assert [words[0] for words in ran] == ["scripts.data", "scripts.data", "scripts.train"]
    rows = {part: (tmp_path / "own" / "data" / f"{part}.jsonl").read_text().splitlines() for part in ("train", "test")}
    assert (len(rows["train"]), len(rows["test"])) == (48, 12)
    assert ran[2][-2:] == ["--grpo.steps=0", "--dry-run"]
    assert capsys.readouterr().out.count("$ python -m scripts.") == 3


def test_own_data_is_scored_anew_by_each_call(tmp_path, monkeypatch, capsys) -> None:
    from examples import own_data

    outs: list[Path] = []

    def run(words: list[str]) -> int:
        if words[2] == "scripts.evaluate":
            outs.append(Path(words[words.index("--out") + 1]))
            assert not outs[-1].exists()
            outs[-1].mkdir(parents=True)
        return subprocess.run(words, capture_output=True).returncode if words[2] == "scripts.data" else 0

    times = iter("12")
    monkeypatch.setattr(own_data, "exit_code", run)
    monkeypatch.setattr("time.strftime", lambda _form: next(times))
    for more in (["--debug"], []):
        assert own_data.main(["--folder", str(tmp_path / "own"), *more]) == 0
    assert [out.parent for out in outs] == [tmp_path / "own" / "evaluation"] * 2


def test_own_data_never_trains_on_another_file_than_the_one_it_is_given(tmp_path, monkeypatch, capsys) -> None:
    from examples import own_data

    ran: list[str] = []

    def run(words: list[str]) -> int:
        ran.append(words[2])
        return subprocess.run(words, capture_output=True).returncode if words[2] == "scripts.data" else 0

    monkeypatch.setattr(own_data, "exit_code", run)
    mine, options = tmp_path / "mine.jsonl", ["--folder", str(tmp_path / "own"), "--dry-run"]
    mine.write_text((ROOT / "examples" / "data" / "library.jsonl").read_text(encoding="utf-8"), encoding="utf-8")
    assert own_data.main([str(mine), *options]) == own_data.main([str(mine), *options]) == 0
    assert ran == ["scripts.data", "scripts.data", "scripts.train", "scripts.data", "scripts.train"]
    capsys.readouterr()
    mine.write_text("\n".join(mine.read_text(encoding="utf-8").splitlines()[:30]), encoding="utf-8")
    for file in (str(mine), str(ROOT / "examples" / "data" / "library.jsonl")):
        assert own_data.main([file, *options]) == 2
        assert f"data was not divided from {file} as it is now: remove it, or give" in capsys.readouterr().out
    assert len(ran) == 5


def test_own_data_trains_in_as_many_steps_as_fit_the_data(tmp_path) -> None:
    from examples import own_data

    def epochs_and_tokens(sentences: int, longest: str) -> list[str]:
        for name, texts in (("train", ["Ida ran"] * sentences), ("test", [longest])):
            rows = "\n".join(json.dumps({"sentence": text}, ensure_ascii=False) for text in texts)
            (tmp_path / name).write_text(rows + "\n", encoding="utf-8")
        options = own_data.settings(tmp_path / "train", tmp_path / "test")
        return [option.split("=")[1] for option in (options[0], options[4], options[5])]

    assert epochs_and_tokens(48, "Ida ran") == ["6", "96", "96"]
    assert epochs_and_tokens(400, "x" * 130) == ["2.4", "130", "130"]  # 2.4 * 400 / 8 = 120 steps
    assert epochs_and_tokens(1600, "é\u2028" * 100) == ["1", "256", "256"]  # 100 * (2 + 3) bytes


def test_ctrl_c_is_left_to_the_command_that_runs(tmp_path) -> None:
    # Both have it from the terminal; the command, as a run that ends its workers, needs a second for it.
    (tmp_path / "slow.py").write_text(
        "import sys, time\ntry:\n    print('up', flush=True)\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    time.sleep(1)\n    print('ended', flush=True)\n    sys.exit(130)\n"
    )
    code = "from examples import own_data; own_data.run('slow')"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(3)][2] == "up\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=30)[0] == "ended\n"
    assert process.returncode == 130


def test_an_example_ends_with_the_exit_code_of_what_failed(tmp_path) -> None:
    (tmp_path / "bad.jsonl").write_text('{"sentence": "Ada ran", "entities": [{"text": "Bob", "label": "person"}]}\n')
    command = [sys.executable, "-m", "examples.own_data", str(tmp_path / "bad.jsonl"), "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "scripts.train" not in done.stdout


@pytest.mark.slow
def test_own_data_goes_through_to_an_answer_in_one_process(tmp_path, tiny_model) -> None:
    command = [sys.executable, "-m", "examples.own_data", "--folder", str(tmp_path), "--debug"]
    done = subprocess.run(
        [*command, f"--model.path={tiny_model}", "--model.context_tokens=512"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "$ python -m scripts.predict" in done.stdout


class _Server(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        entity = {"text": "Ada", "label": asked["labels"][0], "start": 0, "end": 3, "confidence": None}
        results = [{"sentence": text, "entities": [entity]} for text in asked["sentences"]]
        busy = asked.get("samples") == 99
        reply = b"busy" if busy else json.dumps({"model": "m", "results": results}).encode()
        self.send_response(429 if busy else 200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *args) -> None:
        """Say nothing."""


@pytest.fixture
def url():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_client_prints_what_the_server_found_and_says_why_it_refused(url, capsys) -> None:
    assert ask_server(["Ada ran", "--labels", "person,city", "--url", url]) == 0
    assert capsys.readouterr().out == "Ada ran\n     0-3    person       Ada\n"
    with pytest.raises(RuntimeError, match="429: busy"):
        extract(["Ada"], ["person"], url=url, samples=99)


def test_the_pipeline_prints_and_draws_what_was_found(tmp_path, monkeypatch, capsys) -> None:
    pytest.importorskip("spacy", reason="spaCy is an optional extra")
    from examples.spacy_pipeline import main

    monkeypatch.setattr("actors.loading.load", lambda _model, **_options: _Model())
    page = tmp_path / "out.html"
    assert main(["m", "So Ada ran .", "Nobody .", "--labels", "person", "--html", str(page)]) == 0
    assert capsys.readouterr().out == "3-6 person Ada 0.75\n"
    assert "Ada" in page.read_text()


def test_the_notebook_is_the_script_and_its_cells_run(monkeypatch, capsys) -> None:
    assert make_notebook.main(["--check"]) == 0, "write it again: python -m examples.make_notebook"
    tree = json.loads(make_notebook.NOTEBOOK.read_text())
    code = ["".join(cell["source"]) for cell in tree["cells"] if cell["cell_type"] == "code"]
    assert [cell["cell_type"] for cell in tree["cells"]].count("markdown") == 3
    model = _Model()
    monkeypatch.setattr("rnr.load", lambda _folder: model)
    space: dict = {}
    for cell in code:
        exec(cell, space)
    assert model.closed
    assert "Ada person 0 3 0.75\n[Ada: person]\n" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["ask"])
    monkeypatch.setattr("rnr.model_folder.resolve", lambda folder: folder)
    monkeypatch.setenv("RNR_MODEL", "m")
    runpy.run_path(str(make_notebook.SOURCE))


def test_the_script_asks_the_model_that_is_named_or_none(tmp_path, monkeypatch, capsys) -> None:
    loaded: list[str] = []
    monkeypatch.setattr("rnr.load", lambda folder: loaded.append(folder) or _Model())
    monkeypatch.setenv("RNR_MODEL", str(tmp_path))
    nope = str(tmp_path / "nope")
    for argument, code in ((nope, 2), ("--help", 0)):
        monkeypatch.setattr(sys, "argv", ["ask", argument])
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(make_notebook.SOURCE))
        assert ended.value.code == code
    out, err = capsys.readouterr()
    assert f"error: model: no folder at {nope!r}" in err
    assert "python -m examples.ask runs/demo/export" in out
    monkeypatch.setattr("rnr.model_folder.resolve", lambda folder: folder)
    monkeypatch.setattr(sys, "argv", ["ask", "mine"])
    runpy.run_path(str(make_notebook.SOURCE))
    assert loaded == ["mine"]


def test_examples_say_in_one_line_what_is_not_there(capsys) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        assert ask_server(["Ada", "--url", url]) == 1
    assert ask_server(["Ada", "--url", "nope"]) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"error: no answer from {url}: [Errno 111] Connection refused")
    assert second.startswith("error: no answer from nope: ")
    pytest.importorskip("spacy", reason="spaCy is an optional extra")
    from examples.spacy_pipeline import main

    with pytest.raises(SystemExit) as ended:
        main(["no/such/export", "Ada"])
    assert ended.value.code == 2
    assert "error: model: no folder at 'no/such/export'" in capsys.readouterr().err


def test_the_help_of_an_example_loads_no_library() -> None:
    for example in ("examples.spacy_pipeline", "examples.ask"):
        program = f"import sys, runpy; sys.argv = ['x', '--help']; runpy.run_module({example!r}, run_name='__main__')"
        program = f"import atexit, sys; atexit.register(lambda: print(*sorted(sys.modules))); {program}"
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert not {"spacy", "torch"} & set(done.stdout.split())


def test_the_definitions_are_those_of_all_labels_of_the_embedded_data() -> None:
    examples = load(["demo/train", "demo/known", "demo/unseen"], training=False)
    defined = read_definitions(str(ROOT / "examples" / "definitions.json"))
    assert set(defined) == {label for example in examples for label in example.schema}

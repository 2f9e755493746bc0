"""``rnr predict`` and the console script, over a model that is a function."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from rnr.task.extraction import Entity, Extraction
from scripts import main as console
from scripts.predict import main
from scripts.progress import progress_shown
from scripts.questions import read_questions, schema_option

ROOT = Path(__file__).resolve().parents[2]


def _found(text: str, labels) -> Extraction:
    """Each text's first word, under the first label."""
    word = text.split()[0] if text.split() else ""
    label = next(iter(labels))
    entity = Entity(text=word, label=label, start=0, end=len(word), confidence=0.5, alignment="marked")
    return Extraction(sentence=text, entities=(entity,) if word else (), reasoning=f"[{word}: {label}]")


@pytest.fixture
def asked(monkeypatch) -> list[dict]:
    """The options of each load."""
    loads: list[dict] = []

    @contextmanager
    def load(model, **options):
        loads.append(options)
        stream = lambda questions: (_found(text, labels) for text, labels in questions)  # noqa: E731
        yield SimpleNamespace(stream=stream, windows=(0, 0))

    monkeypatch.setitem(sys.modules, "actors.loading", SimpleNamespace(load=load))
    return loads


def test_rows_keep_their_schema_and_name_and_stdout_holds_results_alone(tmp_path, asked, capsys) -> None:
    rows = [{"id": 7, "text": "Ada ran", "labels": ["person"]}, {"sentence": "Rome fell"}]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--schema", "city, river", "--json", "--threshold", "person=0.4,city=0.1", "--samples", "8"]
    assert main(["--model", "m", "--file", str(file), *options]) == 0
    said = capsys.readouterr()
    first, second = map(json.loads, said.out.splitlines())
    assert (first["id"], first["entities"][0]["label"], first["entities"][0]["confidence"]) == (7, "person", 0.5)
    assert second["entities"][0] == {
        "text": "Rome",
        "label": "city",
        "start": 0,
        "end": 4,
        "confidence": 0.5,
        "alignment": "marked",
    }
    assert "2 texts in" in said.err
    assert (asked[0]["samples"], asked[0]["threshold"]) == (8, {"person": 0.4, "city": 0.1})


def test_standard_input_is_read_as_lines_or_rows_whichever_it_holds(asked, capsys, monkeypatch) -> None:
    for text in ("Ada ran\nBob sat\n", '{"text": "Ada ran"}\n{"text": "Bob sat"}\n'):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        assert main(["--model", "m", "--schema", "person", "--json", "-"]) == 0
        rows = map(json.loads, capsys.readouterr().out.splitlines())
        assert [row["entities"][0]["text"] for row in rows] == ["Ada", "Bob"]


def test_a_long_file_is_resumed_behind_its_last_whole_row(tmp_path, asked, capsys) -> None:
    (tmp_path / "in.txt").write_text("Ada ran\nBob sat\nCy came\n")
    out = tmp_path / "out.jsonl"
    command = ["--model", "m", "--schema", "person", "--file", str(tmp_path / "in.txt"), "--out", str(out)]
    assert main(command) == 0
    whole = out.read_bytes()
    assert main(command) == 2
    assert "exists: --resume continues it" in capsys.readouterr().err
    out.write_bytes(whole[: whole.index(b"\n") + 20])  # the second row was cut
    assert main([*command, "--resume"]) == 0
    assert out.read_bytes() == whole
    loads = len(asked)
    assert main([*command, "--resume"]) == 0
    assert len(asked) == loads  # nothing is left, so no model is loaded
    out.write_text("no row of ours\n")
    assert main([*command, "--resume"]) == 2


@pytest.mark.parametrize("before", ["", '{"sentence": "Ada ran"}\n{"sent'])
def test_of_two_that_write_one_file_the_second_is_refused_before_it_loads_a_model(
    tmp_path, asked, monkeypatch, before
) -> None:
    out = tmp_path / "new" / "out.jsonl"
    command = ["--model", "m", "--schema", "person", "Ada ran", "Bob sat", "--out", str(out)]
    if before:
        out.parent.mkdir()
        out.write_text(before)
    others = []
    load = sys.modules["actors.loading"].load

    def while_it_loads(model, **options):
        for more in ([], ["--resume"]):
            other = [sys.executable, "-m", "scripts.predict", *command, *more]
            others.append(subprocess.run(other, cwd=ROOT, capture_output=True, text=True, timeout=60))
        return load(model, **options)

    monkeypatch.setitem(sys.modules, "actors.loading", SimpleNamespace(load=while_it_loads))
    assert main([*command, "--resume"]) == 0
    assert [done.returncode for done in others] == [2, 2]
    assert all(f"another process is writing to {out}: give another --out" in done.stderr for done in others)
    assert (len(asked), len(out.read_text().splitlines())) == (1, 2)


def test_a_process_of_the_engine_that_outlives_a_killed_command_holds_no_file(tmp_path, asked) -> None:
    out = tmp_path / "out.jsonl"
    program = (
        "import os, signal, sys, time\n"
        "from pathlib import Path\n"
        "from scripts.predict import _opened\n"
        "with _opened(Path(sys.argv[1]), resume=False):\n"
        "    if not (child := os.fork()):\n"
        "        time.sleep(60)\n"
        "        os._exit(0)\n"
        "    print(child, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", program, str(out)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert killed.stdout is not None
    child = int(killed.stdout.readline())
    try:
        assert killed.wait(60) == -signal.SIGKILL
        assert main(["--model", "m", "--schema", "person", "Ada ran", "--out", str(out), "--resume"]) == 0
        os.kill(child, 0)  # it lived meanwhile
    finally:
        os.kill(child, signal.SIGKILL)
        killed.stdout.close()
    assert len(out.read_text().splitlines()) == 1


def test_a_link_to_a_file_that_is_not_there_yet_is_kept(tmp_path, asked) -> None:
    out, target = tmp_path / "out.jsonl", tmp_path / "target.jsonl"
    out.symlink_to(target)
    empty = tmp_path / "empty.txt"
    empty.touch()
    assert main(["--model", "m", "--schema", "person", "--file", str(empty), "--out", str(out)]) == 0
    assert (out.is_symlink(), target.exists(), asked) == (True, False, [])
    assert main(["--model", "m", "--schema", "person", "Ada ran", "--out", str(out)]) == 0
    assert len(target.read_text().splitlines()) == 1


def test_a_command_that_finds_nothing_to_ask_leaves_no_file_and_takes_an_empty_one(tmp_path, asked, capsys) -> None:
    out = tmp_path / "out.jsonl"
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"name": "Ada"}\n')
    assert main(["--model", "m", "--schema", "person", "--file", str(rows), "--out", str(out)]) == 2
    assert not out.exists()
    out.touch()  # as a command that was killed while the model was loaded leaves it
    assert main(["--model", "m", "--schema", "person", "Ada ran", "--out", str(out)]) == 0
    assert len(out.read_text().splitlines()) == 1
    assert main(["--model", "m", "--schema", "person", "Ada ran", "--out", "/dev/null"]) == 2
    assert "is not a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("schema", "rows", "said"),
    [
        ("person", ["Ada ran", "Cy came"], "row 2: it is about 'Bob sat', but the input has 'Cy came' there"),
        ("person", ["Ada ran"], "row 2: the input has no row for it; it is about 'Bob sat'"),
        ("city", ["Ada ran", "Bob sat", "Cy came"], "row 1: it has the label 'person', which is not asked for"),
        ("person", [("x", "Ada ran"), "Bob sat"], "row 1: its id is None, but the input row has 'x'"),
    ],
)
def test_answers_to_other_questions_are_not_gone_on_with(tmp_path, asked, capsys, schema, rows, said) -> None:
    out = tmp_path / "out.jsonl"
    assert main(["--model", "m", "--schema", "person", "--out", str(out), "Ada ran", "Bob sat"]) == 0
    out.write_bytes(out.read_bytes() + b'{"sente')  # another run may still need it
    before = out.read_bytes()
    named = [{"text": row} if isinstance(row, str) else {"id": row[0], "text": row[1]} for row in rows]
    file = tmp_path / "in.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in named))
    assert main(["--model", "m", "--schema", schema, "--out", str(out), "--resume", "--file", str(file)]) == 2
    error = capsys.readouterr().err
    assert f"{out}, {said}: --resume needs the same input and labels" in error
    assert (out.read_bytes(), len(asked)) == (before, 1)


@pytest.mark.parametrize("row", ['{"sentence": "Ada ran", "entities": 3}', '{"sentence": 1}'])
def test_rows_that_predict_does_not_write_are_not_gone_on_with(tmp_path, asked, capsys, row) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text(row + "\n")
    assert main(["--model", "m", "--schema", "person", "--out", str(out), "--resume", "Ada ran"]) == 2
    assert f"{out}, row 1: not an output of predict" in capsys.readouterr().err


def test_half_of_a_surrogate_pair_that_a_model_spells_ends_nothing(tmp_path, asked, monkeypatch) -> None:
    half = Entity(text="\ud83d", label="person", start=-1, end=-1, confidence=None, alignment="none")
    found = Extraction(sentence="Ada ran", entities=(), reasoning=None, left_out=(half,))
    monkeypatch.setattr("tests.scripts.test_predict._found", lambda text, labels: found)
    out = tmp_path / "out.jsonl"
    assert main(["--model", "m", "--schema", "person", "Ada ran", "--decoding", "free", "--out", str(out)]) == 0
    assert json.loads(out.read_text(encoding="utf-8"))["left_out"][0]["text"] == "\ud83d"
    program = (
        "from actors.output import stdout_to_stderr\n"
        "with stdout_to_stderr() as results:\n"
        "    print('\\ud83d', file=results)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("\\ud83d\n", "")


def test_what_cannot_be_asked_is_refused_before_a_model_is_loaded(tmp_path, asked, capsys) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"name": "Ada"}\n')
    (tmp_path / "labels.json").write_text('["person", 3]')
    for wrong, said in (
        (["--schema", "person"], "no input: give a sentence"),
        (["Ada ran"], "has no schema"),
        (["--schema", " , ", "Ada"], "--schema has no label"),
        (["--schema", "person", "--file", str(rows)], "row 1: no text under"),
        (["--schema-file", str(tmp_path / "labels.json"), "Ada"], "list of labels or an object"),
        (["--schema", "person", "--resume", "Ada"], "--resume needs --out"),
        (["--schema", "person", "--threshold", "often", "Ada"], "--threshold must be like 0.5 or"),
        (["--schema", "person", "--samples", "0", "Ada"], "at least 1"),
        (["--schema", "person", "--threshold", "1.5", "Ada"], "a threshold must be from 0 to 1, not 1.5"),
        (["--schema", "person", "--select", "vote", "Ada"], "select='vote' needs several samples"),
        (["--schema", "person", "--decoding", "free", "--threshold", "0.5", "Ada"], "a threshold needs confidences"),
        (["--schema", "person", "--max-new-tokens", "2000", "Ada"], "max_new_tokens (2000) must be smaller than conte"),
        (
            ["--schema", "person", "--context-tokens", "16", "Ada"],
            "context_tokens must be a whole number of at least 32",
        ),
    ):
        assert main(["--model", "m", *wrong]) == 2
        assert said in capsys.readouterr().err
    assert asked == []


def test_a_schema_file_holds_labels_by_line_or_definitions(tmp_path) -> None:
    file = tmp_path / "labels"
    file.write_text("person\n\n city \n")
    assert schema_option(None, file) == ["person", "city"]
    file.write_text('{"person": "a human being"}')
    assert schema_option(None, file) == {"person": "a human being"}
    assert schema_option(None, None) is None


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ('["person", "city"]', ["person", "city"]),
        ("person\ncity\n", ["person", "city"]),
        ('{"0": "person", "1": "city"}', ["person", "city"]),
        ('{"person": 0, "city": 1}', ["person", "city"]),
        ('{"id2label": {"0": "person", "1": "city"}}', ["person", "city"]),
        ('[{"text": "person"}, {"text": "city"}]', ["person", "city"]),
        ('{"labels": ["person", "city"]}', ["person", "city"]),
        ('["O", "B-person", "I-person", "B-city", "I-city"]', ["city", "person"]),
        ('{"0": "O", "1": "B-person", "2": "B-city"}', ["city", "person"]),
        ('{"person": "a human being", "city": ""}', {"person": "a human being", "city": ""}),
        (
            '[{"name": "person", "description": "a human being"}, {"name": "city"}]',
            {"person": "a human being", "city": ""},
        ),
        ('{"person": {"description": "a human being"}}', {"person": "a human being"}),
    ],
)
def test_a_schema_file_may_be_any_labels_json_with_a_byte_order_mark_or_without(tmp_path, text, labels) -> None:
    file = tmp_path / "labels.json"
    for encoding in ("utf-8", "utf-8-sig"):
        file.write_text(text, encoding=encoding)
        found = schema_option(None, file)
        assert (found, list(found or ())) == (labels, list(labels))


def test_what_is_made_of_labels_is_said(tmp_path, capsys) -> None:
    file = tmp_path / "labels"
    file.write_text("PER\nper\nPER\n")
    assert schema_option(None, file) == ["PER"]
    assert capsys.readouterr().err == f"note: {file}: dropped 'per', which the model sees as 'PER'\n"
    assert schema_option("art work,Art_Work,city", None) == ["art work", "city"]
    assert "dropped 'Art_Work', which the model sees as 'art work'" in capsys.readouterr().err
    file.write_text('["O", "B-PER", "I-PER"]')
    assert schema_option(None, file) == ["PER"]
    assert capsys.readouterr().err == f"note: {file} lists tags (O, B-PER, I-PER); asking for PER\n"
    file.write_text('{"PER": "a", "PER": "b"}')
    with pytest.raises(ValueError, match=f"{file}: an object has 'PER' twice"):
        schema_option(None, file)
    file.write_bytes(b"Zo\xeb")
    with pytest.raises(ValueError, match="labels: not UTF-8 at byte 2; if it is Latin-1"):
        schema_option(None, file)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ('["person", "city"]', ["person", "city"]),
        (' {"person": "a human being"}', {"person": "a human being"}),
        ("O,B-person,I-person", ["person"]),
        ('["O", "B-person", "I-person"]', ["person"]),
        ("O,B_person,B-art-work,S-city", ["art-work", "city", "person"]),
        ("T-cell,B-cell", ["T-cell", "B-cell"]),
        ("A,B,AB,O", ["A", "B", "AB", "O"]),
        ("s-train,O", ["s-train", "O"]),
        ("O,B-cell,T-cell", ["O", "B-cell", "T-cell"]),
        ("O", ["O"]),
        ("{person}", ["{person}"]),
        ("{person},[art work]", ["{person}", "[art work]"]),
    ],
)
def test_labels_on_the_command_line_may_be_json_and_tags_as_those_of_a_file(tmp_path, text, labels) -> None:
    assert schema_option(text, None) == labels
    file = tmp_path / "labels"
    file.write_text(text if text.lstrip().startswith(('["', '{"')) else text.replace(",", "\n"))
    assert schema_option(None, file) == labels


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('["person"', "--schema, line 1: not valid JSON"),
        ("{person: a human being}", "--schema, line 1: not valid JSON"),
        ("[person, city]", "--schema, line 1: not valid JSON"),
        ("[1]", "--schema: the schema must be a list of labels"),
        ('{"person": 0.5}', "--schema: the schema must be a list of labels"),
        ('["O"]', "--schema has no label; O is the tag of words outside entities"),
    ],
)
def test_what_is_no_list_of_labels_on_the_command_line_is_refused(text, said) -> None:
    with pytest.raises(ValueError, match=said):
        schema_option(text, None)


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "Ada ran"}\n',
        "[\n",
        '{\n "text": "Ada ran"\n}\n',
        '{"text": "Ada ran",\n "labels": []}\n',
        '[{"text": "Ada ran"}]\n',
        '[{"text": "Ada ran", \n "id": 1}]\n',
        '["Ada ran"]\n',
        '["Ada ran",\n "Bob sat"]\n',
        '[["Ada", "ran"],\n ["Bob", "sat"]]\n',
    ],
)
def test_json_that_is_no_row_is_not_asked_about_line_by_line(asked, capsys, monkeypatch, text) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert main(["--model", "m", "--schema", "person", "--json", "-"]) == 2
    assert "standard input begins with JSON that is not a row" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert main(["--model", "m", "--schema", "person", "--input", "lines", "-"]) == 0
    assert asked


def test_sentences_that_begin_with_a_bracket_are_sentences(asked, capsys, monkeypatch) -> None:
    for text in (
        "[1] Ada ran\n",
        "{Ada} ran\n",
        "[Ada] ran\n",
        "[[Paris]] is a city .\n",
        "[[1]] Ada ran\n",
        '["Hello" , she said .\n',
        '["Hello"] , she said .\n',
        '{ "x\n',
        '{"Hello" , she said .\n',
        "[" * 100_000 + "\n",
    ):
        monkeypatch.setattr(sys, "stdin", io.StringIO(text))
        assert main(["--model", "m", "--schema", "person", "-"]) == 0


def test_the_schema_of_a_row_has_the_same_shapes_but_lists_no_tags(tmp_path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "Ada", "schema": {"0": "person"}}\n{"text": "Ada", "schema": ["O", "B-person"]}\n')
    questions = read_questions([], [str(file)], "auto", None)
    assert next(questions).labels == ["person"]
    with pytest.raises(ValueError, match=r"row 2: the schema lists tags \(O, B-person\); give their labels: person"):
        next(questions)
    file.write_text('\n{"text": "Ada", "schema": ["a"], "text": "Bo"}\n')
    with pytest.raises(ValueError, match="row 2: not valid JSON: an object has 'text' twice"):
        next(read_questions([], [str(file)], "auto", None))
    for entities in ([{"text": "Ada", "label": "person"}], {"person": ["Ada"]}, [[0, 3, "person"]]):
        file.write_text(json.dumps({"text": "Ada", "labels": entities}) + "\n")
        with pytest.raises(ValueError, match="row 1: the schema must be a list of labels"):
            next(read_questions([], [str(file)], "auto", None))


def test_a_threshold_for_a_label_of_no_row_is_named_at_the_end(tmp_path, asked, capsys) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "Ada ran", "labels": ["person"]}\n{"text": "Rome fell", "labels": ["City"]}\n')
    assert main(["--model", "m", "--file", str(file), "--threshold", "city=0.4,dsh=0.4,Person=0.5"]) == 0
    assert "note: --threshold names labels that no text asks for: dsh\n" in capsys.readouterr().err
    assert main(["--model", "m", "--file", str(file), "--threshold", "city=0.4"]) == 0
    assert "noted" not in capsys.readouterr().err


def test_a_document_is_one_question(tmp_path) -> None:
    file = tmp_path / "book.txt"
    file.write_text("One.\nTwo.\n")
    assert [question.text for question in read_questions([], [str(file)], "document", ["a"])] == ["One.\nTwo.\n"]


@pytest.mark.parametrize("form", ["auto", "lines", "jsonl", "document"])
def test_a_file_that_is_not_utf8_is_named_in_every_form(tmp_path, form) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"Zo\xeb ran")
    with pytest.raises(ValueError, match=r"a\.txt is not UTF-8"):
        list(read_questions([], [str(file)], form, ["person"]))


def test_what_an_engine_prints_never_reaches_standard_output() -> None:
    program = (
        "import os, subprocess, sys\n"
        "from actors.output import stdout_to_stderr\n"
        "with stdout_to_stderr() as results:\n"
        "    print('log')\n"
        "    os.write(1, b'native\\n')\n"
        "    subprocess.run(['echo', 'child'])\n"
        "    print('result', file=results)\n"
        "print('after')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["result", "after"]
    assert sorted(done.stderr.split()) == ["child", "log", "native"]


def test_the_console_script_calls_the_module_of_its_command(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["rnr"])
    monkeypatch.setattr("scripts.predict.main", lambda argv: len(argv))
    assert console.main(["predict", "--model", "m"]) == 2
    assert sys.argv[0] == "rnr predict"
    assert console.main(["--help"]) == 0
    assert "  evaluate " in capsys.readouterr().out
    assert console.main(["x"]) == 2
    assert "unknown command 'x'; choose from data, cot, train, predict" in capsys.readouterr().err
    assert console.main(["trian"]) == 2
    assert capsys.readouterr().err == "error: unknown command 'trian'; did you mean 'train'?\n"
    assert all(Path(ROOT, "scripts", f"{command}.py").is_file() for command in console.COMMANDS)


def test_help_shows_a_command_as_it_is_called(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/rnr"])
    assert console.main(["scale", "--help"]) == 0
    assert "Usage: rnr scale " in capsys.readouterr().out
    command = [sys.executable, "-m", "scripts.main"]
    for more, said in (
        (["scale", "--help"], "Usage: python -m scripts.scale "),
        (["--help"], "usage: python -m scripts.main "),
    ):
        done = subprocess.run([*command, *more], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.stdout.lstrip().startswith(said)


def test_no_command_is_loaded_until_it_is_called() -> None:
    program = "import sys, scripts.main; print(sorted(m for m in sys.modules if m.startswith(('scripts.', 'rnr'))))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    own = ["rnr", "rnr.files", "rnr.files.lasting", "rnr.messages"]
    own += ["scripts.main", "scripts.printing", "scripts.startup"]
    assert done.stdout.strip() == str(own)


def test_progress_is_that_of_texts_or_of_the_windows_of_a_long_one(monkeypatch, capsys) -> None:
    monkeypatch.setattr("scripts.progress.PROGRESS_SECONDS", 0.01)
    done, windows = [0], [(3, 40)]

    def wait_for(line: str) -> None:
        shown: list[str] = []
        while not any(each.startswith(line) for each in shown):
            assert time.monotonic() < deadline, shown
            time.sleep(0.02)
            shown = capsys.readouterr().err.splitlines()

    deadline = time.monotonic() + 10
    with progress_shown(lambda: done[0], lambda: windows[0]):
        wait_for("0 texts, 3 of 40 windows")
        windows[0] = (4, 40)
        wait_for("0 texts, 4 of 40 windows")
        done[0] = 1
        wait_for("1 text, ")
        wait_for("1 text, 4 of 40 windows")

"""What a command prints reaches whoever takes it, and a long command goes on where nobody does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project.test_imports import ROOT

PROGRAM = """
import asyncio, sys
from rnr.runs.console import Console
from scripts.command_line import new_app, run

app = new_app()

@app.command()
def work() -> int:
    console = Console()

    async def step(number: int) -> None:
        console.say(f"step {number}")
        print("as print does it " * 1000)

    async def steps() -> None:
        for number in range(20):
            await asyncio.create_task(step(number))

    asyncio.run(steps())
    open(sys.argv[1], "w").write("done")
    return 75

sys.exit(run(app, [], lasts=LASTS))
"""


def _started(tmp_path: Path, program: str, **options) -> tuple[subprocess.Popen, Path]:
    result = tmp_path / "result"
    command = [sys.executable, "-c", program, str(result)]
    return subprocess.Popen(command, cwd=ROOT, text=True, **options), result


def _without_a_reader(tmp_path: Path, *, lasts: bool) -> tuple[int, str, bool]:
    """Exit code, standard error and whether the work came to its end, where the reader of standard output is gone."""
    process, result = _started(
        tmp_path, PROGRAM.replace("LASTS", str(lasts)), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    return process.wait(60), said, result.is_file()


def test_a_long_command_outlives_the_reader_of_its_standard_output(tmp_path) -> None:
    line = "cannot write to standard output (Broken pipe): its output is lost, the work continues\n"
    assert _without_a_reader(tmp_path, lasts=True) == (75, line, True)


def test_a_short_command_ends_with_its_reader_and_without_a_word(tmp_path) -> None:
    assert _without_a_reader(tmp_path, lasts=False) == (1, "", False)


def test_a_full_disk_under_the_log_is_said_once_and_ends_nothing(tmp_path) -> None:
    with open("/dev/full", "w") as full:
        process, result = _started(tmp_path, PROGRAM.replace("LASTS", "True"), stdout=full, stderr=subprocess.PIPE)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 75
    assert said.startswith("cannot write to standard output (No space left on device): its output is lost")
    assert (said.count("\n"), result.read_text()) == (1, "done")


def test_a_terminal_that_is_closed_ends_nothing(tmp_path) -> None:
    ours, theirs = os.openpty()
    process, result = _started(tmp_path, PROGRAM.replace("LASTS", "True"), stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.close(ours)
    assert process.wait(60) == 75
    assert result.read_text() == "done"


def test_where_both_are_gone_the_work_goes_on_all_the_same(tmp_path) -> None:
    with open("/dev/full", "w") as full:
        process, result = _started(tmp_path, PROGRAM.replace("LASTS", "True"), stdout=full, stderr=full)
        assert process.wait(60) == 75
    assert result.read_text() == "done"


def test_a_lost_standard_error_is_said_on_standard_output(tmp_path) -> None:
    program = PROGRAM.replace("LASTS", "True").replace(
        "console = Console()", "console = Console(); sys.stdout = sys.stderr"
    )
    with open("/dev/full", "w") as full:
        process, result = _started(tmp_path, program, stdout=subprocess.PIPE, stderr=full)
        said, _ = process.communicate(timeout=60)
    assert (process.returncode, result.read_text()) == (75, "done")
    assert said.startswith("cannot write to standard error (No space left on device)")


@pytest.mark.parametrize("command", [["data", "check", "demo/known"], ["main", "--help"]])
def test_a_command_that_head_cuts_short_says_nothing(command) -> None:
    line = f"{sys.executable} -m scripts.{' '.join(command)} | head -1"
    ended = subprocess.run(line, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (ended.stdout.count("\n"), ended.stderr) == (1, "")


def test_the_result_of_a_short_command_that_has_no_room_is_an_error() -> None:
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [sys.executable, "-m", "scripts.plan", "--help"],
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert ended.returncode == 2
    assert (ended.stderr[:7], ended.stderr[-25:]) == ("error: ", " No space left on device\n")
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_any_encoding_takes_any_text_and_json_stays_json(encoding) -> None:
    program = (
        "import json\nfrom pathlib import Path\nfrom rnr.runs.console import Console\n"
        "from scripts.printing import take_any_text\n"
        "take_any_text()\ntext = 'Zoë 東京 \\U0001f41d \\ud83d'\n"
        "print(json.dumps(text, ensure_ascii=False))\nConsole().say(text)"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"")
    first, second = ended.stdout.decode(encoding).splitlines()
    assert json.loads(first) == "Zoë 東京 \U0001f41d \ud83d"
    assert ("Zoë" in second) == (encoding != "ascii")
    assert ("東京" in second) == (encoding == "utf-8")


def test_a_run_folder_that_the_locale_cannot_name_is_named_with_the_cause(tmp_path) -> None:
    config = tmp_path / "a.toml"
    config.write_text(f'[run]\nfolder = "{tmp_path}/Läufe"\n', encoding="utf-8")
    environment = {**os.environ, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    command = [sys.executable, "-m", "scripts.train", "--config", str(config)]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: '{tmp_path}/L\\u00e4ufe")
    assert ended.stderr.endswith(
        "has characters that the encoding of file names, ascii, cannot represent: set a UTF-8 locale (LC_ALL=C.UTF-8), "
        "or PYTHONUTF8=1\n"
    )

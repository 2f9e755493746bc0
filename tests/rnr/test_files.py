"""How numbers and rows are written: JSON that every reader takes, and digits that say something."""

import ast
import json
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from rnr.files.jsonl import json_line, strict_json
from rnr.files.whole import free_name, not_there, write_whole
from rnr.runs.tracking import significant

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("rnr", "rewards", "actors", "learner", "cluster", "scripts")

TEXTS_ALONE = {"rnr/task/parsing.py", "rnr/task/prompts.py", "rnr/task/grammar.py", "rnr/synthesis/client.py"}
"""Modules that put strings, and nothing else, into a prompt, an answer or a digest as JSON."""


def _refuse(name: str) -> None:
    raise AssertionError(f"{name} is no JSON")


def test_a_number_that_json_does_not_have_is_null_wherever_it_stands() -> None:
    value = {"a": math.nan, "b": [1.0, math.inf, {"c": (-math.inf, "NaN")}], "d": True, "e": None}
    expected = {"a": None, "b": [1.0, None, {"c": [None, "NaN"]}], "d": True, "e": None}
    assert json.loads(strict_json(value), parse_constant=_refuse) == expected
    assert json.loads(strict_json(value, indent=1), parse_constant=_refuse) == expected


def test_what_is_finite_is_written_as_it_is() -> None:
    assert strict_json({"é": [1, 0.1, "a"]}) == '{"é": [1, 0.1, "a"]}'
    assert json_line([1]) == "[1]\n"


def test_of_two_that_write_one_file_at_once_each_writes_all_of_it(tmp_path) -> None:
    file, begun = tmp_path / "a.txt", threading.Event()

    def slowly() -> Iterator[str]:
        yield "a" * 100_000
        begun.set()
        time.sleep(0.2)
        yield "a"

    with ThreadPoolExecutor() as pool:
        first = pool.submit(write_whole, file, slowly())
        begun.wait()
        pool.submit(write_whole, file, "b" * 1000).result()
        assert file.read_text() == "b" * 1000
        first.result()
    assert file.read_text() == "a" * 100_001
    writer = "import sys; from pathlib import Path; from rnr.files.whole import write_whole\n"
    writer += "for _ in range(200): write_whole(Path(sys.argv[1]), (sys.argv[2] * 5000 for _ in range(4)))"
    command = [sys.executable, "-c", writer, str(file)]
    both = [subprocess.Popen([*command, letter], cwd=ROOT) for letter in "xy"]
    found = set()
    while any(process.poll() is None for process in both):
        found.add(file.read_text())
    assert [process.returncode for process in both] == [0, 0]
    assert found <= {"a" * 100_001, "x" * 20_000, "y" * 20_000}
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_a_name_that_is_taken_gets_the_first_number_that_is_free(tmp_path) -> None:
    assert free_name(tmp_path / "run") == tmp_path / "run"
    for name in ("run", "run.1", "run.3"):
        (tmp_path / name).mkdir()
    assert free_name(tmp_path / "run") == tmp_path / "run.2"


def test_what_a_kill_has_left_is_written_over(tmp_path) -> None:
    (tmp_path / "a.txt.partial").write_text("left by a process that was killed")
    write_whole(tmp_path / "a.txt", "new")
    assert [(each.name, each.read_text()) for each in tmp_path.iterdir()] == [("a.txt", "new")]


def test_half_of_a_surrogate_pair_is_still_json(tmp_path) -> None:
    write_whole(tmp_path / "a.jsonl", json_line({"text": "a\ud83e"}))
    assert json.loads((tmp_path / "a.jsonl").read_bytes()) == {"text": "a\ud83e"}


def test_a_file_of_many_parts_is_there_whole_or_not_at_all(tmp_path) -> None:
    def parts(last: object):
        yield from ("Zoë\n", "b\n", last)

    file = tmp_path / "new" / "a.txt"
    write_whole(file, parts("c\n"))
    assert file.read_bytes() == "Zoë\nb\nc\n".encode()
    with pytest.raises(AttributeError):
        write_whole(file, parts(3))
    assert file.read_bytes() == "Zoë\nb\nc\n".encode()
    assert list(file.parent.iterdir()) == [file]


def test_what_is_no_json_at_all_is_an_error() -> None:
    with pytest.raises(TypeError):
        strict_json({"a": object()})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3e-7, 3e-7),
        (1.23456789e-12, 1.23457e-12),
        (1 / 3, 0.333333),
        (-0.000123456789, -0.000123457),
        (27612.3456, 27612.3),
        (123456789, 123456789),  # a count is whole
        (123456789.0, 123456789.0),
        (0.0, 0.0),
        (math.inf, math.inf),
    ],
)
def test_six_digits_are_kept_however_small_the_number(value, expected) -> None:
    assert significant(value) == expected


def test_a_number_that_is_none_stays_none() -> None:
    assert math.isnan(significant(math.nan))


def test_nothing_is_written_as_json_that_could_hold_a_nan() -> None:
    loose = []
    for file in sorted(file for package in PACKAGES for file in (ROOT / package).rglob("*.py")):
        place = file.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if place in TEXTS_ALONE or not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            strict = any(word.arg == "allow_nan" for word in node.keywords)
            if node.func.attr in ("dump", "dumps") and ast.unparse(node.func.value) == "json" and not strict:
                loose.append(f"{place}:{node.lineno}")
    assert loose == [], "use strict_json or json_line of rnr.files.jsonl"


def test_what_is_no_plain_file_is_written_to_and_a_link_stays_one(tmp_path) -> None:
    file, link, pipe = (tmp_path / name for name in ("file", "link", "pipe"))
    file.write_text("before")
    link.symlink_to("file")
    write_whole(link, "after")
    assert (file.read_text(), link.is_symlink()) == ("after", True)
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(pipe, ["a", "b"])
    assert (os.read(reader, 10), pipe.is_fifo()) == (b"ab", True)
    os.close(reader)


def test_a_file_that_another_host_has_just_written_is_waited_for_and_others_for_a_while(tmp_path, monkeypatch) -> None:
    there, late, never = (tmp_path / name for name in ("there", "late", "never"))
    there.touch()
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        if now > 30:
            late.touch()

    monkeypatch.setattr("rnr.files.whole.time", SimpleNamespace(monotonic=lambda: now, sleep=sleep))
    assert not_there([there, late]) == []
    assert 30 < now < 31
    assert not_there([there, late, never]) == [never]
    assert 90 < now < 92

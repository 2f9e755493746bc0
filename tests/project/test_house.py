"""House rules that no tool checks: sizes, rooms, and who may know the whole config."""

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("rnr", "rewards", "actors", "learner", "cluster", "scripts")

KNOW_THE_CONFIG = ("rnr/config/__init__.py", "rnr/cli.py", "cluster/run.py", "cluster/run_services.py", "scripts/")
NAME_ANOTHER_CONFIG = {"cluster/ray_session.py", "actors/serving.py"}
"""Ray and uvicorn have a ``Config``, too."""
STILL_LONG_FILES: set[str] = set()
STILL_LONG_FUNCTIONS: set[str] = set()


def _sources() -> dict[str, str]:
    files = (file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py")))
    return {file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8") for file in files}


SOURCES = _sources()


def _refuse(found: set[str], allowed: set[str], rule: str) -> None:
    """Fail for what is found and not allowed; warn of exceptions that are no longer needed."""
    if stale := allowed - found:
        warnings.warn(f"{rule}: take these exceptions out of the list: {sorted(stale)}", stacklevel=2)
    assert not found - allowed, f"{rule}: {sorted(found - allowed)}"


def names_the_config(source: str) -> bool:
    """Whether code, comments and docstrings apart, names ``Config``, also as an annotation in quotes."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return any(
        (token.type == tokenize.NAME and token.string == "Config") or token.string in ('"Config"', "'Config'")
        for token in tokens
    )


def long_functions(source: str, most: int = 50) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > most:
                yield node.name


def test_only_the_start_of_a_run_knows_the_whole_config() -> None:
    found = {file for file, source in SOURCES.items() if names_the_config(source)}
    found = {file for file in found if not file.startswith(KNOW_THE_CONFIG)}
    _refuse(found, NAME_ANOTHER_CONFIG, "a part is handed its own branch of the config, not all of it")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from rnr.config import Config", True),
        ("def f(config: 'Config') -> None: ...", True),
        ("import rnr.config\nx: rnr.config.Config", True),
        ('"""Config is the whole tree."""\n# a Config\nfrom rnr.config import RunConfig', False),
    ],
)
def test_a_name_is_told_from_a_word(source: str, expected: bool) -> None:
    assert names_the_config(source) == expected


def test_the_task_has_few_modules_beside_its_rooms() -> None:
    assert len([file for file in (ROOT / "rnr").glob("*.py") if file.stem != "__init__"]) <= 8


def test_no_file_has_more_than_300_lines() -> None:
    long = {file for file, source in SOURCES.items() if len(source.splitlines()) > 300}
    _refuse(long, STILL_LONG_FILES, "a file has at most 300 lines")


def test_no_function_has_more_than_50_lines() -> None:
    assert list(long_functions("def f():\n" + "    pass\n" * 50)) == ["f"]
    assert list(long_functions("def f():\n" + "    pass\n" * 49)) == []
    long = {f"{file}:{name}" for file, source in SOURCES.items() for name in long_functions(source)}
    _refuse(long, STILL_LONG_FUNCTIONS, "a function has at most 50 lines")


def test_no_file_has_a_name_that_says_nothing() -> None:
    nothing = {"utils", "util", "common", "base", "helpers", "helper", "manager", "misc"}
    assert [file for file in SOURCES if nothing & set(Path(file).with_suffix("").parts)] == []


def test_every_folder_of_source_is_a_package() -> None:
    # One without __init__.py is not seen by import-linter, which then holds nothing there.
    folders = {Path(file).parent for file in SOURCES}
    assert sorted(str(folder) for folder in folders if f"{folder.as_posix()}/__init__.py" not in SOURCES) == []


def test_every_terminal_shows_text_as_it_is() -> None:
    # Any other console of rich's takes a label or a path with brackets for markup, or ends the command over it.
    of_rich = {file for file, source in SOURCES.items() if re.search(r"from rich\S* import .*\bConsole\b", source)}
    assert [file for file in sorted(of_rich) if re.search(r"\bConsole\(", SOURCES[file])] == ["rnr/messages.py"]

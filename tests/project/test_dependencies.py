"""What an installation brings is what its commands import: the dependencies alone, with each extra, and all of it."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from scripts.main import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("rnr", "rewards", "actors", "learner", "cluster", "scripts")
BROUGHT_BY = {"starlette": "fastapi"}
"""Package that is imported -> the distribution it comes with, where that has another name."""
ASKED_FOR_BY_NAME = {"wandb", "tensorboard", "openai"}
"""Imported once a run, or a teacher's address, asks for them."""
TRAINING = {"train", "bench", "plan"}
"""Commands of the environment that ``requirements/`` pins."""
MODULES_OF = {
    "transformers": ("actors.loading", "actors.transformers_engine"),
    "vllm": ("actors.loading", "actors.vllm_engine"),
    "spacy": ("actors.spacy_component", "actors.transformers_engine"),
    "serve": ("actors.serving", "actors.server"),
}
"""Extra -> the modules that it is for."""
BESIDE = {"serve": ["transformers"]}
"""Extra -> those that are installed with it."""


def _sources() -> dict[str, ast.Module]:
    found = {}
    for file in (file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))):
        parts = file.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = ast.parse(file.read_text(encoding="utf-8"))
    return found


SOURCES = _sources()


def at_once(tree: ast.AST) -> Iterator[ast.AST]:
    """What runs when a module is imported: no body of a function, nothing that is for the type checker alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        yield node
        yield from at_once(node)


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    """The modules that these statements import; of ``from a import b`` both ``a`` and ``a.b``, which may be one."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def others(names: Iterable[str]) -> set[str]:
    """The distributions of what is neither ours nor Python's."""
    first = {name.partition(".")[0] for name in names} - set(PACKAGES) - sys.stdlib_module_names
    return {BROUGHT_BY.get(name, name).replace("_", "-") for name in first}


def reached(entries: Iterable[str]) -> set[str]:
    """Our modules that are imported with these."""
    found: set[str] = set()
    left = list(entries)
    while left:
        name = left.pop()
        if name in SOURCES and name not in found:
            found.add(name)
            left += [*imported(at_once(SOURCES[name])), name.rpartition(".")[0]]
    return found


def declared(requirements: Iterable[str]) -> set[str]:
    return {re.split(r"[<>=\[ ;]", line)[0].lower().replace("_", "-") for line in requirements}


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
ALONE = declared(PROJECT["dependencies"])


def test_imports_are_told_apart_by_when_they_are_made() -> None:
    source = "import a.b\nif TYPE_CHECKING:\n    import c\ntry: from d_e import f\nfinally: ...\ndef g():\n    import h"
    assert imported(at_once(ast.parse(source))) == {"a.b", "d_e", "d_e.f"}
    assert others({"a.b", "d_e.f", "os.path", "rnr.types", "starlette.x"}) == {"a", "d-e", "fastapi"}


def test_the_dependencies_are_all_that_the_task_imports() -> None:
    task = [tree for name, tree in SOURCES.items() if name.partition(".")[0] in ("rnr", "rewards")]
    assert others(imported(node for tree in task for node in ast.walk(tree))) - ASKED_FOR_BY_NAME <= ALONE


def test_every_command_but_those_of_training_starts_with_the_dependencies_alone() -> None:
    commands = [f"scripts.{name}" for name in COMMANDS.keys() - TRAINING]
    modules = reached(["rnr", "scripts.main", *commands])
    assert {"rnr.corpus.spacing", "actors.options"} <= modules
    assert others(imported(node for name in modules for node in at_once(SOURCES[name]))) - ALONE == set()


@pytest.mark.parametrize("extra", PROJECT["optional-dependencies"])
def test_an_extra_brings_what_its_modules_import(extra) -> None:
    modules = reached(MODULES_OF[extra])
    needed = others(imported(node for name in modules for node in at_once(SOURCES[name])))
    extras = PROJECT["optional-dependencies"]
    brought = declared(line for name in (extra, *BESIDE.get(extra, [])) for line in extras[name])
    assert needed - ALONE - brought == set()


def test_whatever_is_imported_anywhere_is_pinned_in_the_environment_or_the_peer_s() -> None:
    pins = [line for name in ("cpu.txt", "trl-cpu.txt") for line in (ROOT / "requirements" / name).read_text().split()]
    everything = others(imported(node for tree in SOURCES.values() for node in ast.walk(tree)))
    assert everything - declared(line for line in pins if "==" in line) - {"tensorboard", "vllm"} == set()


def test_rewards_are_pure_but_for_what_calls_a_user_s_own() -> None:
    effects = {"asyncio", "threading", "importlib", "os", "sys", "pathlib", "subprocess", "socket", "random", "time"}
    effects |= {"rnr.files", "rnr.runs"}
    found = {
        name
        for name, tree in SOURCES.items()
        if name.startswith("rewards.")
        and any(f"{module}.".startswith(f"{one}.") for module in imported(ast.walk(tree)) for one in effects)
    }
    assert {name.rpartition(".")[0] for name in found} == {"rewards.user"}


def test_every_dependency_has_a_lower_bound() -> None:
    extras = PROJECT["optional-dependencies"].values()
    assert [line for lines in [PROJECT["dependencies"], *extras] for line in lines if ">=" not in line] == []

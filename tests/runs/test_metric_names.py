"""The table of metrics holds what the code logs, and nothing else."""

import ast
import re
from collections.abc import Iterator

from rnr.runs.metric_names import MEANINGS, Meaning
from tests.project.test_imports import ROOT

FOLDERS = ("rnr", "rewards", "actors", "learner", "cluster")
KINDS = {meaning.pattern.partition("/")[0] for meaning in MEANINGS}
AXES = {"sft/step", "sft/*", "grpo/step"}
"""What W&B draws over."""


def _logged() -> Iterator[str]:
    """Each name of a metric that stands in the code, with * for a part that is put in."""
    for folder in FOLDERS:
        for file in (ROOT / folder).rglob("*.py"):
            if file.name == "metric_names.py":
                continue
            for node in ast.walk(ast.parse(file.read_text())):
                parts = node.values if isinstance(node, ast.JoinedStr) else [node]
                text = "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in parts)
                if re.fullmatch(r"[a-z_]+(/[a-z0-9_*]+)+", text) and text.partition("/")[0] in KINDS:
                    yield text


def test_each_metric_of_the_code_is_in_the_table_and_the_reverse() -> None:
    logged = set(_logged()) - AXES
    assert len(logged) > 50
    assert [name for name in sorted(logged) if not any(_same(name, meaning) for meaning in MEANINGS)] == []
    assert [meaning.pattern for meaning in MEANINGS if not any(_same(name, meaning) for name in logged)] == []


def _same(name: str, meaning: Meaning) -> bool:
    """Whether a name and a pattern can be the same, with something in the place of each ``*``."""
    logged = Meaning(pattern=name, title="", how="")
    return meaning.matches(name.replace("*", "x")) or logged.matches(meaning.pattern.replace("*", "x"))

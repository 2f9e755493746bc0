"""The page of models: its tables are generated, its introduction is not."""

from pathlib import Path

from scripts.benchmarks.models_table import table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "models.md"
EXACT = {"kind": "a", "class": "A", "learner": 0.0, "start": 0.0, "sync": 0.001, "allowed": 0.1, "changed": 0.5}


def test_a_new_table_keeps_the_introduction_of_the_page_and_its_count() -> None:
    page = PAGE.read_text(encoding="utf-8")
    written = table([EXACT], 3, page)
    before, _, _ = written.partition("\n1 of the 3 architectures of causal language models")
    assert before.startswith("# Models\n\nFind out whether")
    assert "(#exact-1) list what was tried: 1 architectures are exact" in before
    assert before.count("\n") == page.partition("architectures of causal language models")[0].count("\n") - 1
    assert "## Exact: 1\n" in written
    assert "| a | A | 0.0e+00 |" in written
    assert "apertus" not in written
    assert table([EXACT], 3, written) == written


def test_a_new_page_has_the_title_alone() -> None:
    assert table([], 3).startswith("# Models\n\n0 of the 3 architectures ")

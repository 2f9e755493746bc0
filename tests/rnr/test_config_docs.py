"""docs/configuration.md is made of the config's docstrings."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from rnr.config import Section
from scripts.config_docs import main, page


class _Item(Section):
    use: str
    """What is used."""


class _Inner(Section):
    depth: int = 1
    """How deep."""


class _Part(Section):
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    """A share | of one."""
    mode: Literal["a", "b"] = "a"
    """``a`` or
    ``b``."""
    limit: int | None = None
    """Most of them."""
    files: tuple[str, ...] = ("x",)
    """Read in order."""
    weights: dict[str, float] | Literal["size"] = "size"
    """Of each."""
    inner: _Inner = _Inner()
    items: tuple[_Item, ...] = ()
    """One after the other."""


class _Whole(Section):
    part: _Part = _Part()
    """What a part
    is."""


def test_a_row_has_type_bounds_default_and_meaning() -> None:
    text = page(_Whole)
    assert "## part\n\nWhat a part is.\n" in text
    assert text[text.index("| `part.share`") :].splitlines() == [
        r"| `part.share` | float > 0 ≤ 1 | `0.5` | A share \| of one. |",
        '| `part.mode` | `"a"`, `"b"` | `"a"` | `a` or `b`. |',
        "| `part.limit` | int or none | none | Most of them. |",
        '| `part.files` | list of text | `["x"]` | Read in order. |',
        '| `part.weights` | table of float or `"size"` | `"size"` | Of each. |',
        "| `part.inner.depth` | int | `1` | How deep. |",
        "| `part.items` | list of table | `[]` | One after the other. |",
        "| `part.items[].use` | text | needed | What is used. |",
    ]


def test_a_key_without_a_meaning_is_refused_by_name() -> None:
    class Part(Section):
        silent: int = 0

    class Whole(Section):
        part: Part = Part()
        """A part."""

    with pytest.raises(ValueError, match=r"part\.silent has no docstring"):
        page(Whole)


def test_a_stale_page_is_an_error_of_the_check(monkeypatch, tmp_path, capsys) -> None:
    monkeypatch.setattr("scripts.config_docs.FILE", tmp_path / "configuration.md")
    monkeypatch.setattr("scripts.config_docs.Config", _Whole)
    assert main(["--check"]) == 1
    assert "make docs" in capsys.readouterr().err
    assert main([]) == 0
    assert main(["--check"]) == 0

"""Every error that a user can get has an entry in docs/troubleshooting.md: by the module it comes from and its name."""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("rnr", "rewards", "actors", "learner", "cluster", "scripts")
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
TOPICS = {title: globs.split() for title, globs in re.findall(r"^## (.+)\n<!-- raised in: (.+?) -->$", PAGE, re.M)}

INTERNAL = {"AssertionError", "NotImplementedError", "AttributeError", "LookupError", "SystemExit"}
"""Bugs of ours, what Python's protocols ask for, and the end of a process."""
CAUGHT = {"ForeignRedirect", "ReplyTooLarge", "PolicyGone", "WorkerUnusable", "ReferenceRaisesError"}
"""Caught on the way: they come to the user inside another error."""
PLAIN = {"ValueError", "OSError", "RuntimeError", "BadParameter"}
"""Printed without their name, or under one that says nothing."""


def raised(source: str) -> Iterator[str]:
    """The names of the exceptions that are raised with a message."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
            function = node.exc.func
            name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
            if name[:1].isupper() and name not in INTERNAL:
                yield name


ERRORS = {
    file.relative_to(ROOT).as_posix(): names
    for folder in FOLDERS
    for file in sorted((ROOT / folder).rglob("*.py"))
    if (names := set(raised(file.read_text(encoding="utf-8"))))
}


def test_what_is_raised_is_found_in_the_source() -> None:
    source = (
        "raise ValueError(f'no {x}')\nraise CheckpointCorrupt('cut')\nraise AssertionError('bug')\nraise _Unusable(x)"
    )
    assert set(raised(source)) == {"ValueError", "CheckpointCorrupt"}
    assert "rnr/cli.py" in ERRORS


def test_every_module_that_raises_belongs_to_one_topic_of_the_page() -> None:
    topics = {file: [t for t, globs in TOPICS.items() if any(fnmatch(file, g) for g in globs)] for file in ERRORS}
    wrong = {file: found for file, found in topics.items() if len(found) != 1}
    assert not wrong, f"name these files in one topic of docs/troubleshooting.md, and write what to do: {wrong}"


def test_the_page_names_no_module_that_is_gone() -> None:
    stale = {glob for globs in TOPICS.values() for glob in globs if not any(ROOT.glob(glob))}
    assert stale == set()


def test_every_kind_of_error_that_is_printed_with_its_name_has_an_entry() -> None:
    kinds = {name for names in ERRORS.values() for name in names} - PLAIN - CAUGHT
    assert {"WorkerLost", "CheckpointCorrupt", "UnsupportedModel"} <= kinds
    missing = {name for name in kinds if f"`{name}" not in PAGE}
    assert not missing, f"docs/troubleshooting.md has no entry for {sorted(missing)}"


def test_every_page_of_the_docs_is_in_their_table_of_contents_and_every_link_leads_somewhere() -> None:
    docs = ROOT / "docs"
    index = (docs / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in docs.glob("*.md")} - {"README.md"}
    assert {name for name in pages if f"({name})" not in index} == set()
    for page in (*docs.glob("*.md"), *ROOT.glob("*.md")):
        for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8")):
            if "://" in target:
                continue
            led = page.parent / target if target else page
            assert led.exists(), f"{page.name} links to {target}, which is not there"
            assert not anchor or anchor in anchors(led.read_text(encoding="utf-8")), f"{page.name}: no #{anchor}"


def anchors(page: str) -> set[str]:
    """By which GitHub links to the headings of a page: in lower case, without marks, hyphens for spaces."""
    heads = re.findall(r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page, flags=re.M | re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_a_heading_has_the_anchor_that_github_gives_it() -> None:
    page = "# Faults, as (`tests/end_to_end`) show\n```\n# a comment\n```\n### The paper's reward\n"
    assert anchors(page) == {"faults-as-testsend_to_end-show", "the-papers-reward"}

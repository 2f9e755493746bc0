"""The page: template, style and script of this folder with the report as JSON in it."""

from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

from rnr.files.jsonl import strict_json
from rnr.files.whole import write_whole
from rnr.runs.report.collect import RunReport, collect

FILE = "report.html"


def write_report(folder: Path, *, other: Path | None = None, out: Path | None = None) -> Path:
    """Write the page of a run (beside another) to ``out``, by default ``report.html`` in its folder; returns where.

    Raises ValueError for a folder that is not a run folder.
    """
    target = out or folder / FILE
    write_whole(target, render(collect(folder, other)))
    return target


def render(report: RunReport) -> str:
    """The whole page. Nothing of the data is HTML: the script puts it into the page as text."""
    here = files(__package__ or "")
    style, script, page = ((here / f"page.{kind}").read_text(encoding="utf-8") for kind in ("css", "js", "html"))
    parts = {"style": style, "script": script, "data": embedded(strict_json(asdict(report)))}
    # In one pass: the data may contain the name of a placeholder.
    pieces = page.split("@@")
    return "".join(parts[piece] if number % 2 else piece for number, piece in enumerate(pieces))


def embedded(text: str) -> str:
    """JSON that is safe in a ``<script>``: without ``<``, so that nothing in it ends the script or begins a comment,
    and without the separators that are line ends in JavaScript."""
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text

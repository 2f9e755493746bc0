"""What every format needs: a row or the reason why there is none, our own row, and the way to a file or a library."""

import json
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

from rnr.types import Example

Row: TypeAlias = tuple[int, Any]
"""Its number (in a text file the line it begins at), and the row or the DataError that says why there is none."""


class DataError(ValueError):
    """A row that cannot be used; says the file, the row and the reason."""


def read_json(file: Path) -> Any:
    """The JSON value in a file; raises DataError with the line where it breaks."""
    try:
        return json.loads(file.read_bytes())
    except json.JSONDecodeError as error:
        raise DataError(f"{file}, line {error.lineno}: not valid JSON: {error.msg}") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{file}: not UTF-8 at byte {error.start}") from None


def needed(module: str, package: str, file: Path) -> Any:
    """A module that only this format needs; raises DataError with what to install where it is missing."""
    try:
        return import_module(module)
    except ImportError:
        raise DataError(f"{file}: this needs {package}: `pip install {package}`, or export it as JSON") from None


def entities(example: Example) -> list[dict[str, Any]]:
    """The mentions as our own rows list them."""
    return [{"text": m.text, "label": m.label, "start": m.start, "end": m.end} for m in example.mentions]


def whole_row(example: Example) -> dict[str, Any]:
    """An example as a row of our own, with all but its uid."""
    row = {"sentence": example.sentence, "schema": list(example.schema), "entities": entities(example)}
    return row | {"dataset": example.source} | ({"cot": example.reasoning} if example.reasoning else {})


def save(out: Path, lines: Iterable[str]) -> None:
    """Write the lines, each with its line feed; a line that cannot be written raises before there is a file."""
    # As bytes, because a text file would translate the line feeds of some systems.
    out.write_bytes("".join(line + "\n" for line in lines).encode())

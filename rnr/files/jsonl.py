"""Strict JSON, and files of lines of it, of which a kill may have cut the last."""

import json
import math
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rnr.files.whole import write_whole


def strict_json(value: Any, *, indent: int | None = None) -> str:
    """The value as JSON; NaN and the infinities, which JSON does not have, are written as null.

    ``json`` by itself would write ``NaN``, which most other readers refuse together with all else in the file.
    """
    try:
        return json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False, indent=indent, allow_nan=False)


def json_line(value: Any) -> str:
    """The value as one line of a JSONL file, with its line feed."""
    return strict_json(value) + "\n"


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file; raises ValueError, naming it, for one that holds none."""
    try:
        found = json.loads(file.read_bytes())
    except json.JSONDecodeError as error:
        raise ValueError(f"{file}, line {error.lineno}: not valid JSON: {error.msg}") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{file}: not valid JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(f"{file} must hold one JSON object, not {type(found).__name__}")
    return found


def whole_lines(file: Path) -> Iterator[tuple[bytes, Any]]:
    """Each line of a JSONL file and its value, None for one that a kill has cut; nothing where there is no file."""
    if not file.is_file():
        return
    with file.open("rb") as stream:
        for line in stream:
            try:
                yield line, json.loads(line)
            except ValueError:
                yield line, None


def whole_rows(file: Path) -> Iterator[Any]:
    """The values of a JSONL file, without those that a kill has cut; nothing where there is no file."""
    return (row for _, row in whole_lines(file) if row is not None)


def keep_lines(file: Path, wanted: Callable[[Any], bool]) -> int:
    """Take out of a JSONL file the lines whose value is not ``wanted``, and those that a kill has cut; nothing where
    there is no file. What is kept is most often the beginning: then the file is cut, for which a full disk has room.
    Returns how many of the removed lines were damaged by something else than a kill: complete, but not readable."""
    if not file.is_file():
        return 0
    damaged = sum(row is None and line.endswith(b"\n") for line, row in whole_lines(file))
    end, cut = 0, False
    for line, row in whole_lines(file):
        if row is None or not wanted(row):
            cut = True
        elif cut or not line.endswith(b"\n"):
            break
        else:
            end += len(line)
    else:
        if cut:
            with file.open("r+b") as stream:
                stream.truncate(end)
                os.fsync(stream.fileno())
        return damaged
    kept = (line for line, row in whole_lines(file) if row is not None and wanted(row))
    write_whole(file, b"".join(line.removesuffix(b"\n") + b"\n" for line in kept))
    return damaged


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""A file of JSON -> its values: one value a line, or one list of them, whatever the ending says."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rnr.corpus.formats.opening import bare, head_line, lines, read_json
from rnr.corpus.formats.rows import DataError, Row, json_fault
from rnr.corpus.report import Reading

LINES_IN_JSON = "file with the ending .json holds one JSON value a line and was read so"
JSON_IN_LINES = "file with the ending of JSON lines holds one JSON value and was read so"
WRAPPED = "list inside an object was taken for the rows"
LINE_ENDINGS = (".jsonl", ".ndjson")


def json_values(file: Path, reading: Reading, known: Callable[[Any], bool]) -> Iterator[Row]:
    """The values of a file with their numbers: the line of each, or its place in the list.

    An object that is no ``known`` row but has one list of objects in it is taken for these. Raises DataError when
    nothing of the file can be read.
    """
    by_line = bare(file).suffix.lower() in LINE_ENDINGS
    found, value = _first(file)
    if found == "rows":
        if not by_line:
            reading.note(LINES_IN_JSON, file)
        return _by_line(file)
    if found == "unknown":
        try:
            value = read_json(file)
        except DataError:
            if by_line:  # each line says what is wrong with it
                return _by_line(file)
            raise
    if by_line and value and (found == "unknown" or isinstance(value, list)):
        reading.note(JSON_IN_LINES, file)
    return iter(enumerate(_listed(value, file, reading, known), 1))


def _first(file: Path) -> tuple[str, Any]:
    """What the first line tells: ``rows`` (one a line), ``whole`` (the only value, which follows), or ``unknown``."""
    first, more = head_line(file)
    if first is None:
        return "whole", []
    try:
        value = None if isinstance(first, DataError) else json.loads(first)
    except (ValueError, RecursionError):
        value = None
    if value is None:
        return "unknown", None
    return ("rows", None) if more else ("whole", value)


def _by_line(file: Path) -> Iterator[Row]:
    for number, line in lines(file):
        if isinstance(line, DataError):
            yield number, line
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, DataError(f"{file}, row {number}: {json_fault(error)}")


def _listed(value: Any, file: Path, reading: Reading, known: Callable[[Any], bool]) -> list[Any]:
    if known(value):
        return [value]
    if isinstance(value, list):
        return value
    lists = [name for name, inner in value.items() if _objects(inner)] if isinstance(value, dict) else []
    if len(lists) > 1:
        raise DataError(f"{file}: an object with several lists of rows ({', '.join(lists)}); write a file for each")
    if not lists:
        return [value]
    reading.note(WRAPPED, file, detail=repr(lists[0]))
    return value[lists[0]]


def _objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(inner, dict) for inner in value)

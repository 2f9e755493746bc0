"""A file of JSON -> its values: one value a line, or one list of them, whatever the ending says."""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from rnr.corpus.formats.entities.labels import names_a_label
from rnr.corpus.formats.files.opening import MARKED, bare, head_line, lines, read_json, read_text
from rnr.corpus.formats.files.text_lines import PIECE, text_pieces
from rnr.corpus.formats.rows import DECODER, DataError, Row, json_fault, parsed
from rnr.corpus.formats.tables.by_column import Table, table_by_column
from rnr.corpus.report import Reading

LINES_IN_JSON = "file with the ending .json holds one JSON value a line and was read so"
JSON_IN_LINES = "file with the ending of JSON lines holds one JSON value and was read so"
ONE_BEHIND_ANOTHER = "file holds JSON values of several lines, one after the other, and was read so"
WRAPPED = "list inside an object was taken for the rows"
BY_COLUMN = "table by column was read row by row"
KEYED = "object with a row under each of its names was taken for these rows"
_BLANKS = re.compile(r"\s*")
_COMMA = re.compile(r"\s*,\s*")
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
        return _by_line(file, reading)
    if found == "unknown" and not by_line and (values := _streamed(file, known)) is not None:
        return enumerate(values, 1)
    if found == "unknown":
        try:
            value = read_json(file)
        except DataError:
            if (values := _one_behind_another(file)) is not None:
                reading.note(ONE_BEHIND_ANOTHER, file)
                return iter(enumerate(values, 1))
            if by_line:  # each line says what is wrong with it
                return _by_line(file, reading)
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
        value = None if isinstance(first, DataError) else parsed(first)
    except (ValueError, RecursionError):
        value = None
    if value is None:
        return "unknown", None
    return ("rows", None) if more else ("whole", value)


def _streamed(file: Path, known: Callable[[Any], bool]) -> Iterator[Any] | None:
    """The values of a list of objects or lists, read one after the other, because such files are large; None where a
    file holds something else, or a list that is a row."""
    begin = next(text_pieces(file), "").lstrip()
    if begin[:1] != "[" or begin[1:].lstrip()[:1] not in ("{", "["):
        return None
    values = _values_of_list(file)
    first = next(values, None)
    return None if known([first]) else chain((first,), values)


def _values_of_list(file: Path) -> Iterator[Any]:
    """The values of the list in a file; raises DataError where it breaks."""
    pieces = text_pieces(file)
    text, at, before = next(pieces).lstrip(), 1, _BLANKS
    while True:
        if (found := _whole_value(text, at, before)) is not None:
            value, at = found
            before = _COMMA
            yield value
            continue
        if text[at:].strip() == "]" and not any(map(str.strip, pieces)):
            return
        # As much again as could not be read, so that the time is linear in a value that is large.
        more = "".join(islice(pieces, 1 + (len(text) - at) // PIECE))
        if not more:
            read_json(file)  # which says where
            raise DataError(f"{file}: not valid JSON after its list")
        text, at = text[at:] + more, 0


def _whole_value(text: str, at: int, before: re.Pattern[str]) -> tuple[Any, int] | None:
    """The value that follows what has to stand before it, and where it ends; None where it is not all there."""
    begin = before.match(text, at)
    if begin is None or begin.end() == len(text):
        return None
    try:
        value, end = DECODER.raw_decode(text, begin.end())
    except (ValueError, RecursionError):
        return None
    return (value, end) if end < len(text) else None


def _one_behind_another(file: Path) -> list[Any] | None:
    """The objects of a file that holds several, each on lines of its own; None where it does not.

    Raises DataError for one that has a key twice, which is JSON and no reason to take the file for something else.
    """
    text = read_text(file).strip()
    if not text.startswith("{\n") and not text.startswith("{\r\n"):
        return None
    values, at = list[Any](), 0
    try:
        while at < len(text):
            value, at = DECODER.raw_decode(text, at)
            values.append(value)
            at = _BLANKS.match(text, at).end()  # type: ignore[union-attr]
    except (json.JSONDecodeError, RecursionError):
        return None
    except ValueError as error:
        raise DataError(f"{file}, row {len(values) + 1}: {json_fault(error)}") from None
    return values


def _by_line(file: Path, reading: Reading) -> Iterator[Row]:
    for number, line in lines(file):
        if isinstance(line, DataError):
            yield number, line
            continue
        if line.startswith(codecs.BOM_UTF8):  # of files that were put one behind the other
            reading.note(MARKED, file, number)
            line = line.removeprefix(codecs.BOM_UTF8)
        try:
            yield number, parsed(line)
        except (ValueError, RecursionError) as error:
            yield number, DataError(f"{file}, row {number}: {json_fault(error, line)}")


def _listed(value: Any, file: Path, reading: Reading, known: Callable[[Any], bool]) -> list[Any]:
    if (table := _table(value, file)) is not None:
        reading.note(BY_COLUMN, file, detail=table.columns)
        return table.rows
    if known(value):
        return [value]
    if isinstance(value, list):
        return value
    inside = value if isinstance(value, dict) else {}
    lists = [name for name, inner in inside.items() if _rows(inner, known) or _table(inner, file)]
    if len(lists) > 1:
        raise DataError(f"{file}: an object with several lists of rows ({', '.join(lists)}); write a file for each")
    if not lists and _holds_rows(value, known):
        reading.note(KEYED, file, detail=", ".join(map(repr, list(value)[:2])))
        return list(value.values())
    if not lists:
        return [value]
    others = [name for name, inner in value.items() if name != lists[0] and isinstance(inner, (list, dict)) and inner]
    beside = f", not {', '.join(map(repr, others))}" if others else ""
    reading.note(WRAPPED, file, detail=f"{lists[0]!r}{beside}")
    found = value[lists[0]]
    return found if isinstance(found, list) else _listed(found, file, reading, known)


def _table(value: Any, file: Path) -> Table | None:
    try:
        return table_by_column(value)
    except ValueError as error:
        raise DataError(f"{file}: {error}") from None


def _rows(value: Any, known: Callable[[Any], bool]) -> bool:
    """Whether a value is a list of rows, objects or spaCy's tuples: not of the entities, the tags or the passages of
    one."""
    if not isinstance(value, list) or not value:
        return False
    if not all(isinstance(inner, dict) for inner in value):
        return all(isinstance(inner, list) for inner in value) and all(map(known, value[:_LOOKED_AT]))
    return any(known(inner) and not _is_entity(inner) for inner in value[:_LOOKED_AT])


def _holds_rows(value: Any, known: Callable[[Any], bool]) -> bool:
    """Whether an object has a row under each of its names: their numbers, as pandas writes them, or ids."""
    if not isinstance(value, dict) or len(value) < 2 or not all(isinstance(inner, dict) for inner in value.values()):
        return False
    return all(map(known, islice(value.values(), _LOOKED_AT)))


def _is_entity(value: dict[str, Any]) -> bool:
    return names_a_label(value) and not any(isinstance(inner, (list, dict)) and inner for inner in value.values())


_LOOKED_AT = 20
"""So many objects of a list tell whether they are rows."""

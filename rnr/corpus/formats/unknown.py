"""What is said of a row that no format knows: which part of a row it lacks, and what it has."""

import reprlib
from collections import Counter
from typing import Any

from rnr.corpus.formats.field_names import TAGS, TOKENS
from rnr.corpus.formats.plain_rows import TEXTS
from rnr.corpus.formats.rows import are_texts
from rnr.corpus.formats.shown_lists import shows_an_array

_TYPES = {str: "text", list: "a list", dict: "an object", int: "a number", float: "a number", bool: "true or false"}


def unknown_row(row: Any) -> str:
    """Why a value is no sentence with its entities, with the fields that it has."""
    if isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], dict):
        return f"a text and an object without 'entities', as spaCy's tuples have them; it has: {_names(row[1])}"
    if isinstance(row, list) and row and all(isinstance(inner, dict) for inner in row):
        return "a whole list stands where one row is expected: take away what stands before or behind it in its file"
    if not isinstance(row, dict):
        return f"a row must be an object such as {{'text': ..., 'entities': [...]}}, found {reprlib.repr(row)}"
    tokens = next((name for name in TOKENS if row.get(name)), None)
    tags = [name for name in TAGS if row.get(name) is not None and name != tokens]
    if tokens and not are_texts(row[tokens]):
        return f"{tokens!r} must be a list of words, found {_seen(row, tokens)}"
    if tokens and tags:
        return f"{tags[0]!r} must be a list with one tag (a name or a number) a word, found {_seen(row, tags[0])}"
    if tokens:
        return f"the words of {tokens!r} have no tags; these are looked for in {', '.join(TAGS)}; {_fields(row)}"
    named = next((name for name in TEXTS if name in row), None)
    if named:
        words = "; call a list of words 'tokens'" if are_texts(row[named]) else ""
        return f"{named!r} must be text, found {_seen(row, named)}{words or _within(row)}"
    plain = {name: name.strip("\ufeff \t").lower() for name in row if isinstance(name, str)}
    alike = next((f"; call {name!r} {plain[name]!r}" for name in row if plain.get(name) in TEXTS), "")
    more = alike or _columns(row) or _within(row)
    return f"no sentence: it is looked for in {', '.join(TEXTS)}; {_fields(row)}{more}"


def _within(row: dict[str, Any]) -> str:
    """What is said of an object with rows further inside."""
    path = _path_to_rows(row)
    return f"; are its rows those of {path!r}? Write that list to a file of its own" if path else ""


def _path_to_rows(value: Any, path: str = "", depth: int = 4) -> str:
    """The names that lead to a list of rows with a text or words, divided by dots; empty where there is none."""
    if isinstance(value, list):
        return path if any(isinstance(one, dict) and one.keys() & {*TEXTS, *TOKENS} for one in value) else ""
    if not isinstance(value, dict) or not depth:
        return ""
    inside = (_path_to_rows(one, f"{path}.{name}" if path else name, depth - 1) for name, one in value.items())
    return next(filter(None, inside), "")


def _columns(row: dict[str, Any]) -> str:
    """What is said of lists that may be the columns of a table."""
    sizes = Counter(len(value) for value in row.values() if isinstance(value, list) and len(value) > 1)
    if not sizes or max(sizes.values()) < 2:
        return ""
    return "; are its lists the columns of a table? Write a row for each sentence: {'text': ..., 'entities': [...]}"


def _seen(row: dict[str, Any], name: str) -> str:
    array = "; this is how NumPy shows an array: `.tolist()` makes a list of it" if shows_an_array(row[name]) else ""
    return reprlib.repr(row[name]) + array


def _fields(row: dict[str, Any]) -> str:
    """``the row has: txt (text), spans (a list)``."""
    return f"the row has: {_names(row)}"


def _names(row: dict[str, Any]) -> str:
    listed = [f"{name} ({_TYPES.get(type(value), 'null')})" for name, value in list(row.items())[:12]]
    return ", ".join(listed) or "no field"

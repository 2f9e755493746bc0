"""The message about a row that no format knows: which part of a row it lacks, and what it has."""

import reprlib
from collections import Counter
from typing import Any

from rnr.corpus.formats.doubtful import MARKS
from rnr.corpus.formats.entities.fields import ENTITIES, SINGULAR, is_entity
from rnr.corpus.formats.entities.labels import names_a_label
from rnr.corpus.formats.entities.names import names_a_place, names_an_offset, unnamed_label
from rnr.corpus.formats.entities.plain_rows import TEXTS
from rnr.corpus.formats.entities.span_lists import is_span_list
from rnr.corpus.formats.field_names import TAGS, TOKENS
from rnr.corpus.formats.refusals import WRITE_OFFSETS
from rnr.corpus.formats.rows import are_texts
from rnr.corpus.formats.shown_lists import shows_an_array
from rnr.corpus.formats.tokens.token_fields import only_tags

_ENTITY = '{"start": 0, "end": 3, "label": "person"}'
_TYPES = {str: "text", list: "a list", dict: "an object", int: "a number", float: "a number", bool: "true or false"}


def unknown_row(row: Any) -> str:
    """Why a value is no sentence with its entities, with the fields that it has."""
    if isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], dict):
        return f"a text and an object without 'entities', as spaCy's tuples have them; it has: {_names(row[1])}"
    if isinstance(row, list) and row and all(isinstance(inner, dict) for inner in row):
        return "there is a whole list where one row is expected: remove what is before or after it in its file"
    if marked := _marked(row):
        return (
            f"a text alone, with names that seem to be marked inside it ({marked}): take them out and {WRITE_OFFSETS}"
        )
    if not isinstance(row, dict):
        return f"a row must be an object such as {{'text': ..., 'entities': [...]}}, found {reprlib.repr(row)}"
    tokens = next((name for name in TOKENS if row.get(name)), None)
    tags = [name for name in TAGS if row.get(name) is not None and name != tokens]
    if tokens and not are_texts(row[tokens]):
        return f"{tokens!r} must be a list of words, found {_seen(row, tokens)}"
    if tokens and tags:
        return f"{tags[0]!r} must be a list with one tag (a name or a number) a word, found {_seen(row, tags[0])}"
    if tokens:
        several = " or ".join(map(repr, only_tags(row, len(row[tokens]))))
        told = f"; if they are {several}, call it 'ner_tags'" if several else _elsewhere(row)
        return f"the words of {tokens!r} have no tags; these are looked for in {', '.join(TAGS)}; {_fields(row)}{told}"
    named = next((name for name in TEXTS if name in row), None)
    if named:
        words = "; call a list of words 'tokens'" if are_texts(row[named]) else ""
        return f"{named!r} must be text, found {_seen(row, named)}{words or _within(row)}"
    plain = {name: name.strip("\ufeff \t").lower() for name in row if isinstance(name, str)}
    alike = next((f"; call {name!r} {plain[name]!r}" for name in row if plain.get(name) in TEXTS), "")
    more = alike or _columns(row) or _within(row) or _any_text(row)
    return f"no sentence: it is looked for in {', '.join(TEXTS)}; {_fields(row)}{more}"


def _marked(row: Any) -> str:
    """A name that seems to be marked inside of a text, or of one of a list, that stands where a row is expected."""
    values = list(row.values()) if isinstance(row, dict) else [row]
    texts = [text for value in values for text in (value if are_texts(value) else [value])]
    found = next((match for text in texts if isinstance(text, str) and (match := MARKS.search(text))), None)
    return found[0][:40] if found else ""


def _within(row: dict[str, Any]) -> str:
    """The message about an object with rows further inside."""
    path = _path_to_rows(row)
    return f"; are its rows those of {path!r}? Write that list to a file of its own" if path else ""


def _path_to_rows(value: Any, path: str = "", depth: int = 4) -> str:
    """The names that lead to a list of rows with a text or words, divided by dots; empty where there is none."""
    if isinstance(value, list):
        rows = [one for one in value if isinstance(one, dict) and not is_entity(one)]
        if any(one.keys() & {*TEXTS, *TOKENS} for one in rows):
            return path
        value = rows[0] if rows else None
    if not isinstance(value, dict) or not depth:
        return ""
    inside = (_path_to_rows(one, f"{path}.{name}" if path else name, depth - 1) for name, one in value.items())
    return next(filter(None, inside), "")


def _any_text(row: dict[str, Any]) -> str:
    """The message about texts under names that are not known."""
    found = [repr(name) for name, value in row.items() if isinstance(value, str) and " " in value.strip()]
    return f"; if it is {' or '.join(found[:3])}, call it 'text'" if found else ""


def no_entities(row: dict[str, Any]) -> str:
    """Why a row has no entities that could be read, with the fields that it has."""
    own = {name: value for name, value in row.items() if not (name == "sentence" and _stands_elsewhere(row))}
    unread = [name for name in (*ENTITIES, *SINGULAR) if isinstance(row.get(name), (list, dict)) and row[name]]
    if unread:
        name, held = unread[0], row[unread[0]]
        first = held[0] if isinstance(held, list) and isinstance(held[0], dict) else {}
        why = unnamed_label(first) if not names_a_label(first) else ""
        why = (
            f"its entities have {why}"
            if why
            else f"what it holds is in no form that is known ({reprlib.repr(held)}): write entities as {_ENTITY}"
        )
        return f"no field 'entities' (or 'spans' or 'label'), and {name!r} is not read, because {why}; {_fields(own)}"
    said = "no field 'entities' (or 'spans' or 'label'), or it is null; without an entity it must be []"
    return f"{said}; the row has: {', '.join(own)}{_elsewhere(row)}"


def _elsewhere(row: dict[str, Any]) -> str:
    """The message about lists under names that are not known which seem to hold the entities of a row."""
    lists = {name: value for name, value in row.items() if isinstance(value, list) and value and name not in TOKENS}
    found = [repr(name) for name, value in lists.items() if all(map(_has_place, value))]
    return f"; if its entities are {' or '.join(found[:3])}, call it 'entities'" if found else ""


def _has_place(value: Any) -> bool:
    if isinstance(value, dict):
        return names_an_offset(value) or (names_a_label(value) and names_a_place(value))
    return is_span_list(value)


def _stands_elsewhere(row: dict[str, Any]) -> bool:
    """Whether the sentence of a row was taken from a field with another name."""
    return any(name != "sentence" and value == row["sentence"] for name, value in row.items())


def _columns(row: dict[str, Any]) -> str:
    """The message about lists that may be the columns of a table."""
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

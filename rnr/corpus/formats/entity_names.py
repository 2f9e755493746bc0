"""An entity under any of the names that tools give its place, its label and its text -> our own names."""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

from rnr.corpus.formats.entity_labels import LABELS, label_field, one_label
from rnr.corpus.formats.shapes import Source
from rnr.corpus.formats.span_lists import AS_TEXT, from_list, whole_number

_PAIRS = {
    "start": "end",
    "start_offset": "end_offset",
    "start_char": "end_char",
    "startOffset": "endOffset",
    "startChar": "endChar",
    "start_idx": "end_idx",
    "start_index": "end_index",
    "startIndex": "endIndex",
    "start_pos": "end_pos",
    "startPos": "endPos",
    "start_position": "end_position",
    "char_start": "char_end",
    "characterStart": "characterEnd",
    "offset_start": "offset_end",
    "begin": "end",
    "begin_offset": "end_offset",
    "beginOffset": "endOffset",
    "BeginOffset": "EndOffset",
    "beginIndex": "endIndex",
    "begin_char": "end_char",
    "from": "to",
    "Start": "End",
}
_OURS = ("start", "start_offset")
_OURS_OF_NONE = (("start", "end"), ("start_offset", "end_offset"))
_NUMBERS = {*_OURS, "end", "end_offset"}
_LENGTHS = {"offset": "length", "Offset": "Length", "start": "length", "begin": "length", "start_offset": "length"}
_PLACES = (
    *("offsets", "indices", "position", "location", "span", "range", "loc", "char_span", "offset", "locations"),
    "spans",
)
_INTERVALS = ("char_interval", "position", "location", "span", "range", "offsets")
"""Fields that may be an object with both ends: LangExtract's ``{"start_pos": 0, "end_pos": 3}``."""
_TEXTS = (
    *("text", "name", "word", "mention", "value", "surface", "surface_form", "span_text", "entity_text", "phrase"),
    *("form", "string", "Text", "extraction_text", "span", "entity"),
)
_FIELDS = frozenset((*_PAIRS, *_PAIRS.values(), *_LENGTHS, *_LENGTHS.values(), *_PLACES, *LABELS, *_TEXTS, "id"))
"""What the fields of an entity are called."""
_POSITION = re.compile(r"start|begin|end|stop|offset|pos|idx|index|from|\bto\b|loc|span|char|token", re.IGNORECASE)
_SEVERAL = re.compile(r"occurr|position|place|mention|match|instance|interval|span|offset|range", re.IGNORECASE)
_OF_WORDS = re.compile(r"token|word|sent|line|page|box", re.IGNORECASE)
"""Names of the places of an entity, of which there may be several, and of those that count no characters."""
_PIECES = "list what occurs at several places once for each; a mention in several pieces is no one text"
_PIECE = re.compile(r"[BIESLUO]-\S")
_RANGE = re.compile(r"\W*(\d{1,9})\W+(\d{1,9})\W*")
_FEW = 10


def names_a_place(entity: dict[str, Any]) -> bool:
    """Whether any of the names of a place, or of a text that tells it, is there."""
    return any(name in entity for name in (*_PAIRS, *_LENGTHS, *_PLACES, *_TEXTS))


def may_be_said(name: str, value: Any) -> bool:
    """Whether a name and its value may be a text and its label: both are texts, and the name is none of a field."""
    return isinstance(value, str) and name not in _FIELDS


def is_number(value: Any) -> bool:
    """Whether a value is a whole number, however it is written."""
    return type(whole_number(value)) is int


def own_entity(entity: Any, place: str, number: int, source: Source, sentence: Any = None) -> Any:
    """The entity in our own names, or itself where it has them; raises ValueError for a place that is not clear."""
    if isinstance(entity, list):
        return from_list(entity, place, number, source, sentence)
    if not isinstance(entity, dict):
        return entity
    if len(entity) == 1 and all(map(may_be_said, entity, entity.values())):
        pair = from_list(list(*entity.items()), place, number, source, sentence)
        return pair if isinstance(pair, dict) else entity
    for start, end in _OURS_OF_NONE:
        if start in entity and entity[start] is None and entity.get(end) is None:
            entity = without(entity, start, end)  # its tool found no place for it
    named = _labelled(_located(entity, place), place, number, source)
    if isinstance(sentence, str) and isinstance(named.get("text"), str) and not (_NUMBERS | {"pos"}) & named.keys():
        _refuse_place_elsewhere(named, sentence, place)
    whole = {name: whole_number(value) for name, value in named.items() if name in _NUMBERS}
    if isinstance(named.get("pos"), list):
        whole["pos"] = [whole_number(value) for value in named["pos"]]
    changed = {name: value for name, value in whole.items() if repr(value) != repr(named[name])}
    if changed:
        source.note(AS_TEXT, number, place)
    return named | changed if changed else named


def _field(place: str) -> str:
    """The field that a place is in: ``entities[0]`` -> ``entities``."""
    return place.partition("[")[0]


def _located(entity: dict[str, Any], place: str) -> dict[str, Any]:
    """The entity with ``start`` and ``end``; raises ValueError for places under names that are not known."""
    if (found := _two_numbers(entity)) is not None:
        return found
    if entity.get("pos") is not None or any(name in entity and entity[name] is None for name in _INTERVALS):
        return entity  # with None its tool found no place for it
    for name in (*_INTERVALS, *_PLACES):
        if isinstance(entity.get(name), dict) and all(map(is_number, entity[name].values())):
            return without(entity, name) | _located(entity[name], f"{place}.{name}")
        if isinstance(entity.get(name), list):
            return without(entity, name) | _pair(entity[name], f"{place}.{name}")
    for name in filter(_SEVERAL.search, () if _NUMBERS & entity.keys() else entity):
        value = entity[name]
        if isinstance(value, list) and value and all(map(_is_interval, value)) and not _OF_WORDS.search(name):
            return without(entity, name) | _pair(value, f"{place}.{name}")
    unknown = [name for name, value in entity.items() if _POSITION.search(name) and _is_place(value)]
    if unknown and not _NUMBERS & entity.keys():
        raise ValueError(_unknown_place(place, unknown))
    return entity


def _unknown_place(place: str, names: Iterable[str]) -> str:
    return (
        f"{place} has its place under names that are not known ({', '.join(names)}); call them 'start' and 'end', "
        "counted in characters, the end exclusive"
    )


def _refuse_place_elsewhere(entity: dict[str, Any], sentence: str, place: str) -> None:
    """Raises ValueError where fields of any names hold the place of a text that stands in its sentence repeatedly."""
    text = entity["text"]
    if len(entity) < 3 or not text or sentence.count(text) < 2:
        return
    told = list(_whole_numbers(without(entity, "text", "label", "type"), ""))
    for (start, first), (end, last) in pairwise(told):
        if first < last <= len(sentence) and text in (sentence[first:last], sentence[first : last + 1]):
            raise ValueError(_unknown_place(place, dict.fromkeys((start, end))))


def _whole_numbers(value: Any, name: str) -> Iterator[tuple[str, int]]:
    """The whole numbers inside a value with the names of the fields that they are in, those of a text such as
    ``8-11`` among them."""
    if isinstance(value, dict):
        for inner, one in value.items():
            yield from _whole_numbers(one, name or str(inner))
    elif isinstance(value, list):
        for one in value[:_FEW]:
            yield from _whole_numbers(one, name)
    elif isinstance(value, str) and (match := _RANGE.fullmatch(value)):
        yield from ((name, int(number)) for number in match.groups())
    elif type(whole := whole_number(value)) is int:
        yield name, whole


def _two_numbers(entity: dict[str, Any]) -> dict[str, Any] | None:
    """The entity with ``start`` and ``end`` where it has two numbers for its place."""
    for start, end in _PAIRS.items():
        if start in entity and end in entity:
            if start in _OURS:
                return entity
            return without(entity, start, end) | {"start": entity[start], "end": entity[end]}
    for start, length in _LENGTHS.items():
        first, size = whole_number(entity.get(start)), whole_number(entity.get(length))
        if type(first) is int and type(size) is int:
            return without(entity, start, length) | {"start": first, "end": first + size}
    return None


def _is_place(value: Any) -> bool:
    return type(value) is int or (isinstance(value, list) and all(type(part) is int for part in value))


def _is_interval(value: Any) -> bool:
    """Whether a value is one of the places of an entity that has several: two numbers, or an object with both ends."""
    if isinstance(value, dict):
        return _two_numbers(value) is not None
    return isinstance(value, list) and [type(part) for part in value] == [int, int]


def _pair(value: list[Any], place: str) -> dict[str, Any]:
    if len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    if len(value) == 1 and isinstance(value[0], dict) and (found := _two_numbers(value[0])) is not None:
        value = [next(found[name] for name in (end, f"{end}_offset") if name in found) for end in ("start", "end")]
    if len(value) != 2 or any(isinstance(part, (list, dict)) for part in value):
        raise ValueError(f"{place} must be one [start, end], found {value}; {_PIECES}")
    return {"start": value[0], "end": value[1]}


def _labelled(entity: dict[str, Any], place: str, number: int, source: Source) -> dict[str, Any]:
    """The entity with ``label`` and ``text``, whatever it calls them."""
    label = label_field(entity, place, number, source)
    piece = entity["entity"] if label == "entity" and isinstance(entity["entity"], str) else ""
    if piece and (_PIECE.match(piece) or {"word", "index", "start"} <= entity.keys()):
        raise ValueError(
            f"{place} is a piece of a word ({piece}), as a pipeline gives it; run it again with "
            'aggregation_strategy="simple"'
        )
    named: dict[str, Any] = entity
    one: Any = None if label is None else one_label(entity[label])
    if label not in ("label", "type", None) or (label is not None and one is not entity[label]):
        named = without(entity, label) | {"label": one}
    field = "label" if "label" in named else "type"
    code = named.get(field)
    if isinstance(code, int) and not isinstance(code, bool):
        named = without(named, field) | {"label": source.label(code, _field(place))}
    if isinstance(named.get("text"), list) and len(named["text"]) == 1:
        named = named | {"text": named["text"][0]}  # as BigBio's corpora have it, for mentions in several pieces
    if "text" in named or "name" in named:
        return named
    text = next((name for name in _TEXTS if isinstance(named.get(name), str)), None)
    if text is None:
        return named
    # A word of a model's vocabulary ("new york" for "New York") says nothing more than its offsets, and nor does the
    # value that Rasa gives an entity ("New York" for "NYC").
    beside = text == "word" or (text == "value" and label == "entity")
    kept = {} if beside and "start" in named else {"text": named[text]}
    return without(named, text) | kept


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    """A row without some of its fields."""
    return {name: value for name, value in row.items() if name not in names}

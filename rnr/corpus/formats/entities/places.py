"""Where an entity stands: its place under any of the names that tools give it."""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any, TypeAlias

from rnr.corpus.formats.entities.offsets import cuts_word
from rnr.corpus.formats.entities.span_lists import whole_number
from rnr.corpus.formats.shapes import Source

PAIRS = {
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
NUMBERS = {*_OURS, "end", "end_offset"}
LENGTHS = {"offset": "length", "Offset": "Length", "start": "length", "begin": "length", "start_offset": "length"}
PLACES = (
    *("offsets", "indices", "position", "location", "span", "range", "loc", "char_span", "offset", "locations"),
    "spans",
)
_INTERVALS = ("char_interval", "position", "location", "span", "range", "offsets")
"""Fields that may be an object with both ends: LangExtract's ``{"start_pos": 0, "end_pos": 3}``."""
TEXTS = (
    *("text", "name", "word", "mention", "value", "surface", "surface_form", "span_text", "entity_text", "phrase"),
    *("form", "string", "Text", "extraction_text", "span", "entity_name", "entityName", "entityText", "entity_value"),
    *("mention_text", "mentionText", "entity_mention", "entity"),
)
_POSITION = re.compile(r"start|begin|end|stop|offset|pos|idx|index|from|\bto\b|loc|span|char|token", re.IGNORECASE)
_SEVERAL = re.compile(r"occurr|position|place|mention|match|instance|interval|span|offset|range", re.IGNORECASE)
_OF_WORDS = re.compile(r"token|word|sent|line|page|box", re.IGNORECASE)
"""Names of the places of an entity, of which there may be several, and of those that count no characters."""
_BEGINS = frozenset((*PAIRS, *LENGTHS, *_INTERVALS, *PLACES, "pos"))
"""What tells a place, or begins one."""
TWO_PLACES = "entities have several places that differ, of which one was read"
_NO_PLACE = re.compile(r"id$|^id|score|prob|conf|count|freq|rank|num|level|user|annot", re.IGNORECASE)
"""Names of numbers that are no places."""
_A_PLACE = re.compile(
    r"at|s|x|left|where|place|pos|(?:start|begin|offset|position|char|from|loc|ind[ei])\w*", re.IGNORECASE
)
"""Names of numbers that are places; any other may be one by chance alone."""
LIKE_A_PLACE = (
    "mentions without a place have a number beside them at which their text is again; the first was read: call the "
    "number 'start' where it is meant"
)
_PIECES = "list what occurs at several places once for each; a mention in several pieces is no one text"
_TOKENS = "if it lists the tokens of the mention, write where these begin and end in characters"
_RANGE = re.compile(r"\W*(\d{1,9})\W+(\d{1,9})\W*")
_FEW = 10
_Names: TypeAlias = tuple[str, ...]


def is_number(value: Any) -> bool:
    """Whether a value is a whole number, however it is written."""
    return type(whole_number(value)) is int


def with_one_place(entity: dict[str, Any], place: str, number: int, source: Source, sentence: Any) -> dict[str, Any]:
    """The entity with one of several places that differ, which is noted; raises ValueError where it has a text that
    stands at none of them."""
    if len(_BEGINS.intersection(entity)) < 2 or len(set((told := dict(_places(entity))).values())) < 2:
        return entity
    shown = {names: f"{' and '.join(map(repr, names))} {list(at)}" for names, at in told.items()}
    if (read := _read_of(entity, told, sentence)) is None:
        raise ValueError(
            f"{place} has several places that differ ({'; '.join(shown.values())}), and nothing says which one counts "
            "characters: keep that one, as 'start' and 'end'"
        )
    others = [names for names in told if told[names] != told[read]]
    source.note(TWO_PLACES, number, f"{place}: {shown[read]}, not {'; '.join(shown[names] for names in others)}")
    return without(entity, *{name for names in others for name in names}.difference(read))


def _read_of(entity: dict[str, Any], told: Mapping[_Names, tuple[int, int]], sentence: Any) -> _Names | None:
    """Which of several places is read: that of the entity's text, the one of whole words that is counted in characters
    by its name, or else the first pair of whole words; None where the text of the entity stands at none of them."""
    texts = [entity[name] for name in TEXTS if isinstance(entity.get(name), str) and entity[name]]
    there = [names for names, at in told.items() if at[0] < at[1]]
    if sure := isinstance(sentence, str):
        inside = [names for names in there if told[names][0] >= 0 and told[names][1] <= len(sentence)]
        here = [names for names in there if sentence[slice(*told[names])] in texts]
        words = [] if texts else [names for names in inside if _is_of_words(sentence, *told[names])]
        there, sure = here or words or inside or there, bool(here) or not texts
    in_characters = [names for names in there if "char" in names[0].lower()]
    sizes = {end - start for start, end in map(told.__getitem__, there)}
    # Two of one size count the same, from the beginning of the sentence and of its document.
    counted = len({told[names] for names in in_characters}) == 1 and (sizes == {1} or len(sizes) > 1 or len(there) == 1)
    # A list beside a pair may be of anything.
    found = in_characters if counted else [names for names in there if len(names) > 1] or there
    one = len({told[names] for names in found}) == 1
    return next(iter(found or told)) if sure or one else None


def _is_of_words(sentence: str, start: int, end: int) -> bool:
    """Whether a place begins and ends with a word."""
    text = sentence[start:end]
    return text == text.strip() and not (cuts_word(sentence, start) or cuts_word(sentence, end))


def _places(entity: dict[str, Any]) -> Iterator[tuple[_Names, tuple[int, int]]]:
    """Each place that an entity tells, with the names that it has."""
    found: list[tuple[_Names, Any]] = [(pair, [entity.get(name) for name in pair]) for pair in PAIRS.items()]
    for start, length in LENGTHS.items():
        first, size = (whole_number(entity.get(name)) for name in (start, length))
        if type(first) is int and type(size) is int and PAIRS.get(start) not in entity:
            found.append(((start, length), [first, first + size]))
    for name in dict.fromkeys((*_INTERVALS, *PLACES, "pos")):
        value = entity.get(name)
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        located = _two_numbers(value) if isinstance(value, dict) else None
        found.append(((name,), value if located is None else [located.get("start"), located.get("end")]))
    for names, value in found:
        ends = [whole_number(one) for one in value] if isinstance(value, list) else []
        if [type(one) for one in ends] == [int, int]:
            yield names, (ends[0], ends[1])


def located(entity: dict[str, Any], place: str) -> dict[str, Any]:
    """The entity with ``start`` and ``end``; raises ValueError for places under names that are not known."""
    if (found := _two_numbers(entity)) is not None:
        return found
    if entity.get("pos") is not None or any(name in entity and entity[name] is None for name in _INTERVALS):
        return entity  # with None its tool found no place for it
    for name in (*_INTERVALS, *PLACES):
        if isinstance(entity.get(name), dict) and all(map(is_number, entity[name].values())):
            return without(entity, name) | located(entity[name], f"{place}.{name}")
        if isinstance(entity.get(name), list):
            return without(entity, name) | _pair(entity[name], f"{place}.{name}")
    for name in filter(_SEVERAL.search, () if NUMBERS & entity.keys() else entity):
        value = entity[name]
        if isinstance(value, list) and value and all(map(_is_interval, value)) and not _OF_WORDS.search(name):
            return without(entity, name) | _pair(value, f"{place}.{name}")
    unknown = [name for name, value in entity.items() if _POSITION.search(name) and _is_place(value)]
    if unknown and not NUMBERS & entity.keys():
        raise ValueError(_unknown_place(place, unknown))
    return entity


def _unknown_place(place: str, names: Iterable[str]) -> str:
    return (
        f"{place} has its place under names that are not known ({', '.join(names)}); call them 'start' and 'end', "
        "counted in characters, the end exclusive"
    )


def refuse_place_elsewhere(entity: dict[str, Any], sentence: str, place: str, number: int, source: Source) -> None:
    """Raises ValueError where fields of any names hold the place of a text that stands in its sentence repeatedly; one
    number that may be of something else is noted."""
    text = entity["text"]
    if len(entity) < 3 or not text or sentence.count(text) < 2:
        return
    told = list(_whole_numbers(without(entity, "text", "label", "type"), ""))
    for (start, first), (end, last) in pairwise(told):
        if first < last <= len(sentence) and text in (sentence[first:last], sentence[first : last + 1]):
            raise ValueError(_unknown_place(place, dict.fromkeys((start, end))))
    # One number alone is its place where the text stands there: the first occurrence would be taken for any other.
    for name, at in told:
        if at <= sentence.index(text) or not sentence.startswith(text, at) or _NO_PLACE.search(name):
            continue
        if _A_PLACE.fullmatch(name):
            raise ValueError(_unknown_place(place, [name]))
        source.note(LIKE_A_PLACE, number, f"{place}.{name}")


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
    for start, end in PAIRS.items():
        if start in entity and end in entity:
            if start in _OURS:
                return entity
            return without(entity, start, end) | {"start": entity[start], "end": entity[end]}
    for start, length in LENGTHS.items():
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
        advice = _TOKENS if all(map(is_number, value)) else _PIECES
        raise ValueError(f"{place} must be one [start, end], found {value}; {advice}")
    return {"start": value[0], "end": value[1]}


def without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    """A row without some of its fields."""
    return {name: value for name, value in row.items() if name not in names}

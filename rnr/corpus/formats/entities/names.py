"""An entity under any of the names that tools give its place, its label and its text -> our own names."""

import re
import reprlib
from functools import lru_cache
from typing import Any

from rnr.corpus.formats.entities.decisions import DENIED, denied
from rnr.corpus.formats.entities.labels import LABELS, label_field, one_label
from rnr.corpus.formats.entities.places import (
    LENGTHS,
    NUMBERS,
    PAIRS,
    PLACES,
    TEXTS,
    located,
    refuse_place_elsewhere,
    with_one_place,
    without,
)
from rnr.corpus.formats.entities.span_lists import AS_TEXT, from_list, whole_number
from rnr.corpus.formats.shapes import Source

_OURS_OF_NONE = (("start", "end"), ("start_offset", "end_offset"))
_FIELDS = frozenset((*PAIRS, *PAIRS.values(), *LENGTHS, *LENGTHS.values(), *PLACES, *LABELS, *TEXTS, "id"))
"""What the fields of an entity are called."""
_OWN = NUMBERS | {"label", "type", "text", "name", "pos", "id", "token_start", "token_end"}
"""The fields of an entity that something is read from, its number, and what Prodigy tells of its tokens."""
_PIECE = re.compile(r"[BIESLUO]-\S")


def names_a_place(entity: dict[str, Any]) -> bool:
    """Whether any of the names of a place, or of a text that tells it, is there."""
    return any(name in entity for name in (*PAIRS, *LENGTHS, *PLACES, *TEXTS))


def names_an_offset(entity: dict[str, Any]) -> bool:
    """Whether any of the names of a place alone is there."""
    return any(name in entity for name in (*PAIRS, *LENGTHS, *PLACES))


def may_be_pair(name: str, value: Any) -> bool:
    """Whether a name and its value may be a text and its label: both are texts, and the name is none of a field."""
    return isinstance(value, str) and name not in _FIELDS


def own_entity(entity: Any, place: str, number: int, source: Source, sentence: Any) -> Any:
    """The entity in our own names, or itself where it has them; raises ValueError for a place that is not clear."""
    if isinstance(entity, list):
        found = from_list(entity, place, number, source, sentence)
        if found is entity and isinstance(sentence, str):
            _refuse_pair(entity, place, sentence)
        return found
    if not isinstance(entity, dict):
        return entity
    if len(entity) == 1 and all(map(may_be_pair, entity, entity.values())):
        pair = from_list(list(*entity.items()), place, number, source, sentence)
        return pair if isinstance(pair, dict) else entity
    for start, end in _OURS_OF_NONE:
        if start in entity and entity[start] is None and entity.get(end) is None:
            entity = without(entity, start, end)  # its tool found no place for it
    entity = with_one_place(entity, place, number, source, sentence)
    named = _labelled(located(entity, place), place, number, source)
    if isinstance(sentence, str) and isinstance(named.get("text"), str) and not (NUMBERS | {"pos"}) & named.keys():
        refuse_place_elsewhere(named, sentence, place, number, source)
    whole = {name: whole_number(value) for name, value in named.items() if name in NUMBERS}
    if isinstance(named.get("pos"), list):
        whole["pos"] = [whole_number(value) for value in named["pos"]]
    changed = {name: value for name, value in whole.items() if repr(value) != repr(named[name])}
    if changed:
        source.note(AS_TEXT, number, place)
    note_beside_entity(named, place, number, source)
    return named | changed if changed else named


def _refuse_pair(entity: list[Any], place: str, sentence: str) -> None:
    """Raises ValueError for two texts of which none, or each, stands in the sentence."""
    if len(entity) != 2 or not all(isinstance(part, str) for part in entity):
        return
    first, second = map(repr, entity)
    if entity[0] in sentence:
        raise ValueError(
            f"{place}: {first} and {second} both are in the sentence, so it is not clear which is the label: write "
            '{"text": ..., "label": ...}'
        )
    raise ValueError(f"{place}: neither {first} nor {second} is in the sentence")


def note_beside_entity(entity: dict[str, Any], place: str, number: int, source: Source) -> None:
    """Name the fields of an entity in our own names that nothing is read from; one that denies it is noted."""
    if beside := _beside(_field(place), tuple(entity)):
        source.not_read(beside)
        if said := denied(entity):
            source.note(DENIED, number, f"{place}: {said}")


@lru_cache(maxsize=1024)
def _beside(field: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of an entity's fields that nothing is read from: kept, because the entities of a file have the same."""
    return tuple(f"{field}.{name}" for name in names if name not in _OWN)


def _field(place: str) -> str:
    """The field that a place is in: ``entities[0]`` -> ``entities``."""
    return place.partition("[")[0]


def unnamed_label(entity: dict[str, Any]) -> str:
    """The message about an entity without a label where other fields may be it; empty where none is."""
    told = [
        f"{name!r} ({reprlib.repr(value)})"
        for name, value in entity.items()
        if name not in _FIELDS and name not in _OWN and isinstance(value, str) and value
    ]
    return f"no label under a name that is known: if it is {' or '.join(told)}, call it 'label'" if told else ""


def _labelled(entity: dict[str, Any], place: str, number: int, source: Source) -> dict[str, Any]:
    """The entity with ``label`` and ``text``, whatever it calls them."""
    label = label_field(entity, place, number, source)
    if label is None and (said := unnamed_label(entity)):
        raise ValueError(f"{place} has {said}")
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
    text = next((name for name in TEXTS if isinstance(named.get(name), str)), None)
    if text is None:
        return named
    # A word of a model's vocabulary ("new york" for "New York") says nothing more than its offsets, and nor does the
    # value that Rasa gives an entity ("New York" for "NYC").
    beside = text == "word" or (text == "value" and label == "entity")
    kept = {} if beside and "start" in named else {"text": named[text]}
    return without(named, text) | kept

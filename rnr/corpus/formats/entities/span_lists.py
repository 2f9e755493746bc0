"""Spans that are written as lists, in any order and with more beside them: ``[0, 3, "PER", 0.98]``, ``["Ida", 0, 3,
"PER"]``, ``["PER", [0, 3]]``, ``["Ida", "PER"]``."""

import re
from collections.abc import Sequence
from typing import Any

from rnr.corpus.formats.shapes import Source

AS_TEXT = "offsets were written as text or with a decimal point and taken as whole numbers"
BESIDE = "spans have a score, an id or another value beside their place and label, which was left out"
PAIRS = "entities are pairs of a text and a label; the one that is in the sentence was taken for the text"

_ID = re.compile(r"[A-Za-z]*:?\d+|https?://\S+|NIL|")


def whole_number(value: Any) -> Any:
    """The whole number that a text or a number with a decimal point is; any other value as it is."""
    if isinstance(value, str) and value.strip().isdecimal():
        return int(value)
    return int(value) if isinstance(value, float) and value.is_integer() else value


def is_span_list(value: Any) -> bool:
    """Whether a value is a list with a place and a label."""
    if not isinstance(value, list):
        return False
    if len(value) == 3 and sum(type(whole_number(part)) is int for part in value) == 2:
        return True
    return _place(parts := _with_numbers(_flat(value))) is not None and any(isinstance(part, str) for part in parts)


def from_list(entity: list[Any], place: str, number: int, source: Source, sentence: Any) -> Any:
    """``[start, end, label]`` or an object with these of a list; the list itself where it does not tell them."""
    if [type(part) for part in entity] == [str, int, int]:
        return [entity[1], entity[2], entity[0]]
    if len(entity) == 3 and not any(isinstance(part, list) for part in entity):
        whole = [whole_number(entity[0]), whole_number(entity[1]), entity[2]]
        if whole[0] is not entity[0] or whole[1] is not entity[1]:
            source.note(AS_TEXT, number, place)
            entity = whole
        named = type(entity[2]) is int
        return [*entity[:2], source.label(entity[2], place.partition("[")[0])] if named else entity
    parts = _flat(entity)
    if len(parts) == 2 and isinstance(sentence, str) and all(isinstance(part, str) for part in parts):
        return _from_pair(parts, number, source, sentence) or entity
    whole = _with_numbers(parts)
    if whole is not parts:
        source.note(AS_TEXT, number, place)
    parts = whole
    at, numbers = _place(parts), [type(part) is int for part in parts]
    if sum(numbers) > 3:
        raise ValueError(f"{place} has several places, found {entity}; a mention in several pieces is no one text")
    # A third number may stand behind the label: before it nothing tells which of them are the place.
    if at is None or (sum(numbers) == 3 and not (at == 0 and isinstance(parts[2], str))):
        return entity
    return _with_more(parts[at : at + 2], [*parts[:at], *parts[at + 2 :]], number, source, sentence) or entity


def _flat(entity: list[Any]) -> list[Any]:
    """The parts of a list, those of a place in it among them."""
    if not any(isinstance(part, list) for part in entity):
        return entity
    pairs = (
        part if isinstance(part, list) and [type(one) for one in part] == [int, int] else [part] for part in entity
    )
    return [one for pair in pairs for one in pair]


def _with_numbers(parts: list[Any]) -> list[Any]:
    """The parts with the place as numbers, where the only two whole numbers stand side by side and are texts."""
    at = [place for place, part in enumerate(parts) if type(whole_number(part)) is int]
    texts = len(parts) > 3 and len(at) == 2 and at[1] == at[0] + 1 and all(isinstance(parts[one], str) for one in at)
    return [whole_number(part) if place in at else part for place, part in enumerate(parts)] if texts else parts


def _place(parts: Sequence[Any]) -> int | None:
    """Where the first two whole numbers side by side stand."""
    kinds = [type(part) is int for part in parts]
    return next((at for at in range(len(parts) - 1) if kinds[at] and kinds[at + 1]), None)


def _from_pair(parts: list[str], number: int, source: Source, sentence: str) -> dict[str, Any] | None:
    there = [part in sentence for part in parts]
    if there[0] == there[1]:
        return None
    source.note(PAIRS, number, repr(parts))
    text, label = parts if there[0] else parts[::-1]
    return {"text": text, "label": label}


def _with_more(place: list[int], rest: list[Any], number: int, source: Source, sentence: Any) -> Any:
    """The span with the one text that is its label, and its own text if it is there; None where that is not clear."""
    texts = [part for part in rest if isinstance(part, str)]
    there = sentence[slice(*place)] if isinstance(sentence, str) else None
    said = len(texts) > 1 and there in texts
    if said:
        texts.remove(str(there))
    named = [text for text in texts if not _ID.fullmatch(text)] or texts[:1]
    if len(named) != 1 or not (said or named[0] == texts[0]):
        return None  # which of several texts is the label it does not tell
    texts = [*named, *(text for text in texts if text != named[0])]
    if len(texts) > 1 and there is not None and texts[0].casefold() == there.casefold():
        raise ValueError(
            f"which of {texts[0]!r}, the text of a span in another case, and {texts[1]!r} is its label is not clear; "
            'write {"start": ..., "end": ..., "label": ...}'
        )
    beside = [part for part in rest if part not in (None, "", texts[0], there if said else None)]
    if beside:
        source.note(BESIDE, number, repr([*place, *rest]))
    return {"start": place[0], "end": place[1], "text": there, "label": texts[0]} if said else [*place, texts[0]]

"""Long texts: split into overlapping windows, and the answers merged."""

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from rnr.task.extraction import Entity, Extraction

_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|(?<=[。！？])|\n+")


_Place: TypeAlias = tuple[int, int, str]


def windows(text: str, tokens: Sequence[tuple[int, int]], *, size: int, overlap: int) -> list[tuple[int, int]]:
    """The offsets of windows that cover the text, in each of which at most ``size`` tokens begin; one if the text has
    no more.

    ``tokens`` are the offsets of the text's tokens. A window ends after a sentence if one ends in its second half,
    else at white space, else between two tokens; the next one begins at most ``overlap`` tokens earlier, where a
    sentence or a word begins.

    Raises ValueError for an overlap of more than half a window.
    """
    if size < 1 or not 0 <= 2 * overlap <= size:
        raise ValueError(f"windows of {size} tokens may overlap by at most {size // 2}, not by {overlap}")
    if len(tokens) <= size:
        return [(0, len(text))]
    sentences = sorted({found.end() for found in _SENTENCE_END.finditer(text)})
    words = [found.end() for found in re.finditer(r"\s+", text)]
    starts = [start for start, _ in tokens]
    found: list[tuple[int, int]] = []
    first = begin = 0
    while len(starts) - first > size:
        low, high = starts[first + size // 2], starts[first + size]
        end = _last(sentences, low, high) or _last(words, low, high) or high
        found.append((begin, end))
        after = bisect_left(starts, end)
        earliest = max(first + 1, after - overlap)
        low = starts[earliest] if earliest < after else end
        begin = _first(sentences, low, end) or _first(words, low, end) or low
        first = max(first + 1, bisect_left(starts, begin))
    return [*found, (begin, len(text))]


def _last(places: Sequence[int], low: int, high: int) -> int:
    """The last of these places in (low, high]; 0 if there is none."""
    number = bisect_right(places, high)
    return places[number - 1] if number and places[number - 1] > low else 0


def _first(places: Sequence[int], low: int, high: int) -> int:
    """The first of these places in [low, high); 0 if there is none."""
    number = bisect_left(places, low)
    return places[number] if number < len(places) and places[number] < high else 0


def joined(text: str, places: Sequence[tuple[int, int]], parts: Sequence[Extraction]) -> Extraction:
    """The answers to the windows at ``places`` merged into one for the whole text, with its offsets.

    An entity from two windows becomes one, with the higher confidence. Of two crossing entities from different windows
    the one further from the ends of its window is kept: it was read with more context.
    """
    candidates: list[tuple[int, int, Entity]] = []
    for number, ((start, end), part) in enumerate(zip(places, parts, strict=True)):
        for entity in part.entities:
            moved = _moved(entity, start)
            before = moved.start - start if start else len(text)
            behind = end - moved.end if end < len(text) else len(text)
            candidates.append((min(before, behind), number, moved))
    found_in: dict[_Place, set[int]] = defaultdict(set)
    for _, number, entity in candidates:
        found_in[_place(entity)].add(number)
    kept: dict[_Place, Entity] = {}
    by_letter: dict[int, list[_Place]] = defaultdict(list)
    for _, number, entity in sorted(candidates, key=lambda found: (-found[0], found[2].start)):
        place, letters = _place(entity), range(entity.start, entity.end)
        if place in kept:
            kept[place] = _surer(kept[place], entity)
        # Its own window may have found several at one place.
        elif all(number in found_in[other] for letter in letters for other in by_letter.get(letter, ())):
            kept[place] = entity
            for letter in letters:
                by_letter[letter].append(place)
    return Extraction(
        sentence=text,
        entities=tuple(sorted(kept.values(), key=lambda entity: (entity.start, -entity.end, entity.label))),
        reasoning="\n\n".join(part.reasoning for part in parts if part.reasoning is not None) or None,
        error=next((part.error for part in parts if part.error is not None), None),
        finished=all(part.finished for part in parts),
        left_out=tuple(
            _moved(one, start) for (start, _), part in zip(places, parts, strict=True) for one in part.left_out
        ),
        below_threshold=sum(part.below_threshold for part in parts),
        windows=len(parts),
        merged=len(candidates) - len(kept),
        samples=max((part.samples for part in parts), default=1),
        tokens=sum(part.tokens for part in parts),
    )


def _moved(entity: Entity, by: int) -> Entity:
    """The entity with its offsets in the whole text; one without a place stays so."""
    return entity if entity.start < 0 else replace(entity, start=entity.start + by, end=entity.end + by)


def _place(entity: Entity) -> _Place:
    return entity.start, entity.end, entity.label


def _surer(one: Entity, other: Entity) -> Entity:
    known = [entity for entity in (one, other) if entity.confidence is not None]
    return max(known, key=lambda entity: entity.confidence or 0.0, default=one)

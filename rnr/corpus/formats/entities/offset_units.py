"""What offsets may count in the place of characters, and how each is converted to these."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

import regex

Place = tuple[int, int]

_TOKEN = re.compile(r"\S+")
_GRAPHEME = regex.compile(r"\X")
_OF_LAST = lru_cache(maxsize=4)
"""Kept of the last sentences, because the mentions of one follow each other."""


def _between(bounds: Callable[[str], Sequence[int]]) -> Callable[[str, int, int], Place | None]:
    """The conversion by the characters of a sentence at which its units begin, and its end; -1 inside a character."""
    kept = _OF_LAST(bounds)

    def convert(sentence: str, start: int, end: int) -> Place | None:
        at = kept(sentence)
        if not 0 <= start < end < len(at) or -1 in (at[start], at[end]):
            return None
        return at[start], at[end]

    return convert


def _of_code(encoding: str, width: int) -> Callable[[str, int, int], Place | None]:
    """The conversion from what an encoding writes for each character, in units of so many bytes."""

    def bounds(sentence: str) -> list[int]:
        found: list[int] = []
        for place, character in enumerate(sentence):
            found += (place, *[-1] * (len(character.encode(encoding)) // width - 1))
        return [*found, len(sentence)]

    return _between(bounds)


def _of_graphemes(sentence: str) -> list[int]:
    return [0, *(cluster.end() for cluster in _GRAPHEME.finditer(sentence))]


def _from_inclusive(sentence: str, start: int, end: int) -> Place | None:
    return (start, end + 1) if 0 <= start <= end < len(sentence) else None


@_OF_LAST
def _tokens(sentence: str) -> list[Place]:
    return [token.span() for token in _TOKEN.finditer(sentence)]


def _from_tokens(sentence: str, start: int, end: int) -> Place | None:
    tokens = _tokens(sentence)
    return (tokens[start][0], tokens[end - 1][1]) if 0 <= start < end <= len(tokens) else None


UNITS: dict[str, Callable[[str, int, int], Place | None]] = {
    "utf16": _of_code("utf-16-le", 2),
    "bytes": _of_code("utf-8", 1),
    "inclusive": _from_inclusive,
    "tokens": _from_tokens,
    "graphemes": _between(_of_graphemes),
}
REASONS = {
    "utf16": "UTF-16 units, as in JavaScript, Java and C#, where an emoji is two",
    "bytes": "bytes of UTF-8, as in Go and Rust",
    "inclusive": "characters with an inclusive end",
    "tokens": "words divided by white space",
    "graphemes": "characters with all that is joined to them, as in Doccano's grapheme mode",
}

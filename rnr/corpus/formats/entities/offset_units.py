"""What offsets may count in the place of characters, and how each is converted to these."""

import re
from collections.abc import Callable

import regex

Place = tuple[int, int]

_TOKEN = re.compile(r"\S+")
_GRAPHEME = regex.compile(r"\X")


def _from_units(encoding: str, width: int) -> Callable[[str, int, int], Place | None]:
    def convert(sentence: str, start: int, end: int) -> Place | None:
        units = sentence.encode(encoding)
        if not 0 <= start < end <= len(units) // width:
            return None
        try:
            before, there = units[: start * width].decode(encoding), units[start * width : end * width].decode(encoding)
        except UnicodeDecodeError:
            return None
        return len(before), len(before) + len(there)

    return convert


def _from_inclusive(sentence: str, start: int, end: int) -> Place | None:
    return (start, end + 1) if 0 <= start <= end < len(sentence) else None


def _from_tokens(sentence: str, start: int, end: int) -> Place | None:
    tokens = [token.span() for token in _TOKEN.finditer(sentence)]
    return (tokens[start][0], tokens[end - 1][1]) if 0 <= start < end <= len(tokens) else None


def _from_graphemes(sentence: str, start: int, end: int) -> Place | None:
    ends = [0, *(cluster.end() for cluster in _GRAPHEME.finditer(sentence))]
    return (ends[start], ends[end]) if 0 <= start < end < len(ends) else None


UNITS: dict[str, Callable[[str, int, int], Place | None]] = {
    "utf16": _from_units("utf-16-le", 2),
    "bytes": _from_units("utf-8", 1),
    "inclusive": _from_inclusive,
    "tokens": _from_tokens,
    "graphemes": _from_graphemes,
}
REASONS = {
    "utf16": "UTF-16 units, as in JavaScript, Java and C#, where an emoji is two",
    "bytes": "bytes of UTF-8, as in Go and Rust",
    "inclusive": "characters with an inclusive end",
    "tokens": "words divided by white space",
    "graphemes": "characters with all that is joined to them, as in Doccano's grapheme mode",
}

"""A mention written otherwise than its sentence: composed or decomposed, another kind of space, apostrophe, hyphen, or
with characters that nobody sees."""

import unicodedata
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import zip_longest

import regex

_GRAPHEME = regex.compile(r"\X")
_KINDS = {
    "'": "\u2018\u2019\u201a\u201b\u02b9\u02bb\u02bc\u02c8\u0060\u00b4\u2032\uff07",
    '"': "\u201c\u201d\u201e\u201f\u00ab\u00bb\u2033\uff02",
    "-": "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d",
}
INVISIBLE = frozenset(
    "\u00ad\u180e\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"
)
"""Soft hyphen, zero-width space and joiner of words, byte order mark, marks of direction: none of them is part of a
name. (The joiners U+200C and U+200D are, of Persian words and of emoji.)"""
_SAME: dict[int, str | None] = dict.fromkeys(map(ord, INVISIBLE))
_SAME |= {ord(other): usual for usual, others in _KINDS.items() for other in others}

_EDGES = "".join((*filter(str.isspace, map(chr, range(0x3001))), *INVISIBLE))


def stripped(text: str) -> str:
    """The text without white space and invisible characters at its ends."""
    return text.strip(_EDGES)


def folded(text: str) -> str:
    """The text composed (NFC), with one kind of space, apostrophe, quotation mark and hyphen, without the invisible."""
    composed = unicodedata.normalize("NFC", text).translate(_SAME)
    return "".join(" " if character.isspace() else character for character in composed)


def places_of(text: str, sentence: str) -> list[tuple[int, int]]:
    """(start, end) of what is ``text`` but for the way it is written, from left to right, without overlaps."""
    wanted = folded(text)
    whole, starts = _folded_by_place(sentence)
    places: list[tuple[int, int]] = []
    found = whole.find(wanted) if wanted else -1
    while found >= 0:
        start, end = starts[found], starts[found + len(wanted)]
        if start >= 0 and end >= 0:
            places.append((start, end))
        found = whole.find(wanted, found + len(wanted))
    return places


@lru_cache(maxsize=4)  # many texts of one sentence are looked for
def _folded_by_place(sentence: str) -> tuple[str, list[int]]:
    """The sentence folded, and the place of each of its characters in the original, -1 inside a grapheme."""
    starts: list[int] = []
    pieces: list[str] = []
    for grapheme in _GRAPHEME.finditer(sentence):
        piece = folded(grapheme[0])
        pieces.append(piece)
        starts += ([grapheme.start()] + [-1] * (len(piece) - 1))[: len(piece)]
    return "".join(pieces), [*starts, len(sentence)]


def difference(text: str, there: str) -> str:
    """The first characters in which two texts differ, by code point and name."""
    for left, right in zip_longest(text, there):
        if left != right:
            return f"{_named(left)} against {_named(right)}"
    return "no difference"


def _named(character: str | None) -> str:
    if character is None:
        return "the end"
    return f"U+{ord(character):04X} {unicodedata.name(character, '')}".strip()


def nearest(text: str, sentence: str) -> str:
    """What of the sentence is most like the text, with the difference; empty where nothing is."""
    lower = sentence.lower()
    at = lower.find(text.lower()) if len(lower) == len(sentence) else -1
    if at < 0:
        # Only so much of a long text: this is for a message, and takes time with the square of it.
        block = SequenceMatcher(None, sentence[:2000], text[:200], autojunk=False).find_longest_match()
        if 2 * block.size < len(text):
            return ""
        at = max(0, block.a - block.b)
    there = sentence[at : at + len(text)]
    return f"the nearest is {there!r} at [{at}:{at + len(there)}]: {difference(text, there)}"

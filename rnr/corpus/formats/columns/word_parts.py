"""Words of several parts, as CoNLL-U writes them: ``3-4`` for 3 and 4."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from rnr.corpus.formats.columns.cells import is_range
from rnr.corpus.formats.columns.layout import Layout
from rnr.corpus.formats.tags.reading import Tagged

WIDENED = "mentions begin or end inside a word of several parts (CoNLL-U's 3-4) and were made as long as the word"
EMPTY_NODES = "empty nodes of CoNLL-U (3.1), which stand for no word of the text, were left out"

_Line: TypeAlias = tuple[int, Sequence[str]]
"""The number of a line and its cells."""


def surface(lines: Sequence[_Line], layout: Layout) -> tuple[list[_Line], list[tuple[int, str]], list[int]]:
    """The lines with CoNLL-U's ``3-4`` in the place of 3 and 4, and without ``3.1``; the tags with their lines; and for
    each tag the token it is of. A token of several words has its own tag, or else those of its words. Raises ValueError
    with the line of what is no number."""
    kept: list[_Line] = []
    tags: list[tuple[int, str]] = []
    words: list[int] = []
    last, whole, own = -1, 0, False
    for number, row in lines:
        place, tag = row[layout.running], layout.tag_of(row[layout.tag])
        if not (place.isdecimal() or is_range(place)):
            raise ValueError(
                f"line {number}: {place!r} is not the number of a word, as other lines have in this column"
            )
        if "." in place:
            continue
        if "-" in place:
            last, whole, own = int(place.partition("-")[2]), number, tag not in ("O", "_", "")
        elif int(place) <= last:
            if own or tag in ("_", ""):
                continue
            if tags[-1][0] == whole:
                del tags[-1], words[-1]
            tags.append((number, row[layout.tag]))
            words.append(len(kept) - 1)
            continue
        kept.append((number, row))
        tags.append((number, row[layout.tag]))
        words.append(len(kept) - 1)
    return kept, tags, words


def of_tokens(mentions: Iterable[tuple[int, int, str]], found: Tagged) -> Iterator[tuple[int, int, str]]:
    """The mentions of a sentence by its tokens, where their places are those of its tags; what is made longer by that
    goes to its notes. Raises ValueError for two in one token."""
    words, end = found.words, 0
    for first, last, label in mentions:
        start, token = words[first], found.tokens[words[first]]
        if start < end:
            raise ValueError(
                f"{found.places[first]}: mentions meet inside the word {token!r}: give it one tag, on its own line"
            )
        end = words[last - 1] + 1
        if (first and words[first - 1] == start) or (last < len(words) and words[last] == end - 1):
            found.notes.append((WIDENED, repr(" ".join(found.tokens[start:end]))))
        yield start, end, label

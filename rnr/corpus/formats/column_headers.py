"""The first line of a column file where it names the columns."""

import re
from collections.abc import Sequence

from rnr.corpus.formats.column_cells import BLANKS, Columns, usual_width
from rnr.corpus.formats.tags import TAG_NAMES, TagCensus

WORD_NAMES = ("token", "tokens", "word", "words", "form", "text")
_OTHER_NAMES = (
    "pos",
    "upos",
    "xpos",
    "lemma",
    "chunk",
    "id",
    "idx",
    "index",
    "#",
    "nr",
    "misc",
    "head",
    "deprel",
    "nel",
)
_HEADER = frozenset((*WORD_NAMES, *TAG_NAMES, *_OTHER_NAMES))
_PREDICTED = re.compile(r"pred|guess|system|hypothes", re.IGNORECASE)
_PARTS = re.compile(r"[\W_]+")
_TAG = re.compile(r"[biesluwm]-")


def is_header(cells: Sequence[str]) -> bool:
    """Whether each cell is the name of a column, or has one in it (``POS_tag``, ``NE-COARSE-LIT``), one that of the
    words."""
    names = [_names(cell.strip(BLANKS).lower()) for cell in cells]
    return len(names) > 1 and all(name & _HEADER for name in names) and any(name & set(WORD_NAMES) for name in names)


def is_predicted(names: Sequence[str]) -> bool:
    """Whether a column with this name, if it has one, holds what a model said and not what is right."""
    return any(map(_PREDICTED.search, names))


def _names(cell: str) -> set[str]:
    return {cell} if _TAG.match(cell) else {cell, *_PARTS.split(cell)}


def unlike_the_rest(rows: Sequence[Sequence[list[str]]]) -> list[str]:
    """The first line where it is a header in another language: a word above a column that is all tags."""
    if not rows or len(rows[0]) < 2:
        return []
    first, width = rows[0][0], usual_width(rows)
    rest = [[row for row in sentence if len(row) == width] for sentence in (rows[0][1:], *rows[1:])]
    if len(first) != width or not any(rest):
        return []
    below = Columns([sentence for sentence in rest if sentence], width)
    for column in range(1, width):
        census = TagCensus(below.counts(column))
        spelling = census.scheme().spelling
        named = (
            spelling.kind == "before" and all(spelling.read(tag) for tag in census.counts) and len(census.counts) > 1
        )
        if named and first[column].isalpha() and len(first[column]) > 1:
            return first
    return []

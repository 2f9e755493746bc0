"""The first line of a column file where it names the columns."""

import re
from collections.abc import Container, Sequence

from rnr.corpus.formats.columns.cells import BLANKS, Columns, usual_width
from rnr.corpus.formats.field_names import (
    TAG_NAMES,
    WORD_NAMES,
    may_number_sentences,
    names_documents,
    names_places,
    names_sentences,
    names_tags,
    names_words,
    plain,
    usual_first,
)
from rnr.corpus.formats.tags.reading import TagCensus

_OTHER_NAMES = "pos upos xpos lemma chunk id idx index # nr misc head deprel nel"
_HEADER = frozenset((*WORD_NAMES, *TAG_NAMES, *_OTHER_NAMES.split()))
_PARTS = re.compile(r"[\W_]+")
_TAG = re.compile(r"[biesluwm]-")
_OF_TAGS = re.compile(r"y?(?:true|gold|pred|system|reference|guess)\w*|(?:annotator|annotation|rater|coder)\w*")
"""What a column of tags may be called beside others: by who or what said them."""
_OF_A_PAGE = re.compile(r"(?:line|row|page|block|section|region|column|col|font|speaker)(?:s|id|idx|no|nr|num|number)?")
"""What a column is called that tells where a word stands or how, which in a file of one page or text comes in runs."""
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?")
_NOTHING = frozenset(("", "_", "-", "O", "*"))
_UNNAMED = ("", "Unnamed: 0")
_MANY = 20
"""Number of lines from which a label that is on the first alone may be the name of a column."""
_MAY_NAME = "the first line ({}, {}) may name the columns, because its label is on no other line: if so, remove it"
_OF_ROWS = ("0", *_UNNAMED)
"""What pandas writes above the numbers of rows, or above a first column without a name."""


def is_header(cells: Sequence[str]) -> bool:
    """Whether one cell is the name of a column of words, and another that of tags, or each has a name in it
    (``POS_tag``, ``NE-COARSE-LIT``); pandas leaves that of a first column of numbers empty."""
    cells = cells[1:] if len(cells) > 2 and cells[0].strip(BLANKS) in _UNNAMED else cells
    names = [_names(cell.strip(BLANKS).lower()) for cell in cells]
    words = any(name & set(WORD_NAMES) for name in names) or any(map(names_words, cells))
    if len(names) < 2 or not words:
        return False
    both = len(names) > 2 and any(map(names_words, cells)) and any(map(names_tags, cells))
    return both or all(name & _HEADER or _is_known(cell) for name, cell in zip(names, cells, strict=True))


def named_words(header: Sequence[str]) -> list[int]:
    """The columns that a header calls words, the most usual name first."""
    names = [name for name in header if names_words(name) or name.strip(BLANKS).lower() == "text"]
    return [header.index(name) for name in usual_first(names, WORD_NAMES)]


def undivided(columns: Columns, header: Sequence[str], taken: Container[int]) -> str:
    """A note on columns that may number or name sentences, in too few lines to tell.

    Raises ValueError where a column that the header calls the sentences or documents of the words, or one that numbers
    them, or in a file without a blank line one that may name them, tells more of them than blank lines divide.
    """
    may_be = []
    for column in range(columns.width):
        name = header[column].strip(BLANKS) if column < len(header) else ""
        named = names_sentences(name) or names_documents(name)
        sure = _differs(columns, column) if named else _numbers(columns, column, name)
        if column in taken or not (sure or _may_name(columns, column)):
            continue
        of_a_page = not sure and (bool(_OF_A_PAGE.fullmatch(plain(name))) or _are_places(columns, column))
        if of_a_page or (not (sure and header) and not columns.goes_far(column)):
            may_be.append(str(column + 1))
            continue
        called = f" ({name})" if name else ""
        raise ValueError(
            f"column {column + 1}{called} names the sentence or document of each word, and there is no blank "
            "line between some of them: put one between sentences, or divide the columns by tabs and name them in the "
            f"first line (sentence_id, word, tag){'' if sure else '; if it is something else, take it out'}"
        )
    said = ", and column {} says the same on several lines: if it tells the sentences, put a blank line between them"
    return said.format(" and ".join(may_be)) if may_be else ""


def _numbers(columns: Columns, column: int, name: str) -> bool:
    """Whether a column numbers sentences, as far as its name says, if it has one."""
    if name and not may_number_sentences(name):
        return False
    if not name and columns.has_heads(column):
        return False
    return columns.goes_on(column) or (bool(name) and _differs(columns, column) and columns.are_numbered(column))


def _may_name(columns: Columns, column: int) -> bool:
    """Whether a column of a file without a blank line may name sentences: each cell has one, and none of them says, as
    one of other tags, of links or of remarks does, that there is nothing."""
    if len(columns.sentences) > 1 or columns.has_heads(column) or not _NOTHING.isdisjoint(columns.counts(column)):
        return False
    return _differs(columns, column) and columns.in_runs(column)


def _are_places(columns: Columns, column: int) -> bool:
    """Whether the cells of a column are numbers with gaps, as those of the place of a word on a page."""
    return all(_NUMBER.fullmatch(cell) for cell in columns.counts(column)) and not columns.goes_on(column)


def _differs(columns: Columns, column: int) -> bool:
    """Whether a column says more than one thing between two blank lines, and does not number the lines."""
    return not columns.is_running(column) and any(
        len(set(cells) - {"", "_", "-"}) > 1 for cells in columns.cells(column)
    )


def _is_known(name: str) -> bool:
    known = (names_words, names_tags, names_sentences, names_documents, names_places)
    return any(names(name) for names in known) or bool(_OF_TAGS.fullmatch(plain(name)))


def _names(cell: str) -> set[str]:
    return {cell} if _TAG.match(cell) else {cell, *_PARTS.split(cell)}


def unlike_the_rest(rows: Sequence[Sequence[list[str]]]) -> list[str]:
    """The first line where it is a header in another language: a word above a column that is all tags; or one of the
    numbers that pandas gives columns without names."""
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
        named = spelling.kind != "bare" and all(map(spelling.read, census.counts)) and len(census.counts) > 1
        alone = first[column].isalpha() and len(first[column]) > 1
        if named and (alone or _is_known(first[column]) or _is_of_pandas(first, census.counts)):
            return first
    return []


def doubtful_first(columns: Columns, token: int, tag: int) -> tuple[str, ...]:
    """The note on a first line that may be a header above labels alone: its label is on no other of many lines, and is
    spelled differently from all others."""
    counts = columns.counts(tag)
    first, *_ = columns.sentences[0]
    word, label = first[token].strip(BLANKS), first[tag].strip(BLANKS)
    others = [one for one in counts if one != label]
    alone = counts[label] == 1 and counts.total() >= _MANY and TagCensus(counts).scheme().spelling.kind == "bare"
    unlike = word.isalpha() and not label.isupper() and all(map(str.isupper, others))
    return (_MAY_NAME.format(word, label),) if alone and unlike else ()


def _is_of_pandas(first: Sequence[str], tags: Container[str]) -> bool:
    """Whether a line holds the numbers that pandas gives columns without names: of two columns 0 may be the ``tags``'
    O, beside a word."""
    if first[1:] != list(map(str, range(len(first) - 1))):
        return False
    return len(first) > 2 or first[0] in _OF_ROWS or first[1] not in tags

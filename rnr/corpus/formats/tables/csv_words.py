"""Tables with a word a row -> sentences: which rows belong together, by a number, a text, or blank rows."""

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice, pairwise
from typing import TypeAlias

import numpy as np

from rnr.corpus.formats.columns.gaps import ALONE, sentences_of_one
from rnr.corpus.formats.entities.span_lists import whole_number
from rnr.corpus.formats.files.csv_table import NOTHING, Cells, is_blank, rows_of_cells, surplus
from rnr.corpus.formats.rows import DataError, Row
from rnr.corpus.formats.shapes import Source
from rnr.corpus.formats.tags.reading import NAMED_AGAIN, OTHER_TEXT, Places, Tagged, located

FILLED = "rows of the table name no sentence and were read as words of the previous one"
AGAIN = "sentences repeat the number of an earlier, not adjacent sentence, and are read as separate ones"
BEGUN = "sentences have the number of the previous one and were separated by the number of their first word"
REPEATED = "sentences repeat the text of the previous one in their column and were separated by it"
NO_LABEL = ("O", "", "_", "-")
"""What stands beside O in a column of labels."""
BLANKS_DIVIDE = "no column numbers the sentences; blank rows divide them"
_SEVERAL_LINES = "the word goes over several lines: a quotation mark opens there that is not closed (write it as four)"

_LOOKED_AT = 1000
"""So many rows tell whether a blank one stands after every word."""

_NO_BEGINNING = re.compile(r"O$|[IELM][-_]")
"""Tags beside which a space is a word, and not what is left of one."""

Named: TypeAlias = tuple[int, str, list[str] | DataError]
"""A row's line, what its sentence is called, and its cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordColumns:
    """Columns from 0; -1 where there is none."""

    width: int
    word: int
    tag: int
    sentence: int
    """What its sentence is called; where there is no such column, blank rows divide sentences."""
    document: int = -1
    """What its document is called, in which the numbers of sentences may begin anew."""
    place: int = -1
    """The number of the word, in its sentence or in all."""
    label: int = -1
    """The label of the mention, where its tags tell a place alone."""
    names: tuple[str, str] = ("", "")
    """What the columns of words and tags are called."""


def sentences(columns: WordColumns, source: Source) -> Iterator[Row]:
    """The sentences as their words and tags; what is noted of all of them follows the last."""
    if columns.sentence < 0:
        note_gaps(columns, source)
    numbered, filled = _Numbered(), 0
    current, before = _Sentence(), ""
    rows = _named(columns, source)
    for number, name, cells in rows if columns.label < 0 else _labelled(rows, columns):
        if isinstance(cells, DataError):
            current.breaks(str(cells))
            continue
        if name and name != before:
            if current.numbers:
                yield from current.rows_of(columns, source)
            current, before = _Sentence(name, current.spilled(columns.word)), name
            numbered.add(name, number)
        elif not name:
            filled += 1
            if not before:
                raise DataError(f"{source.file}, line {number}: a word before the first number of a sentence")
        current.numbers.append(number)
        current.rows.append(cells)
    if current.numbers or current.fault:
        yield from current.rows_of(columns, source)
    if filled:
        source.note(FILLED, times=filled)
    numbered.note(source)


def note_gaps(columns: WordColumns, source: Source) -> None:
    """Note sentences of one word, where blank rows divide them; raises DataError where one stands after every word."""
    rows = islice(rows_of_cells(source.file), 1, _LOOKED_AT)
    places, first = list[tuple[int, int]](), list[str]()
    for blank, group in groupby(rows, lambda row: isinstance(row[1], DataError) or is_blank(row[1])):
        if not blank:
            numbers, cells = zip(*group, strict=True)
            places.append((numbers[0], len(numbers)))
            first.extend(row[columns.tag].strip() for row in cells[:1] if len(row) > columns.tag)
    gaps = (after - before - size for (before, size), (after, _) in pairwise(places))
    try:
        alone = sentences_of_one([size for _, size in places], gaps, first)
    except ValueError as error:
        raise DataError(f"{source.file}: {error}") from None
    if alone:
        source.note(ALONE, times=alone)


def divided_by_blanks(source: Source) -> bool:
    """Whether a blank row stands between others."""
    blank = False
    for _, cells in islice(rows_of_cells(source.file), 1, None):
        if isinstance(cells, list) and is_blank(cells):
            blank = True
        elif blank:
            return True
    return False


def _named(columns: WordColumns, source: Source) -> Iterator[Named]:
    """The rows below the header that have something in them, with what their sentence is called: nothing where they do
    not say it."""
    rows = islice(rows_of_cells(source.file), 1, None)
    if columns.sentence < 0:
        return _by_blanks(rows)
    found = _by_column(rows, columns.sentence, source)
    if columns.document >= 0:
        found = _by_document(found, columns.document)
    return _by_place(found, columns.place, source) if columns.place >= 0 else found


def _labelled(rows: Iterator[Named], columns: WordColumns) -> Iterator[Named]:
    """The same rows, in each tag the label that stands beside it; one that has none, and O with one, are no tags."""
    for number, name, cells in rows:
        if isinstance(cells, list) and len(cells) > columns.tag:
            tag, label = (cells[at].strip() if len(cells) > at else "" for at in (columns.tag, columns.label))
            label = "" if label in NO_LABEL else label
            if tag and (label or tag != "O"):
                cells = [*cells[: columns.tag], f"{tag.rstrip('-')}-{label}", *cells[columns.tag + 1 :]]
        yield number, name, cells


def _by_blanks(rows: Iterator[Cells]) -> Iterator[Named]:
    sentence = 1
    for number, cells in rows:
        if isinstance(cells, list) and is_blank(cells):
            sentence += 1
        else:
            yield number, str(sentence), cells


def _by_column(rows: Iterator[Cells], column: int, source: Source) -> Iterator[Named]:
    for number, cells in rows:
        if isinstance(cells, DataError):
            yield number, "", cells
            continue
        name = cells[column].strip() if len(cells) > column else ""
        if name or not is_blank(cells):
            yield number, name, cells
        elif cells:
            source.note(NOTHING, number)


def _by_document(rows: Iterator[Named], column: int) -> Iterator[Named]:
    """The same rows by their document as well; one that names none is of that of the row before."""
    document = ""
    for number, name, cells in rows:
        if isinstance(cells, list) and len(cells) > column:
            document = cells[column].strip() or document
        yield number, f"{document}\t{name}" if name else name, cells


def _by_place(rows: Iterator[Named], column: int, source: Source) -> Iterator[Named]:
    """The same rows; where the words are counted anew under one name, another sentence begins."""
    last, before, times = "", -1, 0
    for number, name, cells in rows:
        place = whole_number(cells[column]) if isinstance(cells, list) and len(cells) > column else None
        if type(place) is not int or not name:
            yield number, name, cells
            continue
        if name != last:
            last, times = name, 0
        elif place <= before:
            times += 1
            source.note(BEGUN, number)
        before = place
        yield number, f"{name}\t{times}" if times else name, cells


@dataclass(slots=True)
class _Sentence:
    """The rows of one sentence, and what is wrong with it."""

    name: str = ""
    fault: str = ""
    numbers: list[int] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    _broken: tuple[int, str] = (-1, "")
    """After how many rows there was one that cannot be read, and why."""

    def breaks(self, why: str) -> None:
        """The next row cannot be read, so that this sentence is not whole."""
        self.fault = self.fault or why
        self._broken = len(self.rows), why

    def spilled(self, word: int) -> str:
        """What may have swallowed the beginning of the sentence after this one; empty where nothing has."""
        after, why = self._broken
        if self.rows and len(self.rows[-1]) > word and "\n" in self.rows[-1][word].strip():
            after, why = len(self.rows), f"line {self.numbers[-1]}: {_SEVERAL_LINES}"
        return f"{why}; this sentence may begin there" if after == len(self.rows) else ""

    def rows_of(self, columns: WordColumns, source: Source) -> Iterator[Row]:
        """Its words and tags, or the DataError with what is wrong; several sentences where they have one text."""
        first, tag = self.numbers[0] if self.numbers else 1, columns.tag
        rows = [row for row in self.rows if len(row) == columns.width]
        words = [row[columns.word].strip() or _word(row, columns) for row in rows]
        tags = [row[tag].strip() for row in rows]
        whole = len(rows) == len(self.rows) and "" not in words and "" not in tags and "\n" not in "".join(words)
        whole = whole and columns.names not in zip(words, tags, strict=True)
        if fault := self.fault or ("" if whole else self._fault(columns)):
            yield first, DataError(f"{source.file}, {fault}")
            return
        if not whole:  # some rows end early, or in a delimiter
            words, tags = [_word(row, columns) for row in self.rows], [row[tag].strip() for row in self.rows]
        source.note_blank(words, first)
        size = self._size(words, source)
        text = [self.name] if size else []
        for begin in range(0, len(words), size or len(words)):
            part = slice(begin, begin + (size or len(words)))
            if begin:
                source.note(REPEATED, self.numbers[begin])
            numbers = self.numbers[part]
            yield numbers[0], Tagged(numbers[0], words[part], tags[part], Places(numbers), text)

    def _size(self, words: list[str], source: Source) -> int:
        """The number of words in the text that the sentence is called by; 0 where it is called otherwise."""
        if " " not in self.name or words[0] not in self.name or words[-1] not in self.name:
            return 0
        for times in range(1, 1 + len(words)):
            size = len(words) // times
            if size * times == len(words) and words[:size] * times == words and located(words[:size], self.name):
                return size
        if 2 * len(self.name) > sum(map(len, words)):
            source.note(OTHER_TEXT, self.numbers[0], repr(self.name[:60]))
        return 0

    def _fault(self, columns: WordColumns) -> str:
        """What is wrong with the first row that has no word or tag, or too much; empty where nothing is."""
        word, tag = columns.word, columns.tag
        for number, row in zip(self.numbers, self.rows, strict=True):
            if more := surplus(row, columns.width):
                return f"line {number}: {more}"
            if len(row) <= max(word, tag) or not _word(row, columns) or not row[tag].strip():
                return f"line {number}: no word, or no tag (O where it has none)"
            if "\n" in row[word].strip():
                return f"line {number}: {_SEVERAL_LINES}"
            if (row[word].strip(), row[tag].strip()) == columns.names:
                return f"line {number}: {NAMED_AGAIN}"
        return ""


def _word(row: list[str], columns: WordColumns) -> str:
    """The word of a row; a space where that is all that stands beside O or inside of a mention, as in texts that write
    their spaces."""
    word = row[columns.word]
    return word.strip() or (word if word and "\n" not in word and _NO_BEGINNING.match(row[columns.tag].strip()) else "")


@dataclass(frozen=True, slots=True)
class _Numbered:
    """The numbers of the sentences as hashes and the lines at which they begin: 16 bytes a sentence."""

    hashes: "array[int]" = field(default_factory=lambda: array("q"))
    lines: "array[int]" = field(default_factory=lambda: array("q"))

    def add(self, name: str, line: int) -> None:
        self.hashes.append(hash(name))
        self.lines.append(line)

    def note(self, source: Source) -> None:
        """Note the sentences that have the number of an earlier one."""
        _, first = np.unique(np.frombuffer(self.hashes, dtype=np.int64), return_index=True)
        again = np.ones(len(self.lines), dtype=bool)
        again[first] = False
        for line in np.flatnonzero(again):
            source.note(AGAIN, self.lines[line])

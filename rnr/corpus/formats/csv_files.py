"""CSV with a token a line or a sentence a line, read as a stream: no more than a sentence of it is held."""

import csv
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from rnr.corpus.formats.opening import LINE_LIMIT
from rnr.corpus.formats.rows import DataError, Row
from rnr.corpus.formats.shapes import Source
from rnr.corpus.formats.shown_lists import list_in, shows_a_list
from rnr.corpus.formats.tags import Places, Tagged
from rnr.corpus.formats.text_lines import text_stream
from rnr.corpus.formats.token_rows import tagged_rows
from rnr.corpus.report import Reading

_WORDS = ("word", "token", "words", "tokens", "form")
_TAGS = ("tag", "ner_tag", "ner", "label", "ner_tags", "bio", "iob", "entity", "tags")
_SENTENCES = ("sentence #", "sentence_id", "sent_id", "sentence_idx", "sentence_number", "sentence", "sentence_num")
_TEXTS = ("text", "sentence", "content", "input", "document")
_BEGINS = ("start", "begin")
_TOLD = ("sep=,", "sep=;", "sep=\t", "sep=|")
"""A first line by which Excel is told what divides the cells."""

FILLED = "rows of the table name no sentence and were taken for words of the one before"
AGAIN = "sentences have a number that an earlier sentence has, with others between them, and are read as others"
NOTHING = "rows of the table have nothing in any cell and were passed over"
OTHER_TAGS = "further columns of tags are not read"
_SEVERAL_LINES = "the word goes over several lines: a quotation mark opens there that is not closed (write it as four)"
_QUOTES = "a cell that begins with a quotation mark ends with one, and one inside of it is written twice"


def is_word_table(head: str) -> bool:
    """Whether a line names the columns of a table with a word, its tag and the number of its sentence."""
    columns = {column.strip().lower() for column in head.split("\t")}
    return all(columns & set(names) for names in (_WORDS, _TAGS, _SENTENCES))


def is_list_table(head: str, second: str) -> bool:
    """Whether a line names columns and the next has a list in one of its cells (``text<TAB>entities``)."""
    names = {name.strip().strip('"').lower() for name in head.split("\t")}
    cells = [cell.strip().strip('"') for cell in second.split("\t")]
    return "\t" in head and bool(names & {*_TEXTS, *_WORDS}) and any(map(shows_a_list, cells))


def csv_rows(file: Path, reading: Reading, rows_of: Callable[[Iterator[Row], Source], Iterator[Row]]) -> Iterator[Row]:
    """The sentences of a CSV: words with their tags and their sentence's number, or a sentence and a JSON list a line.

    Raises DataError when its columns are neither.
    """
    source = Source(file=file, reading=reading)
    names = next((cells for _, cells in _table(file)), [])
    if isinstance(names, DataError):
        raise DataError(f"{file}, {names}")
    columns = _named_columns(names, file)
    word, tag, sentence = (_first(columns, listed) for listed in (_WORDS, _TAGS, _SENTENCES))
    if word and tag and sentence and sentence not in (word, tag):
        if others := [name for name in _TAGS if name in columns and columns[name] not in (word, tag, sentence)]:
            reading.fact(f"column {tag!r} is read as the tags; {OTHER_TAGS} ({', '.join(others)})", file)
        places = [names.index(name) for name in (word, tag, sentence)]
        return tagged_rows(_sentences(file, len(names), places, source), source)
    if not any(shows_a_list(cell) for _, cells in _table(file) if isinstance(cells, list) for cell in cells):
        raise DataError(f"{file}: {_no_entities(columns, by_words=bool(word and tag))}")
    return rows_of(_rows_with_lists(file, names, source), source)


def _table(file: Path) -> Iterator[tuple[int, list[str] | DataError]]:
    """The number of the line at which each row begins, and its cells, those of the header first; what is wrong with it
    where it cannot be divided."""
    with text_stream(file) as stream:
        before, head = 0, stream.readline(LINE_LIMIT)
        while head and not head.strip():
            before, head = before + 1, stream.readline(LINE_LIMIT)
        told = head.rstrip("\r\n") in _TOLD
        delimiter = head[4] if told else max(",;\t|", key=head.count)
        lines = iter(partial(stream.readline, LINE_LIMIT), "")
        reader = csv.reader(lines if told else chain((head,), lines), delimiter=delimiter, strict=True)
        before += told
        begin = before + 1
        while True:
            try:
                for cells in reader:
                    if cells:
                        yield begin, cells
                    begin = before + reader.line_num + 1
                return
            except csv.Error as error:
                end = before + reader.line_num
                which = f"line {begin}" if begin == end else f"lines {begin} to {end}"
                yield begin, DataError(f"{which}: {error}; {_QUOTES}")
                begin = end + 1


def _filled_rows(file: Path, source: Source) -> Iterator[tuple[int, list[str] | DataError]]:
    """The rows below the header; those with nothing in them are noted."""
    for number, cells in islice(_table(file), 1, None):
        if isinstance(cells, DataError) or cells[0] or any(map(str.strip, cells)):
            yield number, cells
        else:
            source.note(NOTHING, number)


def _named_columns(names: Sequence[str], file: Path) -> dict[str, str]:
    """The names as they are written, by the names that are looked for; raises DataError where two are the same."""
    written = [name for name in names if name.strip()]
    columns = {name.strip().lower(): name for name in written}
    if len(columns) < len(written):
        raise DataError(f"{file}: two columns have the same name ({', '.join(written)}); rename the one not meant")
    return columns


def _first(columns: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((columns[name] for name in names if name in columns), None)


def _no_entities(columns: dict[str, str], *, by_words: bool) -> str:
    """What is said of a table without a list in any cell and without a column that divides words into sentences."""
    if by_words:
        return "no column tells where a sentence ends; add one such as 'sentence_id'"
    known = ", ".join(columns) or "none"
    if any(name.startswith(_BEGINS) for name in columns):
        known += "; does each row hold one entity? Put those of a text into one list: [[start, end, label], ...]"
    return (
        "a CSV needs a column of words, one of tags and one that numbers the sentences, or a text and a JSON list of "
        f"its entities; the columns are: {known}"
    )


# A sentence a row


def _rows_with_lists(file: Path, names: Sequence[str], source: Source) -> Iterator[Row]:
    """Each row by the names of its columns in lower case, with the cells that hold a list read, without empty ones."""
    lowered = [name.strip().lower() for name in names]
    for number, cells in _filled_rows(file, source):
        if isinstance(cells, DataError):
            yield number, DataError(f"{file}, {cells}")
        elif surplus := _surplus(cells, len(names)):
            yield number, DataError(f"{file}, line {number}: {surplus}")
        else:
            yield number, {name: _value(cell) for name, cell in zip(lowered, cells, strict=False) if cell and name}


def _surplus(cells: Sequence[str], width: int) -> str:
    """What is wrong with a row that has more cells than there are columns; empty where it has not."""
    if not any(cells[width:]):  # a delimiter at the end of a line says nothing
        return ""
    return f"more cells than columns: {list(cells[width:])}; a cell with the delimiter in it needs quotation marks"


def _value(cell: str) -> Any:
    listed = list_in(cell) if shows_a_list(cell) else None
    return cell if listed is None else listed


# A word a row


@dataclass(slots=True)
class _Sentence:
    """The rows of one sentence, and what is wrong with it."""

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

    def tagged(self, width: int, word: int, tag: int, file: Path) -> Row:
        """Its words and tags, or the DataError with what is wrong."""
        first = self.numbers[0] if self.numbers else 1
        words, tags = ([row[column].strip() for row in self.rows if len(row) == width] for column in (word, tag))
        whole = len(words) == len(self.rows) and "" not in words and "" not in tags and "\n" not in "".join(words)
        if fault := self.fault or ("" if whole else self._fault(width, word, tag)):
            return first, DataError(f"{file}, {fault}")
        words, tags = ([row[column].strip() for row in self.rows] for column in (word, tag))
        return first, Tagged(first, words, tags, Places(self.numbers))

    def _fault(self, width: int, word: int, tag: int) -> str:
        """What is wrong with the first row that has no word or tag, or too much; empty where nothing is."""
        for number, row in zip(self.numbers, self.rows, strict=True):
            if surplus := _surplus(row, width):
                return f"line {number}: {surplus}"
            if len(row) <= max(word, tag) or not row[word].strip() or not row[tag].strip():
                return f"line {number}: no word, or no tag (O where it has none)"
            if "\n" in row[word].strip():
                return f"line {number}: {_SEVERAL_LINES}"
        return ""


def _sentences(file: Path, width: int, places: Sequence[int], source: Source) -> Iterator[Row]:
    """The sentences as their words and tags; what is noted of all of them follows the last."""
    word, tag, sentence = places
    numbered, filled = _Numbered(), 0
    current, before = _Sentence(), ""
    for number, cells in islice(_table(file), 1, None):
        if isinstance(cells, DataError):
            current.breaks(str(cells))
            continue
        name = cells[sentence] if len(cells) > sentence else ""
        if name != before or not name:  # else nothing has to be looked at, because files are large
            name = name.strip()
            if not any(map(str.strip, cells)):
                source.note(NOTHING, number)
                continue
            filled += not name
            if name and name != before:
                if current.numbers:
                    yield current.tagged(width, word, tag, file)
                current, before = _Sentence(current.spilled(word)), name
                numbered.add(name, number)
            elif not before:
                raise DataError(f"{file}, line {number}: a word before the first number of a sentence")
        current.numbers.append(number)
        current.rows.append(cells)
    if current.numbers or current.fault:
        yield current.tagged(width, word, tag, file)
    if filled:
        source.note(FILLED, times=filled)
    numbered.note(source)


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

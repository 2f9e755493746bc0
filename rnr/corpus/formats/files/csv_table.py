"""A CSV -> its rows of cells, one after the other."""

import csv
import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TextIO, TypeAlias

from rnr.corpus.formats.files.opening import LINE_LIMIT
from rnr.corpus.formats.files.text_lines import text_stream
from rnr.corpus.formats.rows import DataError

Cells: TypeAlias = tuple[int, list[str] | DataError]
"""The number of the line at which a row begins, and its cells, or what is wrong with it where it cannot be divided."""

NOTHING = "rows of the table have no cell with content and were skipped"

BETWEEN = re.compile("[\x01\x02\x1e\x1f]")
"""What may stand between the words, and between the tags, of a cell, as in PaddleNLP's tables."""

DELIMITERS = ",;\t|"
"""What may divide cells."""
_SEPARATOR_LINES = tuple(f"sep={mark}" for mark in DELIMITERS)
"""A first line by which Excel is told what divides the cells."""
_INDEX = ([""], ["Unnamed: 0"])
"""What pandas calls the column of the numbers of rows."""
_QUOTES = "a cell that begins with a quotation mark ends with one, and one inside of it is written twice"


def rows_of_cells(file: Path) -> Iterator[Cells]:
    """The rows of a table, those of the header first; a blank line is one without cells. A row that has nothing but its
    running number, in the first column of what pandas writes, has nothing."""
    rows = _rows(file)
    for head in islice(rows, 1):
        yield head
        if not isinstance(head[1], list) or head[1][:1] not in _INDEX:
            yield from rows
    for number, cells in rows:
        yield number, [""] * len(cells) if isinstance(cells, list) and _is_numbered(cells) else cells


def _rows(file: Path) -> Iterator[Cells]:
    with text_stream(file) as stream:
        lines = _Lines(stream)
        before, head = 0, next(lines, "")
        while head and not head.strip():
            before, head = before + 1, next(lines, "")
        if (first := head.rstrip("\r\n")) in _SEPARATOR_LINES:
            delimiter, before, head = first[4], before + 1, next(lines, "")
        else:
            delimiter = max(DELIMITERS, key=head.count)
        lines.inside = False
        second = next(lines, "")
        spaced = _opens_behind_a_space([head, second], delimiter)
        given = lines.again(head, second) if head.endswith("\r") else chain((head, second), lines.plain)
        if delimiter == "\t":
            given = map(_with_written_quotes, given)
        reader = csv.reader(given, delimiter=delimiter, strict=True, skipinitialspace=spaced)
        begin = before + 1
        while True:
            try:
                for cells in reader:
                    lines.inside = False
                    yield begin, cells
                    begin = before + reader.line_num + 1
                return
            except csv.Error as error:
                lines.inside = False
                end = before + reader.line_num
                which = f"line {begin}" if begin == end else f"lines {begin} to {end}"
                yield begin, DataError(f"{which}: {error}; {_QUOTES}")
                begin = end + 1


class _Lines(Iterator[str]):
    """The lines of a table with their ends as they are, but for the line feed that makes two of each where a program
    wrote ``\\r\\r\\n`` after a row, as Python's csv does on Windows."""

    def __init__(self, stream: TextIO) -> None:
        self._read = partial(stream.readline, LINE_LIMIT)
        self.plain = iter(self._read, "")
        """The lines as they are."""
        self._given_back: list[str] = []
        self._last = ""
        self.inside = False
        """Whether the next line may stand inside of a cell, where it is left as it is."""

    def __next__(self) -> str:
        line = self._line()
        if not self.inside and self._last.endswith("\r"):
            line = self._after_returns(line)
        if not line:
            raise StopIteration
        self.inside, self._last = True, line
        return line

    def again(self, *lines: str) -> Iterator[str]:
        """These lines again, the first of which begins a row, and then all others."""
        self._given_back.extend(reversed(lines))
        self.inside, self._last = False, ""
        return self

    def _after_returns(self, line: str) -> str:
        """The line, or the next one where it, and carriage returns before it, are the end of the last."""
        returns: list[str] = []
        while line == "\r":
            returns.append(line)
            line = self._line()
        if line == "\r\n":
            return self._line()
        self._given_back.extend((line, *returns))
        return self._given_back.pop()

    def _line(self) -> str:
        return self._given_back.pop() if self._given_back else self._read()


def _with_written_quotes(line: str) -> str:
    """The line with a cell that is a quotation mark alone as CSV writes it, which few do where tabs divide words."""
    bare = line.rstrip("\r\n")
    if '"' not in bare or '"' not in (cells := bare.split("\t")):
        return line
    return "\t".join('""""' if cell == '"' else cell for cell in cells) + line[len(bare) :]


def _opens_behind_a_space(lines: Sequence[str], delimiter: str) -> bool:
    """Whether cells have a space before the quotation mark that opens them, so that it would open nothing. Inside of
    quotation marks, as in a list in JSON, such a space is one of the text, and the texts of the table keep theirs."""
    opened: list[int] = []
    for skip in (False, True):
        try:
            rows = list(csv.reader(lines, delimiter=delimiter, skipinitialspace=skip))
        except csv.Error:  # reported for its row
            return False
        opened.append(sum(cell.startswith(' "') for cells in rows for cell in cells))
    return opened[0] > opened[1]


def unquoted(cell: str) -> str:
    """A cell without the quotation marks that CSV puts around one with some in it, which it writes twice: ``"Ida`` of
    ``\"""Ida"``; any other as it is."""
    inner = cell[1:-1]
    written = cell[:1] == cell[-1:] == '"' and '""' in inner and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if written else cell


def surplus(cells: Sequence[str], width: int) -> str:
    """What is wrong with a row that has more cells than there are columns; empty where it has not."""
    if not any(cells[width:]):  # a delimiter at the end of a line says nothing
        return ""
    return f"more cells than columns: {list(cells[width:])}; a cell with the delimiter in it needs quotation marks"


def _is_numbered(cells: Sequence[str]) -> bool:
    """Whether a row has nothing but a number in its first cell."""
    return len(cells) > 1 and cells[0].strip().isdecimal() and is_blank(cells[1:])


def is_blank(cells: Sequence[str]) -> bool:
    """Whether a row has nothing in any cell."""
    return not any(map(str.strip, cells))

"""The cells of column files: how a line is divided, and what a column has in all lines."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

BLANKS = " \t"
"""What divides columns; any other white space may stand inside a token."""

_RANGE = re.compile(r"(\d+)[-.](\d+)")


def by_tab(line: str) -> list[str]:
    return line.split("\t")


def by_blanks(line: str) -> list[str]:
    # Not str.split(), which also splits at no-break spaces and other characters that stand inside tokens.
    if line.isascii() and line.isprintable():
        return line.split()
    return [part for part in line.replace("\t", " ").split(" ") if part]


def without_trailing(cells: list[str]) -> list[str]:
    """The cells without empty ones at the end, which trailing tabs leave."""
    while len(cells) > 1 and not cells[-1].strip(BLANKS):
        cells = cells[:-1]
    return cells


def is_range(cell: str) -> bool:
    """Whether a running number is that of CoNLL-U's words written as one (``3-4``), or of an empty node (``3.1``)."""
    return bool(_RANGE.fullmatch(cell))


@dataclass(frozen=True, slots=True)
class Columns:
    sentences: list[list[list[str]]]
    width: int

    def cells(self, column: int) -> Iterator[list[str]]:
        """The cells of a column, sentence by sentence."""
        return ([row[column].strip(BLANKS) for row in sentence] for sentence in self.sentences)

    def counts(self, column: int) -> Counter[str]:
        return Counter(cell for cells in self.cells(column) for cell in cells)

    def is_running(self, column: int) -> bool:
        """Whether the cells of each sentence are numbers that go up by one."""
        steps = 0
        for cells in self.cells(column):
            numbers = [cell for cell in cells if not is_range(cell)]
            if not all(cell.isascii() and cell.isdigit() for cell in numbers):
                return False
            if any(int(right) != int(left) + 1 for left, right in pairwise(numbers)):
                return False
            steps += max(0, len(numbers) - 1)
        return steps > 0


def usual_width(rows: Iterable[Sequence[Sequence[str]]]) -> int:
    widths = Counter(len(row) for sentence in rows for row in sentence)
    return max(widths, key=lambda width: (widths[width], width), default=0)

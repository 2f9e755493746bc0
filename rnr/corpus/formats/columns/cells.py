"""The cells of column files: how a line is divided, and what a column has in all lines."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

BLANKS = " \t"
"""What divides columns; any other white space may stand inside a token."""

_MOST_PARTS = 4
"""So many lines a word has at most, on average, where each of its parts has one."""

_MANY = 20
"""In so few lines numbers that stay or go up may be anything."""
_OF_CONLL_U = 10

_DIGITS = re.compile(r"\d+")
_RANGE = re.compile(r"(\d+)[-.](\d+)")
_OLD_WEBANNO = re.compile(r"(\d+)-(\d+)")


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


def is_glued(cell: str) -> bool:
    """Whether a cell says that no space follows its token, as CoNLL-U and HIPE do."""
    return any(part in ("SpaceAfter=No", "NoSpaceAfter") for part in cell.split("|"))


def without_spacing(cell: str) -> str:
    """A cell without what it says of the space after its token: ``B-PER`` of ``B-PER|SpaceAfter=No``."""
    return "|".join(part for part in cell.split("|") if not is_glued(part)) if is_glued(cell) else cell


def _are_old_numbers(cells: Sequence[str]) -> bool:
    """Whether these are the sentence's number and the words' in it (``2-1``, ``2-2``), and no places in a text."""
    found = [match for cell in cells if (match := _OLD_WEBANNO.fullmatch(cell))]
    words = [int(match[2]) for match in found]
    return len(found) == len(cells) and len({match[1] for match in found}) == 1 and words == [*range(1, len(cells) + 1)]


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
        return self._steps(column) == {1}

    def numbering(self) -> str:
        """What the numbers of the first column are, in words; empty where they are no numbers or mean nothing by their
        order.

        Raises ValueError where the ends of sentences are told by such numbers alone, or words by WebAnno's old ones.
        """
        if all(map(_are_old_numbers, self.cells(0))):
            raise ValueError(
                "words are numbered as in WebAnno TSV 1 and 2 (1-1, 1-2): export 'WebAnno TSV v3.3' or 'CoNLL 2002'"
            )
        steps = self._steps(0)
        if 1 in steps and min(steps) < 0 and self._begins_anew():
            raise ValueError(
                "column 1 numbers the words of a sentence and begins again where there is no blank line: put "
                "one between sentences"
            )
        if steps == {0, 1} and self._are_of_words(0):
            return "the number of the word that each line is a part of"
        if steps == {0, 1}:
            raise ValueError(
                "column 1 numbers the sentences, which no blank line divides: put one between them, or "
                "divide the columns by tabs and name them in the first line (sentence_id, word, tag)"
            )
        return {frozenset({1}): "a running number", frozenset({0}): "the number of the sentence"}.get(steps, "")

    def goes_on(self, column: int) -> bool:
        """Whether the cells of a column are numbers that stay or go up by one, as those of sentences do: in the only
        block, or in each, and some of them far enough to be no mark of yes and no."""
        counts = [len(set(cells)) for cells in self.cells(column)]
        far = len(counts) == 1 or max(counts) > 2
        return far and self._steps(column) == {0, 1} and not self._are_of_words(column)

    def in_runs(self, column: int) -> bool:
        """Whether each cell of a column stands on lines that follow one another, on two of them on average, as the
        names of sentences and documents do."""
        cells = [cell for sentence in self.cells(column) for cell in sentence]
        runs = [cell for cell, _ in groupby(cells)]
        return len(runs) == len(set(runs)) and 2 * len(runs) <= len(cells)

    def are_numbered(self, column: int) -> bool:
        """Whether the cells of a column are one text with other numbers in it, and come in runs (``Sentence: 1``)."""
        stems = {_DIGITS.sub("", cell) for cell in self.counts(column)}
        return len(stems) == 1 and stems != {""} and self.in_runs(column)

    def goes_far(self, column: int) -> bool:
        """Whether the numbers of a column that goes on are of several blocks, or those of one are many enough to be of
        sentences, and no flags or pages of a few words."""
        counts = self.counts(column)
        return len(self.sentences) > 1 or (len(counts) > 2 and counts.total() >= max(_MANY, 2 * len(counts)))

    def has_heads(self, column: int) -> bool:
        """Whether it is the column of CoNLL-U that tells the head of each word."""
        return (self.width, column) == (_OF_CONLL_U, 6) and self.is_running(0)

    def _are_of_words(self, column: int) -> bool:
        """Whether numbers that stay or go up by one begin anew with each of several blocks and stay for a few lines
        alone, as those of words do whose parts have a line each (Korean)."""
        cells = list(self.cells(column))
        runs = sum(len(set(sentence)) for sentence in cells)
        begun = {sentence[0] for sentence in cells}
        return len(cells) > 1 and len(begun) == 1 and sum(map(len, cells)) <= _MOST_PARTS * runs

    def _begins_anew(self) -> bool:
        """Whether the numbers of the first column go up by one but where they are 0 or 1 again."""
        for cells in self.cells(0):
            numbers = [int(cell) for cell in cells if cell and not is_range(cell)]
            if any(right != left + 1 and right not in (0, 1) for left, right in pairwise(numbers)):
                return False
        return True

    def _steps(self, column: int) -> frozenset[int]:
        """By how much the numbers of a column go up from line to line, where an empty cell repeats that above; empty
        where its cells are no numbers."""
        steps: set[int] = set()
        for cells in self.cells(column):
            if all(map(is_range, cells)):  # nothing but empty nodes
                continue
            numbers = [cell for cell in cells if cell and not is_range(cell)]
            if not numbers or not cells[0] or not all(cell.isascii() and cell.isdigit() for cell in numbers):
                return frozenset()
            if len(numbers) < len(cells) and "" in cells:
                steps.add(0)
            steps.update(int(right) - int(left) for left, right in pairwise(numbers))
        return frozenset(steps)


def is_label_studio(rows: Sequence[Sequence[Sequence[str]]]) -> bool:
    """Whether these are the columns that Label Studio exports, which divides them by spaces whatever the labels are
    called: ``Tell -X- _ B-excavation site``."""
    return all(list(row[1:3]) == ["-X-", "_"] for sentence in rows for row in sentence)


def usual_width(rows: Iterable[Sequence[Sequence[str]]]) -> int:
    widths = Counter(len(row) for sentence in rows for row in sentence)
    return max(widths, key=lambda width: (widths[width], width), default=0)


def place_of(wanted: int, width: int) -> int | None:
    """The place, from 0, of ``data.reading.tag_column``, from 1 or from the end as -1; None where there is no such."""
    place = wanted - 1 if wanted > 0 else width + wanted
    return place if 0 <= place < width else None

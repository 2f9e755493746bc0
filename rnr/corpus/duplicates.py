"""Sentences that occur more than once in the data, with equal or contradictory annotations.

Rows are compared within a data set and a schema, because data sets differ in what they call an entity. Sentences are
compared in composed form (NFC) and ignoring white space; annotations by offsets and ``label_key``.
"""

import unicodedata
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from rnr.corpus.formats.rows import DataError
from rnr.corpus.report import Report
from rnr.messages import counted, few
from rnr.task.labels import mention_key
from rnr.types import Example

Resolution = Literal["keep", "first", "majority", "error"]
"""How rows of the same sentence are resolved: keep all; keep the first; keep the first with the majority annotation
(ties go to the earliest); or raise an error for a contradiction."""

ALIKE = "sentences occur more than once with the same annotation"
ACROSS = "sentences occur in several data sets, which are not compared with each other"
CONTRADICTED = "sentences have contradictory annotations"
WOULD_GO = "rows would be dropped, because another row of their sentence is kept (data.duplicates)"
_SHOWN = 5
"""Number of rows that are named for each annotation of a sentence, and number of annotations."""
RESOLVED = "rows were dropped, because another row of their sentence was kept (data.duplicates)"


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The rows of one sentence, by their position among all that were added."""

    positions: tuple[int, ...]
    ways: tuple[int, ...]
    """The annotation of each row, as a number: rows with the same number agree."""

    @property
    def contradictory(self) -> bool:
        """Whether they disagree."""
        return len(set(self.ways)) > 1

    @property
    def majority(self) -> int:
        """The position of the first row with the most frequent annotation."""
        most = Counter(self.ways).most_common(1)[0][0]
        return self.positions[self.ways.index(most)]


@dataclass(frozen=True, slots=True)
class RowIndex:
    """Position and content of each row, as its number and four hashes, 40 bytes, so that the rows of a large file can
    be compared at its end."""

    _files: list[Path] = field(default_factory=list)
    _starts: list[int] = field(default_factory=list)
    _numbers: "array[int]" = field(default_factory=lambda: array("q"))
    _sentences: "array[int]" = field(default_factory=lambda: array("q"))
    _annotations: "array[int]" = field(default_factory=lambda: array("q"))
    _texts: "array[int]" = field(default_factory=lambda: array("q"))
    _sources: "array[int]" = field(default_factory=lambda: array("q"))

    def begin(self, file: Path) -> None:
        """The rows added from now on are this file's."""
        self._files.append(file)
        self._starts.append(len(self._numbers))

    def add(self, number: int, example: Example, schema: Sequence[str] | None = None) -> None:
        """Add the next row; ``schema`` is the row's own, if it has one."""
        sentence = example.sentence
        if "  " in sentence or not sentence.isprintable() or not sentence.isascii():
            sentence = " ".join(unicodedata.normalize("NFC", sentence).split())
        mentions = frozenset(map(mention_key, example.mentions))
        self._numbers.append(number)
        self._sentences.append(hash((example.source, sentence, tuple(schema or ()))))
        self._annotations.append(hash(mentions))
        self._texts.append(hash(sentence))
        self._sources.append(hash(example.source))

    def __getitem__(self, position: int) -> tuple[Path, int]:
        """The file and the number in it of the row that was added at this position, from 0."""
        file = int(np.searchsorted(self._starts, position, side="right")) - 1
        return self._files[file], self._numbers[position]

    def duplicates(self) -> Iterator[Duplicate]:
        """The sentences with more than one row, in the order of their first."""
        for positions in _same(self._sentences):
            yield Duplicate(positions, tuple(self._annotations[position] for position in positions))

    def across(self) -> Iterator[Duplicate]:
        """The first row in each data set of the sentences that occur in several, in the order of their first."""
        if len(set(self._sources)) < 2:
            return
        for positions in _same(self._texts):
            first = {self._sources[position]: position for position in reversed(positions)}
            if len(first) > 1:
                found = tuple(sorted(first.values()))
                yield Duplicate(found, tuple(self._annotations[position] for position in found))


def _same(hashes: "array[int]") -> Iterator[tuple[int, ...]]:
    """The positions of each value that is there more than once, in the order of their first."""
    values = np.frombuffer(hashes, dtype=np.int64)
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(ordered) else np.empty(0, np.int64)
    sizes = np.diff(np.r_[starts, len(ordered)])
    groups = [order[start : start + size] for start, size in zip(starts, sizes, strict=True) if size > 1]
    yield from (tuple(int(position) for position in group) for group in sorted(groups, key=lambda group: group[0]))


def report(duplicates: Sequence[Duplicate], rows: RowIndex, notes: Report) -> None:
    """Note each duplicate at its first row, with the other rows, and sentences that occur in several data sets."""
    for duplicate in duplicates:
        file, number = rows[duplicate.positions[0]]
        notes.note(CONTRADICTED if duplicate.contradictory else ALIKE, file, number, described(duplicate, rows))
    for one in rows.across():
        notes.note(ACROSS, *rows[one.positions[0]], described(one, rows))


def contradiction(duplicate: Duplicate, rows: RowIndex) -> DataError | None:
    """The error for contradictory rows; None if they agree."""
    if not duplicate.contradictory:
        return None
    file, _ = rows[duplicate.positions[0]]
    which = described(duplicate, rows)
    return DataError(f"{file}: a sentence has contradictory annotations: {which} (data.duplicates)")


def described(duplicate: Duplicate, rows: RowIndex) -> str:
    """The first rows of a sentence, those that agree side by side: ``rows 1, 3 | 2``."""
    first = rows[duplicate.positions[0]][0]
    ways: dict[int, list[str]] = {}
    for position, way in zip(duplicate.positions, duplicate.ways, strict=True):
        file, number = rows[position]
        ways.setdefault(way, []).append(f"{number}" if file == first else f"{file}: {number}")
    shown = [few(alike, _SHOWN) for alike in list(ways.values())[:_SHOWN]]
    others = [counted(len(ways) - _SHOWN, "more way")] if len(ways) > _SHOWN else []
    return "rows " + " | ".join([*shown, *others])


def note_left_out(found: Sequence[Duplicate], resolution: Resolution, rows: RowIndex, notes: Report) -> None:
    """Note the rows that ``first`` or ``majority`` would drop, for data that is only checked."""
    for position in sorted(left_out(found, resolution)):
        notes.note(WOULD_GO, *rows[position])


def left_out(duplicates: Sequence[Duplicate], resolution: Resolution) -> set[int]:
    """The positions that ``first`` or ``majority`` drops; none for others."""
    if resolution not in ("first", "majority"):
        return set()
    taken = {duplicate.majority if resolution == "majority" else duplicate.positions[0] for duplicate in duplicates}
    return {position for duplicate in duplicates for position in duplicate.positions} - taken

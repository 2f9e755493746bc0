"""Notes on what reading changed or guessed: counted by kind, with the first rows of each by file and number.

Code that drops, trims, merges, renames, guesses, converts or skips something while it reads reports it here, in one
line, where it happens::

    reading.note("mentions had white space at their ends, which was left out", file, number, "' Ada' -> 'Ada'")
    reading.fact("the third column is read as the tags", file)

A kind is a plain sentence in the past tense that continues its count ("3 mentions had ..."), the same for every row,
so that rows of a kind are counted together; the detail differs from row to row. What cannot be read at all is not a
note but a ``DataError`` in place of its row. ``check``, ``stats``, ``convert`` and a run (with
``--dry-run``, too) print ``Report.lines()``; a new kind needs nothing else.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from rnr.config import ReadingConfig
from rnr.corpus.spacing import (
    FIRST,
    SpaceRule,
    are_characters,
    hold_spaces,
    is_spelled_out,
    runs_together,
    space_marks,
)

SHOWN = 5
"""Number of rows of a kind that are named per file."""

CHARACTERS = (
    "sentences are split into characters, and were joined without spaces (--spaces always puts one between any two; "
    "data.reading.spaces)"
)
RUN_TOGETHER = (
    "sentences are split into characters without spaces, in a script that uses spaces: their words run together "
    "(--spaces always puts a space between any two characters)"
)
SPELLED_OUT = (
    "sentences have a space between all characters, each of which is a token; --spaces never removes these "
    "(data.reading.spaces)"
)
MARKS = (
    "tokens stand for spaces and were read as spaces, their neighbours joined without one (--spaces always reads them "
    "as words; data.reading.spaces)"
)
HELD = (
    "tokens contain the spaces around them, and were joined without more (--spaces always puts one between any two; "
    "data.reading.spaces)"
)
MAY_BE_MARKS = "tokens that may stand for a space ({}) were read as words; if they do, write a space instead"


@dataclass(slots=True)
class _Count:
    times: int = 0
    first: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """Counts by kind and file, in the order in which they first occurred."""

    _counts: dict[tuple[str, str], _Count] = field(default_factory=dict)
    fields: dict[str, set[str]] = field(default_factory=dict)
    """By file, the fields of its rows that were not read; not a note, because most files have some."""

    def note(self, kind: str, file: Path, number: int = 0, detail: str = "", *, times: int = 1) -> None:
        """Count ``times`` more of a kind, at a row (0: the file as a whole)."""
        count = self._counts.setdefault((kind, str(file)), _Count())
        count.times += times
        if len(count.first) < SHOWN and (number or detail):
            row = f"row {number}" if number else ""
            count.first.append(": ".join(part for part in (row, detail) if part))

    def fact(self, fact: str, file: Path) -> None:
        """Add a note on a file as a whole, once."""
        self._counts.setdefault((fact, str(file)), _Count())

    def not_read(self, file: Path, names: Iterable[str]) -> None:
        """Record fields of rows that were not read."""
        self.fields.setdefault(str(file), set()).update(names)

    def times(self, kind: str) -> int:
        """How often a kind occurred in all files."""
        return sum(count.times for (known, _), count in self._counts.items() if known == kind)

    def lines(self) -> Iterator[str]:
        """A line for each kind and file: the count, and the first rows."""
        for (kind, file), count in self._counts.items():
            rows = f" ({'; '.join(count.first)}{'; ...' * (count.times > len(count.first))})" if count.first else ""
            yield f"{file}: {count.times or ''} {kind}{rows}".replace(":  ", ": ", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Passed to every reader: how to read files, and where to add notes."""

    options: ReadingConfig = field(default_factory=ReadingConfig)
    report: Report = field(default_factory=Report)
    spaces_found: SpaceRule | None = None
    """The rule for spaces that the first sentences of a file imply; None if they imply none."""
    marks: frozenset[str] = frozenset()
    """Tokens that stand for the spaces of a file."""

    @property
    def spaces(self) -> SpaceRule:
        """Whether a space stands between two tokens."""
        return self.spaces_found or self.options.spaces

    def of_tokens(self, first: Iterable[Sequence[str]], file: Path, begun: Collection[str] = ()) -> "Reading":
        """How to read a file that begins with sentences of these tokens, of which some have ``begun`` a mention; adds a
        note on tokens that may be marks for a space."""
        sentences = list(islice(first, FIRST))
        if self.options.spaces == "always":
            return self
        cut = are_characters(sentences)
        marks, doubtful = space_marks(sentences, characters=cut, begun=begun)
        if doubtful:
            self.fact(MAY_BE_MARKS.format(", ".join(map(repr, doubtful))), file)
        if marks:
            return replace(self, spaces_found="never", marks=marks)
        if self.options.spaces == "script" and hold_spaces(sentences):
            self.fact(HELD, file)
            return replace(self, spaces_found="never")
        return replace(self, spaces_found="characters") if cut and self.options.spaces == "script" else self

    def with_spaces(self, tokens: list[str], file: Path, number: int) -> list[str]:
        """The tokens, with those that stand for a space replaced by one and counted."""
        if not self.marks or self.marks.isdisjoint(tokens):
            return tokens
        found = [token for token in tokens if token in self.marks]
        self.note(MARKS, file, number, ", ".join(map(repr, dict.fromkeys(found))), times=len(found))
        return [" " if token in self.marks else token for token in tokens]

    def note_spaces(self, tokens: Sequence[str], sentence: str, file: Path, number: int) -> None:
        """Note a sentence that was joined from characters, or seems to be."""
        if self.spaces == "characters" and len(tokens) > 1:
            self.note(RUN_TOGETHER if runs_together(sentence) else CHARACTERS, file, number)
        elif self.spaces == "script" and is_spelled_out(tokens, sentence):
            self.note(SPELLED_OUT, file, number)

    def note(self, kind: str, file: Path, number: int = 0, detail: str = "", *, times: int = 1) -> None:
        self.report.note(kind, file, number, detail, times=times)

    def fact(self, fact: str, file: Path) -> None:
        self.report.fact(fact, file)

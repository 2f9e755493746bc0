"""What reading did beyond taking a file as it is: counted by kind, the first rows of each named by file and number.

Whoever drops, trims, merges, renames, guesses, converts or passes over something while it reads says so here, in one
line, at the place where it happens::

    reading.note("mentions had white space at their ends, which was left out", file, number, "' Ada' -> 'Ada'")
    reading.fact("the third column is read as the tags", file)

A kind is a plain sentence in the past tense that goes on from its count ("3 mentions had ..."), the same for every
row, so that rows of a kind are counted together; what differs from row to row is the detail. What cannot be read at
all is no note but a ``DataError`` in the place of its row. ``check``, ``stats``, ``convert`` and a run (with
``--dry-run``, too) print ``Report.lines()``; nothing else has to be done for a new kind.
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
    is_spelled_out,
    runs_together,
    space_marks,
)

SHOWN = 5
"""So many rows of a kind are named for each file."""

CHARACTERS = (
    "sentences are cut into characters, and were joined without spaces between them (--spaces always puts one between "
    "any two; data.reading.spaces)"
)
RUN_TOGETHER = (
    "sentences are cut into characters, none of which is a space, in a script that writes spaces: their words run "
    "together (--spaces always puts a space between any two characters)"
)
SPELLED_OUT = (
    "sentences have a space between all of their characters, each of which is a token; --spaces never leaves these out "
    "(data.reading.spaces)"
)
MARKS = (
    "tokens stand for the spaces of their sentences and were read so, those around them joined without one "
    "(--spaces always takes them for words; data.reading.spaces)"
)
MAY_BE_MARKS = "tokens that may stand for a space ({}) were read as words: write a space in their place if they do"


@dataclass(slots=True)
class _Count:
    times: int = 0
    first: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """Counts by kind and file, in the order in which they first occurred."""

    _counts: dict[tuple[str, str], _Count] = field(default_factory=dict)
    fields: dict[str, set[str]] = field(default_factory=dict)
    """By file the fields of its rows that nothing was read from: no note, because most files have some."""

    def note(self, kind: str, file: Path, number: int = 0, detail: str = "", *, times: int = 1) -> None:
        """Count ``times`` more of a kind, at a row (0: the file as a whole)."""
        count = self._counts.setdefault((kind, str(file)), _Count())
        count.times += times
        if len(count.first) < SHOWN and (number or detail):
            row = f"row {number}" if number else ""
            count.first.append(": ".join(part for part in (row, detail) if part))

    def fact(self, fact: str, file: Path) -> None:
        """Say something of a file as a whole, once."""
        self._counts.setdefault((fact, str(file)), _Count())

    def not_read(self, file: Path, names: Iterable[str]) -> None:
        """Remember fields of rows that nothing was read from."""
        self.fields.setdefault(str(file), set()).update(names)

    def times(self, kind: str) -> int:
        """How often a kind occurred in all files."""
        return sum(count.times for (known, _), count in self._counts.items() if known == kind)

    def lines(self) -> Iterator[str]:
        """For each kind and file a line: how often, and the first rows."""
        for (kind, file), count in self._counts.items():
            rows = f" ({'; '.join(count.first)}{'; ...' * (count.times > len(count.first))})" if count.first else ""
            yield f"{file}: {count.times or ''} {kind}{rows}".replace(":  ", ": ", 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What every reader is handed: how files are to be read, and where it notes what it did."""

    options: ReadingConfig = field(default_factory=ReadingConfig)
    report: Report = field(default_factory=Report)
    spaces_found: SpaceRule | None = None
    """What the first sentences of a file say about spaces between its tokens; None where nothing."""
    marks: frozenset[str] = frozenset()
    """Tokens that stand for the spaces of a file."""

    @property
    def spaces(self) -> SpaceRule:
        """Whether a space stands between two tokens."""
        return self.spaces_found or self.options.spaces

    def of_tokens(self, first: Iterable[Sequence[str]], file: Path, begun: Collection[str] = ()) -> "Reading":
        """How a file is read that begins with sentences of these tokens, of which some have ``begun`` a mention; what
        may be a mark for a space is said."""
        sentences = list(islice(first, FIRST))
        if self.options.spaces == "always":
            return self
        cut = are_characters(sentences)
        marks, doubtful = space_marks(sentences, characters=cut, begun=begun)
        if doubtful:
            self.fact(MAY_BE_MARKS.format(", ".join(map(repr, doubtful))), file)
        if marks:
            return replace(self, spaces_found="never", marks=marks)
        return replace(self, spaces_found="characters") if cut and self.options.spaces == "script" else self

    def with_spaces(self, tokens: list[str], file: Path, number: int) -> list[str]:
        """The tokens with a space in the place of those that stand for one, which are counted."""
        if self.marks.isdisjoint(tokens):
            return tokens
        found = [token for token in tokens if token in self.marks]
        self.note(MARKS, file, number, ", ".join(map(repr, dict.fromkeys(found))), times=len(found))
        return [" " if token in self.marks else token for token in tokens]

    def note_spaces(self, tokens: Sequence[str], sentence: str, file: Path, number: int) -> None:
        """Note a sentence that was made of characters, or seems to be."""
        if self.spaces == "characters" and len(tokens) > 1:
            self.note(RUN_TOGETHER if runs_together(sentence) else CHARACTERS, file, number)
        elif self.spaces == "script" and is_spelled_out(tokens, sentence):
            self.note(SPELLED_OUT, file, number)

    def note(self, kind: str, file: Path, number: int = 0, detail: str = "", *, times: int = 1) -> None:
        """As ``Report.note``."""
        self.report.note(kind, file, number, detail, times=times)

    def fact(self, fact: str, file: Path) -> None:
        """As ``Report.fact``."""
        self.report.fact(fact, file)

"""Lines of column files that stand above the tokens of every sentence and are none of them: its name (``IMGID:29871``),
or the sentence itself behind a mark (``; Ida ran.``); and those between sentences (``between.py``)."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import dropwhile, takewhile

from rnr.corpus.formats.columns.between import (
    BETWEEN,
    NUMBERED,
    are_numbered,
    is_element,
    is_empty,
    mark_alone,
    marks_between,
)
from rnr.corpus.formats.columns.blocks import TAG, USUAL_MARK, Block, document_mark, may_mark_documents
from rnr.corpus.formats.columns.cells import BLANKS, by_blanks, by_tab, usual_width, without_trailing

ABOVE = "lines above the tokens of a sentence, with its name or text, were dropped"
DOCUMENTS = "lines that begin or end a document were dropped"

_KEY = re.compile(r"([A-Za-z][\w-]*)[:=](?:\S+| +\d+)")
_MARKS = (";", "$", "%", "//")
_NEARLY_ALL, _SOME = 0.9, 0.1

Note = Callable[[str, int, str], None]


@dataclass(frozen=True, slots=True)
class Above:
    """What the lines begin with that stand above the tokens of nearly every sentence."""

    kinds: frozenset[str] = frozenset()
    tabs: bool = False
    """Whether tabs divide the columns of tokens."""
    width: int = 0
    """How many columns most tokens have."""
    between: frozenset[str] = frozenset()
    """The marks that stand alone on lines between sentences."""
    numbered: bool = False
    """Whether lines with a number and nothing else are blank ones."""

    def left_out(self, parts: Iterator[Block], note: Note | None = None) -> Iterator[Block]:
        """The parts of a file with a blank line in the place of each such line, so that all others keep their numbers;
        these lines, and those of documents that are marked in another way than usual, are noted."""
        for part in parts:
            if note is not None and may_mark_documents(part.text) and not part.one_line:
                _note_documents(part, note)
            some = (self.kinds or self.between or self.numbered) and not part.one_line
            yield self._blanked(part, note) if some else part

    def _blanked(self, part: Block, note: Note | None) -> Block:
        lines, first = part.lines, True
        for at, (line, below) in enumerate(zip(part.lines, [*lines[1:], ""], strict=True)):
            if not line.strip() or document_mark(line, below, first=first):
                first = True
            elif kind := self._no_token(line, first=first):
                first = first or kind != ABOVE
                lines[at] = ""
                if note is not None:
                    note(kind, part.number + at, repr(line.strip()[:60]))
            else:
                first = False
        return Block(part.number, "\n".join(lines))

    def _no_token(self, line: str, *, first: bool) -> str:
        """The note on a line that is left out, which may be the ``first`` of its sentence; empty for any other."""
        if self.between and (mark_alone(line) in self.between or is_element(line, self.width)):
            return BETWEEN
        if self.numbered and is_empty(line):
            return NUMBERED
        return ABOVE if first and self.kind(line) in self.kinds else ""

    def kind(self, line: str) -> str:
        """What a line begins with that may stand above tokens; empty for any other, such as one with as many columns
        as tokens have."""
        bare = line.strip()
        if named := _KEY.fullmatch(bare):
            return named[1]
        mark = next((mark for mark in _MARKS if bare.startswith(mark) and bare != mark), "")
        # Between spaces a sentence may have as many words as tokens have columns.
        tagged = self.tabs or any(map(TAG.fullmatch, by_blanks(line)[1:]))
        return "" if tagged and not self.differs(line) else mark

    def differs(self, line: str) -> bool:
        """Whether a line has another number of columns than tokens have."""
        return len(_cells(line, tabs=self.tabs)) != self.width


def find_above(blocks: Sequence[Block]) -> Above:
    """What is left out above the tokens of a file that begins with these blocks: what nearly all of them begin with,
    and behind a mark only what has another number of columns than tokens in several of them."""
    lines = [line for block in blocks for line in block.lines]
    last = [
        next((line for line in reversed(block.lines) if not (mark_alone(line) or is_empty(line))), "")
        for block in blocks
    ]
    tabs = 2 * sum("\t" in line.strip(BLANKS) for line in last) >= len(last)
    tokens = Above(tabs=tabs, width=usual_width([[_cells(line, tabs=tabs) for line in last]]))
    found, differing = Counter[str](), Counter[str]()
    for block in blocks:
        above = list(takewhile(tokens.kind, block.lines[:-1]))
        found.update(set(map(tokens.kind, above)))
        differing.update(set(map(tokens.kind, dropwhile(lambda line: not tokens.differs(line), above))))
    several = {kind for kind in found if kind not in _MARKS or differing[kind] >= max(2, _SOME * found[kind])}
    kinds = frozenset(kind for kind in several if found[kind] >= _NEARLY_ALL * len(blocks))
    numbered = tabs and tokens.width > 2 and are_numbered(lines)
    return replace(tokens, kinds=kinds, between=marks_between(lines, tokens.width), numbered=numbered)


def _cells(line: str, *, tabs: bool) -> list[str]:
    return without_trailing(by_tab(line)) if tabs else by_blanks(line)


def _note_documents(part: Block, note: Note) -> None:
    before, lines = "", part.lines
    for at, (line, below) in enumerate(zip(lines, [*lines[1:], ""], strict=True)):
        if (mark := document_mark(line, below, first=not before.strip())) and mark != USUAL_MARK:
            note(DOCUMENTS, part.number + at, repr(line.strip(BLANKS)[:60]))
        before = "" if mark else line

"""Lines of column files that stand above the tokens of every sentence and are none of them: its name (``IMGID:29871``),
or the sentence itself behind a mark (``; Ida ran.``)."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from rnr.corpus.formats.column_blocks import TAG, USUAL_MARK, Block, document_mark
from rnr.corpus.formats.column_cells import BLANKS, by_blanks

ABOVE = "lines above the tokens of a sentence, which name or show it, were left out"
DOCUMENTS = "lines that begin or end a document were left out"

_KEY = re.compile(r"([A-Za-z][\w-]*)[:=](?:\S+| +\d+)")
_MARKS = (";", "$", "%", "//")
_NEARLY_ALL = 0.9

Note = Callable[[str, int, str], None]


@dataclass(frozen=True, slots=True)
class Above:
    """What the lines begin with that stand above the tokens of nearly every sentence."""

    kinds: frozenset[str] = frozenset()

    def left_out(self, parts: Iterator[Block], note: Note | None = None) -> Iterator[Block]:
        """The parts of a file with a blank line in the place of each such line, so that all others keep their numbers;
        these lines, and those of documents that are marked in another way than usual, are noted."""
        for part in parts:
            if note is not None and "DOC" in part.text and not part.one_line:
                _note_documents(part, note)
            yield self._blanked(part, note) if self.kinds else part

    def _blanked(self, part: Block, note: Note | None) -> Block:
        lines, first = part.lines, True
        for at, line in enumerate(lines):
            if not line.strip() or document_mark(line, first=first):
                first = True
            elif first and _kind(line, "") in self.kinds:
                lines[at] = ""
                if note is not None:
                    note(ABOVE, part.number + at, repr(line.strip()[:60]))
            else:
                first = False
        return Block(part.number, "\n".join(lines))


def find_above(blocks: Sequence[Block]) -> Above:
    """What is left out above the tokens of a file that begins with these blocks: what nearly all of them begin with."""
    found = Counter[str]()
    for block in blocks:
        *lines, last = block.lines
        found.update(set(takewhile(bool, (_kind(line, last) for line in lines))))
    return Above(frozenset(kind for kind, times in found.items() if times >= _NEARLY_ALL * len(blocks)))


def _kind(line: str, token: str) -> str:
    """What a line begins with that may stand above tokens; empty for a line like that of a ``token`` below it."""
    bare = line.strip()
    if named := _KEY.fullmatch(bare):
        return named[1]
    mark = next((mark for mark in _MARKS if bare.startswith(mark) and bare != mark), "")
    cells = by_blanks(line)
    return "" if len(cells) == len(by_blanks(token)) and any(map(TAG.fullmatch, cells[1:])) else mark


def _note_documents(part: Block, note: Note) -> None:
    before = ""
    for at, line in enumerate(part.lines):
        if (mark := document_mark(line, first=not before.strip())) and mark != USUAL_MARK:
            note(DOCUMENTS, part.number + at, repr(line.strip(BLANKS)[:60]))
        before = "" if mark else line

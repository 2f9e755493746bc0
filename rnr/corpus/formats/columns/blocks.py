"""The lines between two blank ones -> tokens and tags, under a layout."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rnr.corpus.formats.columns.cells import BLANKS, by_blanks, is_glued, without_trailing
from rnr.corpus.formats.columns.layout import Layout
from rnr.corpus.formats.columns.word_parts import EMPTY_NODES, surface
from rnr.corpus.formats.columns.words import without_prefix
from rnr.corpus.formats.tags.reading import NAMED_AGAIN, OUTSIDE, SEVERAL_TAGS, Places, Tagged, TagScheme
from rnr.messages import counted

_COMMENT_TEXT = re.compile(r"#\s*text\s*= ?(.*)")
_COMMENT = re.compile(r"#\s*[\w.:-]+(?: id)?\s*=|#\s*new(?:doc|par)\b|#(?:begin|end) document")
USUAL_MARK = "-DOCSTART-"
_DOCUMENT = re.compile(
    r"^\ufeff?(?:[O\d_-]+[ \t]+)?([-<\[#*_]*DOC[-_]?(?:START|END)[-_>\]#*]*)(?=[ \t\n]|$)",
    re.MULTILINE | re.IGNORECASE,
)
"""A line of columns that begins or ends a document: ``-DOCSTART- -X- O O``, ``DOC-START N O``, ``O -DOCSTART-``."""
_AFTER_DOC = tuple(f"{mark}{what}" for mark in ("", "-", "_") for what in ("start", "end"))
_NAMED = re.compile(r"[BIESLUMW][-_]\S+")
_MARK = re.compile(r"</?\w+[^<>]*>")
_ENDS = ("EndOfSentence", "PySBDSegment")
_END = re.compile(rf"[\t|](?:{'|'.join(_ENDS)})(?:\||\s*$)")
"""What HIPE writes in the last column where a sentence ends."""
COMMENTS = "lines that begin with '#' were read as comments and dropped"
TAG = re.compile(r"[Oo]|[BIESLUMWbieslumw][-_/:|]\S+")


@dataclass(frozen=True, slots=True)
class Block:
    """Lines without a blank one between them, and the number of the first."""

    number: int
    text: str
    one_line: bool = False
    """Whether all of them stand in one line of the file."""

    @property
    def lines(self) -> list[str]:
        return self.text.split("\n")

    def columns(self, layout: Layout) -> list[list[str]] | None:
        """The columns, where all lines have as many as the layout says and none is a comment; else None.

        Without a look at each line, because files are large: a mark stands between lines as if it were a column.
        """
        mark, width = layout.mark, layout.width
        if (
            self.text[:1] in "#\ufeff"
            or not width
            or layout.uneven >= 0
            or (mark == " " and ("\t" in self.text or "  " in self.text))
        ):
            return None
        cells = self.text.replace("\n", f"{mark}\n{mark}").split(mark)
        lines = self.text.count("\n") + 1
        if len(cells) != lines * (width + 1) - 1 or cells[width :: width + 1].count("\n") != lines - 1:
            return None
        columns = [cells[column :: width + 1] for column in range(width)]
        if mark == "\t" and " " in self.text:
            columns = [[cell.strip(BLANKS) for cell in column] for column in columns]
        return columns


def whole_blocks(pieces: Iterable[str]) -> Iterator[Block]:
    """Large parts of a text, each of which ends between two blocks; ``pieces`` are the text in any division."""
    number = 1
    rest = ""
    for piece in pieces:
        whole, _, rest = (rest + piece).rpartition("\n\n")
        if whole:
            yield Block(number, whole)
            number += whole.count("\n") + 2
    yield Block(number, rest)


def divided(whole: Block) -> Iterator[Block]:
    """What stands between blank lines and the beginnings of documents; lines of comments alone are a block, too."""
    text, number = whole.text, whole.number
    if whole.one_line:
        yield whole
        return
    unusual = "\ufeff" in text or (may_mark_documents(text) and _DOCUMENT.search(text) is not None)
    unusual = unusual or any(mark in text for mark in _ENDS)
    for part in text.split("\n\n"):
        if unusual or part[:1] in " \t\n" or part[-1:] in "\n\t " or "\n " in part or "\n\t" in part:
            yield from _by_lines(part, number)
        else:
            yield Block(number, part)
        number += part.count("\n") + 2


def _by_lines(part: str, number: int) -> Iterator[Block]:
    """The blocks of lines among which blank ones have spaces, documents begin, or lines say that a sentence ends."""
    kept: list[str] = []
    start = number
    lines = part.split("\n")
    for at, (line, below) in enumerate(zip(lines, [*lines[1:], ""], strict=True), number):
        if line.strip(f"{BLANKS}\ufeff") and not document_mark(line, below, first=not kept):
            kept.append(line)
            if not _END.search(line) or "\tI-" in below:  # which a program may have set inside of a name
                continue
        if kept:
            yield Block(start, "\n".join(kept))
            kept = []
        start = at + 1
    if kept:
        yield Block(start, "\n".join(kept))


def may_mark_documents(text: str) -> bool:
    """Whether a text may have the beginning or end of a document in it."""
    lower = text.lower()
    return "doc" in lower and any(rest.startswith(_AFTER_DOC) for rest in lower.split("doc")[1:])


def document_mark(line: str, below: str, *, first: bool) -> str:
    """What marks a line, which may be the ``first`` of its block and has another ``below``, as the beginning or end of
    a document; empty for any other, such as a token that is written so."""
    found = _DOCUMENT.match(line) if may_mark_documents(line) else None
    if found is None or found[1] == USUAL_MARK:
        return found[1] if found else ""
    cells = by_blanks(line)
    named = any(cell not in ("O", "o") and TAG.fullmatch(cell) for cell in cells)
    word = found[1][0] in "Dd" and "-" not in found[1] and len(cells) > 1 and below.strip()
    return found[1] if first and not named and not word else ""


def without_comments(lines: list[str]) -> list[str]:
    """The lines without the comments before them, as far as these are known without a layout: a tweet may begin with
    the token ``#``."""
    if lines and lines[-1].startswith("#end document"):
        lines = lines[:-1]
    if not lines or not lines[0].startswith(("#", "\ufeff#")):
        return lines
    for place, line in enumerate(lines):
        bare = line.removeprefix("\ufeff")
        if not bare.startswith("#") or not (
            _COMMENT.match(bare) or not any(TAG.fullmatch(cell) for cell in by_blanks(bare)[1:])
        ):
            return lines[place:]
    return []


def read_block(block: Block, layout: Layout, scheme: TagScheme, *, header: bool) -> tuple[Tagged, list[int]]:
    """The tokens and tags of a block, and the tokens after which, as the file says, no space stands.

    The first line that is no comment is passed over where the ``header`` stands there. Raises ValueError naming the
    line with another number of columns than the rest, or without a word.
    """
    columns = None if header else block.columns(layout)
    numbers: Sequence[int]
    text: list[str] = []
    notes: list[tuple[str, str]] = []
    if columns is None:
        numbers, rows = _whole_rows(block, layout, scheme, text, notes, header=header)
        columns = [[cell.strip(BLANKS) for cell in column] for column in zip(*rows, strict=False)]
    else:
        numbers = range(block.number, block.number + len(columns[0]))
    if not numbers:
        return Tagged(block.number, notes=notes), []
    _refuse_names(columns, numbers, layout)
    if block.one_line:
        numbers = [block.number] * len(numbers)
    lines, cells, words_of = numbers, columns[layout.tag], list[int]()
    if layout.running >= 0 and any("-" in cell or "." in cell for cell in columns[layout.running]):
        notes.extend((EMPTY_NODES, cell) for cell in columns[layout.running] if "." in cell)
        found, tagged, words_of = surface(list(zip(numbers, zip(*columns, strict=True), strict=True)), layout)
        if not found:  # nothing but empty nodes
            return Tagged(block.number, notes=notes), []
        numbers, columns = [number for number, _ in found], list(zip(*(row for _, row in found), strict=True))
        lines, cells = [number for number, _ in tagged], [cell for _, cell in tagged]
    follows = columns[layout.follows] if layout.follows >= 0 else ()
    glued = [place for place, cell in enumerate(follows) if cell.strip(BLANKS) == "-" or is_glued(cell)]
    words = list(columns[layout.token])
    if layout.prefix:
        words = without_prefix(words, layout.prefix, numbers)
    tags = layout.tags(cells)
    if "" in words:
        _fill_blanks(words, tags, numbers, block, layout, scheme)
    return Tagged(block.number, words, tags, Places(lines), text, notes=notes, words=words_of), glued


def _refuse_names(columns: Sequence[Sequence[str]], numbers: Sequence[int], layout: Layout) -> None:
    """Raises ValueError with the line that repeats the column names, which could be read as labels alone."""
    if layout.uneven >= 0 or len(layout.header) <= max(layout.token, layout.tag):
        return
    names = layout.header[layout.token].strip(BLANKS), layout.header[layout.tag].strip(BLANKS)
    if names[1] in columns[layout.tag]:
        for number, word, tag in zip(numbers, columns[layout.token], columns[layout.tag], strict=True):
            if (word, tag) == names:
                raise ValueError(f"line {number}: {NAMED_AGAIN}")


def _fill_blanks(
    words: list[str], tags: Sequence[str], numbers: Sequence[int], block: Block, layout: Layout, scheme: TagScheme
) -> None:
    """Put a space in the place of the words that are one, beside O or inside of a mention, as in texts that write their
    spaces. Raises ValueError with the line of another: where nothing stands, a word may be lost."""
    lines = [] if block.one_line or len(tags) != len(words) else block.lines
    for place, word in enumerate(words):
        if word:
            continue
        letter, label = scheme.spelling.read(tags[place]) or ("", "")
        before = scheme.spelling.read(tags[place - 1]) if place else None
        may_be = (letter, label) == OUTSIDE or (letter in "IE" and before is not None and before[1] == label)
        if not (lines and may_be) or not layout.divide(lines[numbers[place] - block.number])[layout.token]:
            raise ValueError(f"line {numbers[place]}: no word beside its tag")
        words[place] = " "


def _whole_rows(
    block: Block, layout: Layout, scheme: TagScheme, text: list[str], notes: list[tuple[str, str]], *, header: bool
) -> tuple[list[int], list[list[str]]]:
    """The lines that are no comments, cut to the columns that all have; what a comment says the text is goes to
    ``text``, and what may be none to ``notes``."""
    numbers: list[int] = []
    kept: list[list[str]] = []
    for place, line in enumerate(block.lines):
        number = block.number + (0 if block.one_line else place)
        row = layout.divide(line)
        bare = line.removeprefix("\ufeff")
        if bare.startswith("#") and _is_comment(bare, row, layout, scheme, first=not kept):
            text.extend(_COMMENT_TEXT.findall(bare))
            if not _COMMENT.match(bare):
                notes.append((COMMENTS, repr(bare[:60])))
            continue
        if header and not kept:
            header = False
            continue
        if layout.width and len(row) != layout.width:
            least = without_trailing(row)
            if not len(least) <= layout.width <= len(row):
                said = _other_width(line, least, layout, scheme)
                raise ValueError(f"line {number}: {said}: {line[:60]!r}")
        elif len(row) <= layout.tag:
            raise ValueError(
                f"line {number}: {counted(len(row), 'column')}, and the tags are in column {layout.tag + 1}"
            )
        numbers.append(number)
        kept.append(row)
    return numbers, kept


def _other_width(line: str, row: list[str], layout: Layout, scheme: TagScheme) -> str:
    """The message about a line with another number of columns than most."""
    spaced = "" if len(by_blanks(line)) != layout.width else ", with spaces in the place of tabs"
    ends = ""
    if layout.mark == "\t" and layout.tag == layout.width - 1 and len(row) > 2 and not spaced:
        tags = [scheme.spelling.read(row[place].strip(BLANKS)) for place in (-1, min(layout.tag, len(row) - 1))]
        if tags[0] is not None:
            ends = " (--tag-column -1 reads the last of each)"
        if len(row) > layout.width and None not in tags and scheme.spelling.kind != "bare":
            ends = f"; column {len(row)} holds another tag: write O there on lines without one, or leave it out"
    elif layout.tag == layout.width - 1 and len(row) > layout.width and all(map(_NAMED.fullmatch, row[layout.tag :])):
        ends = SEVERAL_TAGS
    return f"{counted(len(row), 'column')} where most lines have {layout.width}{spaced}{ends}{_between(line)}"


def _between(line: str) -> str:
    """The message about a line that may be meant to stand between sentences (``-----``, ``</s>``, a no-break space), or
    as a comment."""
    if line.startswith("#"):
        return "; if it is a comment, take it out"
    mark = line.strip(BLANKS)
    meant = _MARK.fullmatch(mark) or mark in ("EOS", "BOS") or not any(map(str.isalnum, mark))
    return "; if it divides sentences, put a blank line in its place" if meant and len(by_blanks(line)) == 1 else ""


def _is_comment(line: str, row: Sequence[str], layout: Layout, scheme: TagScheme, *, first: bool) -> bool:
    """Whether a line that begins with ``#`` is a comment, and no token such as ``#Obama``."""
    if (first and _COMMENT_TEXT.match(line)) or line.startswith(("#begin document", "#end document")):
        return True
    cells = without_trailing(list(row))
    if layout.width and len(cells) != layout.width:
        return bool(_COMMENT.match(line)) or (first and not TAG.fullmatch(by_blanks(line)[-1]))
    tag = layout.tag_of(row[layout.tag])
    # Labels alone may be anything but a property of a sentence (domain=en) or the value of a key (newdoc id = 7).
    comment = "=" in tag or (scheme.spelling.kind == "bare" and _COMMENT.match(line))
    return first and (layout.brackets or scheme.spelling.read(tag) is None or bool(comment))

"""Which column of a column file holds what, found out by what stands there."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rnr.corpus.formats.columns.brackets import are_brackets, from_brackets
from rnr.corpus.formats.columns.cells import (
    BLANKS,
    Columns,
    by_blanks,
    by_tab,
    is_glued,
    is_label_studio,
    usual_width,
    without_spacing,
    without_trailing,
)
from rnr.corpus.formats.columns.headers import doubtful_first, is_header, named_words, undivided, unlike_the_rest
from rnr.corpus.formats.columns.tag_columns import find_tags
from rnr.corpus.formats.columns.unknown import refuse_sentences
from rnr.corpus.formats.columns.words import PREFIXED, TAG, find_words, language_prefix, refuse_no_words, refuse_places

_UNEVEN = 0.01
"""Share of the lines that may have another number of columns than the rest before that is taken to be meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Columns counted from 0; -1 where there is no such column."""

    mark: str
    """What divides columns: a tab, or spaces (and tabs among them)."""
    width: int
    """Columns that each line has; 0 where they may differ."""
    token: int
    tag: int
    key: str = ""
    """In a column of ``key=value|...`` the key whose value is the tag."""
    running: int = -1
    """The column that numbers the tokens of a sentence, or the sentences."""
    follows: int = -1
    """The column that says whether a space follows: ``+`` and ``-``, or ``SpaceAfter=No`` or ``NoSpaceAfter`` among
    others."""
    spaced: bool = False
    """Whether the column of tags says, behind a bar, whether a space follows, too (``B-PER|SpaceAfter=No``)."""
    brackets: bool = False
    """Whether names are bracketed as in CoNLL-2012."""
    uneven: int = -1
    """Where lines differ in their number of columns and the tags are in the last of each, the column of the words."""
    rest: bool = False
    """Whether the tags, in the last column, take the rest of their line: labels of several words."""
    header: tuple[str, ...] = ()
    """The names of the columns, where the first line has them."""
    prefix: str = ""
    """What stands before every word and is no part of it."""
    facts: tuple[str, ...] = ()
    """What was found out and what is not read, as notes."""

    def divide(self, line: str) -> list[str]:
        """The columns of a line."""
        cells = line.split("\t") if self.mark == "\t" else by_blanks(line)
        if len(cells) == self.width - 1 and self.mark == " " and self.token == 0 and line.startswith("  "):
            return [" ", *cells]  # a space before the one that divides it from its tag
        if self.uneven >= 0:
            cells = without_trailing(cells)
            return [cells[self.uneven], cells[-1]] if len(cells) > self.uneven + 1 else cells[:1]
        return [*cells[: self.tag], " ".join(cells[self.tag :])] if self.rest and len(cells) > self.width else cells

    def tags(self, cells: Sequence[str]) -> list[str]:
        """The tags of a sentence from the cells of their column."""
        if self.brackets:
            return list(from_brackets(cells))
        return [self.tag_of(cell) for cell in cells] if self.key or self.spaced else list(cells)

    def tag_of(self, cell: str) -> str:
        """The tag in a cell of the column of tags, which has no brackets."""
        if not self.key:
            return without_spacing(cell.strip(BLANKS)) if self.spaced else cell.strip(BLANKS)
        found = [part.removeprefix(self.key) for part in cell.split("|") if part.startswith(self.key)]
        return found[0] if found else "O"


def find_layout(sentences: Sequence[Sequence[str]], tag_column: int) -> Layout:
    """The layout of a file that begins with these lines; raises ValueError where no column can be one of tags.

    ``tag_column`` counts from 1, or from the end as -1; 0 leaves it to be found.
    """
    lines = [line for sentence in sentences for line in sentence]
    mark = "\t" if 2 * sum("\t" in line.strip(BLANKS) for line in lines) >= len(lines) else " "
    divide = by_tab if mark == "\t" else by_blanks
    rows = _rows([[divide(line) for line in sentence] for sentence in sentences])
    header = rows[0][0] if rows and is_header(rows[0][0]) else unlike_the_rest(rows)
    rows = [rows[0][1:], *rows[1:]] if header else rows
    if rest := mark == " " and is_label_studio(rows):
        rows = [[[*row[:3], " ".join(row[3:])] for row in sentence] for sentence in rows]
    width = usual_width(rows)
    if (found := _conll_2012(rows, mark)) is not None and not tag_column:
        return found
    whole = [kept for sentence in rows if (kept := [row for row in sentence if len(row) == width])]
    if not whole:
        raise ValueError("there is no line with a token and a tag")
    columns = Columns(whole, width)
    refuse_places(columns, named_words(header))
    numbers = columns.numbering() if width > 2 else ""
    running = 0 if numbers else -1
    uneven = mark == " " and sum(map(len, whole)) < 0.9 * len(lines)
    tag, key, facts = find_tags(columns, running, tag_column, header, uneven=uneven)
    token, doubt = _token(columns, header, {running, tag})
    prefix = language_prefix(columns.counts(token))
    spaced = not key and any(map(is_glued, columns.counts(tag)))
    # Not where spaces divide, for there a word of two pieces has a column too many.
    if tag_column == -1 and mark == "\t" and not (numbers or key) and (said := _uneven(rows, width, token)):
        return Layout(mark=mark, width=2, token=0, tag=1, uneven=token, header=tuple(header), prefix=prefix, facts=said)
    return Layout(
        mark=mark,
        width=width,
        token=token,
        tag=tag,
        key=key,
        running=running,
        follows=_follows(columns, {running, token} if key or spaced else {running, tag, token}),
        spaced=spaced,
        brackets=not key and are_brackets(columns.counts(tag)),
        rest=rest and tag == width - 1,
        header=tuple(header),
        prefix=prefix,
        facts=(
            *facts,
            *_described(columns, token, tag, numbers, header, doubt),
            *([f"every word begins with {prefix!r}, {PREFIXED}"] if prefix else ()),
        ),
    )


def _rows(cells: Sequence[Sequence[list[str]]]) -> list[list[list[str]]]:
    """The lines without empty cells at their ends, or with these where other lines have something there that is no tag:
    links of names (MultiNERD)."""
    rows = [[without_trailing(line) for line in sentence] for sentence in cells]
    most, width = usual_width(cells), usual_width(rows)
    filled = [row[width:] for sentence in rows for row in sentence if width < len(row) <= most]
    if not filled or any(TAG.fullmatch(cell) or cell == "O" for row in filled for cell in row):
        return rows
    return [list(sentence) for sentence in cells]


def _uneven(rows: Sequence[Sequence[list[str]]], width: int, token: int) -> tuple[str, ...]:
    """A note on lines that differ in their number of columns; nothing where they hardly do."""
    widths = [len(row) for sentence in rows for row in sentence]
    if sum(found != width for found in widths) <= _UNEVEN * len(widths):
        return ()
    words = f"column {token + 1} is read as the words, the last as the tags"
    before = (row[width - 1].strip(BLANKS) for sentence in rows for row in sentence if len(row) > width)
    inner = ", and not the tags before it" if any(map(TAG.fullmatch, before)) else ""
    return (f"lines have {min(widths)} to {max(widths)} columns: {words}{inner}",)


def _token(columns: Columns, header: Sequence[str], taken: set[int]) -> tuple[int, str]:
    """The column of the words, and a note where that is not evident."""
    named = named_words(header)
    free = [column for column in (*named, *range(columns.width)) if column not in taken]
    if not free:
        raise ValueError("there is no column beside that of the tags")
    token, doubt = (free[0], "") if named else find_words(columns, free)
    refuse_no_words(columns.counts(token))
    if not is_label_studio(columns.sentences):  # which does not divide Chinese
        refuse_sentences(columns, token, free)
    return token, doubt + undivided(columns, header, {*taken, token})


def _follows(columns: Columns, taken: set[int]) -> int:
    for column in range(columns.width):
        if column in taken:
            continue
        counts = columns.counts(column)
        if set(counts) == {"+", "-"} or any(map(is_glued, counts)):
            return column
    return -1


def _described(
    columns: Columns, token: int, tag: int, numbers: str, header: Sequence[str], doubt: str
) -> Iterator[str]:
    """What differs from tokens in the first column and tags in the last."""
    words = f"column {token + 1} is read as the words{doubt}"
    if numbers:
        yield f"column 1 is {numbers}, and {words}"
    elif token != 0 or doubt:
        yield words
    if tag != columns.width - 1:
        yield f"column {tag + 1} of {columns.width} is read as the tags"
    if not header:
        yield from doubtful_first(columns, token, tag)
    else:
        yield f"the first line ({', '.join(cell.strip(BLANKS) for cell in header)}) is a header and was passed over"


def _conll_2012(rows: Sequence[Sequence[Sequence[str]]], mark: str) -> Layout | None:
    """The layout of OntoNotes in CoNLL-2012's columns, the number of which differs with the predicates."""
    cells = [row for sentence in rows for row in sentence]
    if not cells or not all(len(row) >= 11 for row in cells):
        return None
    columns = Columns([list(map(list, sentence)) for sentence in rows if sentence], 11)
    if not are_brackets(columns.counts(10) + Counter(["*", "(X)"])) or not columns.is_running(2):
        return None
    said = "columns are those of CoNLL-2012: words from column 4, names from column 11"
    return Layout(mark=mark, width=0, token=3, tag=10, brackets=True, facts=(said,))

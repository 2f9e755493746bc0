"""Which column of a column file holds what, found out by what stands there."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rnr.corpus.formats.columns.brackets import are_brackets, from_brackets
from rnr.corpus.formats.columns.cells import (
    BLANKS,
    Columns,
    by_blanks,
    by_tab,
    is_glued,
    is_label_studio,
    place_of,
    usual_width,
    without_trailing,
)
from rnr.corpus.formats.columns.headers import is_header, named_words, undivided, unlike_the_rest
from rnr.corpus.formats.columns.unknown import no_tags, refuse_divided
from rnr.corpus.formats.columns.words import PREFIXED, TAG, find_words, language_prefix, refuse_no_words, refuse_places
from rnr.corpus.formats.field_names import is_predicted, names_tags
from rnr.corpus.formats.tags.reading import TagCensus
from rnr.corpus.syntax_labels import CHUNKS

_NAMED = ("ner=", "ne=", "name=", "entity=")
"""Keys whose values may be labels alone, where O stands among them."""
_OF_NAMES = ("ner=", "ne=")
"""Keys whose values are labels alone even where no other token has the key."""
_LABEL = re.compile(r"[^\W\d_][\w-]*")
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
    brackets: bool = False
    """Whether names are bracketed as in CoNLL-2012."""
    uneven: int = -1
    """Where lines differ in their number of columns and the tags are in the last of each, the column of the words."""
    rest: bool = False
    """Whether the tags, in the last column, take the rest of their line: labels of several words."""
    header: bool = False
    prefix: str = ""
    """What stands before every word and is no part of it."""
    facts: tuple[str, ...] = ()
    """What was found out and what is not read, as notes."""

    def divide(self, line: str) -> list[str]:
        """The columns of a line."""
        cells = line.split("\t") if self.mark == "\t" else by_blanks(line)
        if self.uneven >= 0:
            cells = without_trailing(cells)
            return [cells[self.uneven], cells[-1]] if len(cells) > self.uneven + 1 else cells[:1]
        return [*cells[: self.tag], " ".join(cells[self.tag :])] if self.rest and len(cells) > self.width else cells

    def tags(self, cells: Sequence[str]) -> list[str]:
        """The tags of a sentence from the cells of their column."""
        if self.brackets:
            return list(from_brackets(cells))
        return [self.tag_of(cell) for cell in cells] if self.key else list(cells)

    def tag_of(self, cell: str) -> str:
        """The tag in a cell of the column of tags, which has no brackets."""
        if not self.key:
            return cell.strip(BLANKS)
        found = [part.removeprefix(self.key) for part in cell.split("|") if part.startswith(self.key)]
        return found[0] if found else "O"


def find_layout(sentences: Sequence[Sequence[str]], tag_column: int) -> Layout:
    """The layout of a file that begins with these lines; raises ValueError where no column can be one of tags.

    ``tag_column`` counts from 1, or from the end as -1; 0 leaves it to be found.
    """
    lines = [line for sentence in sentences for line in sentence]
    mark = "\t" if 2 * sum("\t" in line.strip(BLANKS) for line in lines) >= len(lines) else " "
    divide = by_tab if mark == "\t" else by_blanks
    rows = [[without_trailing(divide(line)) for line in sentence] for sentence in sentences]
    header = rows[0][0] if rows and is_header(rows[0][0]) else []
    header = header or unlike_the_rest(rows)
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
    tag, key, facts = _tags(columns, running, tag_column, header, uneven=uneven)
    token, doubt = _token(columns, header, {running, tag})
    refuse_no_words(columns.counts(token))
    prefix = language_prefix(columns.counts(token))
    # Not where spaces divide, for there a word of two pieces has a column too many.
    if tag_column == -1 and mark == "\t" and not (numbers or key) and (said := _uneven(rows, width, token)):
        return Layout(mark=mark, width=2, token=0, tag=1, uneven=token, header=bool(header), prefix=prefix, facts=said)
    return Layout(
        mark=mark,
        width=width,
        token=token,
        tag=tag,
        key=key,
        running=running,
        follows=_follows(columns, {running, tag, token} if not key else {running, token}),
        brackets=not key and are_brackets(columns.counts(tag)),
        rest=rest and tag == width - 1,
        header=bool(header),
        prefix=prefix,
        facts=(
            *facts,
            *_described(width, token, tag, numbers, header, doubt),
            *([f"every word begins with {prefix!r}, {PREFIXED}"] if prefix else ()),
        ),
    )


def _uneven(rows: Sequence[Sequence[list[str]]], width: int, token: int) -> tuple[str, ...]:
    """What is said of lines that differ in their number of columns; nothing where they hardly do."""
    widths = [len(row) for sentence in rows for row in sentence]
    if sum(found != width for found in widths) <= _UNEVEN * len(widths):
        return ()
    words = f"column {token + 1} is read as the words, the last as the tags"
    before = (row[width - 1].strip(BLANKS) for sentence in rows for row in sentence if len(row) > width)
    inner = ", and not the tags that stand before it" if any(map(TAG.fullmatch, before)) else ""
    return (f"lines have {min(widths)} to {max(widths)} columns: {words}{inner}",)


def _tags(
    columns: Columns, running: int, wanted: int, header: Sequence[str], *, uneven: bool
) -> tuple[int, str, tuple[str, ...]]:
    """The column of tags, the key in it, and what is not read."""
    if wanted:
        if (column := place_of(wanted, columns.width)) is None:
            raise ValueError(f"there is no column {wanted} (--tag-column): the lines have {columns.width} columns")
        return column, _key(columns, column) or "", ()
    read = {column: _as_tags(columns, column) for column in range(columns.width) if column != running}
    found = {column: tags for column, tags in read.items() if tags is not None}
    found = _without_words(found, min(read), columns.width, header)
    if all(tags.bare for tags in found.values()):
        refuse_divided(columns, found)
    entities = {column: tags for column, tags in found.items() if not tags.chunks} or found
    marked = {column: tags for column, tags in entities.items() if not tags.bare} or entities
    gold = {column: tags for column, tags in marked.items() if not is_predicted(header[column : column + 1])} or marked
    naming = {column: tags for column, tags in gold.items() if tags.labels} or gold
    naming = {column: tags for column, tags in naming.items() if tags.usual} or naming
    if naming:
        # Where there are several, the first is the outer one of nested names, and gold beside a prediction.
        tag = max(naming) if next(iter(naming.values())).bare else min(naming)
        others = [str(column + 1) for column in marked if column != tag]
        many = (
            f"{len(others) + 1} columns hold tags: column {tag + 1} is read, {', '.join(others)} not (--tag-column N)"
        )
        chunks = [str(column + 1) for column, tags in found.items() if tags.chunks and column > tag]
        said = f"column {', '.join(chunks)} holds syntactic chunks, which are not read"
        return tag, "", (*([many] if others else ()), *([said] if chunks and not found[tag].chunks else ()))
    for column in range(columns.width - 1, -1, -1):
        if key := _key(columns, column):
            return column, key, (f"tags are those of {key} in column {column + 1}",)
    bracketed = [column for column in read if are_brackets(columns.counts(column))]
    if len(bracketed) == 1:
        return bracketed[0], "", (f"names are in the brackets of column {bracketed[0] + 1}, as in CoNLL-2012",)
    raise ValueError(no_tags(columns, running, uneven=uneven))


def _without_words(found: Mapping[int, "_Tags"], first: int, width: int, header: Sequence[str]) -> dict[int, "_Tags"]:
    """The columns that may be of tags without those of words that look like tags, when there are tags beside them."""
    named = named_words(header)
    kept = {column: tags for column, tags in found.items() if column not in named} or dict(found)
    tags, last = kept.get(first), kept.get(width - 1)
    if tags is None or (first < len(header) and names_tags(header[first])):
        return kept
    # Where both have an O, words come first, and tags, with letters where a third column may be of words, last.
    beside = last is not None and last.outside and not last.chunks and (width == 2 or (last.labels and not last.bare))
    others = not all(other.chunks for column, other in kept.items() if column != first)
    if others and (tags.bare or not tags.outside or (beside and not named)):
        del kept[first]
    return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tags:
    """What a column says if it is read as tags."""

    bare: bool
    labels: frozenset[str]
    usual: bool
    """Whether O marks what is outside, and no other mark, which inner names have more often than outer ones."""
    outside: bool
    """Whether any of its cells says that a word is in no name."""

    @property
    def chunks(self) -> bool:
        """Whether it holds syntactic chunks."""
        return bool(self.labels) and self.labels <= CHUNKS


def _as_tags(columns: Columns, column: int) -> _Tags | None:
    """What a column says; None where most of its cells are no tags."""
    census = TagCensus()
    for cells in columns.cells(column):
        census.add(cells)
    spelling = census.scheme().spelling
    read = {tag: found for tag in census.counts if (found := spelling.read(tag))}
    tags, total = sum(census.counts[tag] for tag in read), census.counts.total()
    bare = spelling.kind in ("bare", "alone")
    # Labels alone are few and come again; words are neither.
    if (len(read) > max(4, total / 4)) if bare else (2 * tags < total):
        return None
    labels = frozenset(label for _, label in read.values() if label)
    return _Tags(
        bare=bare, labels=labels, usual=spelling.outside in ("O", "o"), outside=spelling.outside in census.counts
    )


def _key(columns: Columns, column: int) -> str | None:
    """The key ``name=`` whose values in this column are tags."""
    values: dict[str, Counter[str]] = {}
    for cell, times in columns.counts(column).items():
        for part in cell.split("|"):
            key, equals, value = part.partition("=")
            if equals:
                values.setdefault(key + equals, Counter())[value] += times
    for key, counts in values.items():
        if key.lower() in _OF_NAMES and all(map(_LABEL.fullmatch, counts)):
            counts["O"] += 1  # of the tokens without this key
        spelling = TagCensus(counts).scheme().spelling
        read = [spelling.read(value) for value in counts]
        named = spelling.kind == "before" or (spelling.kind == "bare" and key.lower() in _NAMED and "O" in counts)
        if named and all(read) and any(found and found[1] for found in read):
            return key
    return None


def _token(columns: Columns, header: Sequence[str], taken: set[int]) -> tuple[int, str]:
    """The column of the words, and what is said of it where that is not evident."""
    named = named_words(header)
    free = [column for column in (*named, *range(columns.width)) if column not in taken]
    if not free:
        raise ValueError("there is no column beside that of the tags")
    token, doubt = (free[0], "") if named else find_words(columns, free)
    return token, doubt + undivided(columns, header, {*taken, token})


def _follows(columns: Columns, taken: set[int]) -> int:
    for column in range(columns.width):
        if column in taken:
            continue
        counts = columns.counts(column)
        if set(counts) == {"+", "-"} or any(map(is_glued, counts)):
            return column
    return -1


def _described(width: int, token: int, tag: int, numbers: str, header: Sequence[str], doubt: str) -> Iterator[str]:
    """What differs from tokens in the first column and tags in the last."""
    words = f"column {token + 1} is read as the words{doubt}"
    if numbers:
        yield f"column 1 is {numbers}, and {words}"
    elif token != 0 or doubt:
        yield words
    if tag != width - 1:
        yield f"column {tag + 1} of {width} is read as the tags"
    if header:
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

"""Which column of a column file holds the tags: of several one with the labels of names; the others are noted."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rnr.corpus.formats.columns.brackets import are_brackets
from rnr.corpus.formats.columns.cells import BLANKS, Columns, place_of, without_spacing
from rnr.corpus.formats.columns.headers import named_words
from rnr.corpus.formats.columns.unknown import no_tags, refuse_divided
from rnr.corpus.formats.field_names import is_predicted, names_tags
from rnr.corpus.formats.tags.reading import TagCensus
from rnr.corpus.formats.tags.spelling import LETTERS_LIKE_O
from rnr.corpus.syntax_labels import CHUNKS, are_parts_of_speech

_NAMED = ("ner=", "ne=", "name=", "entity=")
"""Keys whose values may be labels alone, where O stands among them."""
_OF_NAMES = ("ner=", "ne=")
"""Keys whose values are labels alone even where no other token has the key."""
_LABEL = re.compile(r"[^\W\d_][\w-]*")
_TAG = re.compile(r"[BSUbsu][-_/:|]")
_SAME, _LINKED = 4, 0.3
"""So many letters at the beginning tell that a label is the name of its words, and such a share that all labels are."""
_NOTHING = ("O", "o", "_", "-", "")
_OFTEN = 0.4
"""Share of the cells that are O in a column of names, at least, and never in one of words."""


def find_tags(
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
    labelled = _labelled(entities, header)
    marked = {column: tags for column, tags in labelled.items() if not tags.bare} or labelled
    gold = {column: tags for column, tags in marked.items() if not is_predicted(header[column : column + 1])} or marked
    named = {column: tags for column, tags in gold.items() if any(map(names_tags, header[column : column + 1]))}
    naming = {column: tags for column, tags in (named or gold).items() if tags.labels} or gold
    naming = _without_links(columns, {column: tags for column, tags in naming.items() if tags.usual} or naming)
    if naming:
        # Where there are several, the first is the outer one of nested names, and gold beside a prediction.
        tag = _of_labels_alone(naming, header) if next(iter(naming.values())).bare else min(naming)
        told = [column for column, tags in entities.items() if column in marked or not tags.labels or found[tag].bare]
        others = [str(column + 1) for column in told if column != tag]
        many = (
            f"{len(others) + 1} columns hold tags: column {tag + 1} is read, {', '.join(others)} not (--tag-column N)"
        )
        chunks = [str(column + 1) for column, tags in found.items() if tags.chunks and column > tag]
        said = f"column {', '.join(chunks)} holds syntactic chunks, which are not read"
        return tag, "", (*([many] if others else ()), *([said] if chunks and not found[tag].chunks else ()))
    for column in range(columns.width - 1, -1, -1) if columns.width > 1 else ():
        if key := _key(columns, column):
            return column, key, (f"tags are those of {key} in column {column + 1}",)
    bracketed = [column for column in read if are_brackets(columns.counts(column))]
    if len(bracketed) == 1:
        return bracketed[0], "", (f"names are in the brackets of column {bracketed[0] + 1}, as in CoNLL-2012",)
    raise ValueError(no_tags(columns, running, uneven=uneven))


def _labelled(entities: Mapping[int, "_Tags"], header: Sequence[str]) -> Mapping[int, "_Tags"]:
    """The columns that have a label: one that is O throughout is none beside them, but where the header calls it tags
    and none of them, and nor is one of parts of speech."""
    labelled = {column: tags for column, tags in entities.items() if tags.labels and not tags.parts_of_speech}
    named = [column for column in entities if any(map(names_tags, header[column : column + 1]))]
    return labelled if labelled and (not named or labelled.keys() & set(named)) else entities


def _without_links(columns: Columns, found: Mapping[int, "_Tags"]) -> Mapping[int, "_Tags"]:
    """Of several columns of tags those whose labels are no names of the things themselves (``B-Rome``), as links to
    Wikipedia are: many of these begin as a cell beside them does."""
    if len(found) < 2:
        return found
    rows = [[cell.strip(BLANKS) for cell in row] for sentence in columns.sentences for row in sentence]
    links = {column for column in found if _are_links(rows, column)}
    return {column: tags for column, tags in found.items() if column not in links} or found


def _are_links(rows: Sequence[Sequence[str]], column: int) -> bool:
    begun = [row for row in rows if _TAG.match(row[column])]
    outside = [row for row in rows if row[column] in _NOTHING]
    # A column that is empty outside of names repeats the label of each, and is no word that it would be the name of.
    words = [other for other in range(len(rows[0])) if any(row[other] not in _NOTHING for row in outside)]
    alike = sum(
        any(row[other][:_SAME] == row[column][2:][:_SAME] for other in words if len(row[other]) >= _SAME)
        for row in begun
    )
    return bool(begun) and alike >= _LINKED * len(begun)


def _of_labels_alone(found: Mapping[int, "_Tags"], header: Sequence[str]) -> int:
    """Of the columns with labels alone one that the header calls tags, else one that is O often, as what is said of
    every word is not; of several the one with the most labels, and the first of these."""
    named = {column: tags for column, tags in found.items() if any(map(names_tags, header[column : column + 1]))}
    found = named or {column: tags for column, tags in found.items() if tags.often_outside} or found
    return max(found, key=lambda column: (len(found[column].labels), -column))


def _without_words(found: Mapping[int, "_Tags"], first: int, width: int, header: Sequence[str]) -> dict[int, "_Tags"]:
    """The columns that may be of tags without those of words that look like tags, when there are tags beside them."""
    named = named_words(header)
    kept = {column: tags for column, tags in found.items() if column not in named} or dict(found)
    tags, last = kept.get(first), kept.get(width - 1)
    if tags is None or (first < len(header) and names_tags(header[first])):
        return kept
    if width > 2 and tags.bare and tags.labels and tags.often_outside:  # as no words are
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
    often_outside: bool
    """Whether enough of them say so for a column of names, and for no column of words."""

    @property
    def chunks(self) -> bool:
        """Whether it holds syntactic chunks."""
        return bool(self.labels) and self.labels <= CHUNKS

    @property
    def parts_of_speech(self) -> bool:
        """Whether it holds parts of speech, among which O is another."""
        return are_parts_of_speech(self.labels)


def _as_tags(columns: Columns, column: int) -> _Tags | None:
    """What a column says; None where most of its cells are no tags."""
    census = TagCensus()
    for cells in columns.cells(column):
        census.add(list(map(without_spacing, cells)))
    spelling = census.scheme().spelling
    read = {tag: found for tag in census.counts if (found := spelling.read(tag))}
    tags, total = sum(census.counts[tag] for tag in read), census.counts.total()
    bare = spelling.kind in ("bare", "alone")
    # Labels alone are few and come again; words are neither.
    if (len(read) > max(4, total / 4)) if bare else (2 * tags < total):
        return None
    labels = frozenset(label for _, label in read.values() if label)
    outside = census.counts[spelling.outside]
    return _Tags(
        bare=bare,
        labels=labels,
        usual=spelling.outside in ("O", *LETTERS_LIKE_O),
        outside=outside > 0,
        often_outside=outside >= _OFTEN * total,
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

"""Which columns of a table hold words, their tags and what their sentences are called: told by their names, and by
what stands below them."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby, islice, pairwise
from pathlib import Path

from rnr.corpus.formats.columns.cells import place_of
from rnr.corpus.formats.field_names import (
    is_predicted,
    may_number_sentences,
    names_documents,
    names_places,
    names_sentences,
    names_tags,
    names_words,
    numbers_sentences,
    numbers_sentences_within,
    plain,
    usual_first,
)
from rnr.corpus.formats.files.csv_table import DELIMITERS, is_blank, rows_of_cells
from rnr.corpus.formats.rows import DataError
from rnr.corpus.formats.shapes import Source
from rnr.corpus.formats.shown_lists import shows_a_list
from rnr.corpus.formats.tables.csv_words import BLANKS_DIVIDE, NO_LABEL, WordColumns, divided_by_blanks
from rnr.corpus.formats.tags.reading import TagCensus
from rnr.corpus.formats.tags.spelling import find_spelling
from rnr.corpus.formats.tokens.text_tags import shows_tags
from rnr.corpus.syntax_labels import CHUNKS

OTHER_TAGS = "further columns of tags are not read"
JOINED = "column {} says where in a mention a word is, column {} its label: they are read as one"
ROWS_NAMED = "column {} says another thing in each row, and is read as the name of no document"
_WORD_ORDER = ("word", "token", "words", "tokens", "form")
_TAG_ORDER = ("tag", "ner_tag", "ner", "label", "ner_tags", "bio", "iob", "entity", "tags")
_LABEL = re.compile(r"(?:type|label|class)$")
"""How a column may be called that has a label beside a letter, further to those of tags."""
_FULL, _WITH_O, _ALL_O, _OF_LESS, _OTHER = range(5)
_LOOKED_AT = 500
"""So many rows tell what a column holds."""
_MOST = 0.9


def is_word_table(head: str) -> bool:
    """Whether a line names the columns of a table with a word a row and what its sentence is called."""
    divided = ([name.strip().strip('"') for name in head.split(mark)] for mark in DELIMITERS)
    return any(
        len(names) > 2 and any(map(_may_be_words, names)) and any(map(names_sentences, names)) for names in divided
    )


def word_columns(names: Sequence[str], source: Source) -> WordColumns | None:
    """The columns of a table with a word a row; None where it is another."""
    below = _Below(source.file)
    word = _word(names, below)
    sentence = _sentence(names, word, below, source)
    taken = {word, sentence, *filter(names_documents, names), *filter(names_places, names)}
    free = [name for name in names if name.strip() and name not in taken]
    tags, label = _tags_and_label(free, names, word, below, source)
    if not (word and tags) or tags[0] in (word, sentence) or below.lists(names.index(tags[0])):
        return None
    if plain(word) == "text" and not below.tags(names.index(tags[0])):
        return None  # which may be a text with its class
    if sentence is None and not divided_by_blanks(source):
        return None
    return _noted(names, word, tags, label, sentence, _document(names, sentence, below, source), source)


def _noted(
    names: Sequence[str],
    word: str,
    tags: Sequence[str],
    label: str | None,
    sentence: str | None,
    document: str | None,
    source: Source,
) -> WordColumns:
    """The places of these columns; what is guessed or not read is noted."""
    tag, place = tags[0], next(filter(names_places, names), None)
    if others := [name for name in tags[1:] if name not in (word, tag, sentence)]:
        source.reading.fact(f"column {tag!r} is read as the tags; {OTHER_TAGS} ({', '.join(others)})", source.file)
    elif not (label or names_tags(tag) or source.reading.options.tag_column):
        source.reading.fact(f"column {tag!r} is read as the tags", source.file)
    source.not_read(name for name in names if name.strip() and name not in (word, tag, label, sentence, place))
    if label:
        source.reading.fact(JOINED.format(repr(tag), repr(label)), source.file)
    if sentence is None:
        source.reading.fact(BLANKS_DIVIDE, source.file)
    elif not names_sentences(sentence):
        source.reading.fact(f"column {sentence!r} is read as the number of the sentence", source.file)

    def at(name: str | None) -> int:
        return -1 if name is None else names.index(name)

    return WordColumns(
        width=len(names),
        names=(word.strip(), tag.strip()),
        word=at(word),
        tag=at(tag),
        sentence=at(sentence),
        document=at(document),
        place=at(place),
        label=at(label),
    )


class _Below:
    """The first rows below the names of the columns."""

    def __init__(self, file: Path) -> None:
        self._rows = [cells for _, cells in islice(rows_of_cells(file), 1, _LOOKED_AT) if isinstance(cells, list)]

    def cells(self, column: int) -> list[str]:
        """What stands in a column, without empty cells."""
        return [cell for row in self._rows if len(row) > column and (cell := row[column].strip())]

    def lists(self, column: int) -> bool:
        """Whether the first row with something in this column has a list there."""
        first = next(iter(self.cells(column)), "")
        return shows_a_list(first) or shows_tags(first)

    def words(self, column: int) -> bool:
        """Whether the cells of a column are words and no texts."""
        cells = self.cells(column)
        return sum(" " not in cell for cell in cells) >= _MOST * len(cells) > 0

    def tags(self, column: int) -> bool:
        """Whether the cells of a column are all tags that say where in a name a word stands, or that it is in none."""
        return self.rank(column) in (_FULL, _OF_LESS)

    def rank(self, column: int) -> int:
        """How much a column is one of tags: such as say place and label, ones with an O among them, ones that are O
        throughout, ones that say a place and no label of a name, and any other."""
        census = TagCensus()
        census.add(self.cells(column))
        spelling = census.scheme().spelling
        if spelling.outside not in census.counts:
            return _OTHER
        read = list(map(spelling.read, census.counts))
        if len(read) == 1:
            return _ALL_O
        if spelling.kind == "bare" or None in read:
            return _WITH_O
        labels = {found[1] for found in read if found} - {""} - CHUNKS
        return _FULL if labels and spelling.kind != "alone" else _OF_LESS

    def letters(self, column: int) -> bool:
        """Whether a column has a letter for the place in a mention in some rows, and O in the others."""
        counts = Counter(self.cells(column))
        return len(counts) > 1 and "O" in counts and find_spelling(counts).kind == "alone"

    def labels(self, column: int, letters: int, word: int) -> bool:
        """Whether a column has a label in just the rows in which another has a letter, and no texts of mentions."""
        rows = [row for row in self._rows if len(row) > max(column, letters, word) and not is_blank(row)]
        found = [(row[column].strip(), row[letters].strip(), row[word].strip()) for row in rows]
        same = all((label in NO_LABEL) == (letter == "O") for label, letter, _ in found)
        labels = Counter(label for label, _, _ in found if label not in NO_LABEL)
        words = any(text in label.split() for label, _, text in found)
        return same and not words and find_spelling({**labels, "O": 1}).kind == "bare"

    def filled(self, column: int) -> list[str]:
        """What stands in a column, in an empty cell what stands above it; blank rows are left out."""
        found, last = list[str](), ""
        for row in self._rows:
            if not is_blank(row):
                last = (row[column].strip() if len(row) > column else "") or last
                found.append(last)
        return found

    def differs(self, column: int) -> bool:
        """Whether a column says another thing in each row."""
        cells = self.filled(column)
        return len(set(cells)) == len(cells)

    def goes_on(self, column: int) -> bool:
        """Whether a column says several things, none of them again after another."""
        runs = [name for name, _ in groupby(self.filled(column))]
        return len(set(runs)) == len(runs) > 1

    def counts(self, column: int, other: int) -> bool:
        """Whether a column says another thing in each row of those for which another column says one."""
        pairs = pairwise(zip(self.filled(column), self.filled(other), strict=True))
        inside = [before[0] != after[0] for before, after in pairs if before[1] == after[1]]
        return bool(inside) and all(inside)

    def numbers(self, column: int) -> bool:
        """Whether the cells of a column are numbers that stay or go up by one, and most stay."""
        cells = self.cells(column)
        if not all(cell.isascii() and cell.isdigit() for cell in cells):
            return False
        steps = [int(right) - int(left) for left, right in pairwise(cells)]
        return set(steps) == {0, 1} and 2 * steps.count(0) >= len(steps)


def _may_be_words(name: str) -> bool:
    return names_words(name) or plain(name) == "text"


def _word(names: Sequence[str], below: _Below) -> str | None:
    """The column of the words; one of texts where these are words."""
    named = usual_first(filter(names_words, names), _WORD_ORDER)
    texts = (name for name in names if plain(name) == "text" and below.words(names.index(name)))
    return next(iter(named), next(texts, None))


def _document(names: Sequence[str], sentence: str | None, below: _Below, source: Source) -> str | None:
    """The column that names the document of a word; none that names each row, unless its sentences begin anew."""
    found = list(filter(names_documents, names))
    document = next((name for name in found if not below.differs(names.index(name))), next(iter(found), None))
    if document is None or sentence is None or not below.differs(names.index(document)):
        return document
    if not below.goes_on(names.index(sentence)):
        return document
    source.reading.fact(ROWS_NAMED.format(repr(document)), source.file)
    return None


def _sentence(names: Sequence[str], word: str | None, below: _Below, source: Source) -> str | None:
    """The column that tells the sentence of a word: that with its number before one with its text, unless it numbers
    the words; where nothing else divides them one of numbers that may be it."""
    named = [name for name in names if names_sentences(name) and name != word]
    if named:
        of_words = {name for name in named for other in named if below.counts(names.index(name), names.index(other))}
        return min(
            named, key=lambda name: (name in of_words, not numbers_sentences(name), numbers_sentences_within(name))
        )
    numbers = [name for at, name in enumerate(names) if may_number_sentences(name) and below.numbers(at)]
    return numbers[0] if numbers and not divided_by_blanks(source) else None


def _tags(free: Sequence[str], names: Sequence[str], below: _Below) -> list[str]:
    """The columns of tags: of those that are called so one that shows them first, behind them others with tags of
    names, else the only ones that show them."""
    named = usual_first(filter(names_tags, free), _TAG_ORDER)
    shown = [name for name in free if name not in named and below.tags(names.index(name))]
    found = sorted(named or shown, key=lambda name: below.rank(names.index(name)))
    return found + [name for name in shown if name not in found and below.rank(names.index(name)) == _FULL]


def _tags_and_label(
    free: Sequence[str], names: Sequence[str], word: str | None, below: _Below, source: Source
) -> tuple[list[str], str | None]:
    """The columns of tags, and that of the label where the first of them is one of letters without it."""
    gold = [name for name in free if not is_predicted([name])]
    tags = _tags(gold, names, below)
    if word and (asked := source.reading.options.tag_column):
        return [_asked_for(asked, names, source.file), *tags], None
    if not (word and tags) or below.rank(names.index(tags[0])) == _FULL:
        return tags, None
    for letters in filter(lambda name: below.letters(names.index(name)), gold):
        for label in (name for name in gold if name != letters and (names_tags(name) or _LABEL.search(plain(name)))):
            if below.labels(*map(names.index, (label, letters, word))):
                return [letters, *(name for name in tags if name not in (letters, label))], label
    return tags, None


def _asked_for(column: int, names: Sequence[str], file: Path) -> str:
    """The name of the column of ``data.reading.tag_column``."""
    if (place := place_of(column, len(names))) is None:
        raise DataError(f"{file}: --tag-column {column}, and there are {len(names)} columns ({', '.join(names)})")
    return names[place]

"""CSV with a token a line or a sentence a line, read as a stream: no more than a sentence of it is held."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from rnr.corpus.formats.columns.between import mark_alone
from rnr.corpus.formats.columns.looks import names_one_entity
from rnr.corpus.formats.field_names import names_documents, names_sentences, names_tags, names_words
from rnr.corpus.formats.files.csv_table import BETWEEN, NOTHING, is_blank, rows_of_cells, surplus
from rnr.corpus.formats.rows import DataError, Row
from rnr.corpus.formats.shapes import Source
from rnr.corpus.formats.shown_lists import list_in, shows_a_list
from rnr.corpus.formats.tables.csv_columns import word_columns
from rnr.corpus.formats.tables.csv_words import sentences
from rnr.corpus.formats.tokens.text_tags import is_tag_per_word, one_tag, shows_tags, write_o
from rnr.corpus.formats.tokens.token_rows import tagged_rows, with_names
from rnr.corpus.report import Reading
from rnr.messages import few

_TEXTS = ("text", "sentence", "content", "input", "document")
_COLUMNS = re.compile(r"\S+(?: \S+)* (?:O|[BIESLU]-\S+)")
"""A line of columns with spaces between them, and a tag in the last."""
_COMPREHEND = ("file", "line", "begin_offset", "end_offset", "type")
_LOOKED_AT = 100
"""So many rows tell whether it does."""
_BLANKS = re.compile(r"\s+")
_NO_NAME = re.compile(r"O|[BIESLUMW][-_]\S+")
"""A tag, which is no name of a column."""
_HEADLESS = "the first line names no columns; write '{}' or the like above it"


def is_list_table(head: str, second: str) -> bool:
    """Whether a line names columns and the next has a list or several tags in a cell (``text<TAB>entities``)."""
    names = [name.strip().strip('"') for name in head.split("\t")]
    cells = [cell.strip().strip('"') for cell in second.split("\t")]
    if "\t" not in head or any(shows_tags(name) or one_tag(name) or BETWEEN.search(name) for name in names):
        return False
    named = any(names_words(name) or name.lower() in _TEXTS for name in names)
    if not named and _is_a_sentence(names, cells):
        return False
    divided = sum(map(bool, map(BETWEEN.search, cells)))
    return divided > 1 or any(shows_tags(cell) or (named and shows_a_list(cell)) for cell in cells)


def _is_a_sentence(names: Sequence[str], cells: Sequence[str]) -> bool:
    """Whether what may be names are a sentence with a tag for each word, as the next line is."""
    tags = {tag for cell in cells if shows_tags(cell) for tag in cell.replace(",", " ").split()}
    if not tags.isdisjoint(names):
        return True
    sizes = [{len(cell.split()) for cell in line} for line in (names, cells)]
    known = any(map(_is_known, names)) or any(map(_is_known, " ".join(names).split()))
    return not known and all(len(size) == 1 for size in sizes) and sizes[0] != {1}


def csv_rows(file: Path, reading: Reading, rows_of: Callable[[Iterator[Row], Source], Iterator[Row]]) -> Iterator[Row]:
    """The sentences of a CSV: words with their tags and their sentence's number, or a sentence and a JSON list a line.

    Raises DataError when its columns are neither.
    """
    source = Source(file=file, reading=reading)
    names = next((cells for _, cells in rows_of_cells(file)), [])
    if isinstance(names, DataError):
        raise DataError(f"{file}, {names}")
    if any(shows_a_list(name) or shows_tags(name) or BETWEEN.search(name) for name in names):
        told = "text,entities" if any(map(shows_a_list, names)) else "text,tags"
        raise DataError(f"{file}: {_HEADLESS.format(told)}")
    if _swallows_a_sentence(names, file):
        raise DataError(f"{file}: {_HEADLESS.format('text,tags')}")
    columns = _named_columns(names, file)
    if (words := word_columns(names, source)) is not None:
        return tagged_rows(with_names(sentences(words, source), source), source)
    below = (cells for _, cells in islice(rows_of_cells(file), 1, None) if isinstance(cells, list))
    if _has_tags(names) and not any(name in _TEXTS or _is_known(name) for name in columns):
        raise DataError(f"{file}: {_headless(file, names)}")
    told = (column for cells in below for column in range(len(cells)) if _shows_entities(names, cells, column))
    divided = _divided(file)
    if (first := -1 if divided else next(told, None)) is None:
        raise DataError(f"{file}: {_no_entities(names, columns, file)}")
    return rows_of(_rows_with_lists(file, names, first, divided, source), source)


def _shows_entities(names: Sequence[str], cells: Sequence[str], column: int) -> bool:
    """Whether a cell holds a list, several tags or, by its name, a label for each word of another cell."""
    cell = cells[column]
    if shows_a_list(cell) or shows_tags(cell):
        return True
    named = column < len(names) and names_tags(names[column])
    return named and any(is_tag_per_word(cell, len(one.split())) for one in cells if one != cell)


def _swallows_a_sentence(names: Sequence[str], file: Path) -> bool:
    """Whether one of the names is several words, and one of these a tag in the column below it, which has O."""
    rows = [cells for _, cells in islice(rows_of_cells(file), 1, _LOOKED_AT) if isinstance(cells, list)]
    for column, name in enumerate(names):
        if len(own := set(name.replace(",", " ").split())) > 1:
            below = [set(row[column].replace(",", " ").split()) for row in rows if len(row) > column]
            if all("O" in one or one & own for one in below) and any("O" in one and one & own for one in below):
                return True
    return False


def has_no_header(head: str, second: str) -> bool:
    """Whether the first line of a table has a word and its tags between tabs, and so has the next; or is a mark such as
    ``<HEADLINE>`` above one that has."""
    if mark_alone(head):
        return _has_tags(second.split("\t")[1:])
    first, next_one = head.split("\t"), second.split("\t")
    return "\t" in head and len(first) == len(next_one) and _has_tags(first[1:]) and _has_tags(next_one[1:])


def _has_tags(cells: Sequence[str]) -> bool:
    """Whether a cell of the first line is a tag, which is no name of a column."""
    return any(_NO_NAME.fullmatch(cell.strip()) for cell in cells)


def _headless(file: Path, names: Sequence[str]) -> str:
    """The message about a table without the names of its columns, by its other rows."""
    below = chain.from_iterable(cells for _, cells in rows_of_cells(file) if isinstance(cells, list))
    of_words = "word,tag" if len(names) == 2 else "sentence_id,word,tag"
    return _HEADLESS.format("text,tags" if any(map(shows_tags, below)) else of_words)


def _is_known(name: str) -> bool:
    return names_words(name) or names_tags(name) or names_sentences(name)


def _divided(file: Path) -> set[int]:
    """The columns in which a control character divides words, or tags."""
    rows = (cells for _, cells in islice(rows_of_cells(file), 1, _LOOKED_AT) if isinstance(cells, list))
    found = {column for cells in rows for column, cell in enumerate(cells) if BETWEEN.search(cell)}
    return found if len(found) > 1 else set()


def _named_columns(names: Sequence[str], file: Path) -> dict[str, str]:
    """The names as they are written, by their plain ones; raises DataError where two are the same."""
    written = [name for name in names if name.strip()]
    columns = {_plain(name): name for name in written}
    if len(columns) < len(written) and _has_tags(written):
        raise DataError(f"{file}: {_headless(file, names)}")
    if len(columns) < len(written):
        counts = Counter(map(_plain, written))
        alike = few([name for name in written if counts[_plain(name)] > 1])
        raise DataError(f"{file}: two columns have the same name ({alike}); rename the one not meant")
    return columns


def _plain(name: str) -> str:
    """A name as it is looked for: ``Sentence ID`` -> ``sentence_id``."""
    return _BLANKS.sub("_", name.strip().lower())


def _no_entities(names: Sequence[str], columns: dict[str, str], file: Path) -> str:
    """The message about a table without a list in any cell and without a column that divides words into sentences."""
    below = next((cells for _, cells in islice(rows_of_cells(file), 1, None)), [])
    if not names:
        return "it is empty"
    if isinstance(below, DataError):
        return str(below)
    if len(names) == 1 and _COLUMNS.fullmatch(names[0]):
        return "these are columns divided by spaces, as CoNLL has them: give its name the ending .conll"
    if sum(map(bool, names)) == 1 and len(below) > 1:
        return f"its first line is {names[0][:40]!r}: remove what is above the names of the columns"
    if not below:
        return f"there is no row below its first line ({', '.join(columns)})"
    if any(map(names_words, names)) and any(map(names_tags, names)):
        document = next(filter(names_documents, names), None)
        called = "" if document is None else f", or call {document!r} so where each is one sentence"
        return (
            f"neither a column nor a blank row says where a sentence ends; add a column such as 'sentence_id'{called}"
        )
    if _has_tags(list(columns.values())):
        return _headless(file, names)
    if said := _known_table(columns, below):
        return said
    known = ", ".join(columns) or "none"
    if names_one_entity(list(columns)):
        known += "; does each row hold one entity? Put those of a text into one list: [[start, end, label], ...]"
    return (
        "a CSV needs a column of words, one of tags and one that numbers the sentences, or a text and a JSON list of "
        f"its entities; the columns are: {known}"
    )


def _known_table(columns: dict[str, str], below: Sequence[str]) -> str:
    """The message about a table that looks as one that is known, or whose tags have no O; empty for others."""
    if columns.keys() >= set(_COMPREHEND):
        return (
            "this looks like the annotations of Amazon Comprehend, whose texts are in the files that they name, a line "
            "each: write {'text': ..., 'entities': [[begin, end, type]]} for each of these lines"
        )
    return next(filter(None, map(write_o, below)), "")


# A sentence a row


def _rows_with_lists(file: Path, names: Sequence[str], lists: int, divided: set[int], source: Source) -> Iterator[Row]:
    """Each row by the plain names of its columns, with the cells that hold a list read, without empty ones; one tag
    alone in the column of ``lists`` is a list of one, and so are words in those that are ``divided``."""
    lowered = list(map(_plain, names))
    for number, cells in islice(rows_of_cells(file), 1, None):
        if isinstance(cells, DataError):
            yield number, DataError(f"{file}, {cells}")
        elif is_blank(cells):
            if cells:
                source.note(NOTHING, number)
        elif more := surplus(cells, len(names)):
            yield number, DataError(f"{file}, line {number}: {more}")
        else:
            named = {name: _value(cell) for name, cell in zip(lowered, cells, strict=False) if cell and name}
            named |= {lowered[at]: BETWEEN.split(cell) for at, cell in enumerate(cells) if at in divided and cell}
            if (alone := one_tag(cells[lists]) if 0 <= lists < len(cells) else None) is not None:
                named[lowered[lists]] = alone
            yield number, named


def _value(cell: str) -> Any:
    listed = list_in(cell) if shows_a_list(cell) else None
    return cell if listed is None else listed

"""CSV with a token a line or a sentence a line, read as a stream: no more than a sentence of it is held."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from rnr.corpus.formats.csv_columns import word_columns
from rnr.corpus.formats.csv_table import NOTHING, is_blank, rows_of_cells, surplus
from rnr.corpus.formats.csv_words import sentences
from rnr.corpus.formats.field_names import names_documents, names_tags, names_words
from rnr.corpus.formats.rows import DataError, Row
from rnr.corpus.formats.shapes import Source
from rnr.corpus.formats.shown_lists import list_in, shows_a_list
from rnr.corpus.formats.text_tags import one_tag, shows_tags
from rnr.corpus.formats.token_rows import tagged_rows, with_names
from rnr.corpus.report import Reading

_TEXTS = ("text", "sentence", "content", "input", "document")
_BEGINS = ("start", "begin")
_ENTITIES = ("entity", "entity_text", "mention", "span", "phrase")
"""What a column is called that holds the text of one entity."""
_COLUMNS = re.compile(r"\S+(?: \S+)* (?:O|[BIESLU]-\S+)")
"""A line of columns with spaces between them, and a tag in the last."""
_COMPREHEND = ("file", "line", "begin_offset", "end_offset", "type")
BETWEEN_CELLS = "\x02"
"""What stands between the words, and between the tags, of a cell in PaddleNLP's tables."""
_BLANKS = re.compile(r"\s+")
_HEADER = re.compile(r"O|[BIESLU]-\S+")


def is_list_table(head: str, second: str) -> bool:
    """Whether a line names columns and the next has a list or several tags in a cell (``text<TAB>entities``)."""
    names = [name.strip().strip('"') for name in head.split("\t")]
    cells = [cell.strip().strip('"') for cell in second.split("\t")]
    if "\t" not in head or any(shows_tags(name) or one_tag(name) for name in names):
        return False
    if any(names_words(name) or name.lower() in _TEXTS for name in names):
        return any(shows_a_list(cell) or shows_tags(cell) or BETWEEN_CELLS in cell for cell in cells)
    return any(map(shows_tags, cells)) or sum(BETWEEN_CELLS in cell for cell in cells) > 1


def csv_rows(file: Path, reading: Reading, rows_of: Callable[[Iterator[Row], Source], Iterator[Row]]) -> Iterator[Row]:
    """The sentences of a CSV: words with their tags and their sentence's number, or a sentence and a JSON list a line.

    Raises DataError when its columns are neither.
    """
    source = Source(file=file, reading=reading)
    names = next((cells for _, cells in rows_of_cells(file)), [])
    if isinstance(names, DataError):
        raise DataError(f"{file}, {names}")
    if any(shows_a_list(name) for name in names):
        raise DataError(f"{file}: the first line names no columns; write 'text,entities' or the like above it")
    columns = _named_columns(names, file)
    if (words := word_columns(names, source)) is not None:
        return tagged_rows(with_names(sentences(words, source), source), source)
    below = (cells for _, cells in islice(rows_of_cells(file), 1, None) if isinstance(cells, list))
    told = (column for cells in below for column, cell in enumerate(cells) if shows_a_list(cell) or shows_tags(cell))
    if (first := next(told, None)) is None:
        raise DataError(f"{file}: {_no_entities(names, columns, file)}")
    return rows_of(_rows_with_lists(file, names, first, source), source)


def _named_columns(names: Sequence[str], file: Path) -> dict[str, str]:
    """The names as they are written, by their plain ones; raises DataError where two are the same."""
    written = [name for name in names if name.strip()]
    columns = {_plain(name): name for name in written}
    if len(columns) < len(written):
        raise DataError(f"{file}: two columns have the same name ({', '.join(written)}); rename the one not meant")
    return columns


def _plain(name: str) -> str:
    """A name as it is looked for: ``Sentence ID`` -> ``sentence_id``."""
    return _BLANKS.sub("_", name.strip().lower())


def _no_entities(names: Sequence[str], columns: dict[str, str], file: Path) -> str:
    """What is said of a table without a list in any cell and without a column that divides words into sentences."""
    below = next((cells for _, cells in islice(rows_of_cells(file), 1, None)), [])
    if not names:
        return "it is empty"
    if isinstance(below, DataError):
        return str(below)
    if len(names) == 1 and _COLUMNS.fullmatch(names[0]):
        return "these are columns divided by spaces, as CoNLL has them: give its name the ending .conll"
    if sum(map(bool, names)) == 1 and len(below) > 1:
        return f"its first line is {names[0][:40]!r}: take away what stands above the names of the columns"
    if not below:
        return f"there is no row below its first line ({', '.join(columns)})"
    if any(map(names_words, names)) and any(map(names_tags, names)):
        document = next(filter(names_documents, names), None)
        called = "" if document is None else f", or call {document!r} so where each is one sentence"
        return (
            f"neither a column nor a blank row tells where a sentence ends; add a column such as 'sentence_id'{called}"
        )
    if any(_HEADER.fullmatch(name.strip()) for name in columns.values()):
        return "the first line names no columns; write 'sentence_id,word,tag' or the like above it"
    if columns.keys() >= set(_COMPREHEND):
        return (
            "this looks like the annotations of Amazon Comprehend, whose texts are in the files that they name, a line "
            "each: write {'text': ..., 'entities': [[begin, end, type]]} for each of these lines"
        )
    known = ", ".join(columns) or "none"
    if any(name.startswith(_BEGINS) or name in _ENTITIES for name in columns):
        known += "; does each row hold one entity? Put those of a text into one list: [[start, end, label], ...]"
    return (
        "a CSV needs a column of words, one of tags and one that numbers the sentences, or a text and a JSON list of "
        f"its entities; the columns are: {known}"
    )


# A sentence a row


def _rows_with_lists(file: Path, names: Sequence[str], lists: int, source: Source) -> Iterator[Row]:
    """Each row by the plain names of its columns, with the cells that hold a list read, without empty ones; one tag
    alone in the column of ``lists`` is a list of one."""
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
            if (alone := one_tag(cells[lists]) if lists < len(cells) else None) is not None:
                named[lowered[lists]] = alone
            yield number, named


def _value(cell: str) -> Any:
    if BETWEEN_CELLS in cell:
        return cell.split(BETWEEN_CELLS)
    listed = list_in(cell) if shows_a_list(cell) else None
    return cell if listed is None else listed

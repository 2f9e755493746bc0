"""CSV with a token a line or a sentence a line, read as a stream: no more than a sentence of it is held."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from rnr.corpus.formats.column_cells import place_of
from rnr.corpus.formats.csv_table import NOTHING, is_blank, rows_of_cells, surplus
from rnr.corpus.formats.csv_words import BLANKS_DIVIDE, WordColumns, divided_by_blanks, sentences
from rnr.corpus.formats.rows import DataError, Row
from rnr.corpus.formats.shapes import Source
from rnr.corpus.formats.shown_lists import list_in, shows_a_list
from rnr.corpus.formats.text_tags import one_tag, shows_tags
from rnr.corpus.formats.token_rows import tagged_rows, with_names
from rnr.corpus.report import Reading

_WORDS = ("word", "token", "words", "tokens", "form")
_TAGS = ("tag", "ner_tag", "ner", "label", "ner_tags", "bio", "iob", "entity", "tags")
_SENTENCES = (
    "sentence_#",
    "sentence_id",
    "sent_id",
    "sentence_idx",
    "sentence_number",
    "sentence",
    "sentence_num",
    "sent",
    "sent_no",
    "sentence_no",
    "sent_num",
    "sent_idx",
    "sentenceid",
    "sentid",
)
_TEXTS = ("text", "sentence", "content", "input", "document")
_DOCUMENTS = (
    *("doc_id", "document_id", "docid", "doc", "document", "doc_idx", "document_idx", "file", "filename", "file_name"),
    *("paper_id", "article_id", "text_id", "paragraph_id"),
)
_PLACES = (
    *("token_id", "word_id", "token_idx", "word_idx", "token_index", "word_index", "token_number", "word_number"),
    *("token_num", "word_num"),
)
_BEGINS = ("start", "begin")
_ENTITIES = ("entity", "entity_text", "mention", "span", "phrase")
"""What a column is called that holds the text of one entity."""
OTHER_TAGS = "further columns of tags are not read"
_COLUMNS = re.compile(r"\S+(?: \S+)* (?:O|[BIESLU]-\S+)")
"""A line of columns with spaces between them, and a tag in the last."""
_COMPREHEND = ("file", "line", "begin_offset", "end_offset", "type")
_BLANKS = re.compile(r"\s+")
_NO_NAME = re.compile(r"O|[BIESLUMW][-_]\S+")
"""A tag, which is no name of a column."""
_HEADLESS = "the first line names no columns; write '{}' or the like above it"


def is_word_table(head: str) -> bool:
    """Whether a line names the columns of a table with a word, its tag and the number of its sentence."""
    columns = set(map(_plain, head.split("\t")))
    return all(columns & set(names) for names in (_WORDS, _TAGS, _SENTENCES))


def is_list_table(head: str, second: str) -> bool:
    """Whether a line names columns and the next has a list or several tags in a cell (``text<TAB>entities``)."""
    names = {name.strip().strip('"').lower() for name in head.split("\t")}
    cells = [cell.strip().strip('"') for cell in second.split("\t")]
    return (
        "\t" in head
        and bool(names & {*_TEXTS, *_WORDS})
        and any(shows_a_list(cell) or shows_tags(cell) for cell in cells)
    )


def csv_rows(file: Path, reading: Reading, rows_of: Callable[[Iterator[Row], Source], Iterator[Row]]) -> Iterator[Row]:
    """The sentences of a CSV: words with their tags and their sentence's number, or a sentence and a JSON list a line.

    Raises DataError when its columns are neither.
    """
    source = Source(file=file, reading=reading)
    names = next((cells for _, cells in rows_of_cells(file)), [])
    if isinstance(names, DataError):
        raise DataError(f"{file}, {names}")
    if any(shows_a_list(name) or shows_tags(name) for name in names):
        told = "text,entities" if any(map(shows_a_list, names)) else "text,tags"
        raise DataError(f"{file}: {_HEADLESS.format(told)}")
    columns = _named_columns(names, file)
    if (words := _word_columns(names, columns, source)) is not None:
        return tagged_rows(with_names(sentences(words, source), source), source)
    below = (cells for _, cells in islice(rows_of_cells(file), 1, None) if isinstance(cells, list))
    if not columns.keys() & {*_TEXTS, *_WORDS, *_TAGS, *_SENTENCES} and _has_tags(names):
        raise DataError(f"{file}: {_headless(file, names)}")
    told = (column for cells in below for column, cell in enumerate(cells) if shows_a_list(cell) or shows_tags(cell))
    if (first := next(told, None)) is None:
        by_words = all(_first(columns, listed) for listed in (_WORDS, _TAGS))
        raise DataError(f"{file}: {_no_entities(names, columns, file, by_words=by_words)}")
    return rows_of(_rows_with_lists(file, names, first, source), source)


def has_no_header(head: str, second: str) -> bool:
    """Whether the first line of a table has a word and its tags between tabs, and so has the next."""
    first, next_one = head.split("\t"), second.split("\t")
    return "\t" in head and len(first) == len(next_one) and _has_tags(first[1:]) and _has_tags(next_one[1:])


def _has_tags(cells: Sequence[str]) -> bool:
    """Whether a cell of the first line is a tag, which is no name of a column."""
    return any(_NO_NAME.fullmatch(cell.strip()) for cell in cells)


def _headless(file: Path, names: Sequence[str]) -> str:
    """What is said of a table without the names of its columns, by its other rows."""
    below = chain.from_iterable(cells for _, cells in rows_of_cells(file) if isinstance(cells, list))
    of_words = "word,tag" if len(names) == 2 else "sentence_id,word,tag"
    return _HEADLESS.format("text,tags" if any(map(shows_tags, below)) else of_words)


def _word_columns(names: Sequence[str], columns: dict[str, str], source: Source) -> WordColumns | None:
    """The columns of a table with a word a row; None where it is another."""
    word, tag, sentence = (_first(columns, listed) for listed in (_WORDS, _TAGS, _SENTENCES))
    if word and (asked := source.reading.options.tag_column):
        tag = _asked_for(asked, names, source.file)
    if not (word and tag) or sentence in (word, tag) or _holds_lists(source.file, names.index(tag)):
        return None
    if sentence is None and not divided_by_blanks(source):
        return None
    place = _first(columns, _PLACES)
    if others := [name for name in _TAGS if name in columns and columns[name] not in (word, tag, sentence)]:
        source.reading.fact(f"column {tag!r} is read as the tags; {OTHER_TAGS} ({', '.join(others)})", source.file)
    source.not_read(name for name in names if name.strip() and name not in (word, tag, sentence, place))
    if sentence is None:
        source.reading.fact(BLANKS_DIVIDE, source.file)
    found = (word, tag, sentence, _first(columns, _DOCUMENTS), place)
    places = [-1 if name is None else names.index(name) for name in found]
    return WordColumns(
        width=len(names), word=places[0], tag=places[1], sentence=places[2], document=places[3], place=places[4]
    )


def _asked_for(column: int, names: Sequence[str], file: Path) -> str:
    """The name of the column of ``data.reading.tag_column``."""
    if (place := place_of(column, len(names))) is None:
        raise DataError(f"{file}: --tag-column {column}, and there are {len(names)} columns ({', '.join(names)})")
    return names[place]


def _holds_lists(file: Path, column: int) -> bool:
    """Whether the first row with something in this column has a list there."""
    rows = (cells for _, cells in islice(rows_of_cells(file), 1, None) if isinstance(cells, list))
    first = next((cells[column] for cells in rows if len(cells) > column and cells[column].strip()), "")
    return shows_a_list(first) or shows_tags(first)


def _named_columns(names: Sequence[str], file: Path) -> dict[str, str]:
    """The names as they are written, by their plain ones; raises DataError where two are the same."""
    written = [name for name in names if name.strip()]
    columns = {_plain(name): name for name in written}
    if len(columns) < len(written) and _has_tags(written):
        raise DataError(f"{file}: {_headless(file, names)}")
    if len(columns) < len(written):
        raise DataError(f"{file}: two columns have the same name ({', '.join(written)}); rename the one not meant")
    return columns


def _plain(name: str) -> str:
    """A name as it is looked for: ``Sentence ID`` -> ``sentence_id``."""
    return _BLANKS.sub("_", name.strip().lower())


def _first(columns: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((columns[name] for name in names if name in columns), None)


def _no_entities(names: Sequence[str], columns: dict[str, str], file: Path, *, by_words: bool) -> str:
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
    if by_words:
        return "neither a column nor a blank row tells where a sentence ends; add a column such as 'sentence_id'"
    if _has_tags(list(columns.values())):
        return _headless(file, names)
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
    listed = list_in(cell) if shows_a_list(cell) else None
    return cell if listed is None else listed

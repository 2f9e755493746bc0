"""A file of any known format -> the rows that ``rnr.corpus.formats.examples`` understands.

A row is a sentence and its entities, with offsets where the format has them; what cannot become one is a ``DataError``
in its place. Which format it is, is found out: by the ending how the file is opened, by each value what it is.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import chain, groupby, islice
from pathlib import Path

from rnr.corpus.formats.columns.reading import COLUMN_SUFFIXES, column_rows
from rnr.corpus.formats.entities.labels import refuse_no_labels
from rnr.corpus.formats.entities.offsets import in_characters
from rnr.corpus.formats.entities.without_labels import with_labels
from rnr.corpus.formats.files.opening import bare, lines, must_be_a_file
from rnr.corpus.formats.files.parquet import opened_table, table_rows
from rnr.corpus.formats.json_files import json_values
from rnr.corpus.formats.known import shape_of
from rnr.corpus.formats.rows import DataError, Row
from rnr.corpus.formats.shapes import BROKEN, Shape, Source
from rnr.corpus.formats.split_fields import by_split
from rnr.corpus.formats.tables.csv_columns import is_word_table
from rnr.corpus.formats.tables.csv_files import csv_rows, has_no_header, is_list_table
from rnr.corpus.formats.tokens.token_fields import refuse_no_tags
from rnr.corpus.formats.tools.biomedical import is_pubtator, pubtator_rows
from rnr.corpus.formats.tools.brat import brat_folder_rows, brat_rows, is_brat_folder
from rnr.corpus.formats.tools.hugging_face import saved_dataset
from rnr.corpus.formats.tools.spacy_files import docbin_rows
from rnr.corpus.formats.unsupported.endings import ENDINGS
from rnr.corpus.formats.unsupported.signatures import refuse_disguised
from rnr.corpus.formats.unsupported.unknown import unknown_row
from rnr.corpus.report import Reading

NO_HEADER = "the first lines name no columns and have tags, so the file was read as words and tags between tabs"


def read_rows(file: Path, reading: Reading) -> Iterator[Row]:
    """The rows of a file or of a folder that is one data set; raises DataError when nothing of it can be read.

    What a reader does beyond taking rows as they are it notes in ``reading`` (``rnr/corpus/report.py``).
    """
    if file.is_dir():
        return _folder_rows(file, reading)
    must_be_a_file(file)
    refuse_disguised(file)
    ending = bare(file).suffix.lower()
    if reader := READERS.get(ending):
        return reader(file, reading)
    if ending in ENDINGS:
        raise DataError(f"{file}: this is {ENDINGS[ending]}")
    return _rows_by_content(file, f"the ending {ending}" if ending else "no ending", reading)


def _rows_by_content(file: Path, ending: str, reading: Reading) -> Iterator[Row]:
    """The rows of a text whose ending says nothing (``eng.train``), where it has columns of tags, or JSON."""
    rows = _text_rows(file, reading)
    why = ""
    try:
        first = next(rows, None)
    except DataError as error:
        first, why = None, f"; read as text: {str(error).removeprefix(f'{file}: ')}"
    if first is None:
        raise DataError(f"{file}: {ending} names no known format; those that do are {', '.join(READERS)}{why}")
    reading.fact(f"{ending} names no format, which was detected from the contents", file)
    yield from chain((first,), rows)


def _folder_rows(folder: Path, reading: Reading) -> Iterator[Row]:
    if is_brat_folder(folder):
        return in_characters(brat_folder_rows(folder, reading), folder, reading)
    names, values = saved_dataset(folder)
    return rows_of(values, Source(file=folder, reading=reading, names=names))


def rows_of(values: Iterator[Row], source: Source) -> Iterator[Row]:
    """The rows in values as they come from JSON or a table, each run of one shape read by it; raises DataError after
    the last where what was read as their labels cannot be."""
    yield from with_labels(_by_shape(values, source), source)
    refuse_no_labels(source)
    refuse_no_tags(source)


def _by_shape(values: Iterator[Row], source: Source) -> Iterator[Row]:
    shapes = _remembered(by_split(values, source))
    for shape, run in groupby(shapes, key=lambda pair: pair[0]):
        found = _noting_unread((row for _, row in run), shape, source)
        if shape is None:
            for number, row in found:
                yield (number, row) if isinstance(row, DataError) else source.fault(number, unknown_row(row), row)
            continue
        rows = shape.rows(found, source)
        yield from in_characters(rows, source.file, source.reading) if shape.own_offsets else rows


def _noting_unread(values: Iterator[Row], shape: Shape | None, source: Source) -> Iterator[Row]:
    """The values; the fields that their shape does not read are named."""
    for number, value in values:
        if shape is not None and shape.unread and not isinstance(value, DataError):
            with suppress(*BROKEN):  # reported when it is read
                source.not_read(shape.unread(value))
        yield number, value


def _remembered(values: Iterator[Row]) -> Iterator[tuple[Shape | None, Row]]:
    """The values with their shapes; a row that could not be read does not end a run, and nor does one that is empty."""
    last: Shape | None = None
    for number, value in values:
        if not isinstance(value, DataError):
            last = shape_of(value)
        yield last, (number, value)


def _json_rows(file: Path, reading: Reading) -> Iterator[Row]:
    values = json_values(file, reading, known=lambda value: shape_of(value) is not None)
    return rows_of(values, Source(file=file, reading=reading))


def _text_rows(file: Path, reading: Reading) -> Iterator[Row]:
    """Columns, unless the file is PubTator's, a text of brat's, a table with a header, or JSON under another name."""
    if file.suffix == ".txt" and file.with_suffix(".ann").is_file():
        return brat_rows(file.with_suffix(".ann"), reading)
    head, second = _two_lines(file)
    if is_pubtator(head):
        return in_characters(pubtator_rows(file, reading), file, reading)
    if head.lstrip()[:2] in ('{"', "[{", '["') or head.strip() in ("{", "["):
        return _json_rows(file, reading)
    table = is_word_table(head) or is_list_table(head, second)
    return _csv_rows(file, reading) if table else column_rows(file, reading)


def _two_lines(file: Path) -> list[str]:
    """The first two lines that are not blank, as far as they can be read."""
    first = [line for _, line in islice(lines(file), 2)]
    return [line.decode("utf-8", errors="replace") if isinstance(line, bytes) else "" for line in (*first, b"", b"")][
        :2
    ]


def _csv_rows(file: Path, reading: Reading) -> Iterator[Row]:
    """The rows of a table, or the sentences of columns without names, which some call so, too."""
    if has_no_header(*_two_lines(file)):
        reading.fact(NO_HEADER, file)
        return column_rows(file, reading)
    return csv_rows(file, reading, rows_of)


def _table_rows(file: Path, reading: Reading) -> Iterator[Row]:
    names, batches = opened_table(file)
    return rows_of(table_rows(batches), Source(file=file, reading=reading, names=names))


def _in_characters(read: Callable[[Path, Reading], Iterator[Row]]) -> Callable[[Path, Reading], Iterator[Row]]:
    return lambda file, reading: in_characters(read(file, reading), file, reading)


READERS: dict[str, Callable[[Path, Reading], Iterator[Row]]] = {
    ".json": _json_rows,
    ".jsonl": _json_rows,
    ".ndjson": _json_rows,
    **dict.fromkeys(COLUMN_SUFFIXES, _text_rows),
    ".csv": _csv_rows,
    ".parquet": _table_rows,
    ".arrow": _table_rows,
    ".feather": _table_rows,
    ".spacy": docbin_rows,
    ".ann": _in_characters(brat_rows),
    ".pubtator": _in_characters(pubtator_rows),
}
"""How a file is opened, by its ending without that of a compression."""

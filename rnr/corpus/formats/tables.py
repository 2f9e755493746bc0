"""Tables: parquet and arrow files, and CSV with a token a line or a sentence a line."""

import csv
import io
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rnr.corpus.formats.opening import bare, read_bytes, read_text
from rnr.corpus.formats.rows import DataError, Row, needed
from rnr.corpus.formats.shapes import Source
from rnr.corpus.formats.shown_lists import list_in, shows_a_list
from rnr.corpus.formats.tags import Tagged
from rnr.corpus.formats.token_rows import tagged_rows
from rnr.corpus.report import Reading

_WORDS = ("word", "token", "words", "tokens", "form")
_TAGS = ("tag", "ner_tag", "ner", "label", "ner_tags", "bio", "iob", "entity", "tags")
_SENTENCES = ("sentence #", "sentence_id", "sent_id", "sentence_idx", "sentence_number", "sentence", "sentence_num")
_TEXTS = ("text", "sentence", "content", "input", "document")
_BEGINS = ("start", "begin")

FILLED = "rows of the table name no sentence and were taken for words of the one before"
AGAIN = "sentences have a number that an earlier sentence has, with others between them, and are read as others"
OTHER_TAGS = "further columns of tags are not read"


def table_rows(batches: Iterator[Any]) -> Iterator[Row]:
    """The rows of a table's batches, without the fields that a row does not have."""
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            yield number, without_none(row)


def opened_table(file: Path) -> tuple[dict[str, list[str]], Iterator[Any]]:
    """The names of the tags that are numbers, by column, and the batches of the table."""
    pyarrow = needed("pyarrow", "pyarrow", file)
    stream = pyarrow.BufferReader(read_bytes(file)) if bare(file) != file else str(file)
    try:
        if bare(file).suffix.lower() == ".parquet":
            table = needed("pyarrow.parquet", "pyarrow", file).ParquetFile(stream)
            return _class_names(table.schema_arrow.metadata), table.iter_batches()
        reader = needed("pyarrow.ipc", "pyarrow", file).open_stream(
            pyarrow.memory_map(stream) if isinstance(stream, str) else stream
        )
        return _class_names(reader.schema.metadata), iter(reader)
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"{file}: {str(error).splitlines()[0]}") from None


def _class_names(metadata: dict[bytes, bytes] | None) -> dict[str, list[str]]:
    """The names that Hugging Face's ``datasets`` writes into the table for columns of class labels."""
    try:
        return names_of_classes(json.loads((metadata or {}).get(b"huggingface", b"{}")).get("info", {})["features"])
    except (ValueError, RecursionError, AttributeError, KeyError):
        return {}


def names_of_classes(features: dict[str, Any]) -> dict[str, list[str]]:
    """The names of the labels that are numbers in each column, wherever in it they are, from the features of
    ``datasets``; none for a column with several kinds of such labels."""
    found = {column: list(_listed_names(feature)) for column, feature in features.items()}
    return {column: listed[0] for column, listed in found.items() if listed and listed[1:] == listed[:-1]}


def _listed_names(feature: Any) -> Iterator[list[str]]:
    if isinstance(feature, dict) and isinstance(feature.get("names"), list):
        yield feature["names"]
    elif isinstance(feature, (dict, list)):
        for inner in feature.values() if isinstance(feature, dict) else feature:
            yield from _listed_names(inner)


def without_none(value: Any) -> Any:
    """Arrow gives every row every field; a field that was never there comes back as None."""
    if isinstance(value, dict):
        return {key: without_none(inner) for key, inner in value.items() if inner is not None}
    return [without_none(inner) for inner in value] if isinstance(value, list) else value


# CSV


def is_word_table(head: str) -> bool:
    """Whether a line names the columns of a table with a word, its tag and the number of its sentence."""
    columns = {column.strip().lower() for column in head.split("\t")}
    return all(columns & set(names) for names in (_WORDS, _TAGS, _SENTENCES))


def is_list_table(head: str, second: str) -> bool:
    """Whether a line names columns and the next has a list in one of its cells (``text<TAB>entities``)."""
    names = {name.strip().strip('"').lower() for name in head.split("\t")}
    cells = [cell.strip().strip('"') for cell in second.split("\t")]
    return "\t" in head and bool(names & {*_TEXTS, *_WORDS}) and any(map(shows_a_list, cells))


def csv_rows(file: Path, reading: Reading, rows_of: Callable[[Iterator[Row], Source], Iterator[Row]]) -> Iterator[Row]:
    """The sentences of a CSV: words with their tags and their sentence's number, or a sentence and a JSON list a line.

    Raises DataError when its columns are neither.
    """
    text, source = read_text(file), Source(file=file, reading=reading)
    head, _, rest = text.partition("\n")
    delimiter = max(",;\t|", key=head.count)
    if head.rstrip("\r") in ("sep=,", "sep=;", "sep=\t", "sep=|"):  # as Excel is told
        delimiter, text = head[4], rest
    table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        columns = _named_columns(table.fieldnames or (), file)
        word, tag, sentence = (_first(columns, names) for names in (_WORDS, _TAGS, _SENTENCES))
        if word and tag and sentence and sentence not in (word, tag):
            if others := [name for name in _TAGS if name in columns and columns[name] not in (word, tag, sentence)]:
                reading.fact(f"column {tag!r} is read as the tags; {OTHER_TAGS} ({', '.join(others)})", file)
            return _words(list(table), word, tag, sentence, source)
        values = [_sentence_row(table.line_num, row, source) for row in table]
    except csv.Error as error:
        raise DataError(f"{file}, line {table.line_num}: {error}") from None
    rows = [row for _, row in values if not isinstance(row, DataError)]
    if not any(isinstance(cell, list) or shows_a_list(cell) for row in rows for cell in row.values()):
        if word and tag:
            raise DataError(f"{file}: no column tells where a sentence ends; add one such as 'sentence_id'")
        known = ", ".join(columns) or "none"
        if any(name.startswith(_BEGINS) for name in columns):
            known += "; does each row hold one entity? Put those of a text into one list: [[start, end, label], ...]"
        raise DataError(
            f"{file}: a CSV needs a column of words, one of tags and one that numbers the sentences, or a text and a "
            f"JSON list of its entities; the columns are: {known}"
        )
    return rows_of(iter(values), source)


def _named_columns(names: Sequence[str | None], file: Path) -> dict[str, str]:
    """The names as they are written, by the names that are looked for; raises DataError where two are the same."""
    written = [name for name in names if name and name.strip()]
    columns = {name.strip().lower(): name for name in written}
    if len(columns) < len(written):
        raise DataError(f"{file}: two columns have the same name ({', '.join(written)}); rename the one not meant")
    return columns


def _sentence_row(number: int, row: dict[str, Any], source: Source) -> Row:
    surplus = _surplus(row)
    return (number, DataError(f"{source.file}, line {number}: {surplus}")) if surplus else (number, _with_lists(row))


def _surplus(row: dict[Any, Any]) -> str:
    """What is wrong with a row that has more cells than there are columns; empty where it has not."""
    if not any(row.get(None) or ()):  # a delimiter at the end of a line says nothing
        return ""
    return f"more cells than columns: {row[None]}; a cell with the delimiter in it needs quotation marks"


def _first(columns: dict[str, Any], names: tuple[str, ...]) -> str | None:
    return next((columns[name] for name in names if name in columns), None)


def _words(table: list[dict[str, str]], word: str, tag: str, sentence: str, source: Source) -> Iterator[Row]:
    groups: list[list[tuple[int, dict[str, str]]]] = []
    before: str | None = None
    seen: set[str] = set()
    filled = 0
    for number, row in enumerate(table, 2):
        name = (row[sentence] or "").strip()
        if name and name != before:
            groups.append([])
            before = name
            if name in seen:
                source.note(AGAIN, number, name)
            seen.add(name)
        elif not name:
            filled += 1
        if not groups:
            raise DataError(f"{source.file}, line {number}: a word before the first number of a sentence")
        groups[-1].append((number, row))
    if filled:
        source.note(FILLED, times=filled)
    sentences: list[Tagged] = []
    for group in groups:
        first = group[0][0]
        if faults := [f"line {number}: {fault}" for number, row in group if (fault := _fault(row, word, tag))]:
            yield first, DataError(f"{source.file}, {faults[0]}")
            continue
        words, tags = ([row[column].strip() for _, row in group] for column in (word, tag))
        sentences.append(Tagged(first, words, tags, [f"line {number}" for number, _ in group]))
    yield from tagged_rows(sentences, source, lambda _: {})


def _fault(row: dict[str, str], word: str, tag: str) -> str:
    """What is wrong with the row of a word; empty where nothing is."""
    if "\n" in (row[word] or "").strip():
        return "the word goes over several lines: a quotation mark opens there that is not closed (write it as four)"
    if not (row[word] or "").strip() or not (row[tag] or "").strip():
        return "no word, or no tag (O where it has none)"
    return _surplus(row)


def _with_lists(row: dict[str, Any]) -> dict[str, Any]:
    """The row with the cells that hold a list read, without empty ones, and with the names of columns in lower case."""
    found: dict[str, Any] = {}
    for name, cell in row.items():
        if isinstance(name, str) and cell not in (None, ""):
            listed = list_in(cell) if shows_a_list(cell) else None
            found[name.strip().lower()] = cell if listed is None else listed
    return found

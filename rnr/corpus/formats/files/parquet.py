"""Tables: parquet and arrow files."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rnr.corpus.formats.files.opening import bare, read_bytes
from rnr.corpus.formats.rows import DataError, Row, needed

_FILE = b"ARROW1"
"""How an arrow file begins, as pandas and polars write it; ``datasets`` writes a stream."""
_AT_ONCE = 1000
"""So many rows of a table are held as Python's values."""


def table_rows(batches: Iterator[Any]) -> Iterator[Row]:
    """The rows of a table's batches, without the fields that a row does not have."""
    number = 0
    for batch in batches:
        for start in range(0, batch.num_rows, _AT_ONCE):
            for row in batch.slice(start, _AT_ONCE).to_pylist():
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
        ipc = needed("pyarrow.ipc", "pyarrow", file)
        mapped = pyarrow.memory_map(stream) if isinstance(stream, str) else stream
        if mapped.read(len(_FILE)) == _FILE:
            whole = ipc.open_file(mapped)
            return _class_names(whole.schema.metadata), map(whole.get_batch, range(whole.num_record_batches))
        mapped.seek(0)
        reader = ipc.open_stream(mapped)
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

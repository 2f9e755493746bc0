"""A file of any known format -> the rows that the one row reader in ``rnr.data`` understands.

A row is a sentence and its entities, with offsets where the format has them; what cannot become one is a ``DataError``
in its place. Which format it is, is found out.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from rnr.formats.annotation_tools import docbin_rows, plain
from rnr.formats.columns import COLUMN_SUFFIXES, column_rows
from rnr.formats.hugging_face import hugging_face_rows
from rnr.formats.rows import DataError, Row, read_json


def parts(place: Path) -> dict[str, Path]:
    """What lies at a path, by split: the files of an InstructUIE folder, the folders of a DatasetDict, else itself."""
    if (place / "dataset_dict.json").is_file():
        return {name: place / name for name in read_json(place / "dataset_dict.json")["splits"]}
    if place.is_dir() and not (place / "state.json").is_file():
        names = ("train", "test", "validation", "dev")
        return {name: place / f"{name}.json" for name in names if (place / f"{name}.json").is_file()}
    return {"": place}


def read_rows(file: Path) -> Iterator[Row]:
    """The rows of a file or of a saved Hugging Face dataset; raises DataError when nothing of it can be read."""
    if file.is_dir():
        return hugging_face_rows(file)
    if file.suffix in COLUMN_SUFFIXES:
        return column_rows(file)
    return docbin_rows(file) if file.suffix == ".spacy" else _json_rows(file)


def _json_rows(file: Path) -> Iterator[Row]:
    for number, value in _json_list(file) if file.suffix == ".json" else _json_lines(file):
        try:
            yield number, plain(value)
        except ValueError as error:
            yield number, DataError(f"{file}, row {number}: {error}")


def _json_list(file: Path) -> Iterator[Row]:
    values = read_json(file)
    return enumerate(values if isinstance(values, list) else [values], 1)


def _json_lines(file: Path) -> Iterator[Row]:
    # Bytes split at line feeds only; text would also split at separators that may stand inside a JSON string.
    for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except json.JSONDecodeError as error:
            yield number, DataError(f"{file}, row {number}: not valid JSON: {error.msg} at column {error.colno}")
        except UnicodeDecodeError as error:
            yield number, DataError(f"{file}, row {number}: not UTF-8 at byte {error.start}")

"""A file of any known format -> the rows that ``rnr.corpus.formats.examples`` understands.

A row is a sentence and its entities, with offsets where the format has them; what cannot become one is a ``DataError``
in its place. Which format it is, is found out.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from rnr.corpus.formats.annotation_tools import docbin_rows, plain
from rnr.corpus.formats.columns import COLUMN_SUFFIXES, column_rows
from rnr.corpus.formats.hugging_face import hugging_face_rows
from rnr.corpus.formats.rows import DataError, Row, json_fault, read_json
from rnr.corpus.report import Reading

SPLITS = ("train", "test", "validation", "valid", "dev")
"""Names of files and folders that are a part of a data set and not one of their own."""


def source_name(file: Path) -> str:
    """The data set that a file belongs to: the folder's name for a split or beside a list of labels, else its own."""
    folder = Path(os.path.abspath(file)).parent  # not resolved: a link may point to a store where nothing has a name
    listed = any((folder / name).is_file() for name in ("labels.json", "dataset_dict.json"))
    return (folder.name if listed or file.stem.lower() in SPLITS else "") or file.stem


def parts(place: Path) -> dict[str, Path]:
    """What lies at a path, by split: the files of a folder, the folders of a DatasetDict, or else the path itself.

    Raises DataError for a folder without a split, or with two files for one.
    """
    if (place / "dataset_dict.json").is_file():
        return _dataset_dict(place)
    if not place.is_dir() or (place / "state.json").is_file():
        return {"": place}
    found: dict[str, Path] = {}
    for file in sorted(place.iterdir()):
        name = file.stem.lower()
        if name not in SPLITS or file.suffix.lower() not in _READERS:
            continue
        if name in found:
            raise DataError(f"{place}: {found[name].name} and {file.name} are the same split; name the one you mean")
        found[name] = file
    if not found:
        raise DataError(f"{place}: no split in this folder; it needs files such as train.jsonl and test.jsonl")
    return {name: found[name] for name in SPLITS if name in found}


def _dataset_dict(folder: Path) -> dict[str, Path]:
    listed = read_json(folder / "dataset_dict.json")
    splits = listed.get("splits") if isinstance(listed, dict) else None
    if not isinstance(splits, list) or not all(isinstance(name, str) for name in splits):
        raise DataError(f"{folder / 'dataset_dict.json'}: no list of names in 'splits'")
    return {name: folder / name for name in splits}


def read_rows(file: Path, reading: Reading) -> Iterator[Row]:
    """The rows of a file or of a saved Hugging Face dataset; raises DataError when nothing of it can be read.

    What a reader does beyond taking rows as they are it notes in ``reading`` (``rnr/corpus/report.py``).
    """
    if file.is_dir():
        return hugging_face_rows(file, reading)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        ending = f"the ending {file.suffix}" if file.suffix else "no ending"
        raise DataError(f"{file}: {ending} tells no known format; those that do are {', '.join(_READERS)}")
    return reader(file, reading)


def _json_rows(values: Iterator[Row], file: Path, reading: Reading) -> Iterator[Row]:
    for number, value in values:
        try:
            yield number, plain(value, file, number, reading)
        except ValueError as error:
            yield number, DataError(f"{file}, row {number}: {error}")


def _json_list(file: Path, reading: Reading) -> Iterator[Row]:
    values = read_json(file)
    return _json_rows(enumerate(values if isinstance(values, list) else [values], 1), file, reading)


def _json_lines(file: Path, reading: Reading) -> Iterator[Row]:
    return _json_rows(_lines(file), file, reading)


def _lines(file: Path) -> Iterator[Row]:
    # Bytes split at line feeds only; text would also split at separators that may stand inside a JSON string.
    for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            yield number, DataError(f"{file}, row {number}: {json_fault(error)}")


_READERS: dict[str, Callable[[Path, Reading], Iterator[Row]]] = {
    ".json": _json_list,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    **dict.fromkeys(COLUMN_SUFFIXES, column_rows),
    ".spacy": docbin_rows,
}

"""A file of any known format -> the rows that ``rnr.corpus.formats.examples`` understands.

A row is a sentence and its entities, with offsets where the format has them; what cannot become one is a ``DataError``
in its place. Which format it is, is found out: by the ending how the file is opened, by each value what it is.
"""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from glob import glob
from itertools import chain, groupby, islice
from pathlib import Path

from rnr.corpus.formats.biomedical import is_pubtator, pubtator_rows
from rnr.corpus.formats.brat import brat_folder_rows, brat_rows, is_brat_folder
from rnr.corpus.formats.columns import COLUMN_SUFFIXES, column_rows
from rnr.corpus.formats.csv_files import csv_rows, is_list_table, is_word_table
from rnr.corpus.formats.endings import ENDINGS
from rnr.corpus.formats.entity_labels import refuse_no_labels
from rnr.corpus.formats.hugging_face import saved_dataset
from rnr.corpus.formats.json_files import json_values
from rnr.corpus.formats.known import shape_of
from rnr.corpus.formats.offsets import in_characters
from rnr.corpus.formats.opening import bare, lines, must_be_a_file, read_json
from rnr.corpus.formats.rows import DataError, Row, are_texts
from rnr.corpus.formats.shapes import Shape, Source
from rnr.corpus.formats.signatures import refuse_disguised
from rnr.corpus.formats.spacy_files import docbin_rows
from rnr.corpus.formats.split_fields import by_split
from rnr.corpus.formats.tables import opened_table, table_rows
from rnr.corpus.formats.unknown import unknown_row
from rnr.corpus.formats.without_labels import with_labels
from rnr.corpus.report import Reading

SPLITS = ("train", "test", "validation", "valid", "val", "dev")
"""Names of files and folders that are a part of a data set and not one of their own."""

NOT_READ = "it stands beside the splits of its folder and was not read"
UNLIKE = "its splits have other names and are data sets of their own ({}): if they are one, give their files one name"

_SHARD = re.compile(r"-\d+-of-\d+$")
_NO_DATA = ("labels", "dataset_info", "dataset_infos", "state", "config", "readme", "license", "package")


def stem(file: Path) -> str:
    """The name of a file without its endings, and without the number of a shard: ``train-00000-of-00001.parquet``."""
    return _SHARD.sub("", bare(file).stem)


def source_name(file: Path) -> str:
    """The data set that a file belongs to: the folder's name for a split or beside a list of labels, else its own."""
    folder = Path(os.path.abspath(file)).parent  # not resolved: a link may point to a store where nothing has a name
    listed = any((folder / name).is_file() for name in ("labels.json", "dataset_dict.json"))
    if not listed and stem(file).lower() not in SPLITS:
        return stem(file)
    return (folder.parent if folder.name.lower() in SPLITS else folder).name or stem(file)


def parts(place: Path) -> dict[str, Path]:
    """What lies at a path, by split: the files of a folder, the folders of a DatasetDict, or else the path itself.

    A folder with one file of data is that file, and one with nothing but another folder is that folder. Raises
    DataError for a folder with several files of which none is a split, or with two for one split.
    """
    if (place / "dataset_dict.json").is_file():
        return _dataset_dict(place)
    if not place.is_dir() or (place / "state.json").is_file() or is_brat_folder(place):
        return {"": place}
    candidates = _candidates(place)
    found: dict[str, Path] = {}
    for file in candidates:
        name = stem(file).lower()
        if name not in SPLITS:
            continue
        if name in found and _SHARD.search(bare(file).stem):
            raise DataError(f"{place}: the split {name} lies in several files; name them all: '{place}/{name}-*'")
        if name in found:
            raise DataError(f"{place}: {found[name].name} and {file.name} are the same split; name the one you mean")
        found[name] = _only_one(file) if file.is_dir() else file
    if found:
        return {name: found[name] for name in SPLITS if name in found}
    files = [file for file in candidates if file.is_file()]
    if len(files) == 1:
        return {"": files[0]}
    folders = [folder for folder in sorted(place.iterdir()) if folder.is_dir() and not folder.name.startswith(".")]
    if not files and len(folders) == 1:
        return parts(folders[0])
    needs = "it needs files such as train.jsonl and test.jsonl"
    raise DataError(f"{place}: no split in this folder; {needs}{_what(place)}")


def note_not_read(paths: Sequence[str], reading: Reading) -> None:
    """Note the files of data in folders that stand beside the splits there and are none of them, and splits that are
    taken for several data sets."""
    for place in (Path(name) for path in paths for name in ([path] if Path(path).exists() else sorted(glob(path)))):
        if not place.is_dir() or (place / "dataset_dict.json").is_file() or is_brat_folder(place):
            continue
        found = _candidates(place)
        others = [file for file in found if stem(file).lower() not in SPLITS]
        for file in others if len(others) < len(found) else ():
            reading.fact(NOT_READ, file)
        with suppress(DataError):  # which is said where they are read
            if len(names := list(dict.fromkeys(map(source_name, parts(place).values())))) > 1:
                reading.fact(UNLIKE.format(", ".join(names)), place)


def _candidates(place: Path) -> list[Path]:
    return [file for file in sorted(place.iterdir()) if _may_be_data(file)]


def _what(place: Path) -> str:
    """What is said of what lies in a folder without a split."""
    files = _files_of_data(place)
    if not files:
        there = [file.name for file in sorted(place.iterdir())]
        if (place / "seq.in").is_file() and (place / "seq.out").is_file():
            return "; words and tags lie in two files: `paste seq.in seq.out > train.txt` puts them side by side"
        folders = [file for file in place.iterdir() if file.is_dir()]
        every = f"; all of them are '{place}/*'" if len(folders) == len(there) > 1 else ""
        return f"; there are {', '.join(there[:5])}{every}" if there else "; it is empty"
    endings = {"".join(file.suffixes[-2:]) if bare(file) != file else file.suffix for file in files}
    every = f", or all of them by '{place}/*{endings.pop()}'" if len(endings) == 1 else ""
    return f"; name the one you mean of {', '.join(file.name for file in files[:5])}{every}"


def _may_be_data(file: Path) -> bool:
    if file.is_dir():
        return file.name.lower() in SPLITS and _is_split(file)
    if file.name.startswith("."):  # of a file system or an editor: ._train.jsonl, .train.jsonl.swp
        return False
    name = bare(file)
    return (name.suffix.lower() in READERS and name.stem.lower() not in _NO_DATA) or name.name.lower() in SPLITS


def _is_split(folder: Path) -> bool:
    """Whether a folder called as a split is one: a saved data set, one of brat, or files of data that are no splits."""
    if (folder / "state.json").is_file() or is_brat_folder(folder):
        return True
    splits = {stem(file).lower() for file in _files_of_data(folder)}
    return bool(splits) and splits.isdisjoint(name for name in SPLITS if name != folder.name.lower())


def _only_one(folder: Path) -> Path:
    """What lies in the folder of a split; raises DataError for several files."""
    files = [] if (folder / "state.json").is_file() or is_brat_folder(folder) else _files_of_data(folder)
    if len(files) > 1:
        listed = ", ".join(file.name for file in files[:5])
        raise DataError(f"{folder}: this split lies in {len(files)} files ({listed}); name them all: '{folder}/*'")
    return files[0] if files else folder


def _files_of_data(folder: Path) -> list[Path]:
    return [file for file in _candidates(folder) if file.is_file()]


def _dataset_dict(folder: Path) -> dict[str, Path]:
    listed = read_json(folder / "dataset_dict.json")
    splits = listed.get("splits") if isinstance(listed, dict) else None
    if not are_texts(splits):
        raise DataError(f"{folder / 'dataset_dict.json'}: no list of names in 'splits'")
    return {name: folder / name for name in splits}


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
        raise DataError(f"{file}: {ending} tells no known format; those that do are {', '.join(READERS)}{why}")
    reading.fact(f"{ending} tells no format, which was found out by what stands in the file", file)
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


def _by_shape(values: Iterator[Row], source: Source) -> Iterator[Row]:
    shapes = _remembered(by_split(values, source))
    for shape, run in groupby(shapes, key=lambda pair: pair[0]):
        found = (row for _, row in run)
        if shape is None:
            for number, row in found:
                yield (number, row) if isinstance(row, DataError) else source.fault(number, unknown_row(row), row)
            continue
        rows = shape.rows(found, source)
        yield from in_characters(rows, source.file, source.reading) if shape.own_offsets else rows


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

"""Files of annotated sentences -> ``Example``s.

``rnr/corpus/formats`` turns a file of any known format into rows, and one row reader serves them all, because rows
differ only in the names of their fields.
"""

import glob
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from rnr.corpus.formats.examples import TypedRow, labels_used, read_labels, read_row, to_example
from rnr.corpus.formats.reading import SPLITS, parts, read_rows, source_name
from rnr.corpus.formats.rows import DataError
from rnr.types import Example

DEMO = Path(__file__).resolve().parent / "demo_data"

SHOWN = 10
"""So many of the rows that a run skips are named."""


def load(paths: Sequence[str], *, training: bool, skip_bad_rows: bool = False, annotated: bool = True) -> list[Example]:
    """All examples of ``paths`` in file order; raises DataError at the first bad row unless told to skip them.

    A path is a file, a folder with splits (its ``train`` for training, otherwise its ``test``, ``validation``,
    ``valid`` or ``dev``), a pattern with ``*``, or ``demo/NAME`` for the embedded data. A row without a field for its
    entities is bad unless the sentences need not be ``annotated``.
    """
    examples: list[Example] = []
    skipped: list[str] = []
    for file, uid_prefix in _once(_split(place, training=training) for path in paths for place in _found(path)):
        if isinstance(file, DataError):
            raise file
        for example in _read_file(file, uid_prefix, annotated=annotated):
            if not isinstance(example, DataError):
                examples.append(example)
            elif skip_bad_rows:
                skipped.append(str(example))
            else:
                raise example
    if skipped:
        more = [f"and {len(skipped) - SHOWN} more"] if len(skipped) > SHOWN else []
        print("\n  ".join([f"data: skipped {len(skipped)} bad rows:", *skipped[:SHOWN], *more]))
    if not examples:
        raise DataError(f"no usable sentence in {', '.join(paths) or 'an empty list of paths'}")
    return examples


def check(paths: Sequence[str]) -> Iterator[Example | DataError]:
    """Every row of every split of ``paths``, and the reason for each row, file or path that cannot be used."""
    for file, uid_prefix in _once(file for path in paths for file in _every_file(path)):
        if isinstance(file, DataError):
            yield file
            continue
        try:
            yield from _read_file(file, uid_prefix)
        except DataError as error:  # the file as a whole; the next one may still be read
            yield error


def _every_file(path: str) -> Iterator[Path | DataError]:
    try:
        places = _found(path)
    except DataError as error:
        yield error
        return
    for place in places:
        try:
            yield from parts(place).values()
        except DataError as error:
            yield error


def _found(path: str) -> list[Path]:
    if path.startswith("demo/"):
        found = [DEMO / f"{path.removeprefix('demo/')}.jsonl"]
    else:
        found = sorted(Path(match) for match in glob.glob(str(Path(path).expanduser())))
    if not found or not found[0].exists():
        raise DataError(f"no file or folder at {path!r} (seen from {Path.cwd()})")
    return found


def _split(place: Path, *, training: bool) -> Path:
    """The file or folder at a place that is for training, or else for evaluation."""
    there = parts(place)
    names = ("train",) if training else tuple(name for name in SPLITS if name != "train")
    for name in ("", *names):
        if name in there:
            return there[name]
    raise DataError(f"{place}: no split {' or '.join(names)} in this folder, which has {', '.join(there)}")


def _source(file: Path) -> str:
    """The data set of a file; the embedded files are data sets of their own, whatever they are called."""
    return file.stem if file.parent.resolve() == DEMO else source_name(file)


def _once(files: Iterable[Path | DataError]) -> list[tuple[Path | DataError, str]]:
    """The files with the prefixes of their uids, and a DataError in the place of each that was there before."""
    seen: set[Path] = set()
    once: list[Path | DataError] = []
    for file in files:
        if isinstance(file, Path) and file.resolve() in seen:
            file = DataError(f"{file} is listed twice")
        if isinstance(file, Path):
            seen.add(file.resolve())
        once.append(file)
    prefixes = _uid_prefixes([file for file in once if isinstance(file, Path)])
    return [(file, prefixes[file] if isinstance(file, Path) else "") for file in once]


def _uid_prefixes(files: Sequence[Path]) -> dict[Path, str]:
    """For each file a prefix that no other has, whatever their order: predictions and the ledger are keyed by uids.

    It is the data set and the name of the file, or where several share these, as much of their paths as differs.
    """
    sharing: dict[str, list[Path]] = {}
    for file in files:
        sharing.setdefault(f"{_source(file)}/{file.stem}", []).append(file)
    prefixes: dict[Path, str] = {}
    for prefix, same in sharing.items():
        prefixes |= {same[0]: prefix} if len(same) == 1 else _distinct_ends(same)
    return prefixes


def _distinct_ends(files: Sequence[Path]) -> dict[Path, str]:
    # At least three parts, because a data set and a file's name have two and may not be taken for these.
    paths = {file: file.absolute().parts for file in files}
    length = next(n for n in itertools.count(3) if len({path[-n:] for path in paths.values()}) == len(files))
    return {file: "/".join(path[-length:]) for file, path in paths.items()}


def _read_file(file: Path, uid_prefix: str, *, annotated: bool = True) -> Iterator[Example | DataError]:
    """The examples of a file and the reasons for its bad rows; raises DataError when it cannot be read at all."""
    try:
        rows = [(number, _typed(file, number, row, annotated=annotated)) for number, row in read_rows(file)]
    except DataError:
        raise
    except (OSError, ValueError) as error:  # of the file system, or of a library that reads the format
        raise DataError(f"{file}: {error}") from None
    if not rows:
        raise DataError(f"no usable sentence in {file}: it holds no rows")
    schema, source = _schema(file, [row for _, row in rows if isinstance(row, TypedRow)]), _source(file)
    for number, row in rows:
        if isinstance(row, DataError):
            yield row
            continue
        try:
            yield to_example(row, schema, source=source, uid=f"{uid_prefix}:{number}")
        except ValueError as error:
            yield DataError(f"{file}, row {number}: {error}")


def _typed(file: Path, number: int, row: Any, *, annotated: bool) -> TypedRow | DataError:
    if isinstance(row, DataError):
        return row
    try:
        return read_row(row, annotated=annotated)
    except ValueError as error:
        return DataError(f"{file}, row {number}: {error}")


def _schema(file: Path, rows: Sequence[TypedRow]) -> list[str]:
    """The schema of the rows that leave it out: the ``labels.json`` beside their file, or else all labels they use."""
    listed = file.parent / "labels.json"
    return read_labels(listed) if listed.is_file() else labels_used(rows)

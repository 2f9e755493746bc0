"""Files of annotated sentences -> ``Example``s.

``rnr/corpus/formats`` turns a file of any known format into rows, and one row reader serves them all, because rows
differ only in the names of their fields.
"""

import gc
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rnr.config import ReadingConfig
from rnr.corpus.duplicates import RESOLVED, Resolution, RowIndex, contradiction, left_out, note_left_out, report
from rnr.corpus.formats.entities.plain_rows import not_read
from rnr.corpus.formats.examples import Place, read_row, to_example
from rnr.corpus.formats.folders import SPLITS, matches, note_not_read, parts
from rnr.corpus.formats.reading import read_rows
from rnr.corpus.formats.rows import DataError
from rnr.corpus.naming import DEMO, Names, names_of
from rnr.corpus.report import Reading
from rnr.corpus.schemas import FileLabels
from rnr.corpus.skipping import Skipped, log
from rnr.types import Example

TRAINING_ALONE = "only the training split of this folder is read here ({}); {} are read if named, or for evaluation"
SHARED = "another data set has the same name; this one is called {} here"


def load(
    paths: Sequence[str],
    *,
    training: bool,
    skip_bad_rows: bool | None = None,
    annotated: bool = True,
    options: ReadingConfig | None = None,
    duplicates: Resolution = "keep",
    reading: Reading | None = None,
) -> list[Example]:
    """All examples of ``paths`` in file order; raises DataError after the first file with bad rows unless
    ``skip_bad_rows`` (None: the caller has no such option).

    A path is a file, a folder with splits (its ``train`` for training, otherwise its ``test``, ``validation``,
    ``valid`` or ``dev``), a pattern with ``*`` or ``**``, or ``demo/NAME`` for the embedded data. A row without a field
    for its entities is bad unless ``annotated`` is False. Labels are spelled as in the files (``as_asked`` normalises
    them). Notes about the rows are logged.
    """
    reading = reading or Reading(options=options or ReadingConfig())
    examples: list[Example] = []
    rows = RowIndex()
    skipped = Skipped(skip_bad_rows)
    note_not_read(paths, reading)
    with _without_collection():
        for file, names in _files(paths, reading, training=training):
            rows.begin(file)
            begin = len(examples)
            labels = FileLabels(file)
            with skipped.of(file):
                for number, example in _read_file(file, names, reading, labels.listed, annotated=annotated):
                    if skipped.enough():
                        break
                    labels.add(example)
                    if isinstance(example, DataError):
                        skipped.add(example)
                        continue
                    rows.add(number, example, None if labels.listed else example.schema)
                    examples.append(example)
            try:
                labels.give(examples, begin)
            except DataError as error:
                if not skipped.allowed:
                    raise
                skipped.add(error)
            labels.note(reading)
    examples = _resolved(examples, rows, duplicates, reading)
    log(reading, skipped)
    if not examples:
        raise DataError(f"no usable sentence in {', '.join(paths) or 'an empty list of paths'}")
    return examples


def stream(paths: Sequence[str], *, training: bool, reading: Reading, skip_bad_rows: bool = False) -> Iterator[Example]:
    """The examples of ``load`` as a stream; each file is read twice, first for its labels, then for its rows."""
    skipped = Skipped(skip_bad_rows)
    rows = RowIndex()
    none = True
    note_not_read(paths, reading)
    for file, names in _files(paths, reading, training=training):
        rows.begin(file)
        labels = FileLabels(file)
        if labels.listed is None:
            for _, example in _read_file(file, names, Reading(options=reading.options), None):
                labels.add(example)
            labels.refuse()
        for number, example in _read_file(file, names, reading, labels.listed):
            if isinstance(example, DataError):
                skipped.add(example)
                skipped.refuse(file)
                continue
            none = False
            rows.add(number, example, None if labels.listed else example.schema)
            yield labels.given(example)
        labels.note(reading)
    report(list(rows.duplicates()), rows, reading.report)
    log(reading, skipped)
    if none:
        raise DataError(f"no usable sentence in {', '.join(paths) or 'an empty list of paths'}")


def check(paths: Sequence[str], reading: Reading, duplicates: Resolution = "keep") -> Iterator[Example | DataError]:
    """Every row of every split of ``paths``, and the reason for each row, file or path that cannot be used.

    The schema of an example is empty if its row has none. Contradictory rows are noted at the end, or with ``error``
    each is a DataError; rows that ``first`` or ``majority`` would drop are noted too.
    """
    rows = RowIndex()
    note_not_read(paths, reading)
    for one in _once((file for path in paths for file in _every_file(path)), reading):
        if isinstance(one, DataError):
            yield one
            continue
        file, names = one
        rows.begin(file)
        try:
            labels = FileLabels(file)
            for number, example in _read_file(file, names, reading, labels.listed):
                labels.add(example)
                if not isinstance(example, DataError):
                    rows.add(number, example, None if labels.listed else example.schema)
                yield example
            labels.note(reading)
            labels.refuse()
        except DataError as error:  # the file as a whole; the next one may be readable
            yield error
    found = list(rows.duplicates())
    if duplicates == "error":
        yield from (error for one in found if (error := contradiction(one, rows)))
    else:
        report(found, rows, reading.report)
        note_left_out(found, duplicates, rows, reading.report)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Switch off the cyclic garbage collector, which would scan all examples repeatedly: they have no cycles.

    Afterwards all objects count as old, so that only a full collection scans them.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.freeze()
            gc.unfreeze()
            gc.enable()


def _files(paths: Sequence[str], reading: Reading, *, training: bool) -> Iterator[tuple[Path, Names]]:
    """The files of the wanted splits with their names; raises DataError for one listed twice."""
    found = (_split(place, reading, training=training) for path in paths for place in _found(path))
    for one in _once(found, reading):
        if isinstance(one, DataError):
            raise one
        yield one


def _resolved(examples: list[Example], rows: RowIndex, duplicates: Resolution, reading: Reading) -> list[Example]:
    found = list(rows.duplicates())
    if duplicates == "error":
        for one in found:
            if error := contradiction(one, rows):
                raise error
    report(found, rows, reading.report)
    gone = left_out(found, duplicates)
    for position in sorted(gone):
        reading.note(RESOLVED, *rows[position])
    return [example for position, example in enumerate(examples) if position not in gone] if gone else examples


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
        if not found[0].exists():
            there = ", ".join(f"demo/{file.stem}" for file in sorted(DEMO.glob("*.jsonl")))
            raise DataError(f"no embedded data {path!r}; available: {there}")
    else:
        place = Path(path).expanduser()  # taken literally if it exists: a name may have brackets
        found = [place] if place.exists() else matches(str(place))
    if not found or not found[0].exists():
        raise DataError(f"no file or folder at {path!r} (working folder: {Path.cwd()})")
    return found


def _split(place: Path, reading: Reading, *, training: bool) -> Path:
    """The file or folder at a place for training, with a note if there are other splits, or else for evaluation."""
    there = parts(place)
    names = ("train",) if training else tuple(name for name in SPLITS if name != "train")
    for name in ("", *names):
        if name in there:
            if training and (others := [str(there[other].relative_to(place)) for other in there if other != name]):
                reading.fact(TRAINING_ALONE.format(there[name].relative_to(place), ", ".join(others)), place)
            return there[name]
    raise DataError(f"{place}: no split {' or '.join(names)} in this folder; it has {', '.join(there)}")


def _once(files: Iterable[Path | DataError], reading: Reading) -> list[tuple[Path, Names] | DataError]:
    """The files with their names, and a DataError in place of each repeated one."""
    seen: set[Path] = set()
    once: list[Path | DataError] = []
    for file in files:
        if isinstance(file, Path) and file.resolve() in seen:
            file = DataError(f"{file} is listed twice")
        if isinstance(file, Path):
            seen.add(file.resolve())
        once.append(file)
    names = names_of([file for file in once if isinstance(file, Path)])
    for file, own in names.items():
        if own.shared:
            reading.fact(SHARED.format(own.source), file)
    return [(file, names[file]) if isinstance(file, Path) else file for file in once]


def _read_file(
    file: Path, names: Names, reading: Reading, schema: tuple[str, ...] | None, *, annotated: bool = True
) -> Iterator[tuple[int, Example | DataError]]:
    """The examples of a file and the reasons for its bad rows, by row number; rows without a schema get ``schema``, if
    any. Raises DataError if the file cannot be read at all."""
    empty = True
    try:
        for number, row in read_rows(file, reading):
            empty = False
            if isinstance(row, DataError):
                yield number, row
                continue
            if isinstance(row, dict) and (others := not_read(row)):
                reading.report.not_read(file, others)
            try:
                typed = read_row(row, annotated=annotated)
                place = Place(file, number, reading)
                uid = f"{names.uid_prefix}:{number}"
                yield number, to_example(typed, schema or (), source=names.source, uid=uid, place=place)
            except ValueError as error:
                yield number, DataError(f"{file}, row {number}: {error}")
    except DataError:
        raise
    except (OSError, ValueError) as error:  # from the file system, or from a library that reads the format
        raise DataError(f"{file}: {error}") from None
    if empty:
        raise DataError(f"no usable sentence in {file}: it has no rows")

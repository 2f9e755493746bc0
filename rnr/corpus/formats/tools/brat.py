"""brat standoff: each document a ``.txt`` with its ``.ann`` beside it, in one folder."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from rnr.corpus.formats.entities.offset_units import REASONS, UNITS
from rnr.corpus.formats.files.opening import read_text
from rnr.corpus.formats.rows import DataError, Row
from rnr.corpus.formats.shapes import Source
from rnr.corpus.report import Reading
from rnr.messages import counted
from rnr.types import Example

NOT_READ = "lines of relations, events, attributes and notes were skipped"
NO_ANN = "texts have no .ann beside them and were left out"

TRIGGERS = "mentions are event triggers, not entities, in annotation.conf, and were dropped"
READ_TRIGGERS = "mentions are event triggers and were read like others"

_MENTION = re.compile(r"(?P<id>T\S*)\t(?P<label>\S+) (?P<place>\d+ \d+(?:;\d+ \d+)*)(?:\t(?P<text>.*))?")
_EVENT = re.compile(r"^E\S*\t[^\s:]+:(T\S+)", re.MULTILINE)
_OTHER_LINES = "REAMN#*"
_SPACES = re.compile(r"\s+")
_NOT_IN_LABELS = re.compile(r"[^\w-]+")
_CONFIGURATION = "annotation.conf"
_MARK = "\ufeff"


def is_brat_folder(folder: Path) -> bool:
    """Whether there is an annotation file in the folder."""
    return any(file.suffix == ".ann" for file in folder.iterdir())


def brat_folder_rows(folder: Path, reading: Reading) -> Iterator[Row]:
    """The documents of a folder in the order of their names; an ``.ann`` without its text is a DataError."""
    schema = _schema(folder / _CONFIGURATION)
    texts = sorted(file for file in folder.iterdir() if file.suffix == ".txt")
    for file in sorted(file for file in folder.iterdir() if file.suffix == ".ann"):
        if file.with_suffix(".txt") not in texts:
            yield 0, DataError(f"{file}: {file.stem}.txt, the text that it annotates, is not beside it")
    for number, file in enumerate(texts, 1):
        if file.with_suffix(".ann").is_file():
            yield number, _document(file, schema, reading)
        else:
            reading.note(NO_ANN, folder, number, file.name)


def brat_rows(file: Path, reading: Reading) -> Iterator[Row]:
    """The one document of an ``.ann``."""
    text = file.with_suffix(".txt")
    if not text.is_file():
        raise DataError(f"{file}: {text.name}, the text that it annotates, is not beside it")
    yield 1, _document(text, _schema(file.parent / _CONFIGURATION), reading)


def _document(file: Path, schema: Sequence[str], reading: Reading) -> dict[str, Any] | DataError:
    text, annotations = read_text(file), file.with_suffix(".ann")
    source = Source(file=annotations, reading=reading)
    entities = []
    lines = read_text(annotations)
    triggers = set(_EVENT.findall(lines))
    for number, line in enumerate(lines.split("\n"), 1):
        mention = _MENTION.fullmatch(line.rstrip("\r"))
        try:
            if mention and mention["id"] in triggers and schema and mention["label"] not in schema:
                source.note(TRIGGERS, number, repr(mention["label"]))
            elif mention:
                entities.append(_entity(mention, text, reading.options.offsets))
                if mention["id"] in triggers:
                    source.note(READ_TRIGGERS, number, repr(mention["label"]))
            elif line.startswith("T"):
                raise ValueError(f"expected T1, the label, start and end, and the text, found {line!r}")
            elif line[:1] and line[0] in _OTHER_LINES:
                source.note(NOT_READ, number)
            elif line.strip():
                raise ValueError(f"no line of brat, which begin with T, R, E, A, M, N, # or *: {line[:60]!r}")
        except ValueError as error:
            return DataError(f"{annotations}, line {number}: {error}")
    return {"sentence": text, "entities": entities, "guid": file.stem} | ({"schema": schema} if schema else {})


def _entity(mention: re.Match[str], text: str, unit: str) -> dict[str, Any]:
    """A mention, whose pieces brat divides at line breaks, with its offsets as they are written.

    Raises ValueError where more than a line break is between its pieces, and where its text is elsewhere.
    """
    written = mention["text"]
    pieces = [tuple(map(int, piece.split())) for piece in mention["place"].split(";")]
    for (_, end), (start, _) in pairwise(pieces):
        if text[end:start].strip():
            raise ValueError(f"{written!r} is in several pieces, of which {text[end:start]!r} is no part")
    start, end = pieces[0][0], pieces[-1][1]
    place = UNITS[unit](text, start, end) if unit in UNITS else (start, end)
    if place is None or not 0 <= place[0] < place[1] <= len(text):
        hint = "" if written is None else _elsewhere(written, start, end, text)
        raise ValueError(
            f"offsets [{start}:{end}] are not in the text, which has {counted(len(text), 'character')}{hint}"
        )
    there = text[slice(*place)]
    if written is not None and _spaced(there) != _spaced(written):
        hint = _elsewhere(written, start, end, text)
        raise ValueError(f"{written!r} is not at [{start}:{end}], where the text has {there!r}{hint}")
    return {"start": start, "end": end, "label": mention["label"]}


def _spaced(text: str) -> str:
    return _SPACES.sub(" ", text)


def _elsewhere(written: str, start: int, end: int, text: str) -> str:
    """The message about a mention whose text stands where its offsets say if these count something else."""
    if _spaced(text.replace("\r\n", "\n")[start:end]) == _spaced(written):
        return "; it is where a line end is one character: take the carriage returns out of the text (`dos2unix`)"
    for unit, convert in UNITS.items():
        place = convert(text, start, end)
        if place is not None and _spaced(text[slice(*place)]) == _spaced(written):
            return f"; it is where offsets are {REASONS[unit]}: --offsets {unit} reads them so"
    before = start > 0 and _spaced(text[start - 1 : end - 1]) == _spaced(written)
    return "; it begins one character earlier: was a byte order mark counted?" if before else ""


def _schema(configuration: Path) -> list[str]:
    """The entities that an ``annotation.conf`` names, none where there is no such file."""
    if not configuration.is_file():
        return []
    found, section = [], ""
    for line in read_text(configuration).splitlines():
        line = line.strip()
        if line.startswith("["):
            section = line.strip("[]").lower()
        elif line.strip("-") and not line.startswith(("#", "!", "<")) and section == "entities":
            found.append(line.split()[0].partition("|")[0])
    return found


# Writing


def brat_label(label: str) -> str:
    """A label as brat can hold it, of letters, digits, ``-`` and ``_``: ``art work`` -> ``art_work``."""
    return _NOT_IN_LABELS.sub("_", label)


def write_brat(examples: Sequence[Example], out: Path) -> None:
    """A folder with two files for each example, and the labels in ``annotation.conf``.

    Raises ValueError where two labels would become one.
    """
    labels = sorted({label for example in examples for label in example.schema})
    renamed: dict[str, str] = {}
    for label in labels:
        if not brat_label(label).strip("_-"):  # a line of dashes divides the configuration
            raise ValueError(f"brat's labels are letters, digits, - and _, and {label!r} has no letter and no digit")
        other = renamed.setdefault(brat_label(label), label)
        if other != label:
            raise ValueError(f"brat's labels are letters, digits, - and _: {other!r} and {label!r} would become one")
    documents = [(_MARK * _needs_mark(example) + example.sentence, "".join(_lines(example))) for example in examples]
    out.mkdir(parents=True)
    digits = len(str(len(examples)))
    for number, (text, annotations) in enumerate(documents, 1):
        (out / f"{number:0{digits}}.txt").write_bytes(text.encode())
        (out / f"{number:0{digits}}.ann").write_bytes(annotations.encode())
    sections = ("[entities]", *renamed, "[relations]", "[events]", "[attributes]", "")
    (out / _CONFIGURATION).write_bytes("\n".join(sections).encode())


def _needs_mark(example: Example) -> bool:
    """Whether a text could be taken for another encoding, or its first character for a mark, without one before it."""
    return example.sentence.startswith(_MARK) or "\0" in example.sentence[:4]


def _lines(example: Example) -> Iterator[str]:
    for number, mention in enumerate(example.mentions, 1):
        if mention.text.strip("\n") != mention.text:
            raise ValueError(
                f"{example.uid}: brat cannot hold {mention.text!r}, which begins or ends with a line break"
            )
        # brat divides a mention at each line break, and writes its text in one line.
        parts = [part.span() for part in re.finditer(r"[^\n]+", mention.text)]
        pieces = ";".join(f"{mention.start + start} {mention.start + end}" for start, end in parts)
        yield f"T{number}\t{brat_label(mention.label)} {pieces}\t{_SPACES.sub(' ', mention.text)}\n"

"""The questions for ``predict``: texts with their labels, streamed from arguments, files and standard input."""

import itertools
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO

from actors.question import Labels
from rnr.corpus.formats.label_lists import definitions_beside, labels_of_tags, listed_names
from rnr.corpus.formats.rows import numbered_rows, parsed
from rnr.files.text import text_of
from rnr.task.labels import label_key

Form = Literal["auto", "lines", "jsonl", "document"]
"""One text per line; one JSON object per line; the whole file as one text."""

DATA = (".json", ".conll", ".conllu", ".iob", ".iob2", ".bio", ".bioes", ".tsv", ".csv", ".ann", ".parquet", ".gz")
"""Suffixes of files that do not have one text per line."""

TEXT, LABELS, NAMES = ("sentence", "text"), ("schema", "labels"), ("uid", "id", "guid")
"""The keys of a row for its text, labels and name; the first one present is used."""

_TAG = re.compile("[BIESLUMW][-_].")

_NAME_IN_BRACKETS = re.compile(r"""\s*(\{[^][{}"',:\n]+\}|\[[^][{}"',:\n]+\])""")
"""At the beginning of a list of labels: ``{person}`` is a name, ``{"person`` or ``[person, city]`` broken JSON."""

_NO_LABELS = "{}: the schema must be a list of labels or an object {{label: definition}}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A text, the labels to find in it, and the id of its row."""

    text: str
    labels: Labels
    name: dict[str, Any] = field(default_factory=dict)


def read_questions(texts: Sequence[str], files: Sequence[str], form: Form, labels: Labels | None) -> Iterator[Question]:
    """The questions in their order. A text or file ``-`` is standard input. A row's own schema overrides ``labels``.

    Raises ValueError, naming file and row, for anything that is not a question.
    """
    for text in texts:
        if text == "-":
            yield from _from_file("-", form, labels)
        else:
            yield Question(text=text, labels=_needed(labels, "the sentence on the command line"))
    for file in files:
        yield from _from_file(file, form, labels)


def _from_file(file: str, form: Form, labels: Labels | None) -> Iterator[Question]:
    name = "standard input" if file == "-" else file
    with ExitStack() as stack:
        stream: TextIO = sys.stdin if file == "-" else stack.enter_context(open(file, encoding="utf-8-sig"))
        if form == "document":
            yield Question(text="".join(_decoded(stream, name)), labels=_needed(labels, name))
            return
        lines = (line.rstrip("\r\n") for line in _decoded(stream, name))
        if form == "auto":
            first = next(lines, None)
            if first is None:
                return
            form = _form_of(file, name, first)
            lines = itertools.chain([first], lines)
        if form == "jsonl":
            yield from (_question(row, f"{name}, row {number}", labels) for number, row in numbered_rows(lines, name))
        else:
            yield from (Question(text=line, labels=_needed(labels, name)) for line in lines)


def _form_of(file: str, name: str, first: str) -> Form:
    """The detected form of a file, by its name and first line; raises ValueError for one that holds neither rows nor
    texts."""
    if file.endswith((".jsonl", ".ndjson")) or _is_row(first):
        return "jsonl"
    if Path(file).suffix.lower() in DATA:
        raise ValueError(
            f"{name} looks like annotated data: convert it with `python -m scripts.data convert {name} "
            "--to jsonl --out rows.jsonl`, or give --input lines for one text per line"
        )
    if _opens_json(first):
        raise ValueError(
            f"{name} begins with JSON that is not a row: a row is an object on one line, with its text under "
            f"{' or '.join(TEXT)}; or give --input lines for one text per line"
        )
    return "lines"


def _decoded(stream: TextIO, name: str) -> Iterator[str]:
    """The lines of a stream with their ends, without a byte order mark."""
    try:
        for number, line in enumerate(stream):
            yield line.removeprefix("" if number else "\ufeff")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is not UTF-8: {error}") from None


def _is_row(line: str) -> bool:
    if not line.lstrip().startswith("{"):
        return False
    try:
        row = json.loads(line)
    except ValueError:
        return False
    return isinstance(row, dict) and any(key in row for key in TEXT)


def _opens_json(line: str) -> bool:
    """Whether a JSON object or list begins here; a sentence may begin with ``[1]``, ``[[Paris]]``, ``["Hello"``."""
    if re.match(r'\s*([{\[]\s*$|(\[\s*)?\{\s*"[^"]*"\s*:)', line):
        return True
    # A list that continues in the next line ends in a comma.
    return re.match(r'\s*\[\s*["\[]', line) is not None and (_is_json(line) or _is_json(re.sub(r",\s*$", "]", line)))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _question(row: Mapping[str, Any], place: str, labels: Labels | None) -> Question:
    text = next((row[key] for key in TEXT if key in row), None)
    if not isinstance(text, str):
        raise ValueError(f"{place}: no text under {' or '.join(TEXT)}")
    own = next((row[key] for key in LABELS if key in row), None)
    name = next(({"id": row[key]} for key in NAMES if key in row), {})
    return Question(text=text, labels=_needed(labels, place) if own is None else _own_labels(own, place), name=name)


def _own_labels(value: Any, place: str) -> Labels:
    """The schema of a row; nested objects and lists are refused, as they may be entities."""
    parts = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(parts, list) or not all(isinstance(part, str | int) for part in parts):
        raise ValueError(_NO_LABELS.format(place))
    labels = read_labels(value, place)
    if (named := labels_of_tags(list(labels))) != list(labels):
        raise ValueError(f"{place}: the schema lists tags ({', '.join(labels)}); give their labels: {', '.join(named)}")
    return labels


def _needed(labels: Labels | None, place: str) -> Labels:
    if labels is None:
        raise ValueError(f"{place} has no schema: give --schema or --schema-file")
    return labels


def read_labels(value: Any, place: str) -> Labels:
    """The labels in a JSON value: a list in any shape that a ``labels.json`` has, or an object ``{label: definition}``;
    raises ValueError for anything else."""
    names = listed_names(value)
    if names is None and value and isinstance(value, dict) and all(isinstance(text, str) for text in value.values()):
        return value
    defined = definitions_beside(value) if isinstance(value, (list, dict)) else {}
    if names is None and defined and len(defined) == len(value):
        return defined
    if not names:
        raise ValueError(_NO_LABELS.format(place))
    labels = list(names.values()) if isinstance(names, dict) else names
    return {label: defined.get(label, "") for label in labels} if defined else labels


def schema_option(schema: str | None, file: Path | None) -> Labels | None:
    """The labels of ``--schema a,b`` or of ``--schema-file``: one per line, or JSON as ``read_labels`` takes it. A list
    of tags is turned into labels, with a note."""
    if schema is not None and file is not None:
        raise ValueError("give --schema or --schema-file, not both")
    if schema is not None:
        return _labels(schema, "--schema", schema.split(","))
    if file is None:
        return None
    text = text_of(file)
    return _labels(text, str(file), text.splitlines())


def _labels(text: str, place: str, parts: Sequence[str]) -> Labels:
    """The labels in a text: JSON, or its parts."""
    if text.lstrip().startswith(("{", "[")):
        try:
            labels = read_labels(parsed(text), place)
            named = labels_of_tags(list(labels))
        except json.JSONDecodeError as error:
            if not _NAME_IN_BRACKETS.match(text):
                raise ValueError(f"{place}, line {error.lineno}: not valid JSON: {error.msg}") from None
            labels = named = _listed(parts, place)
        except ValueError as error:
            why = str(error).removeprefix(f"{place}: ")
            raise ValueError(f"{place}: {why}") from None
    else:
        labels = _listed(parts, place)
        # O alone does not make tags of them: it is a blood group, too.
        tags = all(_TAG.match(label) for label in labels if label != "O")
        named = (labels_of_tags(labels) if tags else []) or labels
    if named == list(labels):
        return labels
    if not named:
        raise ValueError(f"{place} has no label; O is the tag of words outside entities")
    print(f"note: {place} lists tags ({', '.join(labels)}); asking for {', '.join(named)}", file=sys.stderr)
    return named


def _listed(labels: Iterable[str], place: str) -> list[str]:
    found: dict[str, str] = {}
    for label in filter(None, map(str.strip, labels)):
        if (first := found.setdefault(label_key(label), label)) != label:
            print(f"note: {place}: dropped {label!r}, which the model sees as {first!r}", file=sys.stderr)
    if not found:
        raise ValueError(f"{place} has no label")
    return list(found.values())

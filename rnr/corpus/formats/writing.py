"""Examples -> a file in the format of another tool, or in one of our own, made to be read back."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnr.corpus.formats.columns.reading import COLUMN_SUFFIXES
from rnr.corpus.formats.columns.writing import column_writer
from rnr.corpus.formats.examples import read_labels
from rnr.corpus.formats.files.opening import read_json
from rnr.corpus.formats.folders import source_name
from rnr.corpus.formats.reading import READERS
from rnr.corpus.formats.rows import entities, names, whole_row
from rnr.corpus.formats.tokens.token_spans import gliner_row
from rnr.corpus.formats.tools.brat import brat_label, write_brat
from rnr.corpus.formats.tools.hugging_face import write_hugging_face, write_parquet
from rnr.corpus.formats.tools.label_studio import write_label_studio
from rnr.corpus.formats.tools.spacy_files import spacy_json_row
from rnr.corpus.report import Report
from rnr.files.jsonl import json_line, strict_json
from rnr.files.whole import write_whole
from rnr.messages import few
from rnr.types import Example


@dataclass(frozen=True, slots=True)
class Format:
    """How examples are written, and the file names under which they are found again (none: a folder).

    Beside sentences and mentions a format may hold the ``names`` of the data set and of the row, its ``schema`` (or
    ``one schema`` for all rows) and its ``chain``.
    """

    write: Callable[[Any, Path], None]
    suffixes: tuple[str, ...]
    holds: frozenset[str]
    label: Callable[[str], str] = str
    """How it writes a label."""
    streams: bool = False
    """Whether examples are written one after the other, and never stand in memory together."""
    columns: bool = False
    """Whether it is lines of columns, below a comment for each sentence."""
    lists_labels: bool = False
    """Whether a ``labels.json`` stands beside it."""


def write(examples: Iterable[Example], out: Path, form: str) -> None:
    """Write a new file (for ``hf`` a folder) in one of ``FORMATS``, made to be read back by ``read_rows``.

    Raises ValueError for a file that exists or has another format's ending, and for what the format cannot hold.
    """
    refuse_target(out, form)
    known = FORMATS[form]
    out.parent.mkdir(parents=True, exist_ok=True)
    known.write(examples if known.streams or isinstance(examples, Sequence) else list(examples), out)


def refuse_target(out: Path, form: str) -> None:
    """Raises ValueError for a file that exists or has another format's ending."""
    known = FORMATS[form]
    if out.exists():
        raise ValueError(f"{out} exists already; remove it or write somewhere else")
    if not known.suffixes and out.suffix.lower() in READERS:
        raise ValueError(f"{out}: {form} is a folder; name one")
    if known.suffixes and out.suffix.lower() not in known.suffixes:
        raise ValueError(f"{out}: {form} goes to a file that ends in {' or '.join(known.suffixes)}")


COMMENTED = (
    "a comment '# text = ...' precedes each sentence, so that its spaces can be restored; tools without "
    "comments (such as spaCy's convert) read it as words: grep -v '^# text = ' drops it"
)


LISTED = (
    "{} was written beside it, which readers of InstructUIE need; RNR takes it for the schema of every row of this "
    "folder that has none of its own, in other files, too"
)


class Losses:
    """What examples have that a format may have no place for, taken down one after the other."""

    def __init__(self) -> None:
        self._schemas: Counter[frozenset[str]] = Counter()
        self._used: set[str] = set()
        self._sources: set[str] = set()
        self.examples = self._chains = self._guids = 0

    def passing(self, examples: Iterable[Example]) -> Iterator[Example]:
        """The same examples, each taken down."""
        for example in examples:
            self.examples += 1
            self._schemas[frozenset(example.schema)] += 1
            self._used.update(mention.label for mention in example.mentions)
            self._sources.add(example.source)
            self._chains += example.reasoning is not None
            self._guids += bool(example.guid)
            yield example

    def lines(self, out: Path, form: str) -> list[str]:
        """What is not found again when they are read back from ``out``, in words; empty if all is."""
        known = FORMATS[form]
        missing = _WHOLE - known.holds
        lost: list[str] = []
        if "chain" in missing and self._chains:
            lost.append(f"{self._chains} chains")
        every = set[str]().union(*self._schemas)
        if renamed := [
            f"{label!r} -> {known.label(label)!r}" for label in sorted(every) if known.label(label) != label
        ]:
            lost.append(f"the names of the labels {few(renamed)}")
        known_after = every if "one schema" in known.holds else self._used
        unused = sorted(every - known_after)
        others = sum(number for schema, number in self._schemas.items() if schema != known_after)
        if "schema" in missing and others:
            labels = f", and with them the labels {few(unused)}" if unused else ""
            lost.append(f"{others} schemas{labels}")
        sources = sorted(self._sources - {source_name(out)})
        if "names" in missing and sources:
            lost.append(f"the names of the data sets {few(sources)}")
        if "names" in missing and self._guids:
            lost.append(f"{self._guids} guids")
        return lost

    def elsewhere(self, out: Path, form: str) -> list[str]:
        """What is written beside ``out``, and what other tools may take for something else in it, in words."""
        if FORMATS[form].lists_labels:
            return [LISTED.format(out.parent / "labels.json")]
        if not FORMATS[form].columns:
            return []
        spaced = sorted(label for label in self._used if " " in label)
        cut = f"labels with a space ({few(spaced)}) are cut by tools that divide columns at spaces"
        return [COMMENTED, *([cut] if spaced else [])]


def fields_lost(report: Report) -> list[str]:
    """The fields of rows that were not read and so are not written, by file, in words."""
    return [f"the fields {few(sorted(names))} of the rows of {file}" for file, names in report.fields.items()]


def _chain_row(example: Example) -> dict[str, Any]:
    row = {"guid": example.uid} | names(example) | {"sentence": example.sentence, "schema": list(example.schema)}
    return row | {"cot": example.reasoning or "", "entities": entities(example)}


def _lines(row: Callable[[Example], dict[str, Any]]) -> Callable[[Iterable[Example], Path], None]:
    def write_lines(examples: Iterable[Example], out: Path) -> None:
        write_whole(out, (json_line(row(example)) for example in examples))

    return write_lines


def _write_instructuie(examples: Sequence[Example], out: Path) -> None:
    """The rows, and ``labels.json`` beside them with their labels and those of the splits that are there already."""
    labels_file = out.parent / "labels.json"
    there = _listed_already(labels_file)
    labels = {label for example in examples for label in example.schema} - set(there)
    rows = [
        {
            "sentence": example.sentence,
            "schema": list(example.schema),  # rows of one folder need not share theirs, whatever labels.json says
            "entities": [{"name": m.text, "type": m.label, "pos": [m.start, m.end]} for m in example.mentions],
        }
        | names(example)
        for example in examples
    ]
    write_whole(out, strict_json(rows, indent=1) + "\n")
    write_whole(labels_file, json_line([*there, *sorted(labels)]))


def _listed_already(file: Path) -> list[str]:
    """The labels that a ``labels.json`` lists; raises ValueError where it tells more than their list would keep."""
    labels = read_labels(file) if file.is_file() else []
    if labels and read_json(file) != labels:
        raise ValueError(
            f"{file} is there and is no plain list of labels: their numbers, tags or meanings would be lost; write to "
            "another folder"
        )
    return labels


def _doccano_row(example: Example) -> dict[str, Any]:
    labels = [[m.start, m.end, m.label] for m in example.mentions]
    return {"text": example.sentence, "label": labels} | names(example)


_NAMES = frozenset({"names"})
_NAMES_AND_SCHEMA = _NAMES | {"schema"}
_WHOLE = _NAMES_AND_SCHEMA | {"chain"}

FORMATS = {
    "jsonl": Format(_lines(whole_row), (".jsonl",), _WHOLE, streams=True),
    "ner-cot": Format(_lines(_chain_row), (".jsonl",), _WHOLE, streams=True),
    "instructuie": Format(_write_instructuie, (".json",), _NAMES_AND_SCHEMA, lists_labels=True),
    "conll": Format(column_writer("IOB2"), COLUMN_SUFFIXES, frozenset(), streams=True, columns=True),
    "iobes": Format(column_writer("IOBES"), COLUMN_SUFFIXES, frozenset(), streams=True, columns=True),
    "doccano": Format(_lines(_doccano_row), (".jsonl",), _NAMES, streams=True),
    "label-studio": Format(write_label_studio, (".json",), _NAMES),
    "spacy-json": Format(_lines(spacy_json_row), (".jsonl",), _NAMES, streams=True),
    "gliner": Format(_lines(gliner_row), (".jsonl",), _NAMES_AND_SCHEMA, streams=True),
    "brat": Format(write_brat, (), frozenset({"one schema"}), brat_label),
    "hf": Format(write_hugging_face, (), _WHOLE),
    "parquet": Format(write_parquet, (".parquet",), _WHOLE),
}

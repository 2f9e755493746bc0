"""Examples -> a file in the format of another tool, or in one of our own, made to be read back."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnr.formats.annotation_tools import doccano_row, spacy_json_row, write_label_studio
from rnr.formats.columns import COLUMN_SUFFIXES, column_writer
from rnr.formats.hugging_face import write_hugging_face
from rnr.formats.rows import entities, read_json, save, whole_row
from rnr.metrics import label_key
from rnr.types import Example


@dataclass(frozen=True, slots=True)
class Format:
    """How examples are written, and the file names under which they are found again (none: a folder)."""

    write: Callable[[Sequence[Example], Path], None]
    suffixes: tuple[str, ...]


def write(examples: Sequence[Example], out: Path, form: str) -> None:
    """Write a new file (for ``hf`` a folder) in one of ``FORMATS``, made to be read back by ``read_rows``.

    Raises ValueError for a file that exists or has another format's ending, and for what the format cannot hold.
    """
    known = FORMATS[form]
    if out.exists():
        raise ValueError(f"{out} exists already; remove it or write somewhere else")
    if known.suffixes and out.suffix not in known.suffixes:
        raise ValueError(f"{out}: {form} goes to a file that ends in {' or '.join(known.suffixes)}")
    out.parent.mkdir(parents=True, exist_ok=True)
    known.write(examples, out)


def _chain_row(example: Example) -> dict[str, Any]:
    row = {"guid": example.uid, "sentence": example.sentence, "schema": list(example.schema)}
    return row | {"cot": example.reasoning or "", "entities": entities(example)}


def _lines(row: Callable[[Example], dict[str, Any]]) -> Callable[[Sequence[Example], Path], None]:
    def write_lines(examples: Sequence[Example], out: Path) -> None:
        save(out, (json.dumps(row(example), ensure_ascii=False) for example in examples))

    return write_lines


def _write_instructuie(examples: Sequence[Example], out: Path) -> None:
    """The rows, and ``labels.json`` beside them with their labels and those of the splits that are there already."""
    labels_file = out.parent / "labels.json"
    labels = {label_key(label) for label in read_json(labels_file)} if labels_file.is_file() else set[str]()
    labels.update(label for example in examples for label in example.schema)
    rows = [
        {
            "sentence": example.sentence,
            "schema": list(example.schema),  # rows of one folder need not share theirs, whatever labels.json says
            "dataset": example.source,
            "entities": [{"name": m.text, "type": m.label, "pos": [m.start, m.end]} for m in example.mentions],
        }
        for example in examples
    ]
    save(out, [json.dumps(rows, ensure_ascii=False, indent=1)])
    save(labels_file, [json.dumps(sorted(labels), ensure_ascii=False)])


FORMATS = {
    "jsonl": Format(_lines(whole_row), (".jsonl",)),
    "ner-cot": Format(_lines(_chain_row), (".jsonl",)),
    "instructuie": Format(_write_instructuie, (".json",)),
    "conll": Format(column_writer("IOB2"), COLUMN_SUFFIXES),
    "iobes": Format(column_writer("IOBES"), COLUMN_SUFFIXES),
    "doccano": Format(_lines(doccano_row), (".jsonl",)),
    "label-studio": Format(write_label_studio, (".json",)),
    "spacy-json": Format(_lines(spacy_json_row), (".jsonl",)),
    "hf": Format(write_hugging_face, ()),
}

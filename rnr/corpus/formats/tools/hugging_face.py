"""Hugging Face datasets in the folder that ``save_to_disk`` leaves, and in parquet."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rnr.corpus.formats.files.parquet import names_of_classes, without_none
from rnr.corpus.formats.rows import Row, needed, whole_row
from rnr.types import Example


def saved_dataset(folder: Path) -> tuple[dict[str, list[str]], Iterator[Row]]:
    """The names of the tags that are numbers, by column, and the rows; DataError without ``datasets``."""
    dataset = needed("datasets", "datasets", folder).load_from_disk(str(folder))
    names = names_of_classes(dataset.features.to_dict())
    return names, ((number, without_none(row)) for number, row in enumerate(dataset, 1))


def write_hugging_face(examples: Sequence[Example], out: Path) -> None:
    """A folder with rows of our own, which ``load_from_disk`` opens."""
    _dataset(examples, out).save_to_disk(str(out))


def write_parquet(examples: Sequence[Example], out: Path) -> None:
    """A parquet file with rows of our own, which ``datasets`` and pandas open."""
    _dataset(examples, out).to_parquet(str(out))


def _dataset(examples: Sequence[Example], out: Path) -> Any:
    datasets = needed("datasets", "datasets", out)
    text, number = datasets.Value("string"), datasets.Value("int64")
    # Spelt out, because a column in which every list is empty has no type of its own.
    features = datasets.Features(
        sentence=text,
        schema=datasets.List(text),
        entities=datasets.List({"text": text, "label": text, "start": number, "end": number}),
        dataset=text,
        guid=text,
        cot=text,
    )
    rows = [{"guid": None, "cot": None} | whole_row(example) for example in examples]
    return datasets.Dataset.from_list(rows, features=features)

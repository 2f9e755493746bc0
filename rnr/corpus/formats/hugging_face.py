"""Hugging Face datasets in the folder that ``save_to_disk`` leaves: tagged tokens, or rows with our own fields."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rnr.corpus.formats.rows import DataError, Row, needed, whole_row
from rnr.corpus.formats.tags import Tagged, tag_scheme
from rnr.corpus.report import Reading
from rnr.types import Example


def hugging_face_rows(folder: Path, reading: Reading) -> Iterator[Row]:
    """The rows of a saved dataset; raises DataError where ``datasets`` is not installed."""
    dataset = needed("datasets", "datasets", folder).load_from_disk(str(folder))
    if not {"tokens", "ner_tags"} <= set(dataset.column_names):
        for number, row in enumerate(dataset, 1):
            yield number, _without_none(row)
        return
    names = getattr(getattr(dataset.features["ner_tags"], "feature", None), "names", None)
    schema = {"schema": sorted({name[2:] for name in names} - {""})} if names else {}
    scheme = tag_scheme(_named(tags, names) for tags in dataset["ner_tags"])
    for number, row in enumerate(dataset, 1):
        tokens, tags = row["tokens"] or [], _named(row["ner_tags"], names)
        try:
            if not tokens or len(tokens) != len(tags):
                raise ValueError(f"{len(tokens)} tokens with {len(tags)} tags")
            places = [f"token {place}" for place in range(1, len(tokens) + 1)]
            yield number, {**Tagged(number, tokens, tags, places).row(scheme, reading.options.spaces), **schema}
        except ValueError as error:
            yield number, DataError(f"{folder}, row {number}: {error}")


def _named(tags: Sequence[Any] | None, names: Sequence[str] | None) -> list[str]:
    """The tags by name; a number without a name, such as -1 for "not annotated", stays a number and so no tag."""
    known: dict[Any, str] = dict(enumerate(names or ()))
    return [str(known.get(tag, tag)) for tag in tags or ()]


def _without_none(value: Any) -> Any:
    """Arrow gives every row every field; a field that was never there comes back as None."""
    if isinstance(value, dict):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value] if isinstance(value, list) else value


def write_hugging_face(examples: Sequence[Example], out: Path) -> None:
    """A folder with rows of our own, which ``load_from_disk`` opens."""
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
    datasets.Dataset.from_list(rows, features=features).save_to_disk(str(out))

"""Annotation tools: Label Studio (JSON or JSON-MIN), Doccano (JSONL) and spaCy (``ents`` in JSON, or ``.spacy``)."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from rnr.corpus.formats.rows import Row, names, needed, read_as, save
from rnr.corpus.report import Reading
from rnr.files import strict_json
from rnr.types import Example


class _Result(BaseModel):
    value: dict[str, Any] = {}
    """Of a relation there is none."""


class _Annotation(BaseModel):
    result: list[_Result] = []
    was_cancelled: Any = False
    ground_truth: Any = False


class _Task(BaseModel):
    data: dict[str, Any]
    annotations: list[_Annotation]


def plain(row: Any, file: Path, number: int, reading: Reading) -> Any:
    """A row of one of these tools in our own names, any other as it is; raises ValueError for an unclear annotation."""
    if not isinstance(row, dict):
        return row
    if "annotations" in row and "data" in row:
        return _label_studio_row(read_as(_Task, row))
    if "annotation_id" in row:
        return _json_min_row(row)
    return {**row, "entities": row["ents"]} if "ents" in row else row


def _label_studio_row(task: _Task) -> dict[str, Any]:
    data = task.data
    texts = [value for value in data.values() if isinstance(value, str)]
    if not ("text" in data or len(texts) == 1):
        raise ValueError("a Label Studio task needs its sentence in data.text")
    done = [annotation for annotation in task.annotations if not annotation.was_cancelled]
    done = [annotation for annotation in done if annotation.ground_truth] or done
    if len(done) != 1:
        raise ValueError(f"the task has {len(done)} annotations where one is needed: annotate it, or keep one of them")
    return _with_regions(data, data.get("text", *texts[:1]), [result.value for result in done[0].result])


def _json_min_row(row: dict[str, Any]) -> dict[str, Any]:
    """A row of Label Studio's JSON-MIN: data and results side by side, the regions under whatever name they have."""
    if "text" not in row:
        raise ValueError("a row of Label Studio's JSON-MIN needs its sentence in 'text'; export it as JSON instead")
    lists = [value for value in row.values() if isinstance(value, list)]
    return _with_regions(row, row["text"], [value for values in lists for value in values if isinstance(value, dict)])


def _with_regions(data: dict[str, Any], sentence: Any, values: Sequence[dict[str, Any]]) -> dict[str, Any]:
    entities = [
        {**_counted_in_characters(_placed(value), sentence), "label": label}
        for value in values
        for label in _labels(value)
    ]
    return {"sentence": sentence, "entities": entities, "dataset": data.get("dataset"), "guid": data.get("guid")}


def _labels(value: dict[str, Any]) -> list[Any]:
    """The labels of a region; none for another kind of result. Raises ValueError for a region that is no text."""
    kinds = [kind for kind in value if kind.endswith("labels")]
    if not kinds:
        return []
    if kinds[0] not in ("labels", "hypertextlabels"):
        raise ValueError(f"a region with {kinds[0]!r} is no span of a sentence; leave such regions out of the export")
    found = value[kinds[0]]
    if isinstance(found, str):
        return [found]
    if not isinstance(found, list):
        raise ValueError(f"{kinds[0]!r} of a region must be a list of labels, found {type(found).__name__}")
    return found


def _placed(value: dict[str, Any]) -> dict[str, Any]:
    """The value with the offsets that a region of a HyperText counts from the beginning of the whole text."""
    whole = value.get("globalOffsets")
    return {**value, **whole} if isinstance(whole, dict) and not isinstance(value.get("start"), int) else value


def _counted_in_characters(value: dict[str, Any], sentence: Any) -> dict[str, Any]:
    """The value with its offsets in characters: some versions of Label Studio count UTF-16 units, two for an emoji. Its
    text tells which; without one, or when neither fits, the value is left as it is."""
    start, end, text = value.get("start"), value.get("end"), value.get("text")
    if (
        not (isinstance(sentence, str) and isinstance(start, int) and isinstance(end, int))
        or sentence[start:end] == text
    ):
        return value
    units = sentence.encode("utf-16-le", errors="surrogatepass")
    before, there = (
        part.decode("utf-16-le", errors="replace") for part in (units[: 2 * start], units[2 * start : 2 * end])
    )
    return {**value, "start": len(before), "end": len(before) + len(there)} if there == text else value


def write_label_studio(examples: Sequence[Example], out: Path) -> None:
    """A list of annotated tasks, as Label Studio imports them."""
    tasks: list[dict[str, Any]] = []
    for example in examples:
        values = [{"start": m.start, "end": m.end, "text": m.text, "labels": [m.label]} for m in example.mentions]
        results = [{"from_name": "label", "to_name": "text", "type": "labels", "value": value} for value in values]
        tasks.append({"data": {"text": example.sentence} | names(example), "annotations": [{"result": results}]})
    save(out, [strict_json(tasks, indent=1)])


def doccano_row(example: Example) -> dict[str, Any]:
    """An example as Doccano imports and exports it."""
    labels = [[m.start, m.end, m.label] for m in example.mentions]
    return {"text": example.sentence, "label": labels} | names(example)


def spacy_json_row(example: Example) -> dict[str, Any]:
    """An example as spaCy's JSON gives a document."""
    ents = [{"start": m.start, "end": m.end, "label": m.label} for m in example.mentions]
    return {"text": example.sentence, "ents": ents} | names(example)


def docbin_rows(file: Path, reading: Reading) -> Iterator[Row]:
    """The documents of a DocBin; raises DataError where spaCy is not installed."""
    tokens, vocab = needed("spacy.tokens", "spacy", file), needed("spacy.vocab", "spacy", file)
    documents = tokens.DocBin().from_disk(file).get_docs(vocab.Vocab())
    for number, document in enumerate(documents, 1):
        entities = [[entity.start_char, entity.end_char, entity.label_] for entity in document.ents]
        yield number, {"sentence": document.text, "entities": entities}

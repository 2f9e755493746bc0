"""Annotation tools: Label Studio (JSON export), Doccano (JSONL) and spaCy (``ents`` in JSON, or ``.spacy``)."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rnr.formats.rows import Row, needed, save
from rnr.types import Example


def plain(row: Any) -> Any:
    """A row of one of these tools in our own names, any other as it is; raises ValueError for an unclear annotation."""
    if isinstance(row, dict) and "annotations" in row and "data" in row:
        return _label_studio_row(row)
    if isinstance(row, dict) and "ents" in row:
        return {**row, "entities": row["ents"]}
    return row


def _label_studio_row(task: dict[str, Any]) -> dict[str, Any]:
    data = task["data"]
    texts = [value for value in data.values() if isinstance(value, str)] if isinstance(data, dict) else []
    if not isinstance(data, dict) or not ("text" in data or len(texts) == 1):
        raise ValueError("a Label Studio task needs its sentence in data.text")
    done = [annotation for annotation in task["annotations"] if not annotation.get("was_cancelled")]
    done = [annotation for annotation in done if annotation.get("ground_truth")] or done
    if len(done) != 1:
        raise ValueError(f"the task has {len(done)} annotations where one is needed: annotate it, or keep one of them")
    sentence = data.get("text", *texts[:1])
    values = [result["value"] for result in done[0].get("result", []) if "labels" in result.get("value", {})]
    entities = [
        {**_counted_in_characters(value, sentence), "label": label} for value in values for label in value["labels"]
    ]
    return {"sentence": sentence, "entities": entities}


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
        tasks.append({"data": {"text": example.sentence}, "annotations": [{"result": results}]})
    save(out, [json.dumps(tasks, ensure_ascii=False, indent=1)])


def doccano_row(example: Example) -> dict[str, Any]:
    """An example as Doccano imports and exports it."""
    return {"text": example.sentence, "label": [[m.start, m.end, m.label] for m in example.mentions]}


def spacy_json_row(example: Example) -> dict[str, Any]:
    """An example as spaCy's JSON gives a document."""
    return {
        "text": example.sentence,
        "ents": [{"start": m.start, "end": m.end, "label": m.label} for m in example.mentions],
    }


def docbin_rows(file: Path) -> Iterator[Row]:
    """The documents of a DocBin; raises DataError where spaCy is not installed."""
    tokens, vocab = needed("spacy.tokens", "spacy", file), needed("spacy.vocab", "spacy", file)
    documents = tokens.DocBin().from_disk(file).get_docs(vocab.Vocab())
    for number, document in enumerate(documents, 1):
        entities = [[entity.start_char, entity.end_char, entity.label_] for entity in document.ents]
        yield number, {"sentence": document.text, "entities": entities}

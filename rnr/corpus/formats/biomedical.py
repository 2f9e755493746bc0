"""Biomedical corpora: BioC (JSON) and PubTator."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rnr.corpus.formats.opening import read_text
from rnr.corpus.formats.rows import DataError, Row
from rnr.corpus.formats.shapes import Shape, Source, has, many
from rnr.corpus.report import Reading

RELATIONS = "lines of relations were passed over"
NO_TEXT = "passages without text were left out"
BIOC_RELATIONS = "documents have relations, which were passed over"

_TITLE = re.compile(r"([^|\t]+)\|([ta])\|(.*)")


def _collection(collection: dict[str, Any], number: int, source: Source) -> Iterator[Any]:
    for document in collection["documents"]:
        passages = document.get("passages", [])
        parts = [part for passage in passages for part in _parts(passage)]
        if any(one.get("relations") for one in (document, *passages, *parts)):
            source.note(BIOC_RELATIONS, number, repr(_id(document)))
        for part in parts:
            text = part.get("text") or ""
            if not text.strip() and part.get("annotations"):
                yield ValueError(
                    f"document {_id(document)!r}: a passage with annotations needs the text that they are in"
                )
            elif not text.strip():
                source.note(NO_TEXT, number)
            else:
                try:
                    entities = _annotations(part.get("annotations", []), part)
                    yield {"sentence": text, "entities": entities, "guid": _id(document)}
                except ValueError as error:
                    yield error


def _parts(passage: dict[str, Any]) -> list[dict[str, Any]]:
    """The sentences of a passage, or the whole of it where it has annotations of its own, or no sentences."""
    sentences = passage.get("sentences") or []
    if not sentences or not passage.get("annotations"):
        return sentences or [passage]
    inner = [annotation for sentence in sentences for annotation in sentence.get("annotations", [])]
    return [passage | {"annotations": [*passage["annotations"], *inner]}]


def _id(document: dict[str, Any]) -> str | None:
    return str(document["id"]) if document.get("id") else None


def _annotations(annotations: list[Any], part: dict[str, Any]) -> list[dict[str, Any]]:
    """The annotations with their offsets in the passage, which BioC counts from the beginning of the document."""
    begin, size = part.get("offset", 0), len(part["text"])
    found = []
    for annotation in annotations:
        places = annotation.get("locations") or []
        if len(places) != 1:
            said = f"{annotation.get('text')!r} has {len(places)} locations where one is needed"
            raise ValueError(f"{said}; a mention in several pieces is no one text")
        start = places[0]["offset"] - begin
        label = annotation.get("infons", {}).get("type")
        place = {"start": start, "end": start + places[0]["length"], "text": annotation.get("text")}
        if 0 <= start <= size:
            found.append(place | {"label": label})
        else:
            said = f"{annotation.get('text')!r} at {places[0]['offset']} is outside its passage"
            raise ValueError(f"{said}, which begins at {begin}")
    return found


BIOC = Shape(
    name="BioC",
    recognises=lambda value: (
        has(value, documents=list) and all(has(document, passages=list) for document in value["documents"])
    ),
    rows=many(_collection),
)


# PubTator


def is_pubtator(head: str) -> bool:
    """Whether a text begins as PubTator does: ``12345|t|Title``."""
    return bool(_TITLE.match(head.lstrip("\ufeff\r\n")))


def pubtator_rows(file: Path, reading: Reading) -> Iterator[Row]:
    """The documents of a file: title and abstract are one text, with one character between them."""
    document: list[tuple[int, str]] = []
    for number, line in enumerate([*read_text(file).split("\n"), ""], 1):
        if line.strip():
            document.append((number, line.rstrip("\r")))
        elif document:
            yield _document(document, Source(file=file, reading=reading))
            document = []


def _document(lines: list[tuple[int, str]], source: Source) -> Row:
    first = lines[0][0]
    texts: list[str] = []
    entities: list[dict[str, Any]] = []
    guid = ""
    for number, line in lines:
        title, columns = _TITLE.match(line), line.split("\t")
        if title:
            guid = title[1]
            texts.append(title[3])
        elif len(columns) >= 5 and columns[1].isdecimal() and columns[2].isdecimal():
            start, end = int(columns[1]), int(columns[2])
            entities.append({"start": start, "end": end, "text": columns[3], "label": columns[4]})
        elif len(columns) in (3, 4) and not columns[1].isdecimal():
            source.note(RELATIONS, number)
        else:
            said = f"expected id, start, end, text and type, divided by tabs, found {line!r}"
            return first, DataError(f"{source.file}, line {number}: {said}")
    if not texts:
        return first, DataError(f"{source.file}, line {first}: a document needs a line such as '{guid or 1}|t|Title'")
    return first, {"sentence": " ".join(texts), "entities": entities, "guid": guid}

"""Biomedical corpora: BioC (JSON) and PubTator."""

import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from rnr.corpus.formats.files.text_lines import text_lines
from rnr.corpus.formats.rows import DataError, Row
from rnr.corpus.formats.shapes import Shape, Source, has, many
from rnr.corpus.report import Reading

RELATIONS = "lines of relations were skipped"
CONTINUED = "lines continue the title or abstract of the previous line"
NO_TEXT = "passages without text were left out"
SECTIONS = "sections that are neither title nor abstract were read, each after one more character"
BIOC_RELATIONS = "documents have relations, which were skipped"

_SECTION = re.compile(r"([^|\s]+)\|([A-Za-z]\w{0,20})\|(.*)")
_TITLES, _ABSTRACTS = ("t", "title"), ("a", "abstract")


def _collection(collection: dict[str, Any], number: int, source: Source) -> Iterator[Any]:
    for document in collection["documents"]:
        passages = document.get("passages", [])
        parts = [part for passage in passages for part in _parts(passage)]
        if any(one.get("relations") for one in (document, *passages, *parts)):
            source.note(BIOC_RELATIONS, number, repr(_id(document)))
        if beside := document.get("annotations"):
            parts = _with_annotations(parts, beside, _id(document))
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


def _unread(collection: dict[str, Any]) -> Iterator[str]:
    """The names of the ``infons`` of documents, passages and annotations, which are not read."""
    documents = collection.get("documents", [collection])
    passages = [passage for document in documents for passage in document.get("passages", [])]
    parts = [*passages, *(sentence for passage in passages for sentence in passage.get("sentences") or ())]
    annotations = [one for part in (*documents, *parts) for one in part.get("annotations") or ()]
    for what, told in (("documents", documents), ("passages", parts), ("annotations", annotations)):
        names = {name for one in told for name in one.get("infons") or ()}
        yield from (f"{what}.infons.{name}" for name in names if (what, name) != ("annotations", "type"))


def _parts(passage: dict[str, Any]) -> list[dict[str, Any]]:
    """The sentences of a passage, or the whole of it where it has annotations of its own, or no sentences."""
    sentences = passage.get("sentences") or []
    if not sentences or not passage.get("annotations"):
        return sentences or [passage]
    inner = [annotation for sentence in sentences for annotation in sentence.get("annotations", [])]
    return [passage | {"annotations": [*passage["annotations"], *inner]}]


def _with_annotations(parts: list[dict[str, Any]], beside: list[Any], name: str | None) -> list[dict[str, Any]]:
    """The passages with the annotations that stand beside them in their document, each in the one it begins in."""
    parts = [part | {"annotations": list(part.get("annotations") or [])} for part in parts]
    for annotation in beside:
        at = annotation["locations"][0]["offset"]
        home = [part for part in parts if 0 <= at - part.get("offset", 0) < len(part.get("text") or "")]
        if not home:
            raise ValueError(f"document {name!r}: {annotation.get('text')!r} at {at} is in none of its passages")
        home[0]["annotations"].append(annotation)
    return parts


def _id(document: dict[str, Any]) -> str | None:
    return str(document["id"]) if document.get("id") else None


def _annotations(annotations: list[Any], part: dict[str, Any]) -> list[dict[str, Any]]:
    """The annotations with their offsets in the passage, which BioC counts from the beginning of the document."""
    # In bytes, in which BioC may count, and of which a text has the most: what they count is found out later.
    begin, size = part.get("offset", 0), len(part["text"].encode("utf-8", errors="surrogatepass"))
    found = []
    for annotation in annotations:
        places = annotation.get("locations") or []
        if len(places) != 1:
            said = f"{annotation.get('text')!r} has {len(places)} locations where one is needed"
            raise ValueError(f"{said}; a mention in several pieces is no one text")
        start = places[0]["offset"] - begin
        infons = annotation.get("infons", {})
        label = infons.get("type")
        if not isinstance(label, str):
            has = ", ".join(map(repr, infons)) or "nothing"
            raise ValueError(f"{annotation.get('text')!r} has no label in its infons, as 'type'; there is {has}")
        place = {"start": start, "end": start + places[0]["length"], "text": annotation.get("text")}
        if 0 <= start <= size:
            found.append(place | {"label": label})
        else:
            said = f"{annotation.get('text')!r} at {places[0]['offset']} is outside its passage"
            raise ValueError(f"{said}, which begins at {begin}")
    return found


def _is_document(value: Any) -> bool:
    if not has(value, passages=list):
        return False
    return all(has(passage, offset=int) and isinstance(passage.get("text", ""), str) for passage in value["passages"])


BIOC = Shape(
    name="BioC",
    recognises=lambda value: (
        has(value, documents=list) and all(has(document, passages=list) for document in value["documents"])
    ),
    rows=many(_collection),
    unread=_unread,
)
BIOC_DOCUMENT = Shape(
    name="a document of BioC",
    recognises=_is_document,
    rows=many(lambda document, number, source: _collection({"documents": [document]}, number, source)),
    unread=_unread,
)


# PubTator


def is_pubtator(head: str) -> bool:
    """Whether a text begins as PubTator does: ``12345|t|Title``."""
    section = _SECTION.match(head.lstrip("\ufeff\r\n"))
    return section is not None and section[2].lower() in (*_TITLES, *_ABSTRACTS)


def pubtator_rows(file: Path, reading: Reading) -> Iterator[Row]:
    """The documents of a file: title and abstract are one text, with one character between them."""
    source = Source(file=file, reading=reading)
    for document in _documents(text_lines(file)):
        first = document[0][0]
        try:
            yield first, _document(document, source)
        except ValueError as error:
            yield first, DataError(f"{file}, {error}")


def _documents(lines: Iterable[str]) -> Iterator[list[tuple[int, str]]]:
    """The lines of each document with their numbers; one ends at a blank line, or where the title of another begins."""
    document: list[tuple[int, str]] = []
    for number, line in enumerate(chain(lines, [""]), 1):
        section = _SECTION.match(line)
        title = section is not None and section[2].lower() in _TITLES and section[1]
        other = title and document and not document[0][1].startswith(f"{title}|")
        if document and (not line.strip() or other):
            yield document
            document = []
        if line.strip():
            document.append((number, line))


def _section(line: str, guid: str) -> re.Match[str] | None:
    """A line with a part of the text of the document that is called so; of any, while nothing tells its name."""
    section = _SECTION.match(line)
    return section if section and guid in ("", section[1]) else None


def _mention(columns: list[str], source: Source) -> dict[str, Any]:
    if any(map(str.strip, columns[5:])):
        source.not_read(["entities.identifier"])
    return {"start": int(columns[1]), "end": int(columns[2]), "text": columns[3], "label": columns[4]}


def _is_relation(columns: list[str]) -> bool:
    """Whether a line is a relation: its name and two identifiers, and in BioRED whether it is new."""
    complete = len(columns) in (3, 4) or columns[4:] in (["Novel"], ["No"])
    return complete and not columns[1].isdecimal()


def _document(lines: list[tuple[int, str]], source: Source) -> dict[str, Any]:
    """The row of a document; raises ValueError with the first line that is none of it."""
    texts: list[str] = []
    entities: list[dict[str, Any]] = []
    guid = ""
    annotated = False
    for number, line in lines:
        section, columns = _section(line, guid), line.split("\t")
        name = section[1] if section else columns[0]
        if section and not guid:
            guid = name
        if guid and name != guid and (len(columns) > 1 or is_pubtator(line)):
            raise ValueError(f"line {number}: of document {name[:40]!r} among the lines of {guid!r}")
        if section:
            if section[2].lower() not in (*_TITLES, *_ABSTRACTS):
                source.note(SECTIONS, number, section[2])
            texts.append(section[3])
        elif len(columns) >= 5 and columns[1].isdecimal() and columns[2].isdecimal():
            entities.append(_mention(columns, source))
        elif _is_relation(columns):
            source.note(RELATIONS, number)
        elif texts and len(columns) == 1 and not annotated:
            source.note(CONTINUED, number)
            texts[-1] += f"\n{line}"
        else:
            raise ValueError(f"line {number}: expected id, start, end, text and type, divided by tabs, found {line!r}")
        annotated = annotated or len(columns) > 1
    if not texts:
        raise ValueError(f"line {lines[0][0]}: a document needs a line such as '{guid or 1}|t|Title'")
    return {"sentence": " ".join(texts), "entities": entities, "guid": guid}

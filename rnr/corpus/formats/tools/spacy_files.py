"""spaCy: training tuples, the JSON of versions 2 and 3, and ``.spacy`` files (``DocBin``)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rnr.corpus.formats.entities.fields import ENTITIES
from rnr.corpus.formats.entities.plain_rows import GROUPS, own_row
from rnr.corpus.formats.entities.span_lists import is_span_list
from rnr.corpus.formats.rows import DataError, Row, names, needed
from rnr.corpus.formats.shapes import Shape, Source, all_but, each, has, many
from rnr.corpus.formats.tags.reading import Places, Tagged, tag_scheme
from rnr.corpus.report import Reading
from rnr.types import Example

PASSED_OVER = "entries of the tool that are not annotated (null) were left out"


_OF_PARAGRAPHS = frozenset(("raw", "sentences", "entities"))


def _is_pair(value: Any) -> bool:
    if not isinstance(value, list) or len(value) != 2 or not isinstance(value[0], str):
        return False
    spans = value[1]
    return has(spans, entities=list) or (isinstance(spans, list) and all(map(is_span_list, spans)))


def _tuple_row(value: list[Any], number: int, source: Source) -> dict[str, Any]:
    text, annotations = value
    if not isinstance(annotations, dict):
        return own_row({"sentence": text, "entities": annotations}, number, source)
    beside = {name: value for name, value in annotations.items() if name in ENTITIES}
    return own_row({"sentence": text} | beside, number, source)


def _wrapped(value: dict[str, Any], _: int, source: Source) -> Iterator[Any]:
    """The tuples in the file of NER annotators on the web: ``{"classes": [...], "annotations": [[text, {...}]]}``."""
    schema = [name for name in value.get("classes", []) if isinstance(name, str)]
    for number, pair in enumerate(value["annotations"], 1):
        if pair is None:
            source.note(PASSED_OVER, number)
        elif not _is_pair(pair):
            yield ValueError('expected [text, {"entities": [...]}]')
        else:
            yield _tuple_row(pair, number, source) | ({"schema": schema} if schema else {})


def _paragraphs(document: dict[str, Any], number: int, source: Source) -> Iterator[Any]:
    for paragraph in document["paragraphs"]:
        try:
            yield _paragraph(paragraph, number, source)
        except ValueError as error:
            yield error


def _is_paragraph(value: Any) -> bool:
    """Whether a value may be a paragraph of spaCy's: its sentences, if it has any, are of tokens."""
    if not has(value) or not (value.keys() & _OF_PARAGRAPHS or not value):
        return False
    sentences = value.get("sentences")
    return not isinstance(sentences, list) or all(has(one, tokens=list) for one in sentences)


def _paragraph(paragraph: dict[str, Any], number: int, source: Source) -> dict[str, Any]:
    """A paragraph with its entities: offsets in its text as spaCy 3 writes them, or tags of its tokens."""
    tokens = [token for sentence in paragraph.get("sentences", []) for token in sentence.get("tokens", [])]
    words, tags = [token["orth"] for token in tokens], [token.get("ner", "-") for token in tokens]
    whole = paragraph.get("raw")
    if isinstance(whole, str) and isinstance(paragraph.get("entities"), list) and set(tags) <= {"-"}:
        return own_row({"sentence": whole, "entities": paragraph["entities"]}, number, source)
    if not words:
        raise ValueError("a paragraph has neither tokens nor a text with entities")
    if "-" in tags:
        raise ValueError("a token whose 'ner' is '-' was not annotated")
    if whole is None and all(isinstance(token.get("space"), str) for token in tokens):
        whole = "".join(token["orth"] + token["space"] for token in tokens)
    places = Places(range(1, len(words) + 1), "token")
    text = [whole] if isinstance(whole, str) else []
    return Tagged(0, words, tags, places, text).row(tag_scheme([["B-X", "E-X", "S-X"], tags]), source.reading.spaces)


TUPLES = Shape(
    name="spaCy's training tuples",
    recognises=_is_pair,
    rows=each(_tuple_row),
    unread=lambda value: value[1].keys() - ENTITIES if isinstance(value[1], dict) else (),
)

WEB_ANNOTATOR = Shape(
    name="spaCy's training tuples from a web annotator",
    recognises=lambda value: has(value, annotations=list, classes=list),
    rows=many(_wrapped),
    unread=all_but("classes", "annotations"),
)

VERSION_2 = Shape(
    name="spaCy 2 JSON",
    recognises=lambda value: has(value, paragraphs=list) and all(map(_is_paragraph, value["paragraphs"])),
    rows=many(_paragraphs),
    unread=lambda value: {name for one in value["paragraphs"] for name in one.keys() - _OF_PARAGRAPHS},
    own_offsets=False,
)


def spacy_json_row(example: Example) -> dict[str, Any]:
    """An example as spaCy's JSON gives a document."""
    ents = [{"start": m.start, "end": m.end, "label": m.label} for m in example.mentions]
    return {"text": example.sentence, "ents": ents} | names(example)


def docbin_rows(file: Path, reading: Reading) -> Iterator[Row]:
    """The documents of a DocBin; raises DataError where spaCy is not installed, and for several groups of spans."""
    tokens, vocab = needed("spacy.tokens", "spacy", file), needed("spacy.vocab", "spacy", file)
    documents, words = tokens.DocBin().from_disk(file), vocab.Vocab()
    group = _group(documents.get_docs(words), file)
    if group:
        reading.fact(f"no document has entities; read are the spans of its group {group!r}", file)
    for number, document in enumerate(documents.get_docs(words), 1):
        if why := _not_annotated(document, group):
            yield number, DataError(f"{file}, row {number}: {why}, or leave the document out")
            continue
        if not group and any(map(len, document.spans.values())):
            reading.note(GROUPS, file, number, ", ".join(document.spans))
        spans = document.spans[group] if group else document.ents
        entities = [[span.start_char, span.end_char, span.label_] for span in spans]
        yield number, {"sentence": document.text, "entities": entities}


def _not_annotated(document: Any, group: str) -> str:
    """What says that nobody looked for the entities of a document; empty where nothing does."""
    if group:
        return "" if group in document.spans else f"it has no group {group!r}; set doc.spans[{group!r}] = []"
    missing = [token.text for token in document if token.ent_iob == 0]
    return f"{missing[0]!r} was not annotated (spaCy: missing); set doc.ents = []" if missing else ""


def _group(documents: Iterator[Any], file: Path) -> str:
    """The group of spans that stands for the entities, where no document has any; empty where one has, or no spans."""
    groups: set[str] = set()
    for document in documents:
        if document.ents:
            return ""
        groups.update(name for name, spans in document.spans.items() if len(spans))
    if len(groups) > 1:
        said = "no document has entities, and several groups of spans"
        raise DataError(f"{file}: {said} ({', '.join(sorted(groups))}); set doc.ents of the one that is meant")
    return groups.pop() if groups else ""

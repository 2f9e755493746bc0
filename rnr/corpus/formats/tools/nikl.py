"""NIKL, the Korean corpora called Modu: documents of sentences, whose text is their ``form``, with their ``NE``."""

from collections.abc import Iterator
from typing import Any

from rnr.corpus.formats.entities.plain_rows import own_row
from rnr.corpus.formats.shapes import BROKEN, Shape, Source, each, has, many, why_broken

_READ = frozenset(("form", "NE", "id", "word"))


def _row(sentence: dict[str, Any], number: int, source: Source) -> dict[str, Any]:
    named = {"guid": sentence["id"]} if isinstance(sentence.get("id"), str) else {}
    return own_row({"sentence": sentence["form"], "entities": sentence["NE"]} | named, number, source)


def _sentences(corpus: dict[str, Any], number: int, source: Source) -> Iterator[Any]:
    """The rows of a file, or the reason why there is none."""
    for document in corpus["document"]:
        for sentence in document["sentence"]:
            source.not_read(_unread(sentence))
            try:
                yield _row(sentence, number, source)
            except BROKEN as error:
                yield ValueError(f"sentence {sentence.get('id')!r}: {why_broken(error)}")


def _has_sentences(document: Any) -> bool:
    """Whether a document has sentences whose text is their form."""
    return has(document, sentence=list) and any(has(sentence, form=str) for sentence in document["sentence"])


def _unread(sentence: dict[str, Any]) -> set[str]:
    return sentence.keys() - _READ


SENTENCE = Shape(
    name="a sentence of NIKL",
    recognises=lambda row: has(row, form=str, NE=list) and all(map(has, row["NE"])),
    fields=frozenset(("NE",)),
    rows=each(_row),
    unread=_unread,
)

CORPUS = Shape(
    name="NIKL (Modu)",
    recognises=lambda value: has(value, document=list) and any(map(_has_sentences, value["document"])),
    fields=frozenset(("document",)),
    rows=many(_sentences),
)

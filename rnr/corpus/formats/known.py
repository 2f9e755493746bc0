"""The shapes of JSON rows that are read, in the order in which they are asked whether a row is theirs."""

from functools import lru_cache
from typing import Any

from rnr.corpus.formats.entities import plain_rows
from rnr.corpus.formats.shapes import Shape
from rnr.corpus.formats.tokens import text_tags, token_fields, token_rows, token_spans
from rnr.corpus.formats.tools import argilla, biomedical, instructions, label_studio, luis, nikl, prodigy, spacy_files
from rnr.corpus.formats.unsupported.datasets import DATASETS
from rnr.corpus.formats.unsupported.tools import UNSUPPORTED

SHAPES = (
    label_studio.SHAPE,
    argilla.VERSION_1,
    argilla.VERSION_2,
    argilla.DATA_SET,
    prodigy.SHAPE,
    spacy_files.TUPLES,
    spacy_files.WEB_ANNOTATOR,
    spacy_files.VERSION_2,
    biomedical.BIOC,
    biomedical.BIOC_DOCUMENT,
    luis.SHAPE,
    nikl.SENTENCE,
    nikl.CORPUS,
    instructions.CONVERSATIONS,
    instructions.GNER,
    instructions.GLINER2,
    instructions.NUNER,
    instructions.IEPILE,
    token_spans.GLINER,
    *UNSUPPORTED,
    *DATASETS,
    token_rows.SHAPE,
    text_tags.SHAPE,
    text_tags.LISTS,
    token_spans.SPANS,
    plain_rows.SHAPE,
)


def shape_of(value: Any) -> Shape | None:
    """The first shape that recognises a value; None for one that nobody knows."""
    if plain_rows.is_our_own(value):
        return plain_rows.SHAPE
    if token_fields.is_usual(value):
        return token_rows.SHAPE
    asked = _with_fields(tuple(value)) if type(value) is dict else SHAPES
    return next((shape for shape in asked if shape.recognises(value)), None)


@lru_cache(maxsize=1024)
def _with_fields(fields: tuple[str, ...]) -> tuple[Shape, ...]:
    """The shapes that an object with these fields may have: kept, because the rows of a file have the same ones."""
    return tuple(shape for shape in SHAPES if not (shape.fields and shape.fields.isdisjoint(fields)))

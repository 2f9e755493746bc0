"""Rows of a text and the tags of its words, which white space divides: ``{"text": "Ida ran", "ner_tags": ["B-PER",
"O"]}``, and in tables ``Ida ran,"B-PER,O"``."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from rnr.corpus.formats.entity_fields import ENTITIES
from rnr.corpus.formats.rows import Row, are_texts
from rnr.corpus.formats.shapes import Shape, Source
from rnr.corpus.formats.tag_spelling import are_tags, only_tags
from rnr.corpus.formats.token_rows import ANY_NAME, TAGS, TOKENS, rows_of_tokens

BY_SPACES = "rows have a text and a tag for each of its words, which white space divides"
BY_CHARACTERS = "rows have a text and a tag for each of its characters"

_TEXTS = ("text", "sentence", "content", *TOKENS)
_FIELDS = (*TAGS, "word_labels")
_ENTITIES = frozenset(ENTITIES) - frozenset(_FIELDS)
"""Fields with the entities of a row, which say more than tags of its words."""
_TAG = r"(?:O|[BIESLUMW][-_/:|][^\s,]+)"
_ONE = re.compile(_TAG)
_BETWEEN = re.compile(r"[\s,]+")
_OUTSIDE = re.compile(r"(?<![^\s,])[Oo](?![^\s,])")
_SEVERAL = re.compile(rf"\s*{_TAG}(?:(?:\s*,\s*|\s+){_TAG})+\s*")


def shows_tags(cell: str) -> bool:
    """Whether a cell holds several tags, with blanks or commas between them."""
    if cell.lstrip()[:1] in "OBIESLUMW" and _SEVERAL.fullmatch(cell):
        return True
    parts = _BETWEEN.split(cell.strip()) if _OUTSIDE.search(cell) else []
    return any(len(part) > 1 for part in parts) and are_tags(parts)  # not of single letters, which may be words


def one_tag(cell: str) -> list[str] | None:
    """The tag that is all of a cell, as that of a sentence of one word; None for any other."""
    tag = cell.strip()
    return [tag] if _ONE.fullmatch(tag) else None


def _found(row: Any) -> tuple[str, str, list[str]] | None:
    """The text, and the name of the field with its tags and these, else None."""
    if not isinstance(row, dict) or any(isinstance(row.get(name), (list, dict)) for name in _ENTITIES):
        return None
    text = next((row[name] for name in _TEXTS if isinstance(row.get(name), str)), None)
    if text is None:
        return None
    named = next((name for name in _FIELDS if _tags(row.get(name))), None) or _told(row, text)
    return None if named is None else (text, named, _tags(row[named]) or row[named])


def _told(row: dict[str, Any], text: str) -> str | None:
    """The only field, whatever it is called, with a tag for each word of a text; None where there is none."""
    others = {name: value for name, value in row.items() if name not in _TEXTS}
    listed = {name: _tags(value) if isinstance(value, str) else value for name, value in others.items()}
    found = only_tags(listed, len(text.split()))
    return found[0] if len(found) == 1 else None


def _tags(value: Any) -> list[str] | None:
    if isinstance(value, str):
        return _BETWEEN.split(value.strip()) if shows_tags(value) else None
    return value if are_texts(value) and (all(map(_ONE.fullmatch, value)) or are_tags(value)) else None


def _rows(values: Iterable[Row], source: Source) -> Iterator[Row]:
    return rows_of_tokens(_divided(values, source), source)


def _divided(values: Iterable[Row], source: Source) -> Iterator[Row]:
    for number, value in values:
        found = _found(value)
        if found is None:
            yield number, value
            continue
        text, named, tags = found
        words, characters = text.split(), [one for one in text if not one.isspace()]
        by_character = len(words) != len(tags) and len(tags) in (len(characters), len(text))
        if by_character:
            words = characters if len(characters) == len(tags) else list(text)
        source.note(BY_CHARACTERS if by_character else BY_SPACES, number)
        every = {name: own for name in TAGS if (own := _tags(value.get(name)))}
        if named not in _FIELDS:
            source.reading.fact(ANY_NAME.format(named), source.file)
        rest = {name: one for name, one in value.items() if name not in (*_FIELDS, *_TEXTS, named)}
        yield number, rest | every | {"text": text, "tokens": words, "ner_tags": tags}


SHAPE = Shape(
    name="a text and the tags of its words",
    recognises=lambda row: _found(row) is not None,
    rows=_rows,
    own_offsets=False,
)

"""Rows of a text and the tags of its words, which white space divides: ``{"text": "Ida ran", "ner_tags": ["B-PER",
"O"]}``, and in tables ``Ida ran,"B-PER,O"``."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from rnr.corpus.formats.column_headers import is_predicted
from rnr.corpus.formats.entity_fields import ENTITIES
from rnr.corpus.formats.field_names import TAGS, TOKENS
from rnr.corpus.formats.plain_rows import TEXTS
from rnr.corpus.formats.rows import Row
from rnr.corpus.formats.shapes import Shape, Source
from rnr.corpus.formats.token_rows import rows_of_tokens

BY_SPACES = "rows have a text and a tag for each of its words, which white space divides"
BY_CHARACTERS = "rows have a text and a tag for each of its characters"

_TEXTS = ("text", "sentence", "content", *TOKENS, *(name for name in TEXTS if name not in ENTITIES))
_FIELDS = (*TAGS, "word_labels")
_ENTITIES = frozenset(ENTITIES) - frozenset(_FIELDS)
"""Fields with the entities of a row, which say more than tags of its words."""
_TAG = r"(?:O|[BIESLUMW][-_][^\s,]+)"
_ONE = re.compile(_TAG)
_NO_O = frozenset(("0", "o", "_", "-", "OTHER", "Other", "other", "null", "None"))
_SEVERAL = re.compile(rf"\s*{_TAG}(?:(?:\s*,\s*|\s+){_TAG})+\s*")


def shows_tags(cell: str) -> bool:
    """Whether a cell holds several tags, with blanks or commas between them."""
    return cell.lstrip()[:1] in "OBIESLUMW" and bool(_SEVERAL.fullmatch(cell))


def write_o(cell: str) -> str:
    """What is said of several tags among which another mark stands for O; empty for any other cell."""
    parts = cell.replace(",", " ").split()
    marks = {part for part in parts if part in _NO_O}
    tags = [part for part in parts if part not in marks]
    whole = len(marks) == 1 and bool(tags) and all(map(_ONE.fullmatch, tags))
    return f"several tags stand in a cell ({cell.strip()[:40]}): write O for {marks.pop()!r}" if whole else ""


def one_tag(cell: str) -> list[str] | None:
    """The tag that is all of a cell, as that of a sentence of one word; None for any other."""
    tag = cell.strip()
    return [tag] if _ONE.fullmatch(tag) else None


def _found(row: Any) -> tuple[str, list[str]] | None:
    """The text and its tags, else None."""
    if not isinstance(row, dict) or any(isinstance(row.get(name), (list, dict)) for name in _ENTITIES):
        return None
    text = next((row[name] for name in _TEXTS if isinstance(row.get(name), str)), None)
    others = (name for name in row if name not in _FIELDS and name not in _TEXTS and not is_predicted([name]))
    tags = next((tags for name in (*_FIELDS, *others) if (tags := _tags(row.get(name)))), None)
    if tags is None:
        return None
    text = _text_of(row, len(tags)) if text is None else text
    return None if text is None else (text, tags)


def _text_of(row: dict[str, Any], tags: int) -> str | None:
    """The only text of a row, under any name, that has several words and a tag for each; else None."""
    texts = [one for one in row.values() if isinstance(one, str) and not shows_tags(one)]
    alike = [one for one in texts if len(one.split()) == tags > 1]
    return alike[0] if len(alike) == 1 else None


def _tags(value: Any) -> list[str] | None:
    if isinstance(value, str):
        return re.split(r"[\s,]+", value.strip()) if shows_tags(value) else None
    whole = isinstance(value, list) and all(isinstance(tag, str) and _ONE.fullmatch(tag) for tag in value)
    return value if whole else None


def _rows(values: Iterable[Row], source: Source) -> Iterator[Row]:
    return rows_of_tokens(_divided(values, source), source)


def _divided(values: Iterable[Row], source: Source) -> Iterator[Row]:
    for number, value in values:
        found = _found(value)
        if found is None:
            yield number, value
            continue
        words, characters = found[0].split(), [one for one in found[0] if not one.isspace()]
        by_character = len(words) != len(found[1]) and len(found[1]) in (len(characters), len(found[0]))
        if by_character:
            words = characters if len(characters) == len(found[1]) else list(found[0])
        source.note(BY_CHARACTERS if by_character else BY_SPACES, number)
        every = {name: tags for name in TAGS if (tags := _tags(value.get(name)))}
        rest = {name: one for name, one in value.items() if name not in _FIELDS and name not in _TEXTS}
        yield number, rest | every | {"text": found[0], "tokens": words, "ner_tags": found[1]}


SHAPE = Shape(
    name="a text and the tags of its words",
    recognises=lambda row: _found(row) is not None,
    rows=_rows,
    own_offsets=False,
)

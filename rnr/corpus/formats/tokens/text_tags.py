"""Rows of a text and the tags of its words, which white space divides: ``{"text": "Ida ran", "ner_tags": ["B-PER",
"O"]}``, and in tables ``Ida ran,"B-PER,O"``."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from rnr.corpus.formats.entities.fields import ENTITIES
from rnr.corpus.formats.entities.plain_rows import LIKELY_TEXT
from rnr.corpus.formats.field_names import TAGS, TOKENS
from rnr.corpus.formats.rows import Row, are_texts
from rnr.corpus.formats.shapes import Shape, Source
from rnr.corpus.formats.tags.spelling import are_tags
from rnr.corpus.formats.tokens.token_fields import TEXTS_OR_WORDS, any_of_names, note_any_name, only_tags
from rnr.corpus.formats.tokens.token_rows import rows_of_tokens

BY_SPACES = "rows have a text and a tag for each of its words, which white space divides"
BY_CHARACTERS = "rows have a text and a tag for each of its characters"

_TEXTS = ("text", "sentence", "content", *TOKENS, *(name for name in TEXTS_OR_WORDS if name not in ENTITIES))
_FIELDS = (*TAGS, "word_labels")
_ENTITIES = frozenset(ENTITIES) - frozenset(_FIELDS)
"""Fields with the entities of a row, which say more than tags of its words."""
_TAG = r"(?:O|[BIESLUMW][-_/:|][^\s,]+)"
_ONE = re.compile(_TAG)
_BETWEEN = re.compile(r"[\s,]+")
_OUTSIDE = re.compile(r"(?<![^\s,])[Oo](?![^\s,])")
_NO_O = frozenset(("0", "o", "_", "-", "OTHER", "Other", "other", "null", "None"))
_SEVERAL = re.compile(rf"\s*{_TAG}(?:(?:\s*,\s*|\s+){_TAG})+\s*")


def shows_tags(cell: str) -> bool:
    """Whether a cell holds several tags, with blanks or commas between them."""
    if cell.lstrip()[:1] in "OBIESLUMW" and _SEVERAL.fullmatch(cell):
        return True
    parts = _BETWEEN.split(cell.strip()) if _OUTSIDE.search(cell) else []
    return any(len(part) > 1 for part in parts) and are_tags(parts)  # not of single letters, which may be words


def is_tag_per_word(cell: str, words: int) -> bool:
    """Whether a cell has an O and as many parts as another has ``words``, which are several."""
    return words > 1 and _OUTSIDE.search(cell) is not None and len(_BETWEEN.split(cell.strip())) == words


def write_o(cell: str) -> str:
    """The message about several tags among which another mark stands for O; empty for any other cell."""
    parts = cell.replace(",", " ").split()
    marks = {part for part in parts if part in _NO_O}
    tags = [part for part in parts if part not in marks]
    whole = len(marks) == 1 and bool(tags) and all(map(_ONE.fullmatch, tags))
    return f"several tags are in a cell ({cell.strip()[:40]}): write O for {marks.pop()!r}" if whole else ""


def one_tag(cell: str) -> list[str] | None:
    """The tag that is all of a cell, as that of a sentence of one word; None for any other."""
    tag = cell.strip()
    return [tag] if _ONE.fullmatch(tag) else None


def _found(row: Any) -> tuple[str, str, list[str]] | None:
    """The names of the fields with the text and with its tags, and these, else None."""
    if not isinstance(row, dict) or any(isinstance(row.get(name), (list, dict)) for name in _ENTITIES):
        return None
    text = next((name for name in _TEXTS if isinstance(row.get(name), str)), None)
    words = 0 if text is None else len(row[text].split())
    tags = {name: found for name in _FIELDS if (found := _tags(row.get(name), words))}
    named = next(iter(tags), None)
    found = (text, named) if text and named else _likely(row, text, named)
    return found and (*found, tags.get(found[1]) or _tags(row[found[1]]) or row[found[1]])


def _likely(row: dict[str, Any], text: str | None, named: str | None) -> tuple[str, str] | None:
    """The only text of a row and the only field with a tag for each of its words, or characters, where at least one of
    them is under no name that is known; such a text has several words. None where there are none."""
    values = {name: value for name, value in row.items() if (name == named if named else name not in _TEXTS)}
    lists = {name: _tags(value) if isinstance(value, str) else value for name, value in values.items()}
    listed = {name: value for name, value in lists.items() if value and are_texts(value)}
    if not listed:
        return None
    if text is not None:
        words = row[text].split()
        sizes = {text: {len(words), sum(map(len, words)), len(row[text])}}
    else:
        texts = {name: value for name, value in row.items() if isinstance(value, str) and not shows_tags(value)}
        sizes = {name: {size} for name, value in texts.items() if (size := len(value.split())) > 1}
    pairs = [(one, name) for one, counts in sizes.items() for size in counts for name in only_tags(listed, size)]
    return pairs[0] if len(pairs) == 1 else None


def _tags(value: Any, words: int = 0) -> list[str] | None:
    """The tags that a value is, if any, which may be labels alone in a text if there is one for each of so many
    ``words``."""
    if isinstance(value, str):
        if shows_tags(value) or is_tag_per_word(value, words):
            return _BETWEEN.split(value.strip())
        return one_tag(value) if words == 1 else None
    return value if are_texts(value) and (all(map(_ONE.fullmatch, value)) or are_tags(value)) else None


def _rows(values: Iterable[Row], source: Source) -> Iterator[Row]:
    return rows_of_tokens(_divided(values, source), source)


def _divided(values: Iterable[Row], source: Source) -> Iterator[Row]:
    for number, value in values:
        found = _found(value)
        if found is None:
            yield number, value
            continue
        name, named, tags = found
        text = value[name]
        words, how = _divided_by(text, len(tags))
        source.note(how, number)
        every = {field: own for field, one in value.items() if field != named and (own := _tags(one))}
        if named not in _FIELDS:
            note_any_name(named, tags, source)
        if name not in _TEXTS:
            source.reading.fact(LIKELY_TEXT.format(name), source.file)
        rest = {field: one for field, one in value.items() if field not in (*_FIELDS, *_TEXTS, name, named)}
        yield number, rest | every | {"text": text, "tokens": words, "ner_tags": tags}


def _divided_by(text: str, size: int) -> tuple[list[str], str]:
    """The words of a text, or its characters where these are as many as its tags and the words are not; and how it was
    divided."""
    words, characters = text.split(), [one for one in text if not one.isspace()]
    if len(words) == size or size not in (len(characters), len(text)):
        return words, BY_SPACES
    return characters if len(characters) == size else list(text), BY_CHARACTERS


def _is_list(row: Any) -> bool:
    """Whether a row is the list of a text and of what may be the tags of its words."""
    if not isinstance(row, list) or len(row) != 2 or not isinstance(row[0], str) or not are_texts(row[1]):
        return False
    return len(row[1]) == len(_divided_by(row[0], len(row[1]))[0]) > 0 or any_of_names(row[1])


def _of_lists(values: Iterable[Row], source: Source) -> Iterator[Row]:
    """The tokens and tags of rows that are lists."""
    for number, value in values:
        if isinstance(value, list):
            tokens, how = _divided_by(value[0], len(value[1]))
            source.note(how, number)
            value = {"text": value[0], "tokens": tokens, "ner_tags": value[1]}
        yield number, value


LISTS = Shape(
    name="a list of a text and the tags of its words",
    recognises=_is_list,
    rows=lambda values, source: rows_of_tokens(_of_lists(values, source), source),
    own_offsets=False,
)

SHAPE = Shape(
    name="a text and the tags of its words",
    recognises=lambda row: _found(row) is not None,
    rows=_rows,
    own_offsets=False,
)

"""Which fields of a row hold its tokens and a tag for each of them, whatever they are called."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from rnr.corpus.formats.column_headers import is_predicted
from rnr.corpus.formats.field_names import TAGS, TOKENS, names_entities, names_tags, names_words, usual_first
from rnr.corpus.formats.plain_rows import TEXTS
from rnr.corpus.formats.rows import are_texts
from rnr.corpus.formats.tags import is_of_names, tag_scheme

_USUAL = frozenset(("id", "tokens", "words", "ner_tags", "tags", "ner", "pos_tags", "chunk_tags", "langs"))
_TEXTS = frozenset(TEXTS)
BESIDE = ("entities", "spans", "ents", "mentions", "entity_mentions", "annotations")
"""Fields that may hold entities beside the tokens and tags of a row."""


def fields(row: Any) -> tuple[str, str] | None:
    """The names of the fields that hold the tokens and their tags, else None."""
    if not isinstance(row, dict):
        return None
    words, named_tags = _named(tuple(row))
    tokens = next((name for name in words if plain_list(row[name], str)), None)
    if tokens is None:
        texts = [name for name in _TEXTS.intersection(row) if row[name] and are_texts(row[name])]
        return _side_by_side(row, texts) if texts else None
    matching = [name for name in named_tags if plain_list(row[name], (str, int, float)) and name != tokens]
    # Where tags stand there twice, as numbers and by name, the names say more.
    named = [name for name in matching if all(isinstance(tag, str) for tag in row[name])]
    same = [name for name in named or matching if len(row[name]) == len(row[tokens])] or matching
    if len(same) > 1:  # "tags" may be parts of speech, and those of "ner" the names
        same = [name for name in same if any_of_names(row[name])] or same
    return (tokens, same[0]) if same else _side_by_side(row, [tokens])


@lru_cache(maxsize=1024)
def _named(names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Those of the names of a row that are of words, and of tags, the usual ones first: kept, because the rows of a
    file have the same."""
    tags = (name for name in names if name in TAGS or (names_tags(name) and not names_entities(name)))
    return usual_first(filter(names_words, names), TOKENS), usual_first(tags, TAGS)


def _side_by_side(row: dict[str, Any], words: Sequence[str]) -> tuple[str, str] | None:
    """The names of a list of words and of one that shows a tag for each, whatever it is called; None for others, and
    where a row has entities of its own."""
    if any(isinstance(row.get(name), (list, dict)) for name in BESIDE):
        return None
    lists = {name: value for name, value in row.items() if value and are_texts(value) and not is_predicted([name])}
    pairs = ((one, other) for one in words for other in lists if one != other)
    found = (pair for pair in pairs if len(row[pair[0]]) == len(row[pair[1]]) > 0 and _shows_tags(row[pair[1]]))
    return next(found, None)


def _shows_tags(tags: Sequence[str]) -> bool:
    """Whether all of these are tags that say where in a name a token stands, or that it is in none."""
    spelling = tag_scheme([["O", *tags]]).spelling
    return spelling.kind in ("before", "behind") and all(map(spelling.read, tags))


def any_of_names(tags: Sequence[Any]) -> bool:
    return any(map(is_of_names, tags))


def is_usual(row: Any) -> bool:
    """Whether a row has the usual fields of tokens and tags alone: asked early, because files of them are large."""
    return type(row) is dict and row.keys() <= _USUAL and fields(row) is not None


def plain_list(value: Any, kind: type | tuple[type, ...]) -> bool:
    return isinstance(value, list) and all(isinstance(inner, kind) for inner in value)

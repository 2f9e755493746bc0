"""Which fields of a row hold its tokens and a tag for each of them, whatever they are called."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from rnr.corpus.formats.entities.fields import holds_entities
from rnr.corpus.formats.entities.plain_rows import TEXTS
from rnr.corpus.formats.field_names import (
    TAGS,
    TOKENS,
    is_predicted,
    names_entities,
    names_tags,
    names_words,
    plain,
    usual_first,
)
from rnr.corpus.formats.rows import DataError, are_texts, plain_list
from rnr.corpus.formats.shapes import Source
from rnr.corpus.formats.tags.reading import is_of_names
from rnr.corpus.formats.tags.spelling import are_tags, find_spelling
from rnr.corpus.syntax_labels import CHUNKS, are_parts_of_speech

_USUAL = frozenset(("id", "tokens", "words", "ner_tags", "tags", "ner", "pos_tags", "chunk_tags", "langs"))
TEXTS_OR_WORDS = (*TEXTS, "text_a")
"""Fields that may hold a text, or its words, beside their tags."""
_TEXTS = frozenset(TEXTS_OR_WORDS)
_OF_ANYTHING = frozenset(("labels", "label", "tags", "tag"))
"""Names that may be of anything as long as a list of texts, and then have no O."""
ANY_NAME = "tags are those of {!r}, the only field with one for each token"
TWO_WORDS = "rows have two lists of words, of one length, that differ; one was read"
BESIDE = ("entities", "spans", "ents", "mentions", "entity_mentions", "annotations")
"""Fields that may hold entities beside the tokens and tags of a row."""
_BESIDE = frozenset(BESIDE)


def fields(row: Any) -> tuple[str, str] | None:
    """The names of the fields that hold the tokens and their tags, else None."""
    if not isinstance(row, dict):
        return None
    words, named_tags = _named(tuple(row))
    lists = [name for name in words if plain_list(row[name], str)]
    if not lists:
        return _side_by_side(row, [name for name in row if name in _TEXTS and row[name] and are_texts(row[name])])
    matching = [name for name in named_tags if plain_list(row[name], (str, int, float)) and not _is_idle(row, name)]
    tokens = _as_long(row, lists, matching)
    same = _most_telling(row, [name for name in matching if name != tokens], tokens)
    if same and (same[0] in TAGS or not _has_entities(row)):
        return tokens, same[0]
    return _side_by_side(row, [tokens])


def _lists_labels(values: Sequence[Any], tokens: int) -> bool:
    """Whether these are the names of tags, each once, and no tag for each token."""
    return are_texts(values) and len(values) != tokens and len(set(values)) == len(values)


def _most_telling(row: dict[str, Any], tags: list[str], tokens: str) -> list[str]:
    """Those of several lists of tags that say most, the first of which is read."""
    if len(tags) == 1:
        return tags
    tags = [name for name in tags if not _lists_labels(row[name], len(row[tokens]))] or tags
    # If a row has its tags twice, as numbers and as names, the names say more.
    named = [name for name in tags if are_texts(row[name])]
    same = [name for name in named or tags if len(row[name]) == len(row[tokens])] or tags
    # "tags" may be parts of speech, and those of "ner" the names
    return [name for name in same if len(same) > 1 and any_of_names(row[name])] or same


def _as_long(row: dict[str, Any], lists: Sequence[str], tags: Sequence[str]) -> str:
    """The first of several lists of words that has as many as one of tags, else the first: others may be pieces."""
    if len(lists) == 1:
        return lists[0]
    sizes = {len(row[name]) for name in tags if name not in lists}
    return next((name for name in lists if len(row[name]) in sizes), lists[0])


def _is_idle(row: dict[str, Any], name: str) -> bool:
    """Whether what is called tags is of something else, because a row has its entities beside it: without O and
    letters, as parts of speech are."""
    tags = row[name]
    if not (tags and _has_entities(row) and are_texts(tags)):
        return False
    if any_of_names(tags) or are_tags(tags):
        return False
    filled = any(isinstance(row.get(field), list) and holds_entities(row[field]) for field in BESIDE)
    return filled or are_parts_of_speech(tags)


def note_other_words(row: dict[str, Any], tokens: str, number: int, source: Source) -> None:
    """Note another list of words of a row that is as long as the one that is read and differs from it."""
    others = [
        name
        for name in _lists_of_words(tuple(row))
        if name != tokens
        and are_texts(row[name])
        and row[name] != row[tokens]
        and len(row[name]) == len(row[tokens]) > 0
        and not any_of_names(row[name])
    ]
    if others:
        source.note(TWO_WORDS, number, f"{tokens!r} was read, not {', '.join(map(repr, others))}")


@lru_cache(maxsize=1024)
def _lists_of_words(names: tuple[str, ...]) -> list[str]:
    """Those of the names of a row that end as those of words do, or may be of a text as well (``raw_tokens``)."""
    return [name for name in names if name in _TEXTS or names_words(re.split(r"_|(?<=[a-z])(?=[A-Z])", name)[-1])]


@lru_cache(maxsize=1024)
def _named(names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Those of the names of a row that are of words, and of tags, the usual ones first: kept, because the rows of a
    file have the same."""
    tags = (name for name in names if name in TAGS or (names_tags(name) and not names_entities(name)))
    return usual_first(filter(names_words, names), TOKENS), usual_first(tags, TAGS)


def _side_by_side(row: dict[str, Any], words: Sequence[str]) -> tuple[str, str] | None:
    """The names of a list of words and of the only one that shows a tag for each, whatever it is called; None for
    others, and where a row has entities of its own."""
    if not words or _has_entities(row):
        return None
    for one in words:
        if (named := _labels_alone(row, one)) is not None:
            return one, named
    shown = ((one, [name for name in only_tags(row, len(row[one])) if name != one]) for one in words)
    one, tags = next((pair for pair in shown if pair[1]), ("", []))
    return (one, tags[0]) if len(tags) == 1 else None


def _labels_alone(row: dict[str, Any], words: str) -> str | None:
    """The first field that is called like one of tags and has a label or O for each of these words; else None."""
    size = 0 if any(" " in word.strip() for word in row[words]) else len(row[words])
    for name in _named(tuple(row))[1]:
        value = row[name]
        if name == words or not are_texts(value) or not len(value) == size > 0 or is_predicted([name]):
            continue
        if "O" in value or plain(name) not in _OF_ANYTHING:
            return name
    return None


def only_tags(row: Mapping[str, Any], size: int) -> list[str]:
    """The fields of a row that hold as many tags and no doubt of it, but those that a model predicted: the first that
    is called so, else all, whatever they are called."""
    lists = [(name, value) for name, value in row.items() if are_texts(value) and len(value) == size > 0]
    found = [
        name for name, value in lists if _are_sure(value) and not is_predicted([name]) and "chunk" not in plain(name)
    ]
    usual = usual_first(filter(names_tags, found), TAGS)[:1]
    return usual or ([] if len(found) == 1 and _are_chunks(row[found[0]]) else found)


def _are_chunks(tags: Sequence[str]) -> bool:
    """Whether these are the tags of syntactic chunks."""
    labels = {found[1] for found in map(find_spelling(Counter(tags)).read, tags) if found} - {""}
    return bool(labels) and labels <= CHUNKS


def note_any_name(name: str, tags: Sequence[Any], source: Source) -> None:
    """Note that tags stand under a name that is not usual, and remember whether one of them is of a mention."""
    source.reading.fact(ANY_NAME.format(name), source.file)
    if not names_tags(name):
        source.any_names[name] = source.any_names.get(name, False) or tags.count("O") != len(tags)


def refuse_no_tags(source: Source) -> None:
    """Raises DataError where what was read as tags, under a name that is none of tags, was O alone: other rows may hold
    labels that are not known as tags, and those without names would be all that is read."""
    for name in (name for name, is_shown in source.any_names.items() if not is_shown):
        raise DataError(
            f"{source.file}: all tags of {name!r} that could be read are O, and nothing else says that it holds tags; "
            "call it 'ner_tags' if it does"
        )


def _are_sure(tags: Sequence[str]) -> bool:
    """Whether these are tags beyond doubt, or the O of a sentence without names; a name may be all of a sentence."""
    return tags.count("O") == len(tags) or are_tags(tags) or (max(map(len, tags)) > 2 and are_tags(("O", *tags)))


def _has_entities(row: dict[str, Any]) -> bool:
    return bool(entities_beside(row))


def entities_beside(row: dict[str, Any]) -> list[str]:
    """The fields of a row that may hold entities."""
    if _BESIDE.isdisjoint(row):  # as is usual
        return []
    return [name for name in BESIDE if isinstance(row.get(name), (list, dict))]


def any_of_names(tags: Sequence[Any]) -> bool:
    return any(map(is_of_names, tags))


def is_usual(row: Any) -> bool:
    """Whether a row has the usual fields of tokens and tags alone: asked early, because files of them are large."""
    return type(row) is dict and row.keys() <= _USUAL and fields(row) is not None

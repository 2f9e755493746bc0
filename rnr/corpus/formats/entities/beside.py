"""What rows have beside the entities that are read: each is counted, and what may be the entities is refused."""

import reprlib
from collections.abc import Iterator
from typing import Any

from rnr.corpus.formats.entities.decisions import note_doubtful_row
from rnr.corpus.formats.entities.fields import ENTITIES, OTHERS, SINGULAR, holds_entities, is_entity
from rnr.corpus.formats.entities.labels import names_a_label
from rnr.corpus.formats.entities.names import names_a_place
from rnr.corpus.formats.entities.span_lists import is_span_list
from rnr.corpus.formats.rows import are_texts
from rnr.corpus.formats.shapes import Source
from rnr.corpus.formats.tags.reading import is_of_names

_PEOPLE = ("user", "user_id", "annotator", "annotator_id", "created_username")

PEOPLE = "rows contain the annotations of several people, which were read together"
FURTHER = "rows have further fields with spans, which were not read"
_NOT_FURTHER = frozenset((*ENTITIES, *SINGULAR, "relations", "tokens", "words", "sents", "sentences", "chunks"))
LISTED = "rows list labels beside their entities, which were not read: call them 'schema' where they are meant"
_SCHEMAS = frozenset(
    ("label_list", "labels", "entity_types", "label_names", "label_set", "types", "classes", "ontology")
)
INSIDE = "rows have entities inside their entities, which were not read"
UNREAD = "rows have a further field that may hold entities, in an unknown form; it was not read"
_OF_ALL = frozenset(("labels", "tags"))
"""Fields that may as well be a list of texts about the whole sentence."""


def note_beside(row: dict[str, Any], field: str, number: int, source: Source) -> None:
    """Note what a row has beside the entities in the field that is read."""
    note_doubtful_row(row, number, source)
    source.note_relations(row, number)
    note_listed(row, number, source)
    lists = [name for name, value in row.items() if type(value) is list and name not in _NOT_FURTHER]
    if others := [name for name in lists if _holds_places(row[name])]:
        source.note(FURTHER, number, ", ".join(others))
    entities = [entity for entity in row[field] if isinstance(entity, dict)] if isinstance(row[field], list) else []
    people = {str(entity[name]) for entity in entities for name in _PEOPLE if entity.get(name) is not None}
    if any(isinstance(inner, list) and any(map(is_entity, inner)) for one in entities for inner in one.values()):
        source.note(INSIDE, number)
    if len(people) > 1:
        source.note(PEOPLE, number, ", ".join(sorted(people)))


def note_listed(row: dict[str, Any], number: int, source: Source, *read: str) -> None:
    """Note the labels that a row lists under other names than ``schema`` and those that are read."""
    if _SCHEMAS.isdisjoint(row) or "schema" in row:
        return
    if listed := [name for name in row if name in _SCHEMAS and name not in read and _lists_labels(row[name])]:
        source.note(LISTED, number, ", ".join(listed))


def _lists_labels(value: Any) -> bool:
    return bool(value) and are_texts(value)


def _holds_places(value: list[Any]) -> bool:
    """Whether a list is one of spans, each with its label."""
    return bool(value) and all(
        names_a_label(one) and names_a_place(one) if isinstance(one, dict) else is_span_list(one) for one in value
    )


def note_unread(row: dict[str, Any], field: str, number: int, source: Source, *, empty: bool) -> None:
    """Note the fields of entities that are in no known form beside the one that is read; raises ValueError where
    that has none, and the other says something of the sentence."""
    unread = [name for name in OTHERS if name != field and _is_unknown(name, row.get(name))]
    sentence = str(row.get("sentence", row.get("text")))
    for name in unread if empty else ():
        if isinstance(row[name], list) or any(text in sentence for text in _texts(row[name])):
            raise ValueError(
                f"the field {field!r} is empty, and {name!r} beside it is in no form that is known "
                f'({reprlib.repr(row[name])}): write entities as {{"text": "Ada", "label": "person"}}, or remove '
                "the field that is not meant"
            )
    if unread:
        source.note(UNREAD, number, ", ".join(unread))


def _is_unknown(name: str, value: Any) -> bool:
    """Whether a field that may hold entities holds something, and no entities in a form that is known."""
    if not isinstance(value, (list, dict)) or holds_entities(value) or not any(map(bool, _leaves(value))):
        return False
    return not (name in _OF_ALL and are_texts(value)) or any(map(is_of_names, value))


def _leaves(value: Any) -> Iterator[Any]:
    """What a value holds that is no list and no object."""
    if not isinstance(value, (list, dict)):
        yield value
        return
    for inner in value.values() if isinstance(value, dict) else value:
        yield from _leaves(inner)


def _texts(value: dict[str, Any]) -> list[str]:
    """The names of an object, and the texts in it."""
    return [text for text in (*value, *_leaves(value)) if isinstance(text, str) and text]

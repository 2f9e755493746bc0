"""Where an entity stands among the tokens of its row, under any of the names that tools give its first and last."""

from typing import Any

from rnr.corpus.formats.entities.places import without

FIELDS = ("entities", "entity_mentions", "ner", "spans")
_FURTHER = ("mentions", "entityMentions", "ents")
"""Fields that hold the entities of a row of tokens, and those that do where none of the others is there."""
_PAIRS = (
    *(("start", "end"), ("start_token", "end_token"), ("startToken", "endToken"), ("start_tok", "end_tok")),
    *(("tok_start", "tok_end"), ("start_word", "end_word"), ("word_start", "word_end"), ("begin", "end")),
    *(("from", "to"), ("start_idx", "end_idx"), ("start_index", "end_index"), ("begin_token", "end_token")),
)
"""The ends of Prodigy's ``token_start`` and ``token_end`` are inclusive."""
_LISTS = ("span", "token_span", "tokenSpan", "token_range", "word_span")


def entity_lists(row: dict[str, Any]) -> list[str]:
    """The fields that hold the entities of a row of tokens."""
    found = [name for name in FIELDS if isinstance(row.get(name), list)]
    return found or [name for name in _FURTHER if isinstance(row.get(name), list)][:1]


def with_place(entity: dict[str, Any]) -> dict[str, Any]:
    """The entity with ``start`` and ``end`` in the place of the names that it has for them, if it has any."""
    for name in _LISTS:
        if isinstance(entity.get(name), list) and len(entity[name]) == 2:
            return without(entity, name) | dict(zip(("start", "end"), entity[name], strict=True))
    for start, end in _PAIRS:
        if start in entity and end in entity:
            return without(entity, start, end) | {"start": entity[start], "end": entity[end]}
    return entity


def refuse_parts(entity: dict[str, Any], label: Any, place: str) -> None:
    """Raises ValueError for an entity that says its place under no name that is known, or several labels."""
    if not {"start", "end"} <= entity.keys():
        raise ValueError(
            f"{place} has no place among its tokens under a name that is known: write its first token as 'start' and "
            f"one past its last as 'end'; it has: {', '.join(entity)}"
        )
    if isinstance(label, list):
        raise ValueError(f"{place} has {len(label)} labels ({', '.join(map(str, label))}): keep one, as its 'label'")

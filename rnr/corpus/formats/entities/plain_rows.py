"""Rows with a sentence and its entities under any of the names that tools give these fields -> our own names.

What has our names already stays as it is, so that an error names what the file says.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rnr.corpus.formats.entities.beside import FURTHER, note_beside, note_unread
from rnr.corpus.formats.entities.decisions import REJECTED, is_rejected
from rnr.corpus.formats.entities.fields import (
    ENTITIES,
    MAY_BE_EMPTY,
    OURS,
    SINGULAR,
    agreeing,
    compared,
    entity_fields,
    is_entity,
)
from rnr.corpus.formats.entities.labels import names_a_label
from rnr.corpus.formats.entities.names import may_be_pair, names_a_place, own_entity
from rnr.corpus.formats.entities.places import without
from rnr.corpus.formats.entities.span_lists import from_list
from rnr.corpus.formats.shapes import Shape, Source, each
from rnr.corpus.formats.shown_lists import list_in, shows_a_list
from rnr.corpus.report import Reading

TEXTS = (
    *("sentence", "text", "content", "data", "input", "raw_text", "document", "raw", "tweet", "sent", "sentText"),
    *("full_text", "source_text", "generated_text", "unmasked_text", "original_text", "originalText", "utterance"),
)
AS_STRING = "rows hold their entities as text with a list in it, which was read"
SAME_TWICE = "rows hold their entities in two fields, which agree"
GROUPS = "documents have groups of spans beside their entities, which were not read"
OF_ALL = "rows have a 'label' of their whole sentence beside their entities, which was not read"
OTHER_TEXTS = "rows have another text beside their sentence, which was not read"
LIKELY_TEXT = "rows have no sentence under a name that is known; {!r} was read as it"
_OF_A_TEXT = re.compile(r"text(?!.*id$)|sentence(?!.*id$)|content|utterance|passage|paragraph|abstract", re.IGNORECASE)
"""How a text is called that is called by none of the names above."""
IN_GROUPS = "rows have their entities in several groups, whose names are not their labels, and were read together"
BY_LABEL = "rows list the texts of their entities by label, without offsets"


_FIELDS = frozenset(("sentence", "text", "entities", "label", "schema", "dataset", "guid", "cot"))
_ENTITY = frozenset(("label", "text", "start", "end"))
_OF_PRODIGY = ("_input_hash", "_task_hash", "_view_id", "_session_id", "_annotator_id", "_timestamp", "_is_binary")
_READ = _FIELDS | {"id", "reasoning", "relations", "answer", *ENTITIES, *_OF_PRODIGY}
"""The fields of a row that something may be read from, beside its texts, and those that Prodigy keeps for itself."""


def not_read(row: dict[str, Any]) -> set[str]:
    """The fields of a row, in our own names beside those that it had, that nothing was read from."""
    if row.keys() <= _FIELDS:
        return set()
    sentence = row.get("sentence", row.get("text"))
    return {name for name in row.keys() - _READ if row[name] != sentence}


def is_our_own(row: Any) -> bool:
    """Whether a row has our own names alone: asked first of every row, because most rows of large files have."""
    if type(row) is not dict or not row.keys() <= _FIELDS or ("entities" in row) == ("label" in row):
        return False
    if ("sentence" in row) == ("text" in row):
        return False
    found = row["entities"] if "entities" in row else row["label"]
    if type(found) is not list or type(row["sentence"] if "sentence" in row else row["text"]) is not str:
        return False
    for entity in found:
        if type(entity) is dict:
            if not entity.keys() <= _ENTITY or type(entity.get("label")) is not str:
                return False
            if type(entity.get("start", 0)) is not int or type(entity.get("end", 0)) is not int:
                return False
        elif type(entity) is not list or [type(part) for part in entity] != [int, int, str]:
            return False
    return True


def own_row(row: dict[str, Any], number: int, source: Source) -> dict[str, Any]:
    """The row in our own names; raises ValueError where two fields contradict each other, or offsets are not clear."""
    if is_our_own(row):
        return row
    row = _with_lists(_with_sentence(row, number, source), number, source)
    row = _without_groups(_without_class(row, number, source), number, source)
    field = _entity_field(row, number, source)
    if field is None:
        return without(row, *(name for name in OURS if name in row and row[name] is None))
    note_beside(row, field, number, source)
    found = _entities(row[field], field, row, number, source)
    note_unread(row, field, number, source, empty=not found)
    if field in OURS and found is row[field]:
        return without(row, *(name for name in OURS if name != field and name in row))
    return without(row, *OURS, *([field] if field in SINGULAR else [])) | {
        field if field in OURS else "entities": found
    }


def _with_sentence(row: dict[str, Any], number: int, source: Source) -> dict[str, Any]:
    if "sentence" in row and "text" in row:
        if row["sentence"] != row["text"]:
            raise ValueError("'sentence' and 'text' are two different texts; keep the one that the entities are of")
        return without(row, "text")
    texts = [name for name in TEXTS if isinstance(row.get(name), str)]
    # A name, such as that of a document, has no space in it.
    others = [name for name in texts[1:] if row[name] != row[texts[0]] and " " in row[name].strip()]
    if others and not any(shows_a_list(row[name]) for name in others):
        source.note(OTHER_TEXTS, number, f"{texts[0]!r} was read, not {', '.join(map(repr, others))}")
    if not texts and (likely := likely_text(row)):
        source.reading.fact(LIKELY_TEXT.format(likely), source.file)
        texts = [likely]
    return row | {"sentence": row[texts[0]]} if texts and not {"sentence", "text"} & row.keys() else row


def likely_text(row: Any) -> str | None:
    """The one field of a row with entities, and without a sentence under any of the names above, that is called like
    one; None where there is none, or several."""
    if not isinstance(row, dict) or any(isinstance(row.get(name), str) for name in TEXTS):
        return None
    if not any(isinstance(row.get(name), (list, dict)) for name in (*ENTITIES, *SINGULAR)):
        return None
    found = [name for name, value in row.items() if isinstance(value, str) and _OF_A_TEXT.search(str(name))]
    return found[0] if len(found) == 1 and found[0].lower() not in TEXTS else None


def _without_groups(row: dict[str, Any], number: int, source: Source) -> dict[str, Any]:
    """The row without the groups of spans that spaCy's documents have beside their entities.

    Raises ValueError where there are several groups and no entities.
    """
    groups = row.get("spans")
    if not isinstance(groups, dict) or not any(isinstance(row.get(name), list) for name in ("ents", "entities")):
        return row
    filled = [name for name, spans in groups.items() if isinstance(spans, list) and any(map(is_entity, spans))]
    if not any(row.get(name) for name in ("ents", "entities")):
        if len(filled) > 1:
            raise ValueError(f"no entities, and several groups of spans ({', '.join(filled)}); keep the one meant")
        return row
    if filled:
        source.note(GROUPS, number, ", ".join(filled))
    return without(row, "spans")


def _without_class(row: dict[str, Any], number: int, source: Source) -> dict[str, Any]:
    """The row without a ``label`` that is one of its whole sentence, where another field holds its entities."""
    if not isinstance(row.get("label"), (str, int, float)):
        return row
    if not any(isinstance(row.get(name), (list, dict)) for name in ("entities", "spans")):
        return row
    source.note(OF_ALL, number, repr(row["label"]))
    return without(row, "label")


def _with_lists(row: dict[str, Any], number: int, source: Source) -> dict[str, Any]:
    """The row with the list that stands as text in a field of entities, as tables keep it: JSON, or as Python shows
    it."""
    for name in (*ENTITIES, *SINGULAR):
        value = row.get(name)
        if isinstance(value, str) and value[:1] in ("[", "{") and (found := list_in(value)) is not None:
            source.note(AS_STRING, number, name)
            row = row | {name: found}
    return row


def _entity_field(row: dict[str, Any], number: int, source: Source) -> str | None:
    """The field with the entities, None where there is none; raises ValueError where two differ."""
    there, further = entity_fields(row)
    if further:
        source.note(FURTHER, number, ", ".join(further))
    if not there:
        empty = [name for name in (*MAY_BE_EMPTY, *SINGULAR) if row.get(name) in ([], {})]
        return empty[0] if empty else None
    if len(there) > 1:
        sentence = row.get("sentence", row.get("text"))
        quiet = replace(source, reading=Reading(options=source.reading.options))  # what is read is noted when it is
        found = {name: [compared(one, sentence) for one in _entities(row[name], name, row, 0, quiet)] for name in there}
        read = agreeing(found)
        source.note(SAME_TWICE, number, f"{', '.join(there)}; {read!r} was read")
        return read
    return there[0]


def _entities(value: Any, field: str, row: dict[str, Any], number: int, source: Source) -> Any:
    """The entities in our own names; the value itself where nothing had to be changed, or where it is no list."""
    if isinstance(value, dict) and value.keys() == {"entities"}:  # as in spaCy's tuples
        value = value["entities"]
    if isinstance(value, dict) and _is_alone(value):
        value = [value]
    if isinstance(value, dict):
        side_by_side = _side_by_side(value)
        value = list(_by_label(_filled(value), row, number, source)) if side_by_side is None else side_by_side
    if not isinstance(value, list):
        return value
    if rejected := sum(map(is_rejected, value)):
        source.note(REJECTED, number, times=rejected)
        value = [entity for entity in value if not is_rejected(entity)]
    if value and all(isinstance(entity, str) for entity in value):
        raise ValueError(
            f"{field!r} lists texts alone ({', '.join(map(repr, value[:3]))}): an entity has a text and a label; or "
            "are they labels of the whole sentence?"
        )
    sentence = row.get("sentence", row.get("text"))
    found = [own_entity(one, f"{field}[{place}]", number, source, sentence) for place, one in enumerate(value)]
    return value if all(new is old for new, old in zip(found, value, strict=True)) else found


def _is_alone(value: dict[str, Any]) -> bool:
    """Whether an object is one entity, without a list around it."""
    return (
        names_a_label(value)
        and names_a_place(value)
        and not any(isinstance(one, (list, dict)) for one in value.values())
    )


def _side_by_side(value: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Entities whose fields are a list each, as ``datasets`` keeps them (``{"start": [0], "end": [3], "label":
    ["PER"]}``); None for what is listed otherwise."""
    columns = list(value.values())
    lists = all(isinstance(column, list) for column in columns)
    if not (lists and names_a_label(value) and names_a_place(value) and len(set(map(len, columns))) == 1):
        return None
    return [dict(zip(value, parts, strict=True)) for parts in zip(*columns, strict=True)]


def _filled(value: dict[str, Any]) -> dict[str, Any]:
    """An object without the labels that say of themselves that they have no entity."""
    return {label: texts for label, texts in value.items() if texts not in (None, "")}


def _by_label(value: dict[str, Any], row: dict[str, Any], number: int, source: Source) -> Iterator[dict[str, Any]]:
    """Entities listed by label: ``{"person": ["Ada"]}``, or with places as CLUENER has them, whose ends are inclusive:
    ``{"person": {"Ada": [[0, 2]]}}``."""
    sentence, listed = row.get("sentence", row.get("text")), False
    _note_groups(value, number, source)
    for label, texts in value.items():
        kinds = {type(text) for text in texts} if isinstance(texts, list) else {type(texts)}
        if (single := _single(label, texts, number, source, sentence)) is not None:
            yield single
        elif isinstance(texts, dict):
            for text, places in texts.items():
                for place in places if isinstance(places, list) and not _is_pair(places) else [places]:
                    yield {"text": text, "label": label} | _inclusive(place, text, sentence)
        elif kinds <= {str} and isinstance(texts, list):
            listed = listed or bool(texts)
            yield from ({"text": text, "label": label} for text in texts)
        elif kinds == {dict}:
            yield from ({"label": label} | text for text in texts)
        elif kinds == {list} and all(len(text) == 2 for text in texts):
            yield from ({"start": start, "end": end, "label": label} for start, end in texts)
        else:
            raise ValueError(f"the entities of {label!r} must be a list of their texts, found {type(texts).__name__}")
    if listed:
        source.note(BY_LABEL, number)


def _note_groups(value: dict[str, Any], number: int, source: Source) -> None:
    """Note several names that are of annotators or layers: what is listed below each has other labels."""
    if len(groups := [name for name, entities in value.items() if _is_group(name, entities)]) > 1:
        source.note(IN_GROUPS, number, ", ".join(groups))


def _is_group(name: str, entities: Any) -> bool:
    if not isinstance(entities, list) or not entities or not all(isinstance(one, dict) for one in entities):
        return False
    return all(isinstance(one.get("label"), str) and one["label"] != name for one in entities)


def _single(label: str, texts: Any, number: int, source: Source, sentence: Any) -> dict[str, Any] | None:
    """The one entity that a name and its value tell: an entity under its number, or a text and its label."""
    if isinstance(texts, dict) and isinstance(texts.get("label", texts.get("type")), str):
        return texts
    pair = from_list([label, texts], label, number, source, sentence) if may_be_pair(label, texts) else None
    return pair if isinstance(pair, dict) else None


def _is_pair(place: Any) -> bool:
    """Whether a value is one place and no list of them."""
    return isinstance(place, list) and [type(part) for part in place] == [int, int]


def _inclusive(place: Any, text: str, sentence: Any) -> dict[str, int]:
    if _is_pair(place) and isinstance(sentence, str):
        for end in (place[1] + 1, place[1]):
            if end <= len(sentence) and sentence[place[0] : end] == text:  # a slice beyond its end would be cut
                return {"start": place[0], "end": end}
    if isinstance(place, dict) and text not in str(sentence):
        raise ValueError(f"the entities are a level deeper, in {text!r}: list those of one annotator as 'entities'")
    raise ValueError(f"entity {text!r} is not at {place} of its sentence")


SHAPE = Shape(
    name="a sentence and its entities",
    recognises=lambda row: (
        isinstance(row, dict) and (any(isinstance(row.get(name), str) for name in TEXTS) or bool(likely_text(row)))
    ),
    rows=each(own_row),
)

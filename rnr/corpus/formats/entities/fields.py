"""The fields in which a row may hold its entities: which of several is read, and whether they agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnr.corpus.formats.entities.labels import likely_label, names_a_label
from rnr.corpus.formats.entities.names import names_an_offset
from rnr.corpus.formats.entities.offsets import place_of
from rnr.corpus.formats.entities.span_lists import is_span_list

OURS = ("entities", "spans", "label")
MAY_BE_EMPTY = (
    *("labels", "annotations", "ents", "annotation", "ner", "mentions", "entity_mentions", "named_entities"),
    *("entity_list", "nes", "span_labels", "extractions", "output", "gold", "denotations", "privacy_mask", "pii_spans"),
    *("Entities", "entityMentions"),
)
SINGULAR = ("entity", "mention")
"""Fields that hold the entities of a row without any of the others, and else may be of anything."""
OTHERS = (*MAY_BE_EMPTY, "tags")
ENTITIES = (*OURS, *OTHERS)
"""The fields in which a row may hold its entities."""

OUTSIDE = "O"


@dataclass(frozen=True, slots=True)
class Compared:
    """What a field tells of an entity."""

    place: tuple[int, int] | None
    text: str
    label: str

    def shown(self, *, by_place: bool) -> tuple[str, str]:
        """What it is compared by: its place, or else its text, and its label."""
        return (str(list(self.place)) if by_place and self.place else repr(self.text), self.label)


def entity_fields(row: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The fields of a row that hold its entities, and those that may be of something else beside them: their labels
    stand under no name that is known, or they are called by the singular."""
    there = [name for name in OURS if row.get(name) is not None]
    there += [name for name in OTHERS if holds_entities(row.get(name))]
    singular = [name for name in SINGULAR if holds_entities(row.get(name))]
    if not there:
        return singular, []
    sure = [name for name in there if name in OURS or _is_labelled(row[name])]
    further = [name for name in there if name not in sure] if any(row[name] for name in sure) else []
    return [name for name in there if name not in further], further + singular


def _is_labelled(value: Any) -> bool:
    """Whether each entity of a field that holds them has its label under a name that is known."""
    return isinstance(value, dict) or all(names_a_label(one) for one in value if isinstance(one, dict))


def holds_entities(value: Any) -> bool:
    """Whether a field that may hold something else holds entities: a list of spans, or texts listed by label."""
    if isinstance(value, dict):
        filled = [inner for inner in value.values() if inner not in (None, "")]
        return bool(filled) and all(isinstance(inner, (list, dict)) for inner in filled)
    return isinstance(value, list) and bool(value) and all(is_entity(inner) for inner in value)


def is_entity(value: Any) -> bool:
    if isinstance(value, dict):
        return names_a_label(value) or (likely_label(value) is not None and ("text" in value or names_an_offset(value)))
    return is_span_list(value)


def compared(entity: Any, sentence: Any) -> Compared:
    """What an entity in our own names tells; its text is that of its place where it has none."""
    if not isinstance(entity, (list, dict)):
        return Compared(None, str(entity), "")
    parts = zip(("start", "end", "label"), entity, strict=False)
    fields: dict[str, Any] = entity if isinstance(entity, dict) else dict(parts)
    place = place_of(entity)
    text = fields.get("text", fields.get("name"))
    if text is None and place is not None and isinstance(sentence, str):
        text = sentence[slice(*place)]
    label = fields.get("label", fields.get("type"))
    return Compared(place, str(text), str(label))


def agreeing(found: Mapping[str, Sequence[Compared]]) -> str:
    """The field to be read of several that say the same: one with places before one with texts alone, one without
    spans of what is outside (``[0, 11, "O"]``) before one with them. Raises ValueError where they do not agree.
    """
    marked = {name: any(one.label == OUTSIDE for one in values) for name, values in found.items()}
    inside = {name: [one for one in values if one.label != OUTSIDE] for name, values in found.items()}
    if all(marked.values()):
        inside = {name: list(values) for name, values in found.items()}
    placed = {name: all(one.place for one in values) for name, values in inside.items()}
    by_place = all(placed.values())
    shown = {name: sorted(one.shown(by_place=by_place) for one in values) for name, values in inside.items()}
    first, *others = shown
    for other in others:
        if shown[other] != shown[first]:
            counts = " and ".join(f"{name!r} ({len(values)})" for name, values in found.items())
            said = "; ".join(filter(None, (_only(shown, first, other), _only(shown, other, first))))
            raise ValueError(f"the fields {counts} hold entities and do not agree; keep one of them ({said})")
    return min(found, key=lambda name: (not placed[name], marked[name]))


def _only(shown: Mapping[str, Sequence[tuple[str, str]]], name: str, other: str) -> str:
    """The first entity that one field has and the other has not, or has more often."""
    left = list(shown[other])
    for one in shown[name]:
        if one not in left:
            return f"only {name!r} has {one[0]} as {one[1]}"
        left.remove(one)
    return ""

"""The label of an entity under any of the names that tools give it, and the error where several of them differ."""

import re
from typing import Any

from rnr.corpus.formats.rows import DataError
from rnr.corpus.formats.shapes import Source

LABELS = (
    *("label", "type", "category", "entity_group", "entity_type", "entityType", "tag", "class", "ent_type"),
    *("entity_label", "label_", "ner", "Type", "Category", "labels", "kind", "extraction_class", "obj", "types"),
    "entity",
)
_FINER = frozenset(
    ("subtype", "sub_type", "subcategory", "subCategory", "sublabel", "fine_label", "fine_type", "entity_subtype")
)
_VAGUE = frozenset(("type", "Type", "class", "kind", "tag"))
"""Names under which something else than a label may stand."""
_NO_LABELS = frozenset(
    ("span", "entity", "named_entity", "named entity", "annotation", "mention", "token", "ner", "ne", "label", "labels")
)
"""What tools write there, which says of an annotation that it is one."""

_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_OF_A_LABEL = frozenset(
    (
        *("label", "labels", "type", "typ", "tag", "class", "cls", "category", "cat", "kind", "slot", "ner", "ne"),
        *("concept", "tipo", "etiqueta", "classe", "klasse", "categoria", "kategorie"),
    )
)
_OF_NO_LABEL = frozenset(
    (
        *("id", "ids", "color", "colour", "text", "desc", "description", "comment", "note", "url", "uri", "score"),
        *("date", "time", "user", "by", "source", "shortcut", "key", "norm", "mention", "token", "pos"),
    )
)
"""Parts of the names under which a label may stand that is called by none of those above, and of those of others."""

LIKELY_LABEL = "entities have no label under a name that is known; {!r} was read as it"
TWO_LABELS = "entities have two labels under two names; one was read"
FINER = "entities have a finer label beside their label, which was not read"


def names_a_label(entity: dict[str, Any]) -> bool:
    """Whether any of the names of a label is there."""
    return any(name in entity for name in LABELS)


def likely_label(entity: dict[str, Any]) -> str | None:
    """The one field of an entity without a label under any of the names above that is called like one; None where
    there is none, or several."""
    if names_a_label(entity):
        return None
    found = [name for name, value in entity.items() if _is_called_like_one(name, value)]
    return found[0] if len(found) == 1 else None


def _is_called_like_one(name: Any, value: Any) -> bool:
    parts = {part.lower() for part in _PARTS.findall(name)} if isinstance(value, str) and value.strip() else set()
    return bool(parts & _OF_A_LABEL) and not parts & _OF_NO_LABEL


def label_field(entity: dict[str, Any], place: str, number: int, source: Source) -> str | None:
    """The name of the field with the label of an entity, None where there is none; what others hold is noted."""
    found = [name for name in LABELS if isinstance(entity.get(name), (str, int, list, dict))]
    read = one_label(entity[found[0]]) if found else None
    for name in found[1:]:
        other = one_label(entity[name])
        # "entity" is the text where there is another name.
        if name != "entity" and isinstance(read, str) and isinstance(other, str) and other.strip() and other != read:
            source.note(TWO_LABELS, number, f"{place}: {found[0]} {read!r}, not {name} {other!r}")
            _remember(source, (found[0], name), read, other)
    for finer in sorted(_FINER.intersection(entity)):
        if isinstance(entity[finer], str) and entity[finer]:
            source.note(FINER, number, f"{place}: {finer} {entity[finer]!r}")
    if not found and (likely := likely_label(entity)):
        source.reading.fact(LIKELY_LABEL.format(likely), source.file)
        _remember(source, (likely, ""), entity[likely], "")
        return likely
    return found[0] if found else None


def _remember(source: Source, names: tuple[str, str], *labels: str) -> None:
    """Keep two labels that stand under each name, which is enough to tell whether all of them are one."""
    for seen, label in zip(source.two_labels.setdefault(names, (set(), set())), labels, strict=True):
        if len(seen) < 2:
            seen.add(label)


def refuse_no_labels(source: Source) -> None:
    """Raises DataError where what was read of two names is the same for all entities, and seems to be no label."""
    for (name, other), (read, left) in source.two_labels.items():
        label = min(read)
        if len(read) == 1 and (label.casefold() in _NO_LABELS or (name in _VAGUE and len(left) > 1)):
            labels = ", ".join(map(repr, sorted(left)))
            others = f"and by {other!r} they are {labels}; remove the field that is not their label"
            none = "which seems to be no label: give them one, and call it 'label'"
            raise DataError(
                f"{source.file}: by {name!r}, which was read, entities are all {label!r}, {others if other else none}"
            )


def one_label(value: Any) -> Any:
    """The label in a list of one, or in an object: Flair's has a score beside it, other tools an id and a colour."""
    one = value[0] if isinstance(value, list) and len(value) == 1 else value
    if not isinstance(one, dict):
        return one
    return next((one[name] for name in ("value", "name", "label", "title") if isinstance(one.get(name), str)), one)

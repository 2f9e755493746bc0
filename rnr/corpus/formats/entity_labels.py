"""The label of an entity under any of the names that tools give it, and what is said where several of them differ."""

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

TWO_LABELS = "entities have two labels under two names; one was read"
FINER = "entities have a finer label beside their label, which was not read"


def names_a_label(entity: dict[str, Any]) -> bool:
    """Whether any of the names of a label is there."""
    return any(name in entity for name in LABELS)


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
            raise DataError(
                f"{source.file}: by {name!r}, which was read, entities are all {label!r}, and by {other!r} they are "
                f"{', '.join(map(repr, sorted(left)))}; take away the field that is not their label"
            )


def one_label(value: Any) -> Any:
    """The label in a list of one, or in an object: Flair's has a score beside it, other tools an id and a colour."""
    one = value[0] if isinstance(value, list) and len(value) == 1 else value
    if not isinstance(one, dict):
        return one
    return next((one[name] for name in ("value", "name", "label", "title") if isinstance(one.get(name), str)), one)

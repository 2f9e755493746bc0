"""LUIS: utterances with their intent and entities, the ends of which are inclusive."""

from typing import Any

from rnr.corpus.formats.entities.plain_rows import own_row
from rnr.corpus.formats.shapes import Shape, Source, each, has

INCLUSIVE = "utterances of LUIS have inclusive ends, and were read so"

_FORMS = (
    ("entities", "startPos", "endPos", "entity"),
    ("entityLabels", "startCharIndex", "endCharIndex", "entityName"),
)
"""The field of the entities, and the names of their first and last character and of their label."""


def _form(row: Any) -> tuple[str, str, str, str] | None:
    if not has(row, text=str):
        return None
    for form in _FORMS:
        found = row.get(form[0])
        if isinstance(found, list) and found and all(has(one, **dict.fromkeys(form[1:3], int)) for one in found):
            return form
    return None


def _row(row: dict[str, Any], number: int, source: Source) -> dict[str, Any]:
    field, start, end, label = _form(row) or _FORMS[0]
    entities = [
        {"start": one[start], "end": one[end] + 1, "label": one[label]}
        | ({"children": one["children"]} if one.get("children") else {})
        for one in row[field]
    ]
    source.note(INCLUSIVE, number)
    return own_row({"sentence": row["text"], "entities": entities}, number, source)


def _unread(row: dict[str, Any]) -> set[str]:
    field, *read = _form(row) or _FORMS[0]
    beside = {f"{field}.{name}" for one in row[field] for name in one if name not in (*read, "children")}
    return row.keys() - {"text", field} | beside


SHAPE = Shape(
    name="LUIS",
    recognises=lambda row: _form(row) is not None and ("intent" in row or "intentName" in row),
    rows=each(_row),
    fields=frozenset(("intent", "intentName")),
    unread=_unread,
    own_offsets=False,
)

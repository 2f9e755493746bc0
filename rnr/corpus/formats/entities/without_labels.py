"""Files whose spans have a place and their own text, which would be taken for their label: they have none."""

from collections.abc import Iterator
from typing import Any

from rnr.corpus.formats.entities.offsets import entities_of, place_of
from rnr.corpus.formats.rows import DataError, Row
from rnr.corpus.formats.shapes import Source
from rnr.messages import counted

_SHOWN = 3


def with_labels(rows: Iterator[Row], source: Source) -> Iterator[Row]:
    """The rows; raises DataError after the last where all their spans are labelled with their own texts alone.

    One may well be (``protein`` in a text on proteins), and one that has its text beside its label says so.
    """
    said: list[str] = []
    alike = True
    for number, row in rows:
        yield number, row
        for label, text in _labelled(row) if isinstance(row, dict) else ():
            said.append(text)
            alike = alike and label == text
            if label.casefold() != text.casefold():
                yield from rows
                return
    if said and (alike or len(set(said)) > 1):
        shown = ", ".join(map(repr, dict.fromkeys(said[:_SHOWN])))
        raise DataError(
            f"{source.file}: {counted(len(said), 'span')} with text and place but no label: where it should be is "
            f"the text itself ({shown}); write [start, end, label], or, where that is meant, "
            '{"text": ..., "start": ..., "end": ..., "label": ...}'
        )


def _labelled(row: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The label of each span and what stands at its place; no text for one that has its own beside its label."""
    name, sentence = entities_of(row)
    for entity in row[name] if name else ():
        place = place_of(entity)
        parts = zip(("start", "end", "label"), entity if isinstance(entity, list) else (), strict=False)
        fields: dict[str, Any] = entity if isinstance(entity, dict) else dict(parts)
        label = fields.get("label", fields.get("type"))
        if place is not None and isinstance(label, str):
            yield label, "" if fields.keys() & {"text", "name"} else sentence[slice(*place)]

"""How a shape is made that is recognised and not read."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from rnr.corpus.formats.entities.labels import names_a_label
from rnr.corpus.formats.entities.places import is_number
from rnr.corpus.formats.rows import DataError, Row
from rnr.corpus.formats.shapes import Shape, Source, each
from rnr.messages import counted

WRITE_OFFSETS = "write {'text': ..., 'entities': [[start, end, label]]}, with offsets in characters, the end exclusive"
"""What to do with entities in a form that is not read."""


def refused(name: str, advice: str, recognises: Callable[[Any], bool], *fields: str) -> Shape:
    """A shape whose rows, which have one of these fields, are errors that say what they look like, and what to do."""

    def refuse(_: Any, __: int, ___: Source) -> None:
        raise ValueError(f"this looks like {name}, which is not read: {advice}")

    return Shape(name=name, recognises=recognises, rows=each(refuse), fields=frozenset(fields))


def refused_once(name: str, advice: str, recognises: Callable[[Any], bool], *fields: str) -> Shape:
    """As ``refused``, of rows that are a part of a sentence each: the second error counts those behind the first."""
    shape = refused(name, advice, recognises, *fields)

    def rows(values: Iterable[Row], source: Source) -> Iterator[Row]:
        values, count, last = iter(values), 0, 0
        yield from shape.rows(islice(values, 1), source)
        for number, value in values:
            if isinstance(value, DataError):
                yield number, value
            else:
                count, last = count + 1, number
        if count:
            yield source.fault(last, f"up to this one {counted(count, 'more row')} of {name}")

    return replace(shape, rows=rows)


def any_has(values: list[Any], field: str) -> bool:
    """Whether any of these values is an object with this field."""
    return any(isinstance(value, dict) and field in value for value in values)


BEGINS = (
    "start",
    "begin",
    "start_offset",
    "start_char",
    "char_start",
    "startOffset",
    "start_pos",
    "start_idx",
    "offset",
)


def is_entity_alone(row: Any) -> bool:
    """Whether a row is one entity with its place and its label, without the text that it is in."""
    if not isinstance(row, dict) or not any(is_number(row.get(name)) for name in BEGINS):
        return False
    return names_a_label(row) and not any(isinstance(value, (list, dict)) for value in row.values())

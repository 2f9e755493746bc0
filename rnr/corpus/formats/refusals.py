"""How a shape is made that is recognised and not read."""

from collections.abc import Callable
from typing import Any

from rnr.corpus.formats.shapes import Shape, Source, each

WRITE_OFFSETS = "write {'text': ..., 'entities': [[start, end, label]]}, with offsets in characters, the end exclusive"
"""What to do with entities in a form that is not read."""


def refused(name: str, advice: str, recognises: Callable[[Any], bool], *fields: str) -> Shape:
    """A shape whose rows, which have one of these fields, are errors that say what they look like, and what to do."""

    def refuse(_: Any, __: int, ___: Source) -> None:
        raise ValueError(f"this looks like {name}, which is not read: {advice}")

    return Shape(name=name, recognises=recognises, rows=each(refuse), fields=frozenset(fields))


def any_has(values: list[Any], field: str) -> bool:
    """Whether any of these values is an object with this field."""
    return any(isinstance(value, dict) and field in value for value in values)

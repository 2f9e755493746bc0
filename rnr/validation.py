"""Errors of pydantic -> plain sentences, for configs, rows, files of an export and requests alike."""

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError, ValidationInfo, field_validator

Model = TypeVar("Model", bound=BaseModel)
Place: TypeAlias = tuple[str | int, ...]

_IN_WORDS = {
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "must be true or false"),
    **dict.fromkeys(("list_type", "tuple_type"), "must be a list"),
    "string_type": "must be text",
    "finite_number": "must be finite",
    "missing": "is missing",
    "too_short": "must not be empty",
    "extra_forbidden": "is unknown",
}
"""pydantic's error type -> what the value must be."""
_TABLES = ("dict_type", "model_type", "model_attributes_type", "dataclass_type")
_THEIRS = (
    ("Input should be ", "must be "),
    ("greater than or equal to", "at least"),
    ("less than or equal to", "at most"),
    ("greater than", "more than"),
)
"""pydantic's words in other messages, and ours."""
_SHOWN = reprlib.Repr()
_SHOWN.maxdict = _SHOWN.maxlist = _SHOWN.maxtuple = 20
_SHOWN.maxstring = _SHOWN.maxother = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One value that is wrong."""

    place: Place
    kind: str
    """pydantic's error type, for the first alternative of the field's type."""
    ways: int
    """The number of alternatives of the field's type."""
    expected: str
    """What it has to be: ``must be a whole number``."""
    given: Any

    @property
    def name(self) -> str:
        """The place with dots: ``reward.scorers.0.use``."""
        return ".".join(map(str, self.place))

    @property
    def message(self) -> str:
        """What it has to be and what it is, unless that is a whole object or says nothing."""
        whole = self.kind in ("missing", "value_error") and isinstance(self.given, dict)
        return self.expected if whole or self.kind == "json_invalid" else f"{self.expected} (got {shown(self.given)})"


def shown(value: Any) -> str:
    """The ``repr`` of a value, shortened; plain ``repr`` raises on very deep nesting."""
    return _SHOWN.repr(value)


def explain(error: ValidationError, model: type[BaseModel], *, whole: str = "") -> list[str]:
    """A line for each wrong value: ``steps: must be at least 0 (got -1)``; ``whole`` names the value as a whole."""
    lines = []
    for fault in faults(error, model):
        message = fault.message
        if fault.kind == "extra_forbidden" and len(fault.place) == 1:
            message = f"unknown field; known are {', '.join(model.model_fields)}"
        lines.append(": ".join(filter(None, (fault.name or whole, message))))
    return lines


def validated(model: type[Model], value: Any, section: str) -> Model:
    """The value as a section of a config; raises ValueError with a line for each key of it that is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        lines = (f"{section}{'.' * bool(fault.place)}{fault.name}: {fault.message}" for fault in faults(error, model))
        raise ValueError("\n".join(lines)) from None


class FlagsApart(BaseModel):
    """A model that takes true and false for no number: pydantic would read them as 1 and 0."""

    @field_validator("*", mode="before")
    @classmethod
    def _no_flag_is_a_number(cls, value: Any, field: ValidationInfo) -> Any:
        return _flags_apart(cls.model_fields[str(field.field_name)].annotation, value)


class _Flag(str):
    """true or false in place of a number; it cannot be converted to one."""

    def __repr__(self) -> str:
        return str(self)


def _flags_apart(annotation: Any, value: Any) -> Any:
    """The value for a field of this type, in which flags in the place of numbers are texts, refused like any other."""
    types = [part for each in _types(annotation) for part in _types(each)]
    if isinstance(value, bool):
        return _Flag(str(value).lower()) if any(map(_is_number, types)) and bool not in types else value
    if isinstance(value, Mapping):
        inside = next((_inside(each, "") for each in types if get_origin(each) in (dict, Mapping)), None)
        return value if inside is None else {key: _flags_apart(inside, part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        inside = next((_inside(each, 0) for each in types if get_origin(each) in (list, tuple, Sequence)), None)
        return value if inside is None else type(value)(_flags_apart(inside, part) for part in value)
    return value


def _is_number(annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return any(type(choice) in (int, float) for choice in get_args(annotation))
    return annotation in (int, float)


def faults(error: ValidationError, model: type[BaseModel], *, table: str = "an object") -> Iterator[Fault]:
    """The wrong values, each once. For a field of several types the nearest match is reported; ``table`` is the word
    for a mapping here."""
    by_value: dict[Place, list[tuple[Place, Any]]] = {}
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and detail["input"]:
            continue  # what is wrong with an item is an error of its own
        value, place = _places(model, detail["loc"])
        by_value.setdefault(value, []).append((place, detail))
    for found in by_value.values():
        deepest = max(len(place) for place, _ in found)
        nearest = [(place, detail) for place, detail in found if len(place) == deepest]
        (place, first), ways = nearest[0], dict.fromkeys(_expected(detail, table) for _, detail in nearest)
        expected = " or ".join(ways).replace(" or must be ", " or ")
        yield Fault(place=place, kind=first["type"], ways=len(nearest), expected=expected, given=first["input"])


def _places(model: Any, place: Sequence[str | int]) -> tuple[Place, Place]:
    """The value of a fault and its place, without the type names that pydantic appends for a field of several types."""
    value: Place | None = None
    found: Place = ()
    within = model
    for part in place:
        types = _types(within)
        if len(types) > 1:
            value, within = found, None
            continue
        within = _inside(types[0], part) if types else None
        found = (*found, part)
    return found if value is None else value, found


def _types(annotation: Any) -> list[Any]:
    """The types of a field, without None."""
    if get_origin(annotation) is Annotated:
        return _types(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [each for each in get_args(annotation) if each is not NoneType]
    return [annotation]


def _inside(annotation: Any, part: str | int) -> Any:
    """The type under a key or index of a value; None if unknown."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(part))
        return field.annotation if field else None
    inside = get_args(annotation)
    return inside[1 if get_origin(annotation) in (dict, Mapping) else 0] if inside else None


def _expected(detail: Any, table: str) -> str:
    """What a value must be, in plain words."""
    if detail["type"] in _TABLES:
        return f"must be {table}"
    if detail["type"] in _IN_WORDS:
        return _IN_WORDS[detail["type"]]
    raised = detail.get("ctx", {}).get("error")
    message = str(raised) if isinstance(raised, Exception) else detail["msg"].removeprefix("Value error, ")
    for theirs, ours in _THEIRS:
        message = message.replace(theirs, ours)
    return message

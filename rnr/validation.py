"""What pydantic finds wrong -> plain sentences, for configs, rows, files of an export and requests alike."""

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

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
    "extra_forbidden": "is not known",
}
"""pydantic's kind of a fault -> what the value has to be."""
_TABLES = ("dict_type", "model_type", "model_attributes_type", "dataclass_type")
_THEIRS = (
    ("Input should be ", "must be "),
    ("greater than or equal to", "at least"),
    ("less than or equal to", "at most"),
    ("greater than", "more than"),
)
"""pydantic's words in the others, and ours."""
_SHOWN = reprlib.Repr()
_SHOWN.maxdict = _SHOWN.maxlist = _SHOWN.maxtuple = 20
_SHOWN.maxstring = _SHOWN.maxother = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One value that is wrong."""

    place: Place
    kind: str
    """In pydantic's words, of the first way to be what the value may be."""
    ways: int
    """In how many ways it may be right."""
    said: str
    """What it has to be: ``must be a whole number``."""
    given: Any

    @property
    def name(self) -> str:
        """The place with dots: ``reward.scorers.0.use``."""
        return ".".join(map(str, self.place))

    @property
    def told(self) -> str:
        """What it has to be and what it is, unless that is a whole object or says nothing."""
        whole = self.kind in ("missing", "value_error") and isinstance(self.given, dict)
        return self.said if whole or self.kind == "json_invalid" else f"{self.said} (got {shown(self.given)})"


def shown(value: Any) -> str:
    """A value as it is written, cut where it is long: ``repr`` raises on what is nested too deeply."""
    return _SHOWN.repr(value)


def explain(error: ValidationError, model: type[BaseModel], *, whole: str = "") -> list[str]:
    """A line for each value that is wrong: ``steps: must be at least 0 (got -1)``; ``whole`` is what all of it is
    called."""
    lines = []
    for fault in faults(error, model):
        said = fault.told
        if fault.kind == "extra_forbidden" and len(fault.place) == 1:
            said = f"there is no such field; there are {', '.join(model.model_fields)}"
        lines.append(": ".join(filter(None, (fault.name or whole, said))))
    return lines


def validated(model: type[Model], value: Any, section: str) -> Model:
    """The value as a section of a config; raises ValueError with a line for each key of it that is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        lines = (f"{section}{'.' * bool(fault.place)}{fault.name}: {fault.told}" for fault in faults(error, model))
        raise ValueError("\n".join(lines)) from None


class _Flag(str):
    """true or false where a number belongs, which no number is made of."""

    def __repr__(self) -> str:
        return str(self)


def flags_apart(annotation: Any, value: Any) -> Any:
    """The value for a field of such a type, for a validator ``mode="before"``: pydantic would take true for 1 and false
    for 0. The text that takes their place is refused as any other."""
    types = [part for each in _types(annotation) for part in _types(each)]
    if isinstance(value, bool):
        return _Flag(str(value).lower()) if any(map(_is_number, types)) and bool not in types else value
    if isinstance(value, Mapping):
        inside = next((_inside(each, "") for each in types if get_origin(each) in (dict, Mapping)), None)
        return value if inside is None else {key: flags_apart(inside, part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        inside = next((_inside(each, 0) for each in types if get_origin(each) in (list, tuple, Sequence)), None)
        return value if inside is None else type(value)(flags_apart(inside, part) for part in value)
    return value


def _is_number(annotation: Any) -> bool:
    if get_origin(annotation) is Literal:
        return any(type(choice) in (int, float) for choice in get_args(annotation))
    return annotation in (int, float)


def faults(error: ValidationError, model: type[BaseModel], *, table: str = "an object") -> Iterator[Fault]:
    """The values that are wrong, each once. What a value may be in several ways is told by what came nearest; ``table``
    is what keys and values are called here."""
    by_value: dict[Place, list[tuple[Place, Any]]] = {}
    for detail in error.errors(include_url=False):
        if detail["type"] == "too_short" and detail["input"]:
            continue  # what is wrong with an item is an error of its own
        value, place = _places(model, detail["loc"])
        by_value.setdefault(value, []).append((place, detail))
    for found in by_value.values():
        deepest = max(len(place) for place, _ in found)
        nearest = [(place, detail) for place, detail in found if len(place) == deepest]
        (place, first), ways = nearest[0], dict.fromkeys(_said(detail, table) for _, detail in nearest)
        said = " or ".join(ways).replace(" or must be ", " or ")
        yield Fault(place=place, kind=first["type"], ways=len(nearest), said=said, given=first["input"])


def _places(model: Any, place: Sequence[str | int]) -> tuple[Place, Place]:
    """The value that a fault is told of, and its place: without the types that pydantic names behind a value which may
    be of several."""
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
    """What a value may be, None apart."""
    if get_origin(annotation) is Annotated:
        return _types(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [each for each in get_args(annotation) if each is not NoneType]
    return [annotation]


def _inside(annotation: Any, part: str | int) -> Any:
    """What stands under a key or number of a value; None where that is not known."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        field = annotation.model_fields.get(str(part))
        return field.annotation if field else None
    inside = get_args(annotation)
    return inside[1 if get_origin(annotation) in (dict, Mapping) else 0] if inside else None


def _said(detail: Any, table: str) -> str:
    """What a value has to be, in plain words."""
    if detail["type"] in _TABLES:
        return f"must be {table}"
    if detail["type"] in _IN_WORDS:
        return _IN_WORDS[detail["type"]]
    raised = detail.get("ctx", {}).get("error")
    message = str(raised) if isinstance(raised, Exception) else detail["msg"].removeprefix("Value error, ")
    for theirs, ours in _THEIRS:
        message = message.replace(theirs, ours)
    return message

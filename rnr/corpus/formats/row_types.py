"""The types of a row: what fields it may have under which names, and the message about one that is wrong."""

import sys
from functools import lru_cache
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    model_validator,
)

from rnr.corpus.formats.rows import read_as, row_name
from rnr.task.labels import label_key
from rnr.task.parsing import CLOSE, OPEN

_ENTITY = 'must be {"text": "Ada", "label": "person"}, with or without "start" and "end", or [start, end, "person"]'


def _in_utf8(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"must be text in UTF-8, but character {error.start} is half of a surrogate pair") from None
    return text


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


@lru_cache(maxsize=10_000)
def _label(text: str) -> str:
    """One copy of a text that every row of a large file repeats."""
    _not_blank(label_key(_in_utf8(text)))
    return sys.intern(text)


def _without_tags(chain: str) -> str:
    if OPEN in chain or CLOSE in chain:
        raise ValueError(f"must not hold {OPEN} or {CLOSE}, which are written around it")
    return chain


def _listed(entities: Any) -> Any:
    if entities is not None and not isinstance(entities, list):
        raise ValueError(f"must be a list, of which each entity {_ENTITY}")
    return entities


_Text = Annotated[str, AfterValidator(_in_utf8)]
_Label = Annotated[str, AfterValidator(_label)]
_Name = Annotated[_Text, BeforeValidator(lambda name: str(name) if type(name) is int else name)]


class EntityFields(BaseModel):
    """An entity: its label as written, its text (None if the row has none), start and end (-1 if the row has none)."""

    model_config = ConfigDict(strict=True, frozen=True)

    label: _Label = Field(validation_alias=AliasChoices("label", "type"))
    text: _Text | None = Field(None, validation_alias=AliasChoices("text", "name"))
    start: int = Field(-1, validation_alias=AliasChoices("start", "start_offset"))
    end: int = Field(-1, validation_alias=AliasChoices("end", "end_offset"))

    @model_validator(mode="before")
    @classmethod
    def _from_any_shape(cls, entity: Any) -> Any:
        if isinstance(entity, list) and len(entity) == 3:
            return {"start": entity[0], "end": entity[1], "label": entity[2]}
        if not isinstance(entity, dict):
            raise ValueError(_ENTITY)
        place = entity.get("pos")
        if not place:
            return entity
        if not isinstance(place, list) or len(place) != 2:
            raise ValueError("must have [start, end] in its 'pos'")
        return entity | {"start": place[0], "end": place[1]}


class RowFields(BaseModel):
    """A row whose fields have the right types; what it says of its sentence is not yet checked."""

    model_config = ConfigDict(strict=True, frozen=True)

    sentence: Annotated[_Text, AfterValidator(_not_blank)] = Field(validation_alias=AliasChoices("sentence", "text"))
    labels: list[_Label] | None = Field(None, validation_alias="schema")
    """None where the row leaves its schema out."""
    entities: Annotated[list[EntityFields] | None, BeforeValidator(_listed)] = Field(
        None, validation_alias=AliasChoices("entities", "spans", "label")
    )
    """None where the row has no field for them; empty where its sentence has none."""
    reasoning: Annotated[_Text, AfterValidator(_without_tags)] | None = Field(
        None, validation_alias=AliasChoices("cot", "reasoning")
    )
    dataset: _Name | None = None
    guid: _Name | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_name(cls, row: Any) -> Any:
        return row | {"guid": row_name(row)} if isinstance(row, dict) and "id" in row else row


class _Labels(RootModel[list[_Label]]):
    model_config = ConfigDict(strict=True)


def read_row_fields(row: Any) -> RowFields:
    """The fields of a row; raises ValueError at the first that is wrong or missing."""
    return read_as(RowFields, row)


def typed_labels(value: Any) -> list[str]:
    """A list of labels as they are written; raises ValueError with the first that is none."""
    return read_as(_Labels, value).root

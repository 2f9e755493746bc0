"""A row in our own names -> an ``Example``: the one place where types, labels and offsets are checked."""

from collections.abc import Iterable, Sequence
from pathlib import Path
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

from rnr.corpus.formats.rows import DataError, read_as, read_json
from rnr.task.labels import IGNORED_LABELS, label_key
from rnr.task.parsing import CLOSE, OPEN, ground
from rnr.types import Example, Mention

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


def _label(text: str) -> str:
    return _not_blank(label_key(text))


def _without_tags(chain: str) -> str:
    if OPEN in chain or CLOSE in chain:
        raise ValueError(f"must not hold {OPEN} or {CLOSE}, which are written around it")
    return chain


def _listed(entities: Any) -> Any:
    if entities is not None and not isinstance(entities, list):
        raise ValueError(f"must be a list, of which each entity {_ENTITY}")
    return entities


_Text = Annotated[str, AfterValidator(_in_utf8)]
_Label = Annotated[_Text, AfterValidator(_label)]
_Name = Annotated[_Text, BeforeValidator(lambda name: str(name) if type(name) is int else name)]


class _Entity(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    label: _Label = Field(validation_alias=AliasChoices("label", "type"))
    text: _Text | None = Field(None, validation_alias=AliasChoices("text", "name"))
    start: int = Field(-1, validation_alias=AliasChoices("start", "start_offset"))
    end: int = Field(-1, validation_alias=AliasChoices("end", "end_offset"))

    @model_validator(mode="before")
    @classmethod
    def _from_any_shape(cls, entity: Any) -> Any:
        if isinstance(entity, list) and len(entity) == 3:
            return dict(zip(("start", "end", "label"), entity, strict=True))
        if not isinstance(entity, dict):
            raise ValueError(_ENTITY)
        place = entity.get("pos")
        if not place:
            return entity
        if not isinstance(place, list) or len(place) != 2:
            raise ValueError("must have [start, end] in its 'pos'")
        return entity | {"start": place[0], "end": place[1]}


class TypedRow(BaseModel):
    """A row whose fields have the right types; what it says of its sentence is not yet checked."""

    model_config = ConfigDict(strict=True, frozen=True)

    sentence: Annotated[_Text, AfterValidator(_not_blank)] = Field(validation_alias=AliasChoices("sentence", "text"))
    labels: list[_Label] | None = Field(None, validation_alias="schema")
    """None where the row leaves its schema out."""
    entities: Annotated[list[_Entity] | None, BeforeValidator(_listed)] = Field(
        None, validation_alias=AliasChoices("entities", "spans", "label")
    )
    """None where the row has no field for them; empty where its sentence has none."""
    reasoning: Annotated[_Text, AfterValidator(_without_tags)] | None = Field(
        None, validation_alias=AliasChoices("cot", "reasoning")
    )
    dataset: _Name | None = None
    guid: _Name | None = None


class _Labels(RootModel[list[_Label]]):
    model_config = ConfigDict(strict=True)


def read_row(row: Any, *, annotated: bool) -> TypedRow:
    """A row with its types checked; raises ValueError at the first field that is wrong or missing."""
    typed = read_as(TypedRow, row)
    if annotated and typed.entities is None:
        raise ValueError("no field 'entities' (or 'spans' or 'label'); where there is no entity it must be empty")
    return typed


def read_labels(file: Path) -> list[str]:
    """The labels in a ``labels.json``, as ``label_key``; raises DataError when it is not a list of labels."""
    labels = read_json(file)
    try:
        return read_as(_Labels, labels).root
    except ValueError as error:
        raise DataError(f"{file}: {error}") from None


def labels_used(rows: Iterable[TypedRow]) -> list[str]:
    """All labels of the rows' entities, sorted."""
    return sorted({entity.label for row in rows for entity in row.entities or ()})


def to_example(row: TypedRow, schema: Sequence[str], *, source: str, uid: str) -> Example:
    """The example of a row, under its own schema or else this one, with its mentions in reading order.

    Raises ValueError for an entity that is not in the sentence or whose label is not in the schema.
    """
    labels = set(schema if row.labels is None else row.labels) - IGNORED_LABELS
    if not labels:
        raise ValueError("the schema is empty: name its labels in 'schema' or in a labels.json beside the file")
    mentions = [_mention(entity, row.sentence) for entity in row.entities or ()]
    mentions = [mention for mention in mentions if mention.label not in IGNORED_LABELS]
    for mention in mentions:
        if mention.label not in labels:
            raise ValueError(f"label {mention.label!r} of {mention.text!r} is not in the schema {sorted(labels)}")
    return Example(
        uid=uid,
        sentence=row.sentence,
        schema=tuple(sorted(labels)),
        mentions=tuple(_grounded(mentions, row.sentence)),
        source=row.dataset or source,
        reasoning=row.reasoning or None,
        guid=row.guid or "",
    )


def _mention(entity: _Entity, sentence: str) -> Mention:
    start, end, text = entity.start, entity.end, entity.text
    if (start, end) == (-1, -1):
        if not text or not text.strip():
            raise ValueError(f"an entity {entity.label!r} without text or offsets")
        return Mention(text=text, label=entity.label)
    if not 0 <= start < end <= len(sentence):
        raise ValueError(f"offsets [{start}:{end}] are not in the sentence, which has {len(sentence)} characters")
    there = sentence[start:end]
    if text is not None and there != text:
        raise ValueError(f"entity {text!r} is not at [{start}:{end}], where the sentence has {there!r}")
    return Mention(text=there, label=entity.label, start=start, end=end)


def _grounded(mentions: list[Mention], sentence: str) -> list[Mention]:
    """Mentions in reading order, each with the offsets that an answer with the same mentions would be given."""
    for mention in mentions:
        if mention.text not in sentence:
            raise ValueError(f"entity {mention.text!r} is not in its sentence")
    # One that finds no place of its own is listed more often than it occurs: the annotation repeats itself.
    placed = [mention for mention in ground(mentions, sentence) if mention.grounded]
    unique = {(mention.start, mention.end, mention.label): mention for mention in placed}
    return sorted(unique.values(), key=lambda mention: (mention.start, -mention.end, mention.label))

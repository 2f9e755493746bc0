"""Rows of tokens with a tag each: Hugging Face's ``tokens`` and ``ner_tags``, in JSON, parquet or a saved dataset."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache, lru_cache
from itertools import chain, islice
from typing import Any

from rnr.corpus.formats.entities.beside import note_listed
from rnr.corpus.formats.entities.span_lists import whole_number
from rnr.corpus.formats.field_names import TAGS, names_tags
from rnr.corpus.formats.rows import DataError, Row, are_texts, plain_list
from rnr.corpus.formats.shapes import Shape, Source, extras
from rnr.corpus.formats.tags.reading import OTHER_TEXT, Places, TagCensus, Tagged, begun, located, tag_scheme
from rnr.corpus.formats.tokens.agreeing_tags import Tags, are_of_names, are_sure, refuse_unlike, tags_of
from rnr.corpus.formats.tokens.token_fields import (
    BESIDE,
    any_of_names,
    entities_beside,
    fields,
    note_any_name,
    note_other_words,
)
from rnr.messages import counted

NAMES = ("label_list", "label_names", "class_names", "names")

SPACES = ("trailing_whitespace", "space_after", "spaces", "ws", "whitespace", "spaces_after")

SAMPLE = 200_000
"""So many tags, or more until one differs from the others, tell their scheme."""

_LOOKED_AT = 500
"""So many rows tell whether two fields of tags have labels in common."""

OTHER_TAGS = "are not read"
TAGS_READ = "rows have entities beside the tags of their tokens; the tags were read"
_BESIDE = ("full_text", "text", "sentence", "schema", "dataset", "guid", "id", "cot", "reasoning", "relations")
_READ = frozenset((*_BESIDE, *NAMES, *SPACES, *BESIDE))
"""The fields of a row that something may be read from, beside its tokens and tags."""
AS_NUMBERS = "rows have the numbers of their tags written as text or with a decimal point; they were taken as numbers"
EMPTY = "rows have no tokens and were left out"
DOCUMENTS = "rows mark the beginning of a document and were left out"
_MARK = ["-DOCSTART-"]
NAMELESS = (
    "tags are numbers without names: name them in the order of their numbers by --labels O,B-PER,I-PER "
    "(data.reading.labels), or in a labels.json beside the file"
)
WITHOUT_O = (
    "tags are numbers, and there is no O among their names ({}), which stands for what is no entity: name the tags in "
    "the order of their numbers by --labels O,B-PER,I-PER (data.reading.labels), or in the labels.json beside the file"
)
_UNKNOWN = (
    "tag {} marks a token that was not annotated (models leave it out of their loss): such a sentence is not whole; "
    "export the data set before its words were split, or leave such rows out"
)


def tagged_rows(found: Iterable[Row], source: Source) -> Iterator[Row]:
    """The rows of ``Tagged`` sentences, whose scheme the first of them tell; all other values stay as they are."""
    found = _sentences(found, source)
    census, first = TagCensus(), list[Row]()
    for number, value in found:
        first.append((number, value))
        if isinstance(value, Tagged):
            census.add(value.tags)
        if census.counts.total() > SAMPLE and len(census.counts) > 1:
            break
    scheme = census.scheme()
    for fact in scheme.facts:
        source.reading.fact(fact, source.file)
    tagged = [one for _, one in first if isinstance(one, Tagged)]
    begin = {token for one in tagged for token in begun(one.tokens, one.tags, scheme)}
    reading = source.reading.of_tokens((one.tokens for one in tagged), source.file, begin)
    for number, value in chain(first, found):
        if not isinstance(value, Tagged):
            yield number, value
            continue
        if reading.marks and not (value.text and located(value.tokens, value.text[-1])):
            value = replace(value, tokens=reading.with_spaces(value.tokens, source.file, number))
        try:
            row = value.row(scheme, reading.spaces)
        except ValueError as error:
            yield source.fault(number, error)
            continue
        if row["sentence"] not in value.text:
            reading.note_spaces(value.tokens, row["sentence"], source.file, number)
        yield number, row


def _sentences(found: Iterable[Row], source: Source) -> Iterator[Row]:
    """The rows that are no mark of a document."""
    for number, value in found:
        if isinstance(value, Tagged) and value.tokens == _MARK:
            source.note(DOCUMENTS, number, _MARK[0])
        else:
            yield number, value


def with_names(values: Iterable[Row], source: Source) -> Iterator[Row]:
    """The sentences, those whose tags are all numbers with the names that ``--labels``, or a ``labels.json``, gives."""
    for number, value in values:
        if not isinstance(value, Tagged) or not all(tag.lstrip("-").isdecimal() for tag in value.tags):
            yield number, value
            continue
        try:
            own = source.labels()
            named = named_tags(list(map(int, value.tags)), own)
            yield number, replace(value, tags=named, beside=value.beside | (_schema(own) if own else {}))
        except ValueError as error:
            yield source.fault(number, error)


def rows_of_tokens(values: Iterable[Row], source: Source) -> Iterator[Row]:
    """The sentences in rows of tokens and tags; tags that are numbers take their names from the first of: the file's
    own, the row, ``--labels``, a ``labels.json`` beside the file."""
    return tagged_rows(_tagged(values, source), source)


def _tagged(values: Iterable[Row], source: Source) -> Iterator[Row]:
    values = iter(values)
    first = _first(values)
    in_file = cache(lambda name: _tags_in(name, first, source))
    for number, row in chain(first, values):
        found = fields(row)
        if isinstance(row, DataError) or found is None:
            yield number, row
            continue
        tokens, tags = row[found[0]], row[found[1]]
        if found[1] not in TAGS:
            note_any_name(found[1], tags, source)
        if _are_numbers(tags):
            source.note(AS_NUMBERS, number, found[1])
            tags = row[found[1]] = list(map(whole_number, tags))
        text = [row[name] for name in ("full_text", "text", "sentence") if isinstance(row.get(name), str)]
        try:
            own = _names(row, found[1], source)
            if not tokens and not tags:
                source.note(EMPTY, number, repr(text[-1][:60]) if text else "")
                continue
            if len(tokens) != len(tags):
                raise ValueError(f"{counted(len(tokens), 'token')} with {counted(len(tags), 'tag')}")
            named = named_tags(tags, own)
            for fact in _unread(row, *found, named, in_file, source):
                source.reading.fact(fact, source.file)
        except ValueError as error:
            yield source.fault(number, error)
            continue
        source.note_blank(tokens, number)
        _note_beside(row, found, number, source, own=bool(own))
        places = Places(range(1, len(tokens) + 1), "token")
        text = text or spaced(row, tokens)
        if text and located(tokens, text[-1]) is None:
            source.note(OTHER_TEXT, number, repr(text[-1][:60]))
        beside = extras(row) | (_schema(own) if own else {})
        yield number, Tagged(number, list(tokens), named, places, text, beside)


def _note_beside(row: dict[str, Any], found: tuple[str, str], number: int, source: Source, *, own: bool) -> None:
    """Note what stands beside the tokens and tags of a row, and the names of these where it has its ``own``, and is
    not read."""
    source.note_relations(row, number)
    note_other_words(row, found[0], number, source)
    if others := entities_beside(row):
        source.note(TAGS_READ, number, f"{found[1]!r}, not {', '.join(map(repr, others))}")
    size = len(row[found[0]])
    tags = [
        name for name in row.keys() - set(found) if name in TAGS and are_texts(row[name]) and len(row[name]) == size
    ]
    note_listed(row, number, source, *found, *tags, *(NAMES if own else ()))
    if others := row.keys() - _READ - set(found):
        source.not_read(others)


def _are_numbers(tags: Sequence[Any]) -> bool:
    """Whether tags are whole numbers that are written otherwise."""
    if not tags or not (type(tags[0]) is float or (type(tags[0]) is str and tags[0].isdecimal())):
        return False
    return all(type(whole_number(tag)) is int for tag in tags)


def spaced(row: dict[str, Any], tokens: Sequence[str]) -> list[str]:
    """The text of tokens where a row says behind which of them a space stands, as spaCy does; else nothing."""
    for name in SPACES:
        spaces = row.get(name)
        if isinstance(spaces, list) and len(spaces) == len(tokens) and plain_list(spaces, bool):
            return ["".join(f"{token} " if space else token for token, space in zip(tokens, spaces, strict=True))]
    return []


def _first(values: Iterator[Row]) -> list[Row]:
    """The first row, and some after it where it has further lists that are to be compared."""
    first = list(islice(values, 1))
    return [*first, *islice(values, _LOOKED_AT)] if any(map(_has_more_lists, first)) else first


def _has_more_lists(found: Row) -> bool:
    """Whether a row has more lists than one of tokens and one of tags: rows that have not are read one by one."""
    return isinstance(found[1], dict) and sum(plain_list(value, (str, int)) for value in found[1].values()) > 2


def _tags_in(name: str, rows: Iterable[Row], source: Source) -> Tags:
    """The tags of a field in these rows, as far as they have names."""
    tags = list[str]()
    for _, row in rows:
        value: Any = row.get(name) if isinstance(row, dict) else None
        if plain_list(value, (str, int, float)):
            with suppress(ValueError):  # reported for a row that is read
                value = list(map(whole_number, value)) if _are_numbers(value) else value
                tags += named_tags(value, _names(row, name, source))
    return tags_of(tags)


def _unread(
    row: dict[str, Any], tokens: str, read: str, named: Sequence[str], in_file: Callable[[str], Tags], source: Source
) -> Iterator[str]:
    """Notes on further fields with a tag for each token that seem to be of names, whatever they are called;
    raises ValueError for one that says something else than the tags that are read, and is called as usual as they are.
    """
    for name, value in row.items():
        if (
            name in (tokens, read)
            or value == row[read]
            or not plain_list(value, (str, int))
            or not len(value) == len(named) > 0
        ):
            continue
        is_named = name in TAGS or names_tags(name)
        # Beside tags under a usual name, those under a less usual one may be of finer labels, or coarser ones.
        is_alike = name in TAGS or (is_named and read not in TAGS)
        others = _by_name(value, source.names.get(name)) if is_alike else None
        if others is not None and refuse_unlike({read: named, name: others}, row[tokens], in_file):
            continue
        is_of_tags = "ner" in name.lower().split("_") or (is_named and (type(value[0]) is int or any_of_names(value)))
        if others is not None or is_of_tags or (are_texts(value) and are_sure(value)):
            yield f"tags are those of {read!r}; those of {name!r} {OTHER_TAGS}"


def _by_name(tags: Sequence[Any], names: Sequence[str] | None) -> Sequence[str] | None:
    """The tags of a further field by name; None where they are not all of names, or are those of syntactic chunks."""
    try:
        named = named_tags(tags, names)
    except ValueError:
        return None
    return named if are_of_names(named) else None


def _names(row: dict[str, Any], field: str, source: Source) -> Sequence[str] | Mapping[int, str] | None:
    own = next((row[name] for name in NAMES if name in row and are_texts(row[name]) and row[name]), None)
    if are_texts(row[field]):
        return own if own and "O" in own and set(own).issuperset(row[field]) else None
    return source.stated(source.names.get(field) or own) or source.labels()


def named_tags(tags: Sequence[Any], names: Sequence[str] | Mapping[int, str] | None) -> list[str]:
    """The tags by name; raises ValueError for numbers that have none."""
    tags = list(tags)
    if are_texts(tags):
        return tags
    known: dict[Any, str] = dict(names.items() if isinstance(names, Mapping) else enumerate(names or ()))
    for tag in tags:
        if tag in (-100, -1):
            raise ValueError(_UNKNOWN.format(tag))
        if isinstance(tag, float):
            raise ValueError(f"tag {tag} is no whole number")
        if isinstance(tag, int) and not known:
            raise ValueError(NAMELESS)
        if isinstance(tag, int) and not _name_tags(tuple(known.values())):
            raise ValueError(WITHOUT_O.format(", ".join(known.values())))
        if isinstance(tag, int) and tag not in known:
            raise ValueError(f"tag {tag} has no name; there are {len(known)}: {', '.join(known.values())}")
    return [tag if isinstance(tag, str) else known[tag] for tag in tags]


@lru_cache(maxsize=64)
def _name_tags(names: tuple[str, ...]) -> bool:
    """Whether some of these names are tags, and not all labels."""
    read = tag_scheme([names]).spelling.read
    return any(name and read(name) for name in names)


def _schema(names: Sequence[str] | Mapping[int, str]) -> dict[str, Any]:
    listed = names.values() if isinstance(names, Mapping) else names
    return {"schema": schema_of_tags(listed)}


def schema_of_tags(names: Iterable[str]) -> list[str]:
    """The labels that the names of tags speak of: ``B-PER, I-PER, O`` -> ``PER``."""
    listed = [name for name in names if name]
    read = tag_scheme([listed]).spelling.read
    return sorted({label for _, label in filter(None, map(read, listed))} - {""})


SHAPE = Shape(
    name="tokens and tags", recognises=lambda row: fields(row) is not None, rows=rows_of_tokens, own_offsets=False
)

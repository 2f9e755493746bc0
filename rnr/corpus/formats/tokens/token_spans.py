"""Rows of tokens with spans over them: GLiNER (ends inclusive), and SpERT and its kin (ends exclusive)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate, chain, islice
from typing import Any, TypeAlias

from rnr.corpus.formats.entities.beside import note_listed
from rnr.corpus.formats.entities.labels import label_field, one_label
from rnr.corpus.formats.entities.names import note_beside_entity
from rnr.corpus.formats.entities.places import without
from rnr.corpus.formats.entities.span_lists import AS_TEXT, BESIDE, whole_number
from rnr.corpus.formats.rows import DataError, Row, are_texts, names
from rnr.corpus.formats.shapes import Shape, Source, all_but, each, extras, has
from rnr.corpus.formats.tags.reading import OTHER_TEXT, located
from rnr.corpus.formats.tokens.token_fields import note_other_words
from rnr.corpus.formats.tokens.token_places import FIELDS, entity_lists, refuse_parts, with_place
from rnr.corpus.formats.tokens.token_rows import SPACES, spaced
from rnr.corpus.matching import folded
from rnr.corpus.spacing import join, token_spans
from rnr.types import Example

NONE_SINGLE = "entities are all longer than one token: are their ends exclusive? GLiNER's are inclusive"
_MANY = 10
"""So many entities tell that none is one token long."""
_FIRST = 500
"""So many rows tell whether tokens are characters."""
_FEWEST = 3
"""So many spans tell what they count."""
_Span: TypeAlias = tuple[int, int, str]
"""First token, one past the last, and the label."""
_ASKED, _NEGATIVES, _OF_GLINER = ("ner_labels", "label"), ("ner_negatives",), ("negative", "negatives")
"""The labels that a sentence is asked for, and those of them that it has no entity of, as versions of GLiNER call
them; the last names may be of anything in rows of others."""
_READ = ("tokens", "words", "tokenized_text", "text", "sentence", *FIELDS, *SPACES, *_ASKED, *_NEGATIVES)
_BESIDE = all_but(*_READ)
_TEXTS = ("text", "mention", "word", "span_text")
"""What the text of an entity is called."""


def _gliner_row(row: dict[str, Any], number: int, source: Source) -> dict[str, Any]:
    spans = _spans(row, "ner", number, source, inclusive=True)
    tokens = row["tokenized_text"]
    for entity, (first, end, _) in zip(row["ner"], spans, strict=True):
        text = _text_of(entity, tokens, first, end)
        if text is not None and not _says(tokens[first:end], text):
            exclusive = _says(tokens[first : end - 1], text)
            hint = "; it is where ends are exclusive: make them inclusive, one less each" if exclusive else ""
            raise ValueError(f"{text!r} is not at tokens {first} to {end - 1} (inclusive, as in GLiNER){hint}")
    return _row(row, tokens, spans, number, source)


def _gliner_rows(values: Iterable[Row], source: Source) -> Iterator[Row]:
    """The rows; where none of many spans is one token, their ends may be exclusive, which is noted."""
    spans, single = 0, 0

    def convert(row: dict[str, Any], number: int, source: Source) -> Any:
        nonlocal spans, single
        lengths = [one[1] - one[0] for one in row["ner"] if isinstance(one, list) and _starts_with_place(one)]
        spans, single = spans + len(lengths), single + lengths.count(0)
        return _gliner_row(row, number, source)

    yield from each(convert)(*_by_tokens(values, source, "tokenized_text"))
    if spans >= _MANY and not single:
        source.note(NONE_SINGLE, times=spans)


def _starts_with_place(span: list[Any]) -> bool:
    return [type(part) for part in span[:2]] == [int, int]


def _span_row(row: dict[str, Any], number: int, source: Source) -> dict[str, Any]:
    inclusive = source.reading.options.offsets == "inclusive"
    field, *others = entity_lists(row)
    spans = _spans(row, field, number, source, inclusive=inclusive)
    for other in others:
        if sorted(spans) != sorted(_spans(row, other, number, source, inclusive=inclusive)):
            raise ValueError(f"the fields {field!r} and {other!r} hold entities and do not agree; keep one of them")
    tokens = row[_tokens(row)]
    note_other_words(row, _tokens(row), number, source)
    for entity, (first, end, label) in zip(row[field], spans, strict=True):
        text = _text_of(entity, tokens, first, end)
        if first == end or (text is not None and not _says(tokens[first:end], text)):
            fits = not inclusive and (first == end or _says(tokens[first : end + 1], str(text)))
            hint = "; it is where ends are inclusive: --offsets inclusive reads them so" if fits else ""
            raise ValueError(f"{text or label!r} is not at tokens {first} to {end} (exclusive){hint}")
    return _row(row, tokens, spans, number, source)


def _span_rows(values: Iterable[Row], source: Source) -> Iterator[Row]:
    """The rows; raises DataError after the last where nearly all spans would be whole words in characters, too, or
    many are empty: then their ends are inclusive, and the others would be cut."""
    spans, fitting, empty = 0, 0, 0

    def convert(row: dict[str, Any], number: int, source: Source) -> Any:
        nonlocal spans, fitting, empty
        places = list(_places(row))
        spans, fitting = spans + len(places), fitting + sum(_in_characters(row, places))
        empty += sum(first == last for first, last in places)
        return _span_row(row, number, source)

    yield from each(convert)(*_by_tokens(values, source, "tokens", "words"))
    if source.reading.options.offsets != "auto":
        return
    if empty >= max(_FEWEST, 0.1 * spans):
        raise DataError(
            f"{source.file}: {empty} of {spans} spans over tokens end where they begin, so their ends are probably "
            "inclusive: --offsets inclusive reads them so; --offsets tokens takes them as they are"
        )
    if fitting >= max(_FEWEST, 0.9 * spans):
        raise DataError(
            f"{source.file}: {fitting} of {spans} spans over tokens are whole words if they count characters: write "
            "each row's text beside its tokens (as 'text'), to which they then refer; --offsets tokens takes them as "
            "they are"
        )


def _by_tokens(values: Iterable[Row], source: Source, *names: str) -> tuple[Iterator[Row], Source]:
    """The same values, and how they are read by what the tokens of the first say, which have one of these names."""
    values = iter(values)
    first = list(islice(values, _FIRST))
    rows = (row for _, row in first if isinstance(row, dict))
    tokens = (row[name] for row in rows for name in names if are_texts(row.get(name)))
    return chain(first, values), replace(source, reading=source.reading.of_tokens(tokens, source.file))


def _places(row: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """The two numbers of each span."""
    for entity in row[entity_lists(row)[0]]:
        told = with_place(entity) if isinstance(entity, dict) else {}
        place: Any = [told.get("start"), told.get("end")] if told else entity
        if isinstance(place, list) and [type(part) for part in place[:2]] == [int, int]:
            yield place[0], place[1]


def _in_characters(row: dict[str, Any], places: Iterable[tuple[int, int]]) -> Iterator[bool]:
    """For each span whether, counted in characters, it is whole words, too, and other ones than in tokens."""
    words = _words(row)
    begins, ends = {begin for begin, _ in words}, {end for _, end in words}
    for first, last in places:
        same = 0 <= first < last <= len(words) and (words[first][0], words[last - 1][1]) == (first, last)
        yield not same and first < last and first in begins and last in ends


def _words(row: dict[str, Any]) -> list[tuple[int, int]]:
    """The places of a row's tokens in its text, under any name, or else in the tokens joined by spaces."""
    tokens = row[_tokens(row)]
    texts = (value for value in row.values() if isinstance(value, str) and len(value) > len(tokens))
    if places := next(filter(None, (located(tokens, text) for text in texts)), None):
        return places
    begins = accumulate((len(token) + 1 for token in tokens), initial=0)
    return [(begin, begin + len(token)) for begin, token in zip(begins, tokens, strict=False)]


def _text_of(entity: Any, tokens: Sequence[str], first: int, end: int) -> str | None:
    """The text that an entity has beside its place and label, if any; of a list, where an id may stand there, only one
    that begins at its place."""
    if isinstance(entity, dict):
        return next((entity[name] for name in _TEXTS if isinstance(entity.get(name), str)), None)
    texts = [text for text in entity[3:] if isinstance(text, str) and text.strip()]
    here = (tokens[first:last] for last in (end - 1, end, end + 1))
    return next((text for run in here for text in texts if _says(run, text)), None)


def _says(tokens: Sequence[str], text: str) -> bool:
    """Whether tokens are a text, whatever white space is in it."""
    return folded("".join("".join(tokens).split())) == folded("".join(text.split()))


def _spans(row: dict[str, Any], field: str, number: int, source: Source, *, inclusive: bool) -> list[_Span]:
    """The spans that a field of a row lists."""
    listed = enumerate(row[field])
    return [_span(one, f"{field}[{place}]", number, source, inclusive=inclusive) for place, one in listed]


def _span(entity: Any, place: str, number: int, source: Source, *, inclusive: bool) -> _Span:
    """First token, one past the last, and the label."""
    if isinstance(entity, dict):
        entity = with_place(entity)
        name = label_field(entity, place, number, source)
        label = None if name is None else one_label(entity[name])
        refuse_parts(entity, label, place)
        note_beside_entity(without(entity, name or "", *_TEXTS), place, number, source)
        entity = [entity["start"], entity["end"], label]
    if isinstance(entity, list) and len(entity) >= 3 and any(type(part) in (str, float) for part in entity[:2]):
        whole = [*map(whole_number, entity[:2]), *entity[2:]]
        if [type(part) for part in whole[:2]] == [int, int]:
            source.note(AS_TEXT, number, repr(entity))
            entity = whole
    if not isinstance(entity, list) or len(entity) < 3 or [type(part) for part in entity[:3]] != [int, int, str]:
        raise ValueError(f"an entity must be [first token, last token, label], found {entity}")
    if any(part not in (None, "") for part in entity[3:]):
        source.note(BESIDE, number, repr(entity))
    return entity[0], entity[1] + inclusive, entity[2]


def _row(row: dict[str, Any], tokens: list[str], spans: Sequence[_Span], number: int, source: Source) -> Any:
    if not tokens:
        raise ValueError("no tokens")
    source.note_blank(tokens, number)
    source.note_relations(row, number)
    sentence = _text(row) or next(iter(spaced(row, tokens)), "")
    offsets = located(tokens, sentence) if sentence else None
    if sentence and offsets is None:
        source.note(OTHER_TEXT, number, repr(sentence[:60]))
    if offsets is None:
        tokens = source.reading.with_spaces(tokens, source.file, number)
        sentence, starts = join(tokens, source.reading.spaces)
        source.reading.note_spaces(tokens, sentence, source.file, number)
        offsets = [(start, start + len(token)) for start, token in zip(starts, tokens, strict=True)]
    for first, end, label in spans:
        if not 0 <= first < end <= len(tokens):
            raise ValueError(f"{label!r} is at tokens {first} to {end - 1} of a sentence with {len(tokens)}")
    entities = [[offsets[first][0], offsets[end - 1][1], label] for first, end, label in spans]
    used = {label for _, _, label in spans}
    note_listed(row, number, source)
    asked, negatives = _listed(row, _ASKED), _listed(row, _NEGATIVES) or _negatives(row, sentence, source)
    schema = {*(asked or used), *negatives}
    if "label" in row and "ner_labels" not in row:
        schema |= used  # what is called so may be of the whole sentence
    named = {"schema": sorted(schema)} if asked or negatives else {}
    return {"sentence": sentence, "entities": entities} | named | extras(row)


def _listed(row: dict[str, Any], names: Sequence[str]) -> list[str]:
    """The labels that a row lists under the first of these names that has any."""
    return next((row[name] for name in names if are_texts(row.get(name)) and row[name]), [])


def _negatives(row: dict[str, Any], sentence: str, source: Source) -> list[str]:
    """The labels that a row of GLiNER has no entity of, under names that may also hold texts of its sentence, which
    are not read and named."""
    if "tokenized_text" not in row or not (listed := _listed(row, _OF_GLINER)):
        return []
    if all(text in sentence for text in listed):
        source.not_read(name for name in _OF_GLINER if row.get(name))
        return []
    return listed


def _text(row: dict[str, Any]) -> str | None:
    return next((row[name] for name in ("text", "sentence") if isinstance(row.get(name), str)), None)


def _tokens(row: dict[str, Any]) -> str:
    return "tokens" if "tokens" in row else "words"


def _has_spans(row: Any) -> bool:
    """Whether a row of tokens has spans over them; beside a text only where each names its own, and is not there in
    characters (OneIE)."""
    if not isinstance(row, dict) or not are_texts(row.get(_tokens(row))):
        return False
    lists = entity_lists(row)
    return bool(lists) and (not _text(row) or _are_said(row, row[lists[0]]))


def _are_said(row: dict[str, Any], entities: Sequence[Any]) -> bool:
    tokens, sentence = row[_tokens(row)], _text(row) or ""
    told = [(one["start"], one["end"], one["text"]) for one in entities if has(one, start=int, end=int, text=str)]
    said = len(told) == len(entities) and all(text and _says(tokens[first:end], text) for first, end, text in told)
    return said and any(sentence[first:end] != text for first, end, text in told)


GLINER = Shape(
    name="GLiNER",
    recognises=lambda row: has(row, tokenized_text=list, ner=list),
    fields=frozenset(("tokenized_text",)),
    rows=_gliner_rows,
    unread=all_but(*_READ, *_OF_GLINER),
    own_offsets=False,
)

SPANS = Shape(
    name="tokens and spans over them",
    recognises=_has_spans,
    rows=_span_rows,
    unread=lambda row: set(_BESIDE(row)).difference(entity_lists(row)),
    own_offsets=False,
)


def gliner_row(example: Example) -> dict[str, Any]:
    """An example as GLiNER is trained with it; ``text`` keeps the spaces between its tokens."""
    tokens = list(token_spans(example.sentence, example.mentions))
    first = {start: place for place, (start, _) in enumerate(tokens)}
    last = {end: place for place, (_, end) in enumerate(tokens)}
    for mention in example.mentions:
        if mention.start not in first or mention.end not in last:
            raise ValueError(f"{example.uid}: {mention.text!r} begins or ends with white space, which is in no token")
    return {
        "tokenized_text": [example.sentence[start:end] for start, end in tokens],
        "ner": [[first[m.start], last[m.end], m.label] for m in example.mentions],
        "ner_labels": list(example.schema),
        "text": example.sentence,
    } | names(example)

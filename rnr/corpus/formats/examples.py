"""A row in our own names -> an ``Example``: the one place where types, labels and offsets are checked."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import unescape
from itertools import islice
from pathlib import Path
from typing import Any

from rnr.corpus.formats.doubtful import MARKS, note_doubtful
from rnr.corpus.formats.entities.offsets import cuts_word, outside
from rnr.corpus.formats.label_lists import label_names
from rnr.corpus.formats.row_types import RowFields, read_row_fields, typed_labels
from rnr.corpus.formats.rows import DataError
from rnr.corpus.formats.unsupported.unknown import no_entities
from rnr.corpus.matching import difference, folded, nearest, places_of, stripped
from rnr.corpus.report import Reading
from rnr.task.labels import within
from rnr.task.parsing import ground
from rnr.types import Example, Mention

REPEATED = "mentions are annotated more often than their texts occur in the sentence; the surplus was dropped"
AMBIGUOUS = (
    "mentions have no offsets and occur in the sentence more often than they are listed; "
    "the first outside longer mentions were taken"
)
TWICE = "mentions are listed twice with the same label and place, and were read once"
TRIMMED = "mentions began or ended with white space, which was trimmed"
BLANK = "mentions were only white space and were dropped"
HIDDEN = "mentions began or ended with invisible characters, which were trimmed"
WITHIN = "mentions have no offsets and were found inside a longer word: is the whole word meant, or another place?"
_BESIDE = " of {}: add it there, give the row a 'schema' of its own, or move that file away where it is of other data"
_FEW = 20
"""So many mentions without a place are looked for in other forms, each of which costs a pass over the sentence."""
MATCHED = "mentions are spelled differently in their sentence (Unicode form, space, apostrophe) and were matched"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands, and where it is noted what was done to it."""

    file: Path
    number: int
    reading: Reading

    def note(self, kind: str, detail: str = "", *, times: int = 1) -> None:
        self.reading.note(kind, self.file, self.number, detail, times=times)


def read_row(row: Any, *, annotated: bool) -> RowFields:
    """A row with its types checked; raises ValueError at the first field that is wrong or missing."""
    fields = read_row_fields(row)
    if annotated and fields.entities is None:
        said = no_entities(row)
        if marked := MARKS.search(fields.sentence):
            said += (
                f"; names seem to be marked inside its text ({marked[0][:40]}): take the marks out, and list the names"
            )
        raise ValueError(said)
    return fields


def read_labels(file: Path) -> list[str]:
    """The labels in a ``labels.json``, in any shape that tools write; raises DataError when it is no list of labels."""
    try:
        labels = typed_labels(label_names(file))
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f'{file}: {error}; write ["person", "place"] there, or move it elsewhere') from None
    if not labels:
        raise DataError(f"{file}: it names no label; write the labels into it, or remove it")
    return labels


def to_example(row: RowFields, schema: Sequence[str], *, source: str, uid: str, place: Place) -> Example:
    """The example of a row, under its own schema or else this one, with its mentions in reading order.

    Labels are kept as they are written, and compared as ``within`` does. Raises ValueError for an entity that is not in
    the sentence or whose label is not in the schema.
    """
    labels = tuple(schema) if row.labels is None else tuple(sorted(set(row.labels)))
    if row.labels is not None and not labels:
        raise ValueError("the schema is empty: name its labels in 'schema' or in a labels.json beside the file")
    mentions = _mentions(row, place) if row.entities else ()
    note_doubtful(row.sentence, place.note)
    if mentions and labels:
        for mention in mentions:
            if mention.label not in labels and not within(labels, (mention.label,)):
                beside = _BESIDE.format(place.file.parent / "labels.json") if row.labels is None else ""
                raise ValueError(
                    f"label {mention.label!r} of {mention.text!r} is not in the schema {sorted(labels)}{beside}"
                )
    return Example(
        uid=uid,
        sentence=row.sentence,
        schema=labels,
        mentions=mentions,
        source=row.dataset or source,
        reasoning=row.reasoning or None,
        guid=row.guid or "",
    )


def _mentions(row: RowFields, place: Place) -> tuple[Mention, ...]:
    sentence = row.sentence
    mentions: list[Mention] = []
    last, in_order, placed = -1, True, True
    for entity in row.entities or ():
        mention = mention_of(entity.label, entity.text, entity.start, entity.end, sentence, place)
        if mention is not None:
            in_order = in_order and mention.start > last
            placed = placed and mention.start >= 0
            last = mention.start
            mentions.append(mention)
    if not placed:
        mentions = _grounded(mentions, sentence, place)
    elif in_order:
        return tuple(mentions)
    unique = {(mention.start, -mention.end, mention.label): mention for mention in mentions}
    if len(unique) < len(mentions):
        place.note(TWICE, times=len(mentions) - len(unique))
    return tuple(unique[key] for key in sorted(unique))


def mention_of(label: str, text: str | None, start: int, end: int, sentence: str, place: Place) -> Mention | None:
    """The mention, without white space at its ends, and without offsets where the row has none for it (-1); None for
    one of nothing but white space. Raises ValueError where it is not in its sentence."""
    if start == -1 and end == -1:
        return _mention_by_text(label, text, sentence, place)
    if not 0 <= start < end <= len(sentence):
        raise ValueError(outside(sentence, start, end))
    there = sentence[start:end]
    if text is not None and there != text:
        start, end = _written_otherwise(text, start, end, sentence, place)
        there = sentence[start:end]
    if not (there[0].isalnum() and there[-1].isalnum()) and stripped(there) != there:
        return _trimmed(label, start, end, sentence, place)
    return Mention(text=there, label=label, start=start, end=end)


def _mention_by_text(label: str, text: str | None, sentence: str, place: Place) -> Mention | None:
    if not text:
        raise ValueError(f"an entity {label!r} without text or offsets")
    bare = stripped(text)
    if not bare:
        place.note(BLANK, ascii(text))
        return None
    _note_trimmed(text, bare, place)
    if bare in sentence:
        return Mention(text=bare, label=label)
    found = places_of(bare, sentence)
    if not found:
        near = nearest(bare, sentence)
        escaped = "; it is where HTML such as &amp; is undone (`html.unescape`)" if bare in unescape(sentence) else ""
        raise ValueError(f"entity {bare!r} is not in its sentence{escaped or (f'; {near}' if near else '')}")
    there = sentence[slice(*found[0])]
    place.note(MATCHED, f"{bare!r} -> {there!r}: {difference(bare, there)}")
    return Mention(text=there, label=label)


def _written_otherwise(text: str, start: int, end: int, sentence: str, place: Place) -> tuple[int, int]:
    """The place of a text that is not what stands at its offsets, where it differs only in the way it is written.

    Offsets may have been counted in the mention's own form, so its only place will do. Raises ValueError where it is
    another text.
    """
    there = sentence[start:end]
    if folded(there) != folded(text):
        found = [] if text in sentence else places_of(text, sentence)
        if len(found) != 1:
            elsewhere = _where(text, start, sentence)
            differ = f" ({difference(text, there)})" if len(text) == len(there) and not elsewhere else ""
            raise ValueError(
                f"entity {text!r} is not at [{start}:{end}], where the sentence has {there!r}{differ}{elsewhere}"
            )
        start, end = found[0]
    place.note(MATCHED, f"{text!r} -> {sentence[start:end]!r}: {difference(text, sentence[start:end])}")
    return start, end


def _where(text: str, start: int, sentence: str) -> str:
    """The message about the place that a text does have in its sentence: of several the one that is nearest."""
    places = [match.start() for match in islice(re.finditer(re.escape(text), sentence), _FEW)] if text else []
    if not places:
        return ""
    near = min(places, key=lambda at: abs(at - start))
    away = f", {abs(near - start)} {'before' if near < start else 'after'} that" if near != start else ""
    return f"; it is at [{near}:{near + len(text)}]{away}"


def _trimmed(label: str, start: int, end: int, sentence: str, place: Place) -> Mention | None:
    whole = sentence[start:end]
    text = stripped(whole)
    if not text:
        place.note(BLANK, ascii(whole))
        return None
    _note_trimmed(whole, text, place)
    start += whole.index(text)
    return Mention(text=text, label=label, start=start, end=start + len(text))


def _note_trimmed(text: str, bare: str, place: Place) -> None:
    if text.strip() != text:
        place.note(TRIMMED, f"{text!r} -> {bare!r}")
    elif bare != text:
        place.note(HIDDEN, f"{text!a} -> {bare!a}")


def _grounded(mentions: Sequence[Mention], sentence: str, place: Place) -> list[Mention]:
    """The mentions with the offsets that an answer with the same mentions would be given."""
    found = ground(mentions, sentence)
    for text in _undecided(Counter(mention.text for mention in mentions if not mention.grounded), found, sentence):
        place.note(AMBIGUOUS, repr(text))
    for given, mention in zip(mentions, found, strict=True):
        cut = cuts_word(sentence, mention.start) or cuts_word(sentence, mention.end)
        if cut and mention.grounded and not given.grounded:
            place.note(WITHIN, f"{mention.text!r} at [{mention.start}:{mention.end}]")
    # One that finds no place of its own is listed more often than it occurs: the annotation repeats itself.
    missing = [mention for mention in found if not mention.grounded]
    if missing and len(missing) <= _FEW and not sentence.isascii():
        found = list(_in_another_form(found, sentence, place))
        missing = [mention for mention in found if not mention.grounded]
    if missing:
        place.note(REPEATED, f"{missing[0].text!r} as {missing[0].label}", times=len(missing))
    return [mention for mention in found if mention.grounded]


def _undecided(listed: Mapping[str, int], found: Sequence[Mention], sentence: str) -> Iterator[str]:
    """The texts that occur more often than they are listed, unless they are listed once for each occurrence outside
    longer mentions."""
    if all(sentence.count(text) <= times for text, times in listed.items()):
        return
    covered, seen = bytearray(len(sentence)), set[str]()
    for mention in sorted(found, key=lambda mention: -len(mention.text)):
        text = mention.text
        if text in listed and text not in seen:
            seen.add(text)
            free = [covered.find(1, *match.span()) < 0 for match in re.finditer(re.escape(text), sentence)]
            if len(free) > listed[text] != sum(free):
                yield text
        if mention.grounded:
            covered[mention.start : mention.end] = b"\1" * len(text)


def _in_another_form(found: Sequence[Mention], sentence: str, place: Place) -> Iterator[Mention]:
    """The mentions, those without a place where their text stands in another Unicode form, if it does."""
    taken = {(mention.start, mention.end) for mention in found if mention.grounded}
    for mention in found:
        places = [] if mention.grounded else places_of(mention.text, sentence)
        free = next((at for at in places if at not in taken and sentence[slice(*at)] != mention.text), None)
        if free is None:
            yield mention
            continue
        taken.add(free)
        there = sentence[slice(*free)]
        place.note(MATCHED, f"{mention.text!r} -> {there!r}: {difference(mention.text, there)}")
        yield Mention(text=there, label=mention.label, start=free[0], end=free[1])

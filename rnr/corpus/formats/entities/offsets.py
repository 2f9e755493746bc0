"""What the offsets of a file count: its characters, or something else that can be converted, and how that is noticed.

A mention that begins or ends inside a word is rare where offsets are right. So they are counted, and above a few per
cent it is the file that is wrong, not the mentions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rnr.corpus.formats.entities.offset_scripts import OtherScripts
from rnr.corpus.formats.entities.offset_units import REASONS, UNITS, Place
from rnr.corpus.formats.rows import DataError, Row
from rnr.corpus.report import Reading
from rnr.messages import counted

INSIDE = "mentions begin or end inside a word"
UNCLEAR = (
    "mentions come after a character that is two units of UTF-16 (an emoji), and nothing says whether their "
    "offsets count it once, as Python does, or twice, as JavaScript and Doccano's page do: look at one of them, and "
    "say it by --offsets characters or --offsets utf16"
)
LINE_ENDS = (
    "mentions are cut, and would be whole words if each line end of two characters counted as one: write single line "
    "feeds into the texts, or read them by --offsets graphemes"
)
CONVERTED = "mentions had their offsets converted to characters"

TOLERATED = 0.04
"""Share of the mentions that may begin or end inside a word before the offsets of the whole file are doubted."""
_LAST_OF_ONE_UNIT = "\uffff"
"""The last character that is one unit of UTF-16."""
_KEPT = 500
"""So many of them are tried in other units, to say what the offsets are."""
_NAMED = 5
"""So many of the mentions whose offsets are not clear are named."""
_ENDS = (("start", "start_offset"), ("end", "end_offset"))


def in_characters(rows: Iterator[Row], file: Path, reading: Reading) -> Iterator[Row]:
    """The rows with offsets in characters, converted from what ``data.reading.offsets`` says they are.

    Raises DataError after the last row where so many mentions begin or end inside a word that the offsets count
    something else, unless it is said what they are.
    """
    convert = UNITS.get(reading.options.offsets)
    boundaries = _Boundaries(file, reading)
    for number, row in rows:
        if isinstance(row, dict):
            try:
                row = row if convert is None else _converted(row, convert, reading, file, number)
                boundaries.add(number, row)
            except ValueError as error:
                yield number, DataError(f"{file}, row {number}: {error}")
                continue
        yield number, row
    boundaries.close()


def _converted(
    row: dict[str, Any], convert: Callable[..., Place | None], reading: Reading, file: Path, number: int
) -> dict[str, Any]:
    name, sentence = entities_of(row)
    if name is None:
        return row
    changed: list[Any] = []
    for entity in row[name]:
        place = place_of(entity)
        if place is None:
            changed.append(entity)
            continue
        found = convert(sentence, *place)
        if found is None:
            raise ValueError(f"offsets {list(place)} are not {REASONS[reading.options.offsets]} of the sentence")
        reading.note(CONVERTED, file, number, f"{list(place)} -> {list(found)}")
        changed.append(_moved(entity, found))
    return row | {name: changed}


def entities_of(row: dict[str, Any]) -> tuple[str | None, str]:
    """The field with the entities of a row in our own names, if it has one, and its sentence."""
    sentence = row.get("sentence", row.get("text"))
    if isinstance(sentence, str):
        for name in ("entities", "spans", "label"):
            if isinstance(row.get(name), list):
                return name, sentence
    return None, ""


def place_of(entity: Any) -> Place | None:
    """The two numbers of an entity in our own names; None where it has no place."""
    place: Any = None
    if isinstance(entity, list):
        place = entity[:2]
    elif isinstance(entity, dict):
        place = entity.get("pos") or [entity[one] if one in entity else entity.get(other) for one, other in _ENDS]
    if not isinstance(place, list) or [type(part) for part in place] != [int, int]:
        return None
    return place[0], place[1]


def _moved(entity: Any, place: Place) -> Any:
    if isinstance(entity, list):
        return [*place, *entity[2:]]
    kept = {name: value for name, value in entity.items() if name not in ("pos", "start_offset", "end_offset")}
    return kept | {"start": place[0], "end": place[1]}


def outside(sentence: str, start: int, end: int) -> str:
    """The message about offsets that are not in their sentence, with what they may count."""
    said = f"offsets [{start}:{end}] are not in the sentence, which has {counted(len(sentence), 'character')}"
    if -1 in (start, end):
        return f"{said}; an entity has both 'start' and 'end', or else neither and its 'text'"
    fitting = (
        "inclusive" if start == end else next((u for u in ("utf16", "bytes") if UNITS[u](sentence, start, end)), "")
    )
    return f"{said}; do they count {REASONS[fitting]}? --offsets {fitting} reads them so" if fitting else said


def cuts_word(sentence: str, place: int) -> bool:
    """Whether a place lies inside a word, of a script that divides its words by spaces (and writes no clitics to
    them, as Arabic and Hebrew do): Latin, Greek, Cyrillic, Armenian, with their accents and with digits."""
    if not 0 < place < len(sentence):
        return False
    before, after = sentence[place - 1], sentence[place]
    if before == " " or after == " ":  # as is usual
        return False
    return _of_words(before) and (_of_words(after) or 0x300 <= ord(after) < 0x370)


def _of_words(character: str) -> bool:
    code = ord(character)
    if not (code < 0x590 or 0x1E00 <= code < 0x2000):
        return False
    return character.isalnum() or 0x300 <= code < 0x370


@dataclass(slots=True)
class _Boundaries:
    """Counts the mentions of a file that begin or end inside a word."""

    file: Path
    reading: Reading
    mentions: int = 0
    inside: int = 0
    behind: int = 0
    """Mentions without a text that would stand elsewhere in UTF-16."""
    whole_in_utf16: int = 0
    """Those of them that would be whole words there."""
    _scripts: OtherScripts = field(default_factory=OtherScripts)
    _named: list[tuple[int, str]] = field(default_factory=list)
    _kept: list[tuple[str, int, int]] = field(default_factory=list)

    def add(self, number: int, row: dict[str, Any]) -> None:
        """Count the mentions of a row that have offsets, and note those that are cut.

        Raises ValueError for one whose text is where its offsets say when they count something else.
        """
        name, sentence = entities_of(row)
        has_two_units = not sentence.isascii() and max(sentence) > _LAST_OF_ONE_UNIT
        has_returns = "\r\n" in sentence
        for entity in row[name] if name else ():
            place = place_of(entity)
            if place is None:
                continue
            start, end = place
            text = entity.get("text", entity.get("name")) if isinstance(entity, dict) else None
            if isinstance(text, str) and sentence[start:end] != text:
                self._refuse_another_unit(text, start, end, sentence)
                continue  # reported for its row
            if not 0 <= start < end <= len(sentence):
                continue
            self.mentions += 1
            if text is None and not sentence.isascii():
                if has_two_units:
                    self._compare_with_utf16(number, sentence, place)
                self._scripts.add(number, sentence, start, end)
            if not (cuts_word(sentence, start) or cuts_word(sentence, end)):
                continue
            self.inside += 1
            self.reading.note(INSIDE, self.file, number, repr(sentence[start:end]))
            joined = UNITS["graphemes"](sentence, start, end) if has_returns else None
            if joined and _is_whole(sentence, *joined):
                self.reading.note(LINE_ENDS, self.file, number, repr(sentence[slice(*joined)]))
            if len(self._kept) < _KEPT:
                self._kept.append((sentence, start, end))

    def _refuse_another_unit(self, text: str, start: int, end: int, sentence: str) -> None:
        for unit, convert in UNITS.items():
            found = convert(sentence, start, end) if self.reading.options.offsets == "auto" else None
            if found is not None and sentence[slice(*found)] == text:
                raise ValueError(
                    f"entity {text!r} is not at [{start}:{end}] in characters; it is when these are {REASONS[unit]}: "
                    f"--offsets {unit} (data.reading.offsets) reads them so"
                )

    def _compare_with_utf16(self, number: int, sentence: str, place: Place) -> None:
        if (there := UNITS["utf16"](sentence, *place)) == place:
            return
        self.behind += 1
        self.whole_in_utf16 += there is not None and _is_whole(sentence, *there)
        if len(self._named) < _NAMED:
            self._named.append((number, repr(sentence[slice(*place)])))

    def _note_unclear(self) -> None:
        if self.reading.options.offsets != "auto" or self.whole_in_utf16 < (1 - TOLERATED) * self.behind:
            return
        for number, text in self._named:
            self.reading.note(UNCLEAR, self.file, number, text)
        self.reading.note(UNCLEAR, self.file, times=self.behind - len(self._named))

    def close(self) -> None:
        """Raises DataError where too many are cut."""
        if self.behind:
            self._note_unclear()
        if self.reading.options.offsets == "auto":
            self._scripts.close(self.file, self.reading)
        few = self.inside < 3 and self.inside < self.mentions
        if self.reading.options.offsets != "auto" or few or self.inside <= TOLERATED * self.mentions:
            return
        units = units_that_fit(self._kept)
        if from_one := [] if units else units_that_fit(self._kept, _FROM_ONE):
            raise DataError(
                f"{self.file}: {self.inside} of {self.mentions} mentions begin or end inside a word; they would be "
                f"whole words if the first character were number 1: take 1 from each {from_one[0]} (--offsets "
                "characters takes them as they are)"
            )
        advice = " or ".join(f"--offsets {unit} ({REASONS[unit]})" for unit in units or UNITS)
        fitting = "they would be whole words with" if units else "where they count something else, or were counted "
        fitting += "" if units else "before the text was changed (NFC?), say so by"
        raise DataError(
            f"{self.file}: {self.inside} of {self.mentions} mentions begin or end inside a word, so the offsets are "
            f"probably no characters: {fitting} {advice}; --offsets characters (data.reading.offsets) takes them as "
            "they are"
        )


def _is_whole(sentence: str, start: int, end: int) -> bool:
    """Whether a place is one of whole words without white space at their ends."""
    if not 0 <= start < end <= len(sentence) or cuts_word(sentence, start) or cuts_word(sentence, end):
        return False
    return not sentence[start].isspace() and not sentence[end - 1].isspace()


_FROM_ONE: dict[str, Callable[[str, int, int], Place | None]] = {
    "start and end": lambda _, start, end: (start - 1, end - 1),
    "start, the ends being inclusive": lambda _, start, end: (start - 1, end),
}


def units_that_fit(
    cut: Sequence[tuple[str, int, int]], units: Mapping[str, Callable[[str, int, int], Place | None]] = UNITS
) -> list[str]:
    """The units in which nearly all of these mentions, each in its sentence, would be whole words."""
    fitting = []
    for unit, convert in units.items():
        places = [(sentence, convert(sentence, start, end)) for sentence, start, end in cut]
        whole = sum(place is not None and _is_whole(sentence, *place) for sentence, place in places)
        if whole >= 0.9 * len(cut):
            fitting.append(unit)
    return fitting

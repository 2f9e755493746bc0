"""Tags of tokens (IOB, IOE, IOBES, BILOU, bare labels, in any of their spellings) -> where mentions begin and end."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from rnr.corpus.formats.field_names import TAG_NAMES
from rnr.corpus.formats.tags.spelling import Spelling, find_spelling, looks_like_o
from rnr.corpus.spacing import SpaceRule, join

OTHER_TEXT = "rows have a text that is not what their tokens say, and were read from the tokens"

SEVERAL_TAGS = (
    "; the word has several tags, as of nested names or of words that were joined: keep one, or write {'tokens', "
    "'entities'} for each sentence"
)
NAMED_AGAIN = "the names of the columns are repeated here, as in concatenated files: remove this line"
_DIVIDERS = re.compile(r"[\s|,;#+/]+|[\W_](?=[BIESLUMW]-|O(?:_|$))")
OUTSIDE = ("O", "")
"""How a tag outside of mentions is read."""

_HALF = {
    "BIOS": "tags mark single tokens (S-) and no ends (E-), so mentions of several end where no I- follows (BIOS)",
    "BIEO": "tags mark ends (E-) and no single tokens (S-), so a B- that nothing follows is a mention (BIEO)",
}
_MAY_NOT_END = {"IOBES": "BI", "BIEO": "I"}
"""The letters that a mention may not end with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TagScheme:
    """How the tags of a file are to be read."""

    name: str
    """``IOB1``, ``IOB2``, ``IOE1``, ``IOE2``, ``IOBES``, ``BIOS`` or ``BIEO``: which tag may follow which."""
    spelling: Spelling

    @property
    def facts(self) -> tuple[str, ...]:
        """What is unusual about it, as notes."""
        return (*self.spelling.facts, *([_HALF[self.name]] if self.name in _HALF else []))


@dataclass(frozen=True, slots=True)
class TagCensus:
    """Which tags there are, how often, and which follow which: all that tells their scheme."""

    counts: Counter[str] = field(default_factory=Counter)
    pairs: set[tuple[str, str]] = field(default_factory=set)

    def add(self, tags: Sequence[str]) -> None:
        """Count the tags of a sentence."""
        self.counts.update(tags)
        self.pairs.update(zip(("O", *tags), (*tags, "O"), strict=True))

    def scheme(self) -> TagScheme:
        """IOBES (or BILOU) if tags end an entity and others begin one, BIOS or BIEO where they do not mark both its end
        and one of a single token; IOE if they only end one, IOB2 if B- begins what follows nothing of its label, else
        IOB1.

        Where no tag begins with a letter for the place in its entity, each is a label.
        """
        spelling = find_spelling(self.counts)
        read = {tag: spelling.read(tag) or OUTSIDE for tag in ("O", *self.counts)}
        letters = {letter for letter, _ in read.values()}
        pairs = [(read.get(before, OUTSIDE), read.get(tag, OUTSIDE)) for before, tag in self.pairs]
        if "E" in letters and not letters & {"B", "S"}:
            ended = any(before[0] == "E" and before[1] != after[1] for before, after in pairs)
            return TagScheme(name="IOE2" if ended else "IOE1", spelling=spelling)
        at = {"bare": slice(0), "behind": slice(-1, None)}.get(spelling.kind, slice(1))
        middle = any(tag[at] in ("M", "m") for tag, (letter, _) in read.items() if letter == "I")
        if middle or letters & {"E", "S"}:
            wrong = {tag for tag in self.counts if spelling.read(tag) is None}
            told = [pair for pair, tags in zip(pairs, self.pairs, strict=True) if wrong.isdisjoint(tags)]
            return TagScheme(name=_closing(letters, told, middle=middle), spelling=spelling)
        begun = any(after[0] == "B" and after[1] != before[1] for before, after in pairs)
        return TagScheme(name="IOB2" if begun else "IOB1", spelling=spelling)


def _closing(letters: set[str], pairs: Iterable[tuple[tuple[str, str], tuple[str, str]]], *, middle: bool) -> str:
    """The scheme of tags of which some end an entity or are one; where M- stands between, an end is marked."""
    if not middle and "E" not in letters and {"B", "I"} <= letters:
        return "BIOS"
    alone = any(before[0] == "B" and (after[0] not in "IE" or after[1] != before[1]) for before, after in pairs)
    return "BIEO" if alone and "E" in letters and "S" not in letters else "IOBES"


def tag_scheme(sentences: Iterable[Sequence[str]]) -> TagScheme:
    """The scheme of the tags of these sentences (``TagCensus.scheme``)."""
    census = TagCensus()
    for tags in sentences:
        census.add(tags)
    return census.scheme()


def spans(tags: Sequence[str], places: Sequence[str], scheme: TagScheme) -> Iterator[tuple[int, int, str]]:
    """(first token, one past the last, label) of each entity; raises ValueError at a tag the scheme does not allow."""
    if tags.count("O") == len(tags):
        return
    if scheme.name.startswith("IOE"):
        yield from _spans_by_ends(tags, places, scheme)
        return
    start, opened, before, last = 0, "", "the beginning", ""
    read, may_not_end = scheme.spelling.read, _MAY_NOT_END.get(scheme.name, ())
    for position, tag in enumerate((*tags, "O")):
        if tag == "O" and not opened:
            before = "O"
            continue
        found = read(tag) if position < len(tags) else OUTSIDE
        if found is None:
            raise ValueError(f"{places[position]}: {_no_tag(tag, places[position])}")
        letter, label = found
        continues = bool(opened) and letter in "IE" and label == opened
        if not continues:
            if (opened and last in may_not_end) or (letter in "IE" and scheme.name != "IOB1"):
                place = places[position] if position < len(tags) else f"{places[-1]}, at the end"
                raise ValueError(f"{place}: {tag} cannot follow {before} (the tags are {scheme.name})")
            if opened:
                yield start, position, opened
            start, opened = position, label
        if letter in "ES":
            yield start, position + 1, label
            opened = ""
        before, last = tag, letter


def _spans_by_ends(tags: Sequence[str], places: Sequence[str], scheme: TagScheme) -> Iterator[tuple[int, int, str]]:
    """The entities of IOE, which end at E-, and in IOE1 before all that is not of their label, too."""
    start, opened = 0, ""
    for position, tag in enumerate((*tags, "O")):
        found = scheme.spelling.read(tag) if position < len(tags) else OUTSIDE
        if found is None:
            raise ValueError(f"{places[position]}: {_no_tag(tag, places[position])}")
        letter, label = found
        if opened and label != opened:
            if scheme.name == "IOE2":
                raise ValueError(f"{places[position - 1]}: {tags[position - 1]} cannot come before {tag} (IOE2)")
            yield start, position, opened
            opened = ""
        if letter != "O" and not opened:
            start, opened = position, label
        if letter == "E":
            yield start, position + 1, label
            opened = ""


@dataclass(frozen=True, slots=True)
class Places(Sequence[str]):
    """The names of lines or tokens, made when one is asked for."""

    numbers: Sequence[int]
    what: str = "line"

    def __getitem__(self, index: Any) -> Any:
        return f"{self.what} {self.numbers[index]}"

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(slots=True)  # frozen ones take three times as long to make, and each sentence is one
class Tagged:
    """The tokens and tags of a sentence, and where each of them stands."""

    number: int
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    places: Sequence[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    """What a comment ``# text = ...`` or another field says the sentence is."""
    beside: dict[str, Any] = field(default_factory=dict)
    """What else its row says, in our own names."""
    notes: list[tuple[str, str]] = field(default_factory=list)
    """What was done to it, each as its kind and detail."""
    words: Sequence[int] = ()
    """For each tag the token that it is of, where a token may have several, one for each of its parts."""

    def row(self, scheme: TagScheme, spaces: SpaceRule) -> dict[str, Any]:
        """The sentence with its entities as offsets; raises ValueError with the place of a tag that may not stand."""
        found = spans(self.tags, self.places, scheme)
        if self.text and (places := located(self.tokens, self.text[-1])):
            entities = [[places[i][0], places[j - 1][1], label] for i, j, label in found]
            return {"sentence": self.text[-1], "entities": entities} | self.beside
        sentence, starts = join(self.tokens, spaces)
        entities = [[starts[i], starts[j - 1] + len(self.tokens[j - 1]), label] for i, j, label in found]
        return {"sentence": sentence, "entities": entities} | self.beside


def begun(tokens: Iterable[str], tags: Iterable[str], scheme: TagScheme) -> Iterator[str]:
    """The tokens whose tag begins a mention."""
    for token, tag in zip(tokens, tags, strict=False):
        if (scheme.spelling.read(tag) or OUTSIDE)[0] in "BS":
            yield token


def is_of_names(tag: Any) -> bool:
    """Whether a tag says that a token is outside of names, or where in one it stands."""
    return tag == "O" or (isinstance(tag, str) and tag[1:2] == "-" and tag[0] in "BIESLU")


def located(tokens: Sequence[str], text: str) -> list[tuple[int, int]] | None:
    """Where the tokens stand when only white space is between them in the text, else None."""
    places: list[tuple[int, int]] = []
    end = 0
    for token in tokens:
        start = text.find(token, end)
        if start < 0 or (start > end and not text[end:start].isspace()):
            # A token may itself begin with white space, which find would have passed over.
            return None
        end = start + len(token)
        places.append((start, end))
    rest = text[end:]
    return places if not rest or rest.isspace() else None


def _no_tag(cell: str, place: str) -> str:
    """What is said of a cell in the column of tags, or of a tag in a row, that is none."""
    said = f"expected a tag such as O, B-person or I-person, found tag {cell!r}"
    if len(tags := _DIVIDERS.split(cell)) > 1 and all(map(is_of_names, tags)):
        return said + SEVERAL_TAGS
    is_name = cell.lower() in TAG_NAMES and place.startswith("line")
    return f"{said}; {NAMED_AGAIN}" if is_name else said + looks_like_o(cell)

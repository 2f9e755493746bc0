"""How people write tags: ``B-PER``, ``b_per``, ``PER-B``, ``PER`` alone, ``B`` alone."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

BARE = "tags have no B- or I-, so neighbouring tokens with one label are read as one mention"
UNNAMED = "tags have no label, so all mentions are labelled 'entity'"
BEHIND = "tags have the letter after the label and are read as others are"
LOWER = "tags are written in lower case and read as others are"
OTHER_MARK = "tags divide letter and label by another mark than '-' and are read as others are"
OTHER_OUTSIDE = "tokens outside of mentions have the tag {} and are read as O"
LIKE_O = "tags beside O look like it and are read as O: {}"

ENTITY = "entity"
"""The label of mentions whose tags name none."""

_BEFORE = re.compile(r"([BIESLUMWbieslumw])([-_/:|])(.+)")
_BEHIND = re.compile(r"(.+)([-_/:|])([BIESLUMWbieslumw])")
_ALONE = re.compile(r"([BIESLUMW])-?")
_OTHER_OUTSIDE = {"_": 1, "-": 2, "0": 2}
"""What may stand for O, and in a column without tags stands for nothing at all, and how often it does at least: once it
may be a slip."""
LETTERS_LIKE_O = ("o", "\u041e", "\u039f", "\u043e", "\u03bf", "\uff2f")
"""Letters that look like O: the small one, Cyrillic, Greek and wide ones."""
_LIKE_O = (*LETTERS_LIKE_O, "0")
_SEVERAL = re.compile(r"[|,;#][BIESLUMWO](?:[-_]|$)|[/+ ](?:[BIESLUMW][-_]|O$)")
_AGAIN = re.compile(r"(.+?)[\W_][BIESLUMWbieslumw][-_]\1(?![^\W_])")
"""A label with a tag of the same one behind it: those of several words that were joined (Frog's ``B-ORG_I-ORG``)."""
_SAME_AS = {"L": "E", "U": "S", "W": "S", "M": "I"}

Kind = Literal["before", "behind", "alone", "bare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelling:
    """Where in a tag the letter of a token's place in its mention stands, if anywhere, and what divides it from the
    label."""

    kind: Kind = "before"
    mark: str = "-"
    lower: bool = False
    outside: str = "O"
    alike: tuple[str, ...] = ()
    """Of labels alone those that look like O beside it, and are read so."""
    _known: dict[str, tuple[str, str] | None] = field(default_factory=dict, compare=False)

    def read(self, tag: str) -> tuple[str, str] | None:
        """The letter of ``OBIES`` and the label of a tag; None for one that may not stand."""
        try:
            return self._known[tag]
        except KeyError:
            self._known[tag] = found = self._read(tag)
            return found

    def _read(self, tag: str) -> tuple[str, str] | None:
        if tag == self.outside or tag in self.alike:
            return ("O", "")
        if self.kind == "bare":
            return ("I", tag) if tag else None
        if self.kind == "alone":
            match = _ALONE.fullmatch(tag)
            return (_SAME_AS.get(match[1], match[1]), ENTITY) if match else None
        match = (_BEFORE if self.kind == "before" else _BEHIND).fullmatch(tag)
        if match is None or match[2] != self.mark:
            return None
        letter, label = (match[1], match[3]) if self.kind == "before" else (match[3], match[1])
        # Several tags in one cell, as of nested names, would otherwise be one label.
        if letter.islower() != self.lower or _SEVERAL.search(label) or _AGAIN.match(label):
            return None
        return _SAME_AS.get(letter.upper(), letter.upper()), label

    @property
    def facts(self) -> tuple[str, ...]:
        """What is unusual about it, as notes."""
        unusual = (
            (BARE, self.kind == "bare"),
            (UNNAMED, self.kind == "alone"),
            (BEHIND, self.kind == "behind"),
            (LOWER, self.lower),
            (OTHER_MARK, self.mark != "-"),
            (OTHER_OUTSIDE.format(_shown(self.outside)), self.outside not in ("O", "o")),
            (LIKE_O.format(", ".join(map(_shown, self.alike))), bool(self.alike)),
        )
        return tuple(fact for fact, is_so in unusual if is_so)


@lru_cache(maxsize=4096)
def may_be_tag(tag: str) -> bool:
    """Whether a text may be a tag that tells a token's place in a mention, or is outside of any: asked of lists of
    which most are of something else."""
    return tag in ("O", "o", *_OTHER_OUTSIDE) or any(form.fullmatch(tag) for form in (_BEFORE, _BEHIND, _ALONE))


def are_tags(tags: Sequence[str]) -> bool:
    """Whether these are the tags of a sentence beyond doubt: each is O or has a letter for its place in a mention, in
    any spelling, and not all are O."""
    spelling = find_spelling(Counter(tags))
    inside = [tag for tag in tags if tag != spelling.outside]
    return bool(inside) and spelling.kind != "bare" and all(map(spelling.read, inside))


def find_spelling(counts: Mapping[str, int]) -> Spelling:
    """The spelling of most of these tags."""
    outside = "O" if "O" in counts else next((mark for mark in LETTERS_LIKE_O if mark in counts), "O")
    if outside not in counts and any(tag[:2] in ("B-", "S-", "U-") for tag in counts):
        outside = next((mark for mark, least in _OTHER_OUTSIDE.items() if counts.get(mark, 0) >= least), outside)
    others = {tag: number for tag, number in counts.items() if tag and tag != outside}
    if outside in counts and others and all(map(_ALONE.fullmatch, others)):
        return Spelling(kind="alone", outside=outside)
    before = {tag: match for tag in others if (match := _BEFORE.fullmatch(tag))}
    mark = _usual({tag: match[2] for tag, match in before.items()}, others)
    letters = {tag: match[1] for tag, match in before.items() if match[2] == mark}
    begins = any(letter in "BISUWbisuw" for letter in letters.values())
    if not begins and outside in counts and len(letters) < len(others):
        behind = [match for tag in others if (match := _BEHIND.fullmatch(tag))]
        if len(behind) == len(others) and _are_behind(behind):
            mark = _usual({match[0]: match[2] for match in behind}, others)
            return Spelling(kind="behind", mark=mark, outside=outside)
        # Labels alone, even if one of them, such as E-MAIL, looks as if it had a letter.
        return Spelling(kind="bare", outside=outside, alike=_like_o(others))
    lower = sum(others[tag] for tag, letter in letters.items() if letter.islower())
    return Spelling(mark=mark, lower=2 * lower > sum(others[tag] for tag in letters), outside=outside)


def _are_behind(tags: Sequence[re.Match[str]]) -> bool:
    """Whether the letters after these labels are those of tags: some begin a mention, or, as in IOB1 and IOE, there are
    several labels and all tokens are inside a mention or end it."""
    letters = {tag[3] for tag in tags}
    inside = "I" in letters and letters <= {"I", "E", "L"} and len({tag[1] for tag in tags}) > 1
    return inside or not letters.isdisjoint("BSUW")


def _like_o(labels: Mapping[str, int]) -> tuple[str, ...]:
    """The labels that look like O; zero is one of numbers, where others are there."""
    numbers = any(label.isdecimal() and label != "0" for label in labels)
    return tuple(label for label in _LIKE_O if label in labels and not (label == "0" and numbers))


def _shown(tag: str) -> str:
    """A tag, with its number in Unicode where its letter may be taken for another."""
    return repr(tag) if tag.isascii() else f"{tag!r} (U+{ord(tag):04X})"


def looks_like_o(tag: str) -> str:
    """The message about a tag that looks like O and is another; empty of any other."""
    return f"; {_shown(tag)} looks like O: write the capital letter in its place" if tag in _LIKE_O else ""


def _usual(marks: Mapping[str, str], counts: Mapping[str, int]) -> str:
    """The mark of most tags, and where there are as many of two, ``-``."""
    found = Counter({"-": 0})
    for tag, mark in marks.items():
        found[mark] += counts[tag]
    return max(found, key=lambda mark: (found[mark], mark == "-"))

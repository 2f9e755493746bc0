"""Labels that are probably not what their author meant: each kind is reported, none is changed."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import islice

from rnr.corpus.syntax_labels import CHUNKS, PARTS_OF_SPEECH
from rnr.task.labels import label_key

PADDED = "labels have white space or invisible characters at their ends"
ALIKE = "labels look alike but differ in Unicode form or invisible characters"
TAGGED = "all labels begin like token tags; is the letter part of the label?"
SOME_TAGGED = "labels begin like token tags, and others do not; is the letter part of the label?"
SYNTAX = "labels are those of syntactic chunks or parts of speech, and are read as entity labels"
CONTROL = "labels contain line breaks or control characters"
SEVERAL = "labels are made of other labels; are they several in one?"
NAMELESS = "labels are numbers, or stand for a missing value"

LINKED = "labels look like database identifiers, not like entity types"
NUMBERED = "labels differ only in a number at their ends; does it number the mentions?"
_LINK = re.compile(r"Q\d+|[CD]\d{6,}|(?:MESH|UMLS|NCBI\w*|OMIM|CHEBI|GO|HP):\S+|https?://\S+")
_TAG = re.compile(r"[BIESLUMW][-_]\S")
_FIRST_TAG = re.compile(r"[BI][-_][A-Z]{2}")
_ALIKE = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2212\ufe63\uff0d", "-")
    | {"\u0412": "B", "\u0392": "B", "\u0406": "I", "\u0399": "I", "\u0415": "E", "\u0395": "E"}
)
"""Dashes, and the letters of Cyrillic and Greek that look like B, I and E."""
_NUMBER = re.compile(r"(.*[^\W\d_])[-_ .:#]?\d+")
_SHOWN = 10
_BETWEEN = re.compile(r"\s*[;|,/+&]\s*")
_CODE = re.compile(r"[A-Z]{1,3}\d{2,}")
"""``T116`` of ``T116,T123``."""
_CONTROL = re.compile("[\x00-\x1f\x7f\x85\u2028\u2029]")
_MISSING = frozenset(("None", "none", "nan", "NaN", "null", "NULL", "undefined"))


def label_doubts(labels: Sequence[str]) -> Iterator[str]:
    """Doubts about the labels of a file, one sentence per kind."""
    kinds = (
        (PADDED, [label for label in labels if _ends_hidden(label)]),
        (CONTROL, [label for label in labels if _CONTROL.search(label)]),
        (NAMELESS, [label for label in labels if label in _MISSING or label.isdecimal()]),
        (LINKED, [label for label in labels if _LINK.fullmatch(label)]),
        (SEVERAL, [label for label in labels if _is_several(label, labels)]),
        _tagged(labels),
        (SYNTAX, list(labels) if _are_of_syntax(labels) else []),
        (NUMBERED, list(islice(_numbered(labels), _SHOWN))),
    )
    yield from (f"{kind}: {', '.join(map(ascii, found))}" for kind, found in kinds if found)
    by_sight: dict[str, dict[str, str]] = {}
    for label in labels:
        by_sight.setdefault(_visible(label_key(label)), {})[label_key(label)] = label
    for same in by_sight.values():
        if len(same) > 1:
            yield f"{ALIKE}: {', '.join(map(ascii, same.values()))}"


def _tagged(labels: Sequence[str]) -> tuple[str, list[str]]:
    """The labels that begin as tags do: all of them, or those whose letter is rarely one of a word's own."""
    if all(_TAG.match(as_typed(label)) for label in labels):
        return TAGGED, list(labels)
    return SOME_TAGGED, [label for label in labels if _FIRST_TAG.match(as_typed(label))]


def _are_of_syntax(labels: Sequence[str]) -> bool:
    """Whether all labels are of syntax, with one of nouns and another among them: any of them alone may be meant."""
    for kinds, nouns in ((CHUNKS, ("NP", "NC")), (PARTS_OF_SPEECH, ("NN", "NNP", "NOUN", "PROPN"))):
        if len(labels) > 1 and kinds.issuperset(labels) and any(noun in labels for noun in nouns):
            return True
    return False


def as_typed(label: str) -> str:
    """A label with plain ones in the place of dashes and letters that look as those of tags do (``B\u2013PER``)."""
    return label if label.isascii() else label[:2].translate(_ALIKE) + label[2:-2] + label[2:][-2:].translate(_ALIKE)


def _numbered(labels: Sequence[str]) -> Iterator[str]:
    """The labels that are one but for a number at their ends (``PER-1``, ``PER-2``)."""
    stems: dict[str, list[str]] = {}
    for label in labels:
        if match := _NUMBER.fullmatch(label):
            stems.setdefault(match[1], []).append(label)
    yield from (label for same in stems.values() if len(same) > 1 for label in same)


def _is_several(label: str, labels: Sequence[str]) -> bool:
    parts = _BETWEEN.split(label)
    known = [part in labels for part in parts]
    enough = any(known) if "|" in label or ";" in label else all(known)
    return len(parts) > 1 and (enough or all(map(_CODE.fullmatch, parts)))


def _visible(label: str) -> str:
    """A label as it looks: in one Unicode form, without what takes no room, and without white space at its ends."""
    if label.isascii():
        return label.strip()
    shown = unicodedata.normalize("NFKC", label)
    return "".join(character for character in shown if unicodedata.category(character) != "Cf").strip()


def _ends_hidden(label: str) -> bool:
    return any(end.isspace() or unicodedata.category(end) == "Cf" for end in (label[0], label[-1]))

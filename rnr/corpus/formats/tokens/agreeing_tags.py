"""Two fields of tags of one row: whether they tell the same entities, whatever schemes they are of."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rnr.corpus.formats.tags.reading import Places, is_of_names, spans, tag_scheme
from rnr.corpus.formats.tags.spelling import are_tags, find_spelling, may_be_tag
from rnr.corpus.syntax_labels import CHUNKS, PARTS_OF_SPEECH

_SYNTAX = CHUNKS | PARTS_OF_SPEECH


def are_of_names(tags: Sequence[str]) -> bool:
    """Whether these are tags of names, and not of syntactic chunks or parts of speech: O, letters with a label, or
    labels alone beside an O."""
    if not all(map(is_of_names, tags)):
        return "O" in tags and not are_tags(tags) and _SYNTAX.isdisjoint(tags) and len(set(tags)) > 1
    return not _are_chunks({tag[2:] for tag in tags if tag != "O"})


def are_sure(tags: Sequence[str]) -> bool:
    """Whether these are tags of names beyond doubt: none of them is a label alone, or of a chunk."""
    found = set(tags)
    if not all(map(may_be_tag, found)) or _are_chunks({tag[2:] for tag in found}):
        return False
    return are_tags(tags) and not _are_chunks(set(_labels(tags)))


def _are_chunks(labels: set[str]) -> bool:
    """Whether there are labels, and all of them are of syntactic chunks."""
    return bool(named := labels - {""}) and named <= CHUNKS


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags of a field in the rows that a file begins with."""

    lettered: bool
    """Whether all of them are O or have a letter."""
    labels: frozenset[str]


def tags_of(tags: Sequence[str]) -> Tags:
    """These tags of several rows."""
    return Tags(are_tags(tags), frozenset(_labels(tags)) - {""})


def refuse_unlike(found: Mapping[str, Sequence[str]], tokens: Sequence[str], in_file: Callable[[str], Tags]) -> bool:
    """Whether two fields of tags tell the same entities; raises ValueError where they tell others.

    False where one of them has labels alone that are other ones at the same places, which may be finer or coarser, or
    shares none with the tags read in the rows that the file begins with, where it may be of events, sentiments or
    languages.
    """
    (read, tags), (name, others) = found.items()
    if tags == others or ((entities := _entities(tags)) is not None and entities == _entities(others)):
        return True
    if not (are_tags(tags) and are_tags(others)):
        first, second = _labels(tags), _labels(others)
        if list(map(bool, first)) == list(map(bool, second)):
            return first == second
        one, other = in_file(read), in_file(name)
        if not (one.lettered and other.lettered) and _are_apart(one.labels.union(first), other.labels.union(second)):
            return False
    at = next(place for place, pair in enumerate(zip(tags, others, strict=True)) if pair[0] != pair[1])
    raise ValueError(
        f"the fields {read!r} and {name!r} hold tags and do not agree; keep one of them (token {at + 1}, "
        f"{tokens[at]!r}, is {tags[at]} and {others[at]})"
    )


def _are_apart(labels: frozenset[str], others: frozenset[str]) -> bool:
    """Whether there are labels on both sides, and none on both."""
    return min(map(len, (labels - {""}, others - {""}))) > 0 and labels & others <= {""}


def _labels(tags: Sequence[str]) -> list[str]:
    """The label of each tag, empty for O."""
    read = find_spelling(Counter(tags)).read
    return [(read(tag) or ("", tag))[1] for tag in tags]


def _entities(tags: Sequence[str]) -> list[tuple[int, int, str]] | None:
    """The entities of tags by a scheme of their own; None where they break it."""
    try:
        return list(spans(tags, Places(range(1, len(tags) + 1), "token"), tag_scheme([tags])))
    except ValueError:
        return None

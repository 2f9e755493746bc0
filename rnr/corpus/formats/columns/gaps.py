"""Blank lines that stand after every row, so that they divide no sentences."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise

ALONE = "sentences are one token each: does a blank line stand after every row, and not between sentences alone?"

_FEWEST = 20
"""So many sentences tell whether nearly all are one token."""
_NEARLY_ALL = 0.9
_BEGINS = re.compile(r"B[-_/:|]")
_INSIDE = re.compile(r"[IELM][-_/:|]")
_WRITTEN_TWICE = "where each line end was written twice, take every second line (`awk 'NR % 2'`)"


def sentences_of_one(places: Sequence[tuple[int, int]], tags: Iterable[str]) -> int:
    """How many of the first sentences of a file are one token, where nearly all are; else 0.

    ``places`` are their lines, each as the first and how many there are. Raises ValueError where it cannot be meant:
    more blank lines stand between some, or a tag goes on with the mention of another line.
    """
    alone = [size for _, size in places if size == 1]
    if len(places) < _FEWEST or len(alone) < _NEARLY_ALL * len(places):
        return 0
    gaps = Counter(after - before - size for (before, size), (after, _) in pairwise(places))
    kinds = set(tags)
    if len(gaps) > 1 and gaps.most_common(1)[0][0] == min(gaps):
        raise ValueError(
            "a blank line stands after nearly every row, and more than one between some, which seem to divide "
            f"sentences: take the single ones out ({_WRITTEN_TWICE})"
        )
    if any(map(_BEGINS.match, kinds)) and (inside := sorted(filter(_INSIDE.match, kinds))):
        raise ValueError(
            f"a blank line stands after nearly every row, so that {inside[0]} follows nothing: put one between "
            f"sentences alone ({_WRITTEN_TWICE})"
        )
    return len(alone)

"""Blank lines that stand after every row, so that they divide no sentences."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

ALONE = "sentences are one token each: is there a blank line after every row, and not between sentences alone?"

_FEWEST = 20
"""So many sentences tell whether nearly all are one token."""
_NEARLY_ALL = 0.9
_BEGINS = re.compile(r"B[-_/:|]")
_INSIDE = re.compile(r"[IELM][-_/:|]")
_WRITTEN_TWICE = "where each line end was written twice, take every second line (`awk 'NR % 2'`)"
_SOME = 0.02
"""So many blocks at least end a sentence where each line end was written twice."""


def sentences_of_one(sizes: Sequence[int], gaps: Iterable[int], first: Sequence[str]) -> int:
    """How many of the first sentences of a file are one token, where nearly all are; else 0.

    ``sizes`` are how many lines they have, ``gaps`` how many blank ones stand between two of them, and ``first`` the
    tags that they begin with. Raises ValueError where it cannot be meant: more blank lines stand between some, as where
    each line end was written twice, or a tag goes on with the mention of another sentence.
    """
    alone = sizes.count(1)
    if len(sizes) < _FEWEST or alone < _NEARLY_ALL * len(sizes):
        return 0
    inside = sorted(filter(_INSIDE.match, first)) if any(map(_BEGINS.match, first)) else []
    counts = Counter(gaps)
    usual = counts.most_common(1)[0][0]
    wider = sum(times for gap, times in counts.items() if gap > usual)
    # One blank line and the two line ends around it, written twice, are three; two may be a slip.
    twice = wider >= _SOME * len(sizes) and all(gap % 2 for gap in counts)
    if wider and (twice or inside):
        raise ValueError(
            "a blank line is after nearly every row, and more than one between some, which seem to divide "
            f"sentences: take the single ones out ({_WRITTEN_TWICE})"
        )
    if inside:
        raise ValueError(
            f"a blank line is after nearly every row, so that {inside[0]} follows nothing: put one between "
            f"sentences alone ({_WRITTEN_TWICE})"
        )
    return alone

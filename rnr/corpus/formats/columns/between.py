"""Lines of column files that stand between sentences and are neither blank nor tokens: ``</s>``, ``EOS``, ``=====``,
and the number of a row with nothing in it."""

import re
from collections import Counter
from collections.abc import Iterable

from rnr.corpus.formats.columns.cells import BLANKS, by_blanks

BETWEEN = "lines with a mark instead of a token (<s>, EOS, =====) were read as the ends of sentences"
NUMBERED = "lines with only their number were read as blank lines"

_MARK = re.compile(r"</?[A-Za-z]\w*(?: [^<>]*)?>|BOS|EOS|([-=*_#~+])\1{2,}")
_ELEMENT = re.compile(r"<([A-Za-z]\w*)(?: [^<>]*)?>[^<>]*</\1>")
_EMPTY = re.compile(r"[0-9]+\t[\t ]*\t[\t ]*")
_FEWEST = 2
"""So often a mark stands between sentences; once it may be a token that has lost its tag."""
_NEARLY_ALL = 0.9


def mark_alone(line: str) -> str:
    """The mark that a line holds in the place of a token with its tag, without attributes; empty for any other."""
    bare = line.strip(BLANKS)
    if not _MARK.fullmatch(bare):
        return ""
    return bare if " " not in bare else f"{bare.partition(' ')[0]}>"


def marks_between(lines: Iterable[str], width: int) -> frozenset[str]:
    """The marks that stand alone on several of these lines, where tokens have so many columns."""
    counts = Counter(filter(None, map(mark_alone, lines))) if width > 1 else Counter[str]()
    return frozenset(mark for mark, times in counts.items() if times >= _FEWEST)


def is_element(line: str, width: int) -> bool:
    """Whether a line is a title or the like between tags of XML, and has not as many columns as tokens have."""
    return bool(_ELEMENT.fullmatch(line.strip(BLANKS))) and len(by_blanks(line)) not in (1, width)


def are_numbered(lines: Iterable[str]) -> bool:
    """Whether nearly all of these lines after the first begin with a number before a tab, and some hold nothing
    else."""
    found = [line for line in lines if "\t" in line][1:]
    numbers = sum(line.partition("\t")[0].isdecimal() for line in found)
    return numbers >= max(1, _NEARLY_ALL * len(found)) and any(map(is_empty, found))


def is_empty(line: str) -> bool:
    """Whether a line of three columns or more holds nothing but the number in the first."""
    return bool(_EMPTY.fullmatch(line))

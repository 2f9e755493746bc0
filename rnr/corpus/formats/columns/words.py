"""Which column of a column file holds the words, and words that are not what they seem: all of them carry a mark, or
tags are among them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise

from rnr.corpus.formats.columns.cells import Columns
from rnr.corpus.formats.columns.unknown import refuse_quoted
from rnr.corpus.formats.refusals import WRITE_OFFSETS
from rnr.corpus.syntax_labels import PARTS_OF_SPEECH

_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*:")
TAG = re.compile(r"[BIESLU]-[A-Za-z]\S*")
_NUMBERED = re.compile("[\u3400-\u9fff][0-9]")

_FEATURE = re.compile(r"\w[\w.]*(?:\[-?\d+\])?=")
_NUMBER = re.compile(r"(?=.*[0-9])(?:[^A-Za-z\u0080-\U0010ffff]+|[-+]?[0-9.]+[eE][-+]?[0-9]+)")
_DIVIDERS = frozenset(":,;|=>")
_WHOLE = re.compile(r"[0-9]{1,25}")
_DIGITS = re.compile("[0-9]+")
_SHAPE = re.compile(r"(?:[Xxd]|[^\w\s])+")
_OF_LETTERS = re.compile(r"(?:[A-Za-z'.-]|[^\x00-\x7f])+|[^\w\s]+")
_UPPER = re.compile("[A-Z]")
_NOTHING = frozenset(
    (*("O", "_", "-", "--", "*", "0", ""), *("nan", "NaN", "NA", "N/A", "None", "null", "NULL", "inf", "-inf", "?"))
)
"""What stands in a column beside the words where there is nothing to say."""
_FEWEST, _FEWEST_AGAIN = 4, 2
"""So many lines, or so many of them that say what the one before says, tell that a column names their sentence or
document."""
_MANY, _MANY_ALONE = 50, 30
"""So many lines tell that a file has no words, and so many words which column is of lemmas; of so many lines some have
a word that another has."""
_FAR_MORE, _MORE = 1.5, 1.03
"""A column of words has at least so many times the different cells of one of annotations, and of one of lemmas."""
_CATEGORIES, _VERY_FEW = 50, 5
"""Annotations of words are of so many kinds at most; words of so few are none beside a column of many."""
_SOME, _ALIKE, _MOST, _NEARLY_ALL = 0.1, 0.3, 0.7, 0.9
"""Share of the words that are their own stems and their own lemmas at least, of those that are of letters or begin with
their stem, and of numbers in a column of them."""
_NAMES = "names the sentence or document of its words"
_TAGS, _NUMBERS = "holds tags, or nothing", "has a number in every cell"
_NAME_THEM = "name the columns in the first line (token, tag)"

PREFIXED = "which was left out of them"
_TAGS_BELOW = (
    "tags are among the words: has each sentence a line of words and below it one of tags? Write a word and its tag "
    "on each line, or {'tokens': [...], 'ner_tags': [...]} for each sentence"
)
_MOST_TAGS = 0.25
"""Words may look like tags (``E-mail``, ``B-Movie``), but not so many of them."""


def find_words(columns: Columns, free: Sequence[int]) -> tuple[int, str]:
    """Which of the columns without tags is that of the words, and a note where this is not evident.

    Raises ValueError where none of them looks like words, and where names alone tell the ends of sentences.
    """
    said = {column: why for column in free if (why := _no_words(columns, column))}
    kinds = {column: len(columns.counts(column)) for column in free if column not in said}
    first = free[0]
    if not kinds or (said.get(first) == _NUMBERS and _are_for_words(columns, first, kinds)):
        return first, _doubt(columns, free, said)
    token = _most_varied(columns, kinds)
    token = next((other for other in kinds if _is_lemma(columns, token, other, kinds)), token)
    for column in free[: free.index(token)]:
        _refuse_names(columns, column)
    others = [
        str(other + 1)
        for other in kinds
        if (other == first != token) or kinds[other] > kinds[token] or _is_cased(columns, token, other)
    ]
    if not others and token == first:
        return token, ""
    than = f"not column {' or '.join(others)}" if others else f"column {first + 1} {said[first]}"
    return token, f", and {than}; {_NAME_THEM}, if that is wrong"


def refuse_places(columns: Columns, named: Sequence[int]) -> None:
    """Raises ValueError where all columns beside one of tags have numbers below the first line, and none is ``named``
    that of words: three of them, or two that go from one to another, are ids and places of texts in another file."""
    rows = [row for sentence in columns.sentences for row in sentence][1:]
    numbers = [place for place in range(columns.width) if all(_WHOLE.fullmatch(row[place].strip()) for row in rows)]
    others = [place for place in range(columns.width) if place not in numbers]
    tags = [row[others[0]].strip() for row in rows] if len(others) == 1 else []
    told = sum(tag == "O" or bool(TAG.fullmatch(tag)) for tag in tags)
    if named or len(numbers) < 2 or not tags or 2 * told < len(tags):
        return
    pairs = [(int(row[numbers[0]]), int(row[numbers[1]])) for row in rows]
    ordered = len(rows) >= _FEWEST and all(left <= right for left, right in pairs) and len(set(pairs)) > 1
    if len(numbers) > 2 or ordered:
        shown = ", ".join(str(place + 1) for place in numbers)
        raise ValueError(
            f"columns {shown} hold numbers, and no column holds words: are they the places of names in texts that are "
            f"in another file? Then {WRITE_OFFSETS}"
        )


def _doubt(columns: Columns, free: Sequence[int], said: Mapping[int, str]) -> str:
    """The note on the first column where no other looks like words; raises ValueError where it has numbers that go up,
    or nothing, and no column may be words."""
    first, total = free[0], columns.counts(free[0]).total()
    empty = said[first] == _TAGS or (said[first] == _NUMBERS and _goes_up(columns, first))
    if len(free) > 1 and total >= _MANY and empty and _NAMES not in said.values():
        held = ", ".join(f"column {column + 1} {why}" for column, why in said.items())
        raise ValueError(f"no column seems to hold words: {held}; {_NAME_THEM} if one does")
    doubtful = total >= _FEWEST and (len(free) > 1 or said[first] != _NAMES)
    return f", and {said[first]}" if doubtful else ""


def _are_for_words(columns: Columns, column: int, kinds: Mapping[int, int]) -> bool:
    """Whether numbers are the words themselves: beside them stand columns of very few kinds alone."""
    own = len(columns.counts(column))
    few = all(number <= _VERY_FEW and 4 * number <= own for number in kinds.values())
    return few and not _goes_up(columns, column)


def _no_words(columns: Columns, column: int) -> str:
    """Why a column cannot be the words; empty where it may."""
    counts = columns.counts(column)
    cells = [cell for cell in counts if cell not in _NOTHING]
    if all(cell in _NOTHING or TAG.fullmatch(cell) for cell in counts):
        return _TAGS
    nearly_all = _NEARLY_ALL * sum(counts[cell] for cell in cells)
    if sum(counts[cell] for cell in cells if _NUMBER.fullmatch(cell)) >= nearly_all or _is_id(columns, column):
        return _NUMBERS
    if sum(counts[cell] for cell in cells if _is_part_of_speech(cell)) >= nearly_all:
        return "holds parts of speech"
    if all(map(_SHAPE.fullmatch, counts)) and any("xx" in cell.lower() or "dd" in cell for cell in counts):
        return "holds the shapes of words"
    return _NAMES if _is_name(columns, column) or _is_constant(columns, column) else ""


def _is_part_of_speech(cell: str) -> bool:
    """Whether a cell is a part of speech, several between slashes (``NNP/NNP``), or a mark, which is its own."""
    return all(part in PARTS_OF_SPEECH for part in cell.split("/")) or not any(map(str.isalnum, cell))


def _is_id(columns: Columns, column: int) -> bool:
    """Whether all cells are one name with other numbers in it, which go up (``t1``, ``s1_1``); those of words, such as
    genes, differ in their letters."""
    names = {_DIGITS.sub("0", cell) for cell in columns.counts(column) if cell not in _NOTHING}
    return len(names) == 1 and "0" in next(iter(names)) and _goes_up(columns, column)


def _goes_up(columns: Columns, column: int) -> bool:
    """Whether the numbers in a column become more from line to line of each sentence, as those of words and their
    places do."""
    rows = [[list(map(int, _DIGITS.findall(cell))) for cell in cells] for cells in columns.cells(column)]
    steps = [left < right for row in rows for left, right in pairwise(row)]
    return any(steps) and sum(steps) >= _NEARLY_ALL * len(steps)


def _is_constant(columns: Columns, column: int) -> bool:
    """Whether a column says one thing of all words of a sentence: its domain, its language, its speaker."""
    sizes = [(len(cells), len(set(cells))) for cells in columns.cells(column)]
    return all(kinds == 1 for _, kinds in sizes) and sum(size - 1 for size, _ in sizes) >= _FEWEST_AGAIN


def _is_name(columns: Columns, column: int) -> bool:
    """Whether the cells of a column come in runs, as the names of sentences and documents do."""
    sizes = [len(sentence) for sentence in columns.sentences]
    return sum(sizes) >= _FEWEST and max(sizes) > 1 and columns.in_runs(column)


def _refuse_names(columns: Columns, column: int) -> None:
    """Raises ValueError where a column names sentences and no blank line divides them."""
    if _is_name(columns, column) and any(len(set(sentence)) > 1 for sentence in columns.cells(column)):
        raise ValueError(
            f"column {column + 1} names the sentence or document of each word "
            f"({', '.join(list(columns.counts(column))[:2])}), and there is no blank line between some of them: put "
            "one between sentences, or divide the columns by tabs and name them in the first line (sentence_id, word, "
            "tag)"
        )


def _most_varied(columns: Columns, kinds: Mapping[int, int]) -> int:
    """The first column, or where it has so few different cells that it says something of words (a part of speech, a
    form, a speaker), the first of those of letters that have far more; ids, no two of which are alike, are no words
    either, and nor is what a column says of the first."""
    first = next(iter(kinds))
    total = columns.counts(first).total()
    repeated = {column: number for column, number in kinds.items() if number < total or total < _MANY}
    if len(repeated) < len(kinds) and max(repeated.values(), default=0) >= total / 5:
        kinds = repeated
        first = next(iter(kinds))
    if kinds[first] > _CATEGORIES or 2 * kinds[first] > total:
        return first
    least = max(_FAR_MORE * kinds[first], kinds[first] + 3)
    varied = {
        column: number
        for column, number in kinds.items()
        if number >= least and (number < total or total < _MANY_ALONE) and _may_annotate(columns, first, column)
    }
    most = max(varied.values(), default=0)
    return next((column for column, number in varied.items() if _FAR_MORE * number >= most), first)


def _may_annotate(columns: Columns, first: int, other: int) -> bool:
    """Whether the first column may say something of the words in another: these are of letters, and do not repeat what
    stands there."""
    cells = columns.counts(other)
    letters = sum(map(bool, map(_OF_LETTERS.fullmatch, cells)))
    pairs = [(row[first], row[other]) for sentence in columns.sentences for row in sentence]
    return letters >= _MOST * len(cells) and 2 * sum(left in right for left, right in pairs) <= len(pairs)


def _is_lemma(columns: Columns, column: int, other: int, kinds: Mapping[int, int]) -> bool:
    """Whether a column has the lemmas of the words in another, which are mostly the same and of fewer kinds."""
    more = kinds[other] >= max(_MANY, _MORE * kinds[column])
    return more and (_alike(columns, column, other) or _begins(columns, column, other))


def _begins(columns: Columns, column: int, other: int) -> bool:
    """Whether most cells of a column begin those of another, and some are the same: stems and their words."""
    pairs = [(row[column], row[other]) for sentence in columns.sentences for row in sentence]
    begun = sum(len(left) > 1 and right.startswith(left) for left, right in pairs)
    return begun >= _MOST * len(pairs) and sum(left == right for left, right in pairs) >= _SOME * len(pairs)


def _is_cased(columns: Columns, column: int, other: int) -> bool:
    """Whether a column has the words of another without their capitals, as lemmas may have."""
    lower = not any(map(_UPPER.search, columns.counts(column)))
    return lower and any(map(_UPPER.search, columns.counts(other))) and _alike(columns, column, other)


def _alike(columns: Columns, column: int, other: int) -> bool:
    pairs = [(row[column].lower(), row[other].lower()) for sentence in columns.sentences for row in sentence]
    return sum(left == right for left, right in pairs) >= _ALIKE * len(pairs)


def language_prefix(words: Counter[str]) -> str:
    """The language before every word, as WikiANN writes it (``en:Ida``); empty where none is."""
    match = _LANGUAGE.match(next(iter(words), ""))
    return match[0] if match and len(words) > 1 and all(word.startswith(match[0]) for word in words) else ""


def without_prefix(words: Sequence[str], prefix: str, places: Sequence[int]) -> list[str]:
    """The words without what stands before all of them; raises ValueError with the line of one where it does not."""
    for word, place in zip(words, places, strict=True):
        if not word.startswith(prefix):
            raise ValueError(f"line {place}: the word {word!r} does not begin with {prefix!r} as those before do")
    return [word.removeprefix(prefix) for word in words]


def refuse_tags_below(lines: Sequence[str]) -> None:
    """Raises ValueError where every second line has a tag for each word of the line above it."""
    parts = [line.split() for line in lines]
    pairs = [(above, below) for above, below in zip(parts[::2], parts[1::2], strict=False) if above and below]
    if len(pairs) > 1 and max(map(len, parts)) > 2 and all(_has_tags_below(*pair) for pair in pairs):
        raise ValueError(_TAGS_BELOW)


def _has_tags_below(words: Sequence[str], tags: Sequence[str]) -> bool:
    are_tags = [all(one == "O" or TAG.fullmatch(one) for one in line) for line in (words, tags)]
    return len(words) == len(tags) and are_tags == [False, True]


def refuse_no_words(words: Counter[str]) -> None:
    """Raises ValueError for a column of words in quotation marks, of tags, or of characters with numbers."""
    refuse_quoted(words)
    ends = {word[-1:] for word in words}
    if len(words) > 1 and len(ends) == 1 and ends <= _DIVIDERS and not all(word in _DIVIDERS for word in words):
        raise ValueError(
            f"every word ends with {ends.pop()!r}, which seems to divide the columns: put a tab in its place (and in "
            "that of the space after it)"
        )
    named = _FEATURE.match(next(iter(words), ""))
    if named and len(words) > 1 and all(word.startswith(named[0]) for word in words):
        raise ValueError(
            f"every word begins with {named[0]!r}, so the columns seem to be features, as CRFsuite has them: write "
            "each word and its tag alone on a line"
        )
    tags = sum(times for word, times in words.items() if TAG.fullmatch(word))
    if tags > 1 and tags >= _MOST_TAGS * words.total():
        raise ValueError(_TAGS_BELOW)
    if all(map(_NUMBERED.fullmatch, words)):
        raise ValueError(
            "every word is a character with a number after it, as in Weibo's files, where it is the place in a "
            r"segment: take it off (`sed -E 's/^(.)[0-9]/\1/'`)"
        )

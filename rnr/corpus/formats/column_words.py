"""Which column of a column file holds the words, and words that are not what they seem: all of them carry a mark, or
tags are among them."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from rnr.corpus.formats.column_cells import Columns
from rnr.corpus.formats.column_unknown import refuse_quoted
from rnr.corpus.syntax_labels import PARTS_OF_SPEECH

_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*:")
TAG = re.compile(r"[BIESLU]-[A-Za-z]\S*")
_NUMBERED = re.compile("[\u3400-\u9fff][0-9]")

_FEATURE = re.compile(r"\w[\w.]*(?:\[-?\d+\])?=")
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?[.):]?")
_DIVIDERS = frozenset(":,;|=>")
_DIGIT = re.compile("[0-9]")
_SHAPE = re.compile(r"(?:[Xxd]|[^\w\s])+")
_UPPER = re.compile("[A-Z]")
_NOTHING = frozenset(("O", "_", "-", "--", "*", "0", ""))
"""What stands in a column beside the words where there is nothing to say."""
_FEWEST, _FEWEST_AGAIN = 4, 2
"""So many lines, or so many of them that say what the one before says, tell that a column names their sentence or
document."""
_MANY = 50
"""So many lines tell that a file has no words, and so many words which column is of lemmas."""
_FAR_MORE, _MORE = 1.5, 1.03
"""How many times the different cells of a column another has that holds words where it holds what is said of them, and
where it holds their lemmas."""
_ALIKE = 0.3
"""Share of the words that are their own lemmas at least."""
_NAMES = "names the sentence or document of its words"
_NAME_THEM = "name the columns in the first line (token, tag)"

PREFIXED = "which was left out of them"
_MOST_TAGS = 0.25
"""Words may look like tags (``E-mail``, ``B-Movie``), but not so many of them."""


def find_words(columns: Columns, free: Sequence[int]) -> tuple[int, str]:
    """Which of the columns without tags is that of the words, and what is said where this is not evident.

    Raises ValueError where none of them looks like words, and where names alone tell the ends of sentences.
    """
    said = {column: why for column in free if (why := _no_words(columns, column))}
    total = columns.counts(free[0]).total()
    if len(said) == len(free):
        if len(free) > 1 and total >= _MANY:
            held = ", ".join(f"column {column + 1} {why}" for column, why in said.items())
            raise ValueError(f"no column seems to hold words: {held}; {_NAME_THEM} if one does")
        doubtful = total >= _FEWEST and (len(free) > 1 or said[free[0]] != _NAMES)
        return free[0], f", and {said[free[0]]}" if doubtful else ""
    kinds = {column: len(columns.counts(column)) for column in free if column not in said}
    token = _most_varied(kinds, total)
    token = next((other for other in kinds if _is_lemma(columns, token, other, kinds)), token)
    for column in free[: free.index(token)]:
        _refuse_names(columns, column)
    others = [str(other + 1) for other in kinds if kinds[other] > kinds[token] or _is_cased(columns, token, other)]
    return token, f", and not column {' or '.join(others)}; {_NAME_THEM}, if that is wrong" if others else ""


def _no_words(columns: Columns, column: int) -> str:
    """Why a column cannot be the words; empty where it may."""
    counts = columns.counts(column)
    cells = [cell for cell in counts if cell not in _NOTHING]
    if all(cell in _NOTHING or TAG.fullmatch(cell) for cell in counts):
        return "holds tags, or nothing"
    if all(_NUMBER.fullmatch(cell) or (cell.isascii() and _DIGIT.search(cell)) for cell in cells):
        return "has a number in every cell"
    if all(cell in PARTS_OF_SPEECH or not any(map(str.isalnum, cell)) for cell in cells):
        return "holds parts of speech"
    if all(map(_SHAPE.fullmatch, counts)) and any("xx" in cell.lower() for cell in counts):
        return "holds the shapes of words"
    return _NAMES if _is_name(columns, column) or _is_constant(columns, column) else ""


def _is_constant(columns: Columns, column: int) -> bool:
    """Whether a column says one thing of all words of a sentence: its domain, its language, its speaker."""
    sizes = [(len(cells), len(set(cells))) for cells in columns.cells(column)]
    return all(kinds == 1 for _, kinds in sizes) and sum(size - 1 for size, _ in sizes) >= _FEWEST_AGAIN


def _is_name(columns: Columns, column: int) -> bool:
    """Whether the cells of a column come in runs, as the names of sentences and documents do."""
    cells = [cell for sentence in columns.cells(column) for cell in sentence]
    runs = [cell for cell, _ in groupby(cells)]
    return len(cells) >= _FEWEST and len(runs) == len(set(runs)) and 2 * len(runs) <= len(cells)


def _refuse_names(columns: Columns, column: int) -> None:
    """Raises ValueError where a column names sentences and no blank line divides them."""
    if _is_name(columns, column) and any(len(set(sentence)) > 1 for sentence in columns.cells(column)):
        raise ValueError(
            f"column {column + 1} names the sentence or document of each word "
            f"({', '.join(list(columns.counts(column))[:2])}), and no blank line stands between some of them: put one "
            "between sentences, or divide the columns by tabs and name them in the first line (sentence_id, word, tag)"
        )


def _most_varied(kinds: Mapping[int, int], total: int) -> int:
    """The first column, or where it has so few different cells that it says something of words (a part of speech, a
    form, a speaker), the first of those that have far more; ids, no two of which are alike, are no words either."""
    repeated = {column: number for column, number in kinds.items() if number < total or total < _MANY}
    if len(repeated) < len(kinds) and max(repeated.values(), default=0) >= total / 5:
        kinds = repeated
    first, most = next(iter(kinds)), max(kinds.values())
    few = kinds[first] <= max(100, total / 20)
    if few and most >= _FAR_MORE * kinds[first] and most >= kinds[first] + 3:
        return next(column for column, number in kinds.items() if _FAR_MORE * number >= most)
    return first


def _is_lemma(columns: Columns, column: int, other: int, kinds: Mapping[int, int]) -> bool:
    """Whether a column has the lemmas of the words in another, which are mostly the same and of fewer kinds."""
    return kinds[other] >= max(_MANY, _MORE * kinds[column]) and _alike(columns, column, other)


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


def refuse_no_words(words: Counter[str]) -> None:
    """Raises ValueError for a column of words in quotation marks, of tags, or of characters with numbers."""
    refuse_quoted(words)
    ends = {word[-1:] for word in words}
    if len(words) > 1 and len(ends) == 1 and ends <= _DIVIDERS and not all(word in _DIVIDERS for word in words):
        raise ValueError(
            f"every word ends with {ends.pop()!r}, which seems to divide the columns: put a tab in its place (and in "
            "that of the space behind it)"
        )
    named = _FEATURE.match(next(iter(words), ""))
    if named and len(words) > 1 and all(word.startswith(named[0]) for word in words):
        raise ValueError(
            f"every word begins with {named[0]!r}, so the columns seem to be features, as CRFsuite has them: write "
            "each word and its tag alone on a line"
        )
    tags = sum(times for word, times in words.items() if TAG.fullmatch(word))
    if tags > 1 and tags >= _MOST_TAGS * words.total():
        raise ValueError(
            "tags stand among the words: has each sentence a line of words and below it one of tags? Write a word "
            "and its tag on each line, or {'tokens': [...], 'ner_tags': [...]} for each sentence"
        )
    if all(map(_NUMBERED.fullmatch, words)):
        raise ValueError(
            "every word is a character with a number behind it, as in Weibo's files, where it is the place in a "
            r"segment: take it off (`sed -E 's/^(.)[0-9]/\1/'`)"
        )

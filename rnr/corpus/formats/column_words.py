"""Words of a column file that are not what they seem: all of them carry a mark, or tags are among them."""

import re
from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from rnr.corpus.formats.column_cells import Columns
from rnr.corpus.formats.column_unknown import refuse_quoted

_LANGUAGE = re.compile(r"[a-z]{2,3}(?:-[a-z]+)*:")
_TAG = re.compile(r"[BIESLU]-[A-Za-z]\S*")
_NUMBERED = re.compile("[\u3400-\u9fff][0-9]")

_FEATURE = re.compile(r"\w[\w.]*(?:\[-?\d+\])?=")
_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?[.):]?")
_DIVIDERS = frozenset(":,;|=>")
_FEWEST = 4
"""So many lines tell that a column names their sentence or document."""

PREFIXED = "which was left out of them"
_MOST_TAGS = 0.25
"""Words may look like tags (``E-mail``, ``B-Movie``), but not so many of them."""


def could_be_words(columns: Columns, column: int) -> bool:
    """Whether a column may be the words: it neither names the sentence or the document of each line, which come in
    runs, nor holds numbers alone. Raises ValueError where such names alone tell the ends of sentences.
    """
    cells = [cell for sentence in columns.cells(column) for cell in sentence]
    runs = [cell for cell, _ in groupby(cells)]
    if len(cells) < _FEWEST or len(runs) > len(set(runs)) or 2 * len(runs) > len(cells):
        return not all(map(_NUMBER.fullmatch, cells))
    if any(len(set(sentence)) > 1 for sentence in columns.cells(column)):
        raise ValueError(
            f"column {column + 1} names the sentence or document of each word ({', '.join(runs[:2])}), and no blank "
            "line stands between some of them: put one between sentences, or divide the columns by tabs and name them "
            "in the first line (sentence_id, word, tag)"
        )
    return False


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
    tags = sum(times for word, times in words.items() if _TAG.fullmatch(word))
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

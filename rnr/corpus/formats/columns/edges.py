"""Tokens at the ends of nearly all sentences, which mark these and are no words."""

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

_FEWEST = 10
"""So many sentences tell it."""
_NEARLY_ALL = 0.9
_NO_PUNCTUATION = frozenset("\u00b6\u00a7")
"""The signs of paragraphs, which Unicode counts among it."""


def edge_marks(sentences: Sequence[Sequence[str]], begun: Collection[str]) -> Iterator[str]:
    """What is said of a token that nearly all sentences end or begin with, is no punctuation and has ``begun`` no
    mention."""
    for place, what in ((-1, "end"), (0, "begin")):
        counts = Counter(words[place] for words in sentences if len(words) > 1)
        for token, times in counts.most_common(1):
            often = times >= max(_FEWEST, _NEARLY_ALL * len(sentences))
            if often and token not in begun and not _is_punctuation(token):
                yield f"nearly all sentences {what} with the token {token!r}: if it is a mark and no word, take it out"


def _is_punctuation(token: str) -> bool:
    return all(unicodedata.category(sign)[0] == "P" and sign not in _NO_PUNCTUATION for sign in token)

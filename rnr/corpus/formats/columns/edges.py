"""Tokens at the ends of nearly all sentences, which mark these and are no words."""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

_FEWEST = 10
"""So many sentences tell it."""
_NEARLY_ALL = 0.9
_SIGNS = frozenset("\u00b6\u00a7\u23ce\u21b5\u21a9\u2424")
"""The signs of paragraphs and of new lines."""
_CAPITALS = "BOS EOS SOS EOL EOT EOF EOD NEWLINE NL CR LF CRLF SEP CLS PAD BR"
_OTHERS = "S P SENT SENTENCE UTT TURN LINE BREAK DOC PAR BEGIN START END STOP TAB ENDOFTEXT"
_NAMES = frozenset(_CAPITALS.split())
"""What marks are called, in capitals or in brackets."""
_IN_BRACKETS = _NAMES.union(_OTHERS.split())
_BRACKETED = re.compile(r"<[^<>]+>|\[[^\[\]]+\]")
_WORD = re.compile(r"[A-Z]+")
_ESCAPED = re.compile(r"(?:\\[nrt])+")


def edge_marks(sentences: Sequence[Sequence[str]], begun: Collection[str]) -> Iterator[str]:
    """The message about a token that nearly all sentences end or begin with, looks like a mark and has ``begun`` no
    mention."""
    for place, what in ((-1, "end"), (0, "begin")):
        counts = Counter(words[place] for words in sentences if len(words) > 1)
        for token, times in counts.most_common(1):
            often = times >= max(_FEWEST, _NEARLY_ALL * len(sentences))
            if often and token not in begun and _looks_like_mark(token):
                yield f"nearly all sentences {what} with the token {token!r}: if it is a mark and no word, take it out"


def _looks_like_mark(token: str) -> bool:
    """Whether a token looks like a mark: sentences of one template end in one word, in a sign, or in ``<URL>``."""
    if token in _SIGNS or _ESCAPED.fullmatch(token):
        return True
    if _BRACKETED.fullmatch(token):
        return not _IN_BRACKETS.isdisjoint(_WORD.findall(token.upper()))
    return token.strip("-_#*=") in _NAMES

"""Scripts that write no space between words: how their tokens are joined, and what stands for a word in them."""

from collections.abc import Collection, Sequence
from itertools import accumulate, pairwise
from typing import Literal

import regex

SpaceRule = Literal["script", "always", "never"]
"""Whether a space stands between two tokens; ``script`` puts none between those of a script that writes none."""

_NAMES = ("Han", "Hiragana", "Katakana", "Bopomofo", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan", "Tai_Tham")
_SCRIPTS = "".join(rf"\p{{{name}}}" for name in _NAMES)
# Ideographic marks and full-width forms stand between such words as their own punctuation does.
_NEIGHBOUR = regex.compile(rf"[{_SCRIPTS}\u3000-\u303f\uff00-\uffef\u30fb\u30fc]")
_LETTER = regex.compile(rf"[{_SCRIPTS}]")
_OTHER_LETTER = regex.compile(rf"(?:[\p{{L}}--[{_SCRIPTS}]])+", regex.V1)

UNIT = regex.compile(rf"[{_SCRIPTS}]\p{{M}}*|(?:[\w--[{_SCRIPTS}]]\p{{M}}*|[\u200c\u200d])+", regex.V1)
"""A word with its combining marks, or one character of a script without spaces."""


def written_without_spaces(text: str) -> bool:
    """Whether most of the words of a text are of a script without spaces, a character of it counted as half a word."""
    if text.isascii():
        return False
    own = len(_LETTER.findall(text))
    return own > 0 and own >= 2 * len(_OTHER_LETTER.findall(text))


def join(tokens: Sequence[str], rule: SpaceRule, glued: Collection[int] = ()) -> tuple[str, list[int]]:
    """The sentence of these tokens and where each of them begins; after those that are ``glued`` stands no space."""
    spaced = " ".join(tokens)
    if glued:
        spaces = [place not in glued for place in range(len(tokens))]
    elif rule == "always" or (rule == "script" and not written_without_spaces(spaced)):
        return spaced, [0, *(end + place for place, end in enumerate(accumulate(map(len, tokens)), 1))][:-1]
    else:
        spaces = [rule == "script" and _apart(left, right) for left, right in pairwise((*tokens, ""))]
    starts = [0, *accumulate(len(token) + space for token, space in zip(tokens, spaces, strict=True))][:-1]
    pieces = [token + " " * space for token, space in zip(tokens, spaces, strict=True)]
    return "".join([*pieces[:-1], *tokens[-1:]]), starts


def _apart(left: str, right: str) -> bool:
    """Whether a space stands between two tokens of a text whose script writes none: only between foreign words."""
    if not right or _NEIGHBOUR.match(right[:1]) or _NEIGHBOUR.match(left[-1:]):
        return False
    # Such texts are often cut into single characters, and so are the numbers and foreign words in them.
    return len(left) > 1 or len(right) > 1

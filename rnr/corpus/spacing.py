"""Scripts that write no space between words: how their tokens are joined, and what stands for a word in them."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import accumulate, count, islice, pairwise
from operator import add
from typing import Literal

import regex

from rnr.types import Mention

SpaceRule = Literal["script", "always", "never", "characters"]
"""Whether a space stands between two tokens; ``script`` puts none between those of a script that writes none, and
``characters`` only where two words stand among tokens that are single characters."""

_NAMES = ("Han", "Hiragana", "Katakana", "Bopomofo", "Thai", "Lao", "Khmer", "Myanmar", "Tibetan", "Tai_Tham")
_SCRIPTS = "".join(rf"\p{{{name}}}" for name in _NAMES)
# Ideographic marks and full-width forms stand between such words as their own punctuation does.
_NEIGHBOUR = regex.compile(rf"[{_SCRIPTS}\u3000-\u303f\uff00-\uffef\u30fb\u30fc]")
_LETTER = regex.compile(rf"[{_SCRIPTS}]")
# Not those of full width, which stand in texts of such a script alone.
_OTHER_LETTER = regex.compile(rf"(?:[\p{{L}}--[{_SCRIPTS}\uff00-\uffef]])+", regex.V1)
_CHARACTER = regex.compile(r"\X")
_SMALL_LETTERS = regex.compile(r"[\p{L}--\p{Lu}]{3,}", regex.V1)
_BETWEEN_CHARACTERS = regex.compile(r"(?<=(?:^| )\S) (?=\S(?: |$))")
"""The spaces that a join has put between single characters: a word that was cut into them is one."""

FIRST = 500
"""So many sentences tell whether the tokens of a file are single characters, or marks for a space."""
_NEARLY_ALL = 0.9
"""Share of the tokens that are: a text of words in any language has far less."""
_FEWEST_SYLLABLES, _FEWEST_LETTERS = 10, 30
"""So many of the tokens have to be there, of a script of syllables or signs and of another: a few letters may each be
one token for their own sake."""
_KINDS_OF_LETTERS = 10
"""Words have so many; DNA has four."""
_LONG = 20
"""Characters that are more than a word in most languages."""
_BEFORE_A_SPACE, _AFTER_A_SPACE = frozenset(",;:!?)]"), frozenset("([")
_FEWEST_ALONE = 4
"""So many letters with spaces between them are rarely meant so, and none are where a token is a space."""
_SYLLABLE = regex.compile(rf"[{_SCRIPTS}\p{{Hangul}}]")
_MARKS = frozenset(("\u2581", "\u2423", "\u2420", "<SPACE>", "<space>", "[SPACE]"))
"""Tokens that are nothing but a mark for a space, whatever the text."""
_MAYBE_MARK = "_"
_OF_PIECES = "\u2581"
_PIECE = regex.compile(r"\u2581[^\u2581]")
"""How a piece of a model's vocabulary begins: beside such pieces a mark alone is one of them."""
_SHARE_WITHOUT_SPACES, _SHARE_OF_CHARACTERS, _SHARE_OF_ANY, _SHARE_IN_DOUBT = 0.02, 0.1, 0.3, 0.005
_SHARE_IN_KOREAN = 0.2
_SHARES = (
    (regex.compile(r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Tai_Tham}]"), _SHARE_WITHOUT_SPACES),
    (regex.compile(r"\p{Hangul}"), _SHARE_IN_KOREAN),
    (_LETTER, _SHARE_OF_ANY),
)
"""Share of the tokens, by the script of most, of which those that are ``_`` or blank are all the spaces of a text; of
characters, of any other, and of ``_`` that may be one. Names of users have it in Chinese, too."""

_FEWEST_MARKS, _ODD = 10, 0.1
"""So many marks for a space there are at least where other scripts may have them as words, and the share of them that
may stand where no space does; of fewer none may."""
_NO_SPACE_BEHIND, _NO_SPACE_BEFORE = frozenset(("(", "[", "=")), frozenset((",", ")", "]", "="))

UNIT = regex.compile(rf"[{_SCRIPTS}]\p{{M}}*|(?:[\w--[{_SCRIPTS}]]\p{{M}}*|[\u200c\u200d])+", regex.V1)
"""A word with its combining marks, or one character of a script without spaces."""
_TOKEN = regex.compile(rf"{UNIT.pattern}|[^\s]\p{{M}}*", regex.V1)
"""A unit, or one mark with its combining marks."""


def token_spans(sentence: str, mentions: Sequence[Mention]) -> Iterator[tuple[int, int]]:
    """Words and single marks, cut also where a mention begins or ends, so that no offset is lost."""
    cuts = {place for mention in mentions for place in (mention.start, mention.end)}
    for token in _TOKEN.finditer(sentence):
        places = [token.start(), *(cut for cut in range(token.start() + 1, token.end()) if cut in cuts), token.end()]
        yield from pairwise(places)


def written_without_spaces(text: str) -> bool:
    """Whether most of the words of a text are of a script without spaces, a character of it counted as half a word."""
    if text.isascii():
        return False
    own = len(_LETTER.findall(text))
    return own > 0 and own >= 2 * len(_OTHER_LETTER.findall(text))


def are_characters(sentences: Iterable[Sequence[str]]) -> bool:
    """Whether the first of these sentences are cut into single characters, and not into words."""
    first = list(islice(sentences, FIRST))
    counts = Counter(token for tokens in first for token in tokens)
    del counts[""]
    spaces = [counts.pop(token) for token in list(counts) if token.isspace()]
    single = {token: times for token, times in counts.items() if _CHARACTER.fullmatch(token)}
    syllables = any(map(_SYLLABLE.match, single))
    fewest = _FEWEST_SYLLABLES if syllables else _FEWEST_LETTERS
    fewest = _FEWEST_ALONE if spaces else fewest
    cut = counts.total() >= fewest and sum(single.values()) >= _NEARLY_ALL * counts.total()
    return cut and (syllables or bool(spaces) or _spell_words(first))


def hold_spaces(sentences: Iterable[Sequence[str]]) -> bool:
    """Whether tokens contain the spaces around them (``"Ida ", "ran", "."``): many begin or end with one, and hardly
    any two words have none between them."""
    pairs = (pair for tokens in sentences for pair in pairwise(tokens) if all(map(str.strip, pair)))
    inner = [(before[-1], token[0]) for before, token in pairs]
    most = max(sum(end == " " for end, _ in inner), sum(begin == " " for _, begin in inner))
    together = sum(end.isalnum() and begin.isalnum() for end, begin in inner)
    return most > 1 and most >= _SHARE_OF_ANY * len(inner) and together <= _ODD * len(inner)


def space_marks(
    sentences: Iterable[Sequence[str]], *, characters: bool, begun: Collection[str]
) -> tuple[frozenset[str], list[str]]:
    """The tokens that stand for the spaces of these sentences, because there are as many of them as spaces in a text
    and they stand where spaces do: marks for one, and blank ones; and those that may stand for one, and are fewer.
    ``characters`` tells that their tokens are such, ``begun`` which of them begin a mention, as no space does."""
    sentences = list(sentences)
    counts = Counter(token for tokens in sentences for token in tokens)
    marks = _MARKS.intersection(counts)
    if any(map(_PIECE.match, counts)):
        marks -= {_OF_PIECES}
    blank = set() if characters else {token for token in counts if token.isspace()}
    found, doubtful = set[str](), list[str]()
    for maybe, sure in ((marks, True), ({_MAYBE_MARK} & counts.keys(), False), (blank, False)):
        times, all_of = sum(counts[token] for token in maybe), counts.total()
        share = _share_of_spaces(counts, characters=characters, sure=sure)
        ends, inside = (0, 0) if maybe == blank else _odd_places(sentences, maybe)
        odd = inside + (0 if share == _SHARE_WITHOUT_SPACES and times >= _FEWEST_MARKS else ends)
        fits = maybe.isdisjoint(begun) and odd <= (_ODD * times if times >= _FEWEST_MARKS else 0)
        least = {_SHARE_WITHOUT_SPACES: 1, _SHARE_IN_KOREAN: 1 if sure else 2}.get(share, _FEWEST_MARKS)
        if fits and times >= max(2 if maybe == blank else least, share * all_of):
            found |= maybe
        elif maybe != blank and times >= (1 if sure else min(share * all_of, max(2, _SHARE_IN_DOUBT * all_of))):
            doubtful += sorted(maybe) if sure or inside <= _ODD * times else []
    return frozenset(found), doubtful


def _odd_places(sentences: Iterable[Sequence[str]], marks: Collection[str]) -> tuple[int, int]:
    """How many of these tokens begin or end a sentence, and how many stand inside of one where no space does: side by
    side, or as in code."""
    ends = inside = 0
    for tokens in sentences:
        for before, token, after in zip(("", *tokens), tokens, (*tokens[1:], ""), strict=False):
            if token in marks:
                ends += not (before and after)
                inside += before in marks or after in marks or before in _NO_SPACE_BEHIND or after in _NO_SPACE_BEFORE
    return ends, inside


def _share_of_spaces(counts: Counter[str], *, characters: bool, sure: bool) -> float:
    """The share of the tokens that are spaces, at least, where all spaces are tokens."""
    words = sum(times for token, times in counts.items() if any(map(str.isalpha, token)))
    scripts = ((_LETTER, _SHARE_WITHOUT_SPACES), *_SHARES) if sure else _SHARES
    for script, share in scripts:
        if 2 * sum(times for token, times in counts.items() if script.search(token)) > words:
            return share
    return _SHARE_OF_CHARACTERS if characters else _SHARE_OF_ANY


def _spell_words(sentences: Iterable[Sequence[str]]) -> bool:
    """Whether letters in a row make words, and no names of places, formulas or genes: they are small and of many
    kinds."""
    text = " ".join("".join(token if len(token) == 1 else " " for token in tokens) for tokens in sentences)
    runs = _SMALL_LETTERS.findall(text)
    letters = sum(map(str.isalpha, text))
    return len(set("".join(runs))) >= _KINDS_OF_LETTERS and 2 * sum(map(len, runs)) >= letters


def is_spelled_out(tokens: Sequence[str], sentence: str) -> bool:
    """Whether a sentence has a space between any two of its tokens, each of which is one character."""
    return len(sentence) == 2 * len(tokens) - 1 and sum(map(str.isalpha, tokens)) >= _FEWEST_ALONE


def runs_together(sentence: str) -> bool:
    """Whether a sentence is of a script that writes spaces, without any, and of more than a few words."""
    return len(sentence) >= _LONG and " " not in sentence and not written_without_spaces(sentence)


def join(tokens: Sequence[str], rule: SpaceRule, glued: Collection[int] = ()) -> tuple[str, list[int]]:
    """The sentence of these tokens and where each of them begins; after those that are ``glued`` stands no space."""
    spaced = " ".join(tokens)
    if glued:
        spaces = [place not in glued for place in range(len(tokens))]
    elif rule == "script" and "   " in spaced and any(map(str.isspace, tokens)) and not _joins(spaced):
        spaces = [not (left.isspace() or right.isspace()) for left, right in pairwise((*tokens, ""))]
    elif rule == "always" or (rule == "script" and not _joins(spaced)):
        return spaced, [0, *map(add, accumulate(map(len, tokens)), count(1))][:-1]
    elif rule != "script" and len(spaced) == 2 * len(tokens) - 1 and "" not in tokens:
        return "".join(tokens), list(range(len(tokens)))
    else:
        apart = {"script": _apart, "characters": _are_words}.get(rule)
        spaces = [apart is not None and apart(left, right) for left, right in pairwise((*tokens, ""))]
    starts = [0, *accumulate(len(token) + space for token, space in zip(tokens, spaces, strict=True))][:-1]
    pieces = [token + " " * space for token, space in zip(tokens, spaces, strict=True)]
    return "".join([*pieces[:-1], *tokens[-1:]]), starts


def _joins(spaced: str) -> bool:
    """Whether tokens with a space between them are of a script without spaces; foreign words that are cut into
    characters count as the words they are."""
    if written_without_spaces(spaced):
        return True
    cut = not spaced.isascii() and _LETTER.search(spaced) is not None
    return cut and written_without_spaces(_BETWEEN_CHARACTERS.sub("", spaced))


def _apart(left: str, right: str) -> bool:
    """Whether a space stands between two tokens of a text whose script writes none: only between foreign words, and for
    a token that is empty."""
    if left.isspace() or right.isspace():
        return False
    if not right or _NEIGHBOUR.match(right[:1]) or _NEIGHBOUR.match(left[-1:]):
        return bool(right) and not left
    # Such texts are often cut into single characters, and so are the numbers and foreign words in them.
    return len(left) > 1 or len(right) > 1


def _are_words(left: str, right: str) -> bool:
    """Whether a space stands between two tokens of a text that is cut into characters: only between words and numbers
    that were left whole, around their punctuation, and for a token that is empty."""
    if not left or not right:
        return bool(right)
    if any(map(_SYLLABLE.match, (left[-1], right[0]))):
        return False
    begins = right[0].isalnum()
    if len(left) > 1 and len(right) > 1:
        return begins
    if len(right) > 1 and begins:
        return left[-1].isalnum() or (left in _BEFORE_A_SPACE and right[0].isalpha())
    return len(left) > 1 and ((left[-1].isalnum() and begins) or right in _AFTER_A_SPACE)

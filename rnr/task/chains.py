"""Reasoning chains that walk through their sentence: built from gold mentions, and read back from a policy's text."""

import re
from dataclasses import dataclass
from itertools import takewhile

from rnr.task.parsing import cuts_word
from rnr.types import Example, Mention

_MARK = re.compile(r"""\[((?:[^\[\]]|\[[^\[\]]*\])+?): ([^\[\]:]+)\]""")
"""``[text: label]``; brackets inside the text are those of a policy, the writer has none."""

_SPELLED = str.maketrans("[]", "()")

_REJOIN = 12
"""At most so many characters of plain text are looked for where a chain that has left its sentence might go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A chain read against its sentence."""

    places: tuple[int, ...]
    """For each character of the chain, the character of the sentence that it is about. A mark's opening bracket is
    about the first of its mention, its label about the last; what is not the sentence is about the place at which it
    stands."""
    mentions: tuple[Mention, ...]
    """The marks whose text stands in what is left of the sentence, in order."""
    slips: tuple[int, ...]
    """The places of the other marks."""
    departures: tuple[int, ...]
    """The places where plain text is not that of the sentence, and where the chain ends if that is too early."""
    reached: int
    """Characters of the sentence that the chain went through or passed over."""

    @property
    def covered(self) -> int:
        """Characters of the sentence that the chain is about."""
        return len(set(self.places))


def walk(example: Example) -> str:
    """The sentence read from left to right, each mention where it stands as ``[text: label]``.

    Every decision is taken in its context, nothing is passed over, and the chain ends where the sentence ends: a small
    model that lists entities instead goes on listing. Of overlapping mentions the longest is marked.
    """
    sentence = spelled(example.sentence)
    pieces: list[str] = []
    position = 0
    for mention in sorted(example.mentions, key=lambda mention: (mention.start, -mention.end)):
        if mention.start < position:
            continue
        pieces += (sentence[position : mention.start], f"[{sentence[mention.start : mention.end]}: {mention.label}]")
        position = mention.end
    return "".join([*pieces, sentence[position:]])


def spelled(text: str) -> str:
    """A sentence, or a part of one, as a tagged chain spells it: character for character, with round brackets for
    square ones and around a think tag, so that ``[`` and ``]`` only ever bound a mark and nothing ends the chain."""
    text = text.translate(_SPELLED)
    return text.replace("<think>", "(think)").replace("</think>", "(/think)")


def marks(chain: str, sentence: str) -> list[Mention]:
    """What a chain marks, in order, as its sentence spells it where it stands there; not grounded."""
    return [mention for mention in _path(chain, sentence).marked if mention.text.strip() and mention.label.strip()]


def follow(chain: str, sentence: str) -> Walk:
    """What ``walk`` wrote, read back, with what a policy may make of it: slips in copying, parts of the sentence passed
    over, other text."""
    path = _path(chain, sentence)
    return Walk(
        places=tuple(path.places),
        mentions=tuple(path.mentions),
        slips=tuple(path.slips),
        departures=tuple(path.departures),
        reached=path.reached,
    )


def _path(chain: str, sentence: str) -> "_Path":
    """The whole chain gone through."""
    path = _Path(sentence)
    at = 0
    for mark in _MARK.finditer(chain):
        path.plain(chain[at : mark.start()])
        path.mark(mark[0], mark[1], mark[2])
        at = mark.end()
    path.plain(chain[at:])
    path.end()
    return path


class _Path:
    """Where a walk has got to in its sentence."""

    def __init__(self, sentence: str) -> None:
        self._original = sentence
        self._sentence = spelled(sentence)
        self.reached = 0
        self._lost = False
        self.places: list[int] = []
        self.mentions: list[Mention] = []
        self.marked: list[Mention] = []
        self.slips: list[int] = []
        self.departures: list[int] = []

    @property
    def _place(self) -> int:
        return min(self.reached, len(self._sentence) - 1)

    def plain(self, text: str) -> None:
        """Go on by ``text``, as far as the sentence does."""
        if not text:
            return
        text = spelled(text)
        if self._lost and (place := self._sentence.find(text[:_REJOIN], self.reached)) >= 0:
            self.reached, self._lost = place, False
        there = self._sentence[self.reached : self.reached + len(text)]
        same = takewhile(lambda pair: pair[0] == pair[1], zip(text, there, strict=False))
        kept = 0 if self._lost else sum(1 for _ in same)
        self.places += range(self.reached, self.reached + kept)
        self.reached += kept
        if kept < len(text):
            self.places += [self._place] * (len(text) - kept)
            self.departures.append(self._place)
            self._lost = True

    def end(self) -> None:
        """Go no further."""
        if self.reached < len(self._sentence):
            self.departures.append(self.reached)

    def mark(self, whole: str, text: str, label: str) -> None:
        """Go on by the mention of a mark, to where it stands next."""
        start = self._next(spelled(text))
        if start < 0:
            self.marked.append(Mention(text=text, label=label))
            self.slips.append(self._place)
            self.places += [self._place] * len(whole)
            self._lost = True
            return
        end = start + len(text)
        text = self._original[start:end]
        self.marked.append(Mention(text=text, label=label))
        self.mentions.append(Mention(text=text, label=label, start=start, end=end))
        self.places += [start, *range(start, end), *[end - 1] * (len(whole) - len(text) - 1)]
        self.reached, self._lost = end, False

    def _next(self, text: str) -> int:
        """Where ``text`` stands: right here, or further on if it is no part of a word there; else -1."""
        start = self._sentence.find(text, self.reached)
        passed_over = self._lost or start > self.reached
        return -1 if passed_over and cuts_word(self._sentence, start, start + len(text)) else start


def chain(example: Example) -> str:
    """The example's own chain if a teacher wrote one, otherwise one built from its mentions."""
    text = example.reasoning if example.reasoning is not None else walk(example)
    # The sentence may itself contain the markers that bound a chain; written out they would end it early.
    return text.replace("<think>", "< think>").replace("</think>", "</ think>")

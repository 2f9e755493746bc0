"""Reasoning chains built from gold mentions, for data that comes without chains (the offline ``template`` teacher)."""

import re
from collections import Counter
from dataclasses import dataclass
from itertools import takewhile

from rnr.types import Example, Mention

_MARK = re.compile(r"""\[([^\[\]]+?)(?: \("[^"\[\]]*"\))?: ([^\[\]:]+)\]""")
"""``[text: label]``, or ``[text ("cue"): label]`` with the words of the sentence that speak for the label."""

_REJOIN = 12
"""Characters by which a chain that has left its sentence is found in it again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """A chain read against its sentence."""

    places: tuple[int, ...]
    """For each character of the chain, the character of the sentence that it is about, or -1: a mark's opening bracket
    is about the first character of its mention, its label about the last."""
    mentions: tuple[Mention, ...]
    """The marks whose text stands where the walk is, in order."""
    slips: tuple[tuple[int, int], ...]
    """Start and end of the places where a mark holds another text than the sentence."""
    reached: int
    """Characters of the sentence that the walk has dealt with."""


def walk(example: Example) -> str:
    """The sentence read from left to right, each mention where it stands as ``[text: label]``.

    Every decision is taken in its context, nothing is passed over, and the chain ends where the sentence ends: a small
    model that lists entities instead goes on listing. Of overlapping mentions the longest is marked.
    """
    pieces: list[str] = []
    position = 0
    for mention in sorted(example.mentions, key=lambda mention: (mention.start, -mention.end)):
        if mention.start < position:
            continue
        pieces += (example.sentence[position : mention.start], f"[{mention.text}: {mention.label}]")
        position = mention.end
    return "".join([*pieces, example.sentence[position:]])


def marks(chain: str) -> Counter[tuple[str, str]]:
    """How often a chain marks each (text, label), whatever its sentence."""
    return Counter((mark[1], mark[2]) for mark in _MARK.finditer(chain))


def follow(chain: str, sentence: str) -> Walk:
    """What ``walk`` wrote, read back, with what a policy may make of it.

    A chain that leaves the sentence is taken up again at the next mark or plain text that goes on with it.
    """
    path = _Path(sentence)
    at = 0
    for mark in _MARK.finditer(chain):
        path.plain(chain[at : mark.start()])
        path.mark(mark[0], mark[1], mark[2])
        at = mark.end()
    path.plain(chain[at:])
    return Walk(places=tuple(path.places), mentions=tuple(path.mentions), slips=tuple(path.slips), reached=path.reached)


class _Path:
    """Where a walk has got to in its sentence."""

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence
        self._here = 0
        self._lost = False
        self.places: list[int] = []
        self.mentions: list[Mention] = []
        self.slips: list[tuple[int, int]] = []

    @property
    def reached(self) -> int:
        return max(self._here, self.slips[-1][1] if self.slips else 0)

    def plain(self, text: str) -> None:
        """Go on by ``text``, as far as the sentence does."""
        if not text:
            return
        self._rejoin(text[:_REJOIN])
        there = self._sentence[self._here : self._here + len(text)]
        same = takewhile(lambda pair: pair[0] == pair[1], zip(text, there, strict=False))
        kept = 0 if self._lost else sum(1 for _ in same)
        self.places += [*range(self._here, self._here + kept), *[-1] * (len(text) - kept)]
        self._here += kept
        self._lost = kept < len(text)

    def mark(self, whole: str, text: str, label: str) -> None:
        """Go on by the mention of a mark."""
        self._rejoin(text)
        start, end = self._here, self._here + len(text)
        if not self._lost and self._sentence.startswith(text, start):
            self.mentions.append(Mention(text=text, label=label, start=start, end=end))
            self.places += [start, *range(start, end), *[end - 1] * (len(whole) - len(text) - 1)]
            self._here = end
        elif not self._lost and start < len(self._sentence):
            self.slips.append((start, start + 1))
            self.places += [start] * len(whole)
            self._lost = True
        else:
            self.places += [-1] * len(whole)

    def _rejoin(self, text: str) -> None:
        place = self._sentence.find(text, self._here) if self._lost else -1
        if place >= 0:
            if self.slips and self.slips[-1][0] == self._here:
                self.slips[-1] = (self._here, max(place, self._here + 1))
            self._here, self._lost = place, False


def chain(example: Example) -> str:
    """The example's own chain if a teacher wrote one, otherwise one built from its mentions."""
    text = example.reasoning if example.reasoning is not None else walk(example)
    # The sentence may itself contain the markers that bound a chain; written out they would end it early.
    return text.replace("<think>", "< think>").replace("</think>", "</ think>")

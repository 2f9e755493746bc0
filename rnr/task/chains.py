"""Tagged chains: the sentence from left to right with each mention as ``[text: label]``. Built from gold mentions, and
parsed from a policy's text."""

import re
from dataclasses import dataclass, replace
from itertools import takewhile

from rnr.task.labels import label_key
from rnr.task.parsing import cuts_word, ground
from rnr.types import Answer, Example, Mention

_TAG = re.compile(r"""\[((?:[^\[\]]|\[[^\[\]]*\])+?): ([^\[\]:]+)\]""")
"""``[text: label]``; only a policy puts brackets inside the text, the writer does not."""
_CUE = re.compile(r""" \("[^"\[\]]*"\)$""")
"""``[text ("cue"): label]``: the words of the sentence that support the label."""

_SPELLED = str.maketrans("[]", "()")

_REJOIN = 12
"""Number of characters by which a chain that has diverged is matched to the sentence again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadChain:
    """A chain read against its sentence."""

    places: tuple[int, ...]
    """For each character of the chain, the character of the sentence that it is about. A tag's opening bracket is
    about the first character of its mention, its label about the last; other text is about the place where it
    occurs."""
    mentions: tuple[Mention, ...]
    """The tags whose text occurs in the rest of the sentence, in order."""
    spans: tuple[tuple[int, int], ...]
    """The position of each tag in the chain, with brackets and label."""
    copy_errors: tuple[int, ...]
    """The places of the other tags: their text is not copied from the sentence."""
    divergences: tuple[int, ...]
    """The places where plain text differs from the sentence, and the end of a chain that ends too early."""
    reached: int
    """Characters of the sentence that the chain has copied or skipped."""

    @property
    def covered(self) -> int:
        """Characters of the sentence that the chain is about."""
        return len(set(self.places))


def tagged_chain(example: Example) -> str:
    """The sentence from left to right, with each mention in place as ``[text: label]``.

    Every decision is made in context, nothing is skipped, and the chain ends with the sentence; a small model that
    lists entities instead does not stop listing. Of overlapping mentions the longest is tagged.
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
    square ones and around a think tag, so that ``[`` and ``]`` only ever bound a tag and nothing ends the chain."""
    text = text.translate(_SPELLED)
    return text.replace("<think>", "(think)").replace("</think>", "(/think)")


def tagged_mentions(chain: str, sentence: str) -> list[Mention]:
    """The mentions that a chain tags, in order, spelled as in the sentence if they occur there; not grounded."""
    return [mention for mention in _path(chain, sentence).tagged if mention.text.strip() and mention.label.strip()]


def read_chain(chain: str, sentence: str) -> ReadChain:
    """Parses a tagged chain, including what a policy may get wrong: copy errors, skipped parts of the sentence, other
    text."""
    path = _path(chain, sentence)
    return ReadChain(
        places=tuple(path.places),
        mentions=tuple(path.mentions),
        spans=tuple(path.spans),
        copy_errors=tuple(path.copy_errors),
        divergences=tuple(path.divergences),
        reached=path.reached,
    )


def read_tagged_chain(answer: Answer, sentence: str) -> ReadChain | None:
    """The parsed chain of an answer; None without a chain, or for free text, which tags nothing and copies less than
    half of the sentence."""
    if answer.reasoning is None or not sentence:
        return None
    chain = read_chain(answer.reasoning, sentence)
    in_free_words = not chain.mentions and not chain.copy_errors and 2 * chain.covered < len(sentence)
    return None if in_free_words else chain


def grounded(answer: Answer, sentence: str) -> Answer:
    """The answer with offsets: a mention that the chain tags gets the offsets of its tag, in order; the others get
    those that ``ground`` finds."""
    places: dict[tuple[str, str], list[Mention]] = {}
    for tag in read_chain(answer.reasoning, sentence).mentions if answer.reasoning is not None else ():
        places.setdefault((tag.text, label_key(tag.label)), []).append(tag)
    placed: list[Mention] = []
    for mention in answer.mentions:
        tags = places.get((mention.text, label_key(mention.label)))
        tag = tags.pop(0) if tags else mention
        placed.append(replace(mention, start=tag.start, end=tag.end))
    return replace(answer, mentions=ground(placed, sentence))


def _path(chain: str, sentence: str) -> "_Path":
    """The whole chain, matched to its sentence."""
    path = _Path(sentence)
    at = 0
    for tag in _TAG.finditer(chain):
        path.plain(chain[at : tag.start()])
        path.tag(tag[0], tag[1], tag[2])
        at = tag.end()
    path.plain(chain[at:])
    path.end()
    return path


class _Path:
    """The state of a chain that is matched to its sentence."""

    def __init__(self, sentence: str) -> None:
        self._original = sentence
        self._sentence = spelled(sentence)
        self.reached = 0
        self._lost = False
        self.places: list[int] = []
        self.mentions: list[Mention] = []
        self.spans: list[tuple[int, int]] = []
        self.tagged: list[Mention] = []
        self.copy_errors: list[int] = []
        self.divergences: list[int] = []

    @property
    def _place(self) -> int:
        return min(self.reached, len(self._sentence) - 1)

    def plain(self, text: str) -> None:
        """Match plain ``text``, as far as the sentence agrees."""
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
            self.divergences.append(self._place)
            self._lost = True

    def end(self) -> None:
        if self.reached < len(self._sentence):
            self.divergences.append(self.reached)

    def tag(self, whole: str, text: str, label: str) -> None:
        """Match a tag to the next occurrence of its mention."""
        text = self._without_cue(spelled(text))
        start = self._next(text)
        if start < 0:
            self.tagged.append(Mention(text=text, label=label))
            self.copy_errors.append(self._place)
            self.places += [self._place] * len(whole)
            self._lost = True
            return
        end = start + len(text)
        text = self._original[start:end]
        self.tagged.append(Mention(text=text, label=label))
        self.mentions.append(Mention(text=text, label=label, start=start, end=end))
        self.spans.append((len(self.places), len(self.places) + len(whole)))
        self.places += [start, *range(start, end), *[end - 1] * (len(whole) - len(text) - 1)]
        self.reached, self._lost = end, False

    def _without_cue(self, text: str) -> str:
        """A tag's text without its cue; a cue that continues in the sentence belongs to the mention."""
        return text if self._sentence.startswith(text, self.reached) else _CUE.sub("", text)

    def _next(self, text: str) -> int:
        """Where ``text`` occurs: right here, or further on as a whole word; else -1."""
        start = self._sentence.find(text, self.reached)
        passed_over = self._lost or start > self.reached
        return -1 if passed_over and cuts_word(self._sentence, start, start + len(text)) else start


def chain(example: Example) -> str:
    """The example's own chain if a teacher wrote one, otherwise one built from its mentions."""
    text = example.reasoning if example.reasoning is not None else tagged_chain(example)
    # The sentence may contain the markers that bound a chain; unescaped they would end it early.
    return text.replace("<think>", "< think>").replace("</think>", "</ think>")

"""Completion text -> Answer and back: the one parser and the one writer of reward, evaluation and SFT.

The form is ``<think>\\n{reasoning}\\n</think>\\n{"entities":{label:[span,...]}}``. The parser is total (never
raises), takes time linear in the text, and is strict on purpose: what it forgives, a policy learns to do.
"""

import json
import re
from collections.abc import Iterable, Iterator

from rnr.task.labels import normalise_label
from rnr.types import Answer, Mention

ERRORS: dict[str, str] = {
    "empty": "the completion is empty or only white space",
    "no_json": "no JSON object follows the reasoning, or there is none at all",
    "leading_text": "other text stands before the reasoning block or before the JSON object",
    "trailing_text": "other text stands after the JSON object",
    "multiple_answers": "a second JSON object follows the first",
    "unclosed_reasoning": "<think> is never closed by </think>",
    "repeated_reasoning": "there is more than one reasoning block, or one inside another",
    "unclosed_fence": "the ``` fence around the JSON object is never closed",
    "truncated_json": "the text ends before the JSON object does",
    "invalid_json": "the JSON object is broken in its middle",
    "too_deep": "the JSON is nested deeper than the reader goes",
    "wrong_shape": 'the JSON is not {"entities": {label: [span, ...]}} with no blank label or span',
}
"""Every name that ``Answer.error`` can take, with its meaning."""

OPEN, CLOSE, _FENCE = "<think>", "</think>", "```"
_FENCE_LINE = re.compile(r"```\w*\s*")
_LITERALS = ("true", "false", "null")


def _no_number(_digits: str) -> None:
    """Numbers are never spans; if they are not parsed, an integer of a million digits costs nothing and cannot
    raise."""


# Objects become tuples of pairs, arrays become lists: so the two differ and a repeated key is not lost.
_DECODER = json.JSONDecoder(object_pairs_hook=tuple, parse_int=_no_number, parse_float=_no_number)


def parse(text: str) -> Answer:
    """The answer that a completion gives; never raises.

    Its mentions are grouped by label, in order of first appearance, and not yet grounded (start = end = -1).
    When the text cannot be read, ``error`` is a name from ``ERRORS``, there are no mentions, and reasoning is
    kept if found. The opening tag may be missing (``prose</think>{...}``): some chat templates give it.
    """
    return read(text)[0]


def read(text: str) -> tuple[Answer, tuple[str, ...]]:
    """``parse(text)`` and the labels without spans, which do not show in the mentions."""
    reasoning, body, error = _split(text.strip())
    if error is not None:
        return Answer(reasoning=reasoning, mentions=(), error=error), ()
    value, error = _decode(body)
    if error is not None and not body.startswith(("{", _FENCE)) and error != "too_deep":
        error = _why_no_object(body, reasoned=reasoning is not None)
    spans_by_label = None if error is not None else _spans_by_label(value)
    if spans_by_label is None:
        return Answer(reasoning=reasoning, mentions=(), error=error or "wrong_shape"), ()
    mentions = tuple(Mention(text=span, label=label) for label, spans in spans_by_label.items() for span in spans)
    return Answer(reasoning=reasoning, mentions=mentions), tuple(k for k, v in spans_by_label.items() if not v)


def write(mentions: Iterable[Mention], *, reasoning: str | None, indent: int | None = None) -> str:
    """The completion that gives these mentions: labels in order of first appearance, repeated spans repeated.

    The JSON is as short as can be, or spread over lines with ``indent`` spaces as the paper writes it.

    Raises ValueError for what could not be read back: think tags in the reasoning, a blank span or label.
    """
    spans_by_label: dict[str, list[str]] = {}
    for mention in mentions:
        if not mention.text.strip() or not mention.label.strip():
            raise ValueError(f"a span and its label must not be blank: {mention!r}")
        spans_by_label.setdefault(mention.label, []).append(mention.text)
    separators = (",", ":") if indent is None else None
    answer = json.dumps({"entities": spans_by_label}, ensure_ascii=False, separators=separators, indent=indent)
    if reasoning is None:
        return answer
    if OPEN in reasoning or CLOSE in reasoning:
        raise ValueError(f"reasoning must not contain {OPEN} or {CLOSE}: {reasoning[:80]!r}")
    return f"{OPEN}\n{reasoning}\n{CLOSE}\n{answer}"


def reasoning_start(text: str) -> int:
    """Where the reasoning that ``parse`` reads begins in a completion that has some."""
    begin = len(text) - len(text.lstrip())
    begin += len(OPEN) if text.startswith(OPEN, begin) else 0
    return begin + text.startswith("\n", begin)


def _split(text: str) -> tuple[str | None, str, str | None]:
    """Reasoning (None if absent), what follows it, and an error name (None so far)."""
    if not text:
        return None, "", "empty"
    if text.startswith(("{", _FENCE)):
        return None, text, None
    opened = text.startswith(OPEN)
    start, close = len(OPEN) if opened else 0, text.find(CLOSE)
    if close < 0:
        if opened:
            return _unwrapped(text[start:]), "", "unclosed_reasoning"
        return None, text, "unclosed_reasoning" if OPEN in text else None
    reasoning = text[start:close]
    if OPEN in reasoning:
        return _unwrapped(reasoning), "", "repeated_reasoning" if opened else "leading_text"
    return _unwrapped(reasoning), text[close + len(CLOSE) :].strip(), None


def _unwrapped(reasoning: str) -> str:
    """Without the one newline that ``write`` puts on either side, and nothing more."""
    return reasoning.removeprefix("\n").removesuffix("\n")


def _decode(body: str) -> tuple[object, str | None]:
    """The one JSON value that ``body`` is, fenced or not, and an error name (None when it is just that)."""
    fence = _FENCE_LINE.match(body)
    try:
        value, end = _DECODER.raw_decode(body, fence.end() if fence else 0)
    except RecursionError:
        return None, "too_deep"
    except json.JSONDecodeError as problem:
        return None, "truncated_json" if _cut_short(body, problem) else "invalid_json"
    rest = body[end:].lstrip()
    if fence:
        if not rest:
            return value, "unclosed_fence"
        if not rest.startswith(_FENCE):
            return value, "trailing_text"
        rest = rest[len(_FENCE) :].lstrip()
    if not rest:
        return value, None
    return value, "multiple_answers" if rest.startswith(("{", _FENCE)) else "trailing_text"


def _cut_short(body: str, problem: json.JSONDecodeError) -> bool:
    """Whether the JSON broke because the text ended, so that more text could have completed it."""
    if problem.pos >= len(body) or problem.msg.startswith("Unterminated string"):
        return True
    # At most a literal or a \uXXXX escape long: never a search through the rest of the text.
    rest = body[problem.pos : problem.pos + 8]
    if problem.pos + len(rest) < len(body):
        return False
    return "\\u" in problem.msg or any(literal.startswith(rest) for literal in _LITERALS)


def _why_no_object(body: str, *, reasoned: bool) -> str:
    """The error name of a body that neither begins as an object nor is a JSON value."""
    if reasoned and (OPEN in body or CLOSE in body):
        return "repeated_reasoning"
    return "leading_text" if "{" in body else "no_json"


def _spans_by_label(value: object) -> dict[str, list[str]] | None:
    """The spans under each normalised label, repeated labels merged; None for a value of another shape."""
    if not isinstance(value, tuple) or not value:
        return None
    spans_by_label: dict[str, list[str]] = {}
    for key, groups in value:
        if key != "entities" or not isinstance(groups, tuple):
            return None
        for given, spans in groups:
            label = normalise_label(given)
            if not label or not isinstance(spans, list):
                return None
            if not all(isinstance(span, str) and span.strip() for span in spans):
                return None
            spans_by_label.setdefault(label, []).extend(spans)
    return spans_by_label


def ground(mentions: Iterable[Mention], sentence: str) -> tuple[Mention, ...]:
    """The mentions in their order, each with the offsets of an exact occurrence of its text, or -1.

    Occurrences are assigned from left to right: first those at word boundaries outside longer mentions (a `Cox` beside
    a `James M. Cox` is the next one), then those in longer mentions, then those inside words. A mention takes a free
    one; when all are taken it may share one with a mention of *another* label, so that a span under two labels
    becomes two mentions of one place. Mentions that have offsets keep them.
    """
    mentions = tuple(mentions)
    begins = _Beginnings(sentence) if len(mentions) * len(sentence) > MUCH else None
    fixed: dict[str, list[Mention]] = {}
    for mention in mentions:
        if mention.grounded:
            fixed.setdefault(mention.text, []).append(mention)
    found = list(mentions)
    places: dict[str, _Places] = {}
    covered = bytearray(len(sentence))
    for at in sorted(range(len(mentions)), key=lambda at: -len(mentions[at].text)):
        text, label = mentions[at].text, mentions[at].label
        if text not in places:
            places[text] = _Places(_occurrences(text, sentence, begins, covered), fixed.get(text, ()))
        if not mentions[at].grounded:
            found[at] = _placed(mentions[at], places[text].take(label))
        if found[at].grounded:
            covered[found[at].start : found[at].end] = b"\1" * len(text)
    return tuple(found)


def _placed(mention: Mention, start: int) -> Mention:
    if start < 0:
        return mention
    return Mention(text=mention.text, label=mention.label, start=start, end=start + len(mention.text))


class _Places:
    """The occurrences of one text in a sentence, and which are taken."""

    def __init__(self, starts: list[int], fixed: Iterable[Mention]) -> None:
        self._starts = starts
        self._taken: set[int] = set()
        self._taken_by: dict[str, set[int]] = {}
        # Iterators, because a place is only ever taken: no search has to look at one twice.
        self._free = iter(self._starts)
        self._shared: dict[str, Iterator[int]] = {}
        for mention in fixed:
            self.mark(mention.label, mention.start)

    def mark(self, label: str, start: int) -> None:
        """Record that a mention with this label is at ``start``."""
        self._taken.add(start)
        self._taken_by.setdefault(label, set()).add(start)

    def take(self, label: str) -> int:
        """The start of the best free place for a mention with this label, or -1."""
        start = next((place for place in self._free if place not in self._taken), -1)
        if start < 0:
            own = self._taken_by.get(label, ())
            shared = self._shared.setdefault(label, iter(self._starts))
            start = next((place for place in shared if place not in own), -1)
        if start >= 0:
            self.mark(label, start)
        return start


def cuts_word(sentence: str, start: int, end: int) -> bool:
    """Whether a word of the sentence crosses either end of ``sentence[start:end]``, which is not empty."""
    return any(0 < place < len(sentence) and sentence[place - 1 : place + 1].isalnum() for place in (start, end))


MUCH = 10_000_000
"""Mentions times characters above which an index of the text pays off."""


class _Beginnings:
    """An index of the n-grams of a long text, which finds thousands of mentions without a full search for each."""

    LENGTH = 4

    def __init__(self, sentence: str) -> None:
        self._sentence = sentence
        self._starts: dict[str, list[int]] = {}
        for start in range(len(sentence) - self.LENGTH + 1):
            self._starts.setdefault(sentence[start : start + self.LENGTH], []).append(start)

    def of(self, text: str) -> list[int]:
        """Where a text of at least ``LENGTH`` characters begins, in order: by its first n-gram, or its last one if that
        is rarer, as in texts that all begin alike."""
        last = len(text) - self.LENGTH
        found = ((at, self._starts.get(text[at : at + self.LENGTH], [])) for at in (0, last))
        at, places = min(found, key=lambda each: len(each[1]))
        return [place - at for place in places if place >= at and self._sentence.startswith(text, place - at)]


def _occurrences(text: str, sentence: str, begins: _Beginnings | None, covered: bytearray) -> list[int]:
    """Where ``text`` begins in ``sentence``, including overlaps: at word boundaries and where nothing is ``covered``,
    then at word boundaries, then the rest."""
    free: list[int] = []
    nested: list[int] = []
    inside: list[int] = []
    known = begins is not None and len(text) >= begins.LENGTH
    for start in begins.of(text) if begins and known else _found(text, sentence):
        end = start + len(text)
        kind = inside if cuts_word(sentence, start, end) else nested if covered.find(1, start, end) >= 0 else free
        kind.append(start)
    return free + nested + inside


def _found(text: str, sentence: str) -> Iterator[int]:
    start = sentence.find(text) if text else -1
    while start >= 0:
        yield start
        start = sentence.find(text, start + 1)

"""Completion text -> mentions as the paper's code reads it, defects included; ``rnr.task.parsing`` is our parser.

The protocol *reference* and the paper's rewards (``rewards.reference``) use these functions, each in time linear in the
text. Tests compare both with the output of the paper's own code.
"""

import json

from rnr.types import Mention

_OPEN, _CLOSE = "<think>", "</think>"


class ReferenceRaisesError(Exception):
    """The paper's code raises here, which ends its trainer or evaluation."""


def evaluation_mentions(completion: str) -> tuple[Mention, ...]:
    """The mentions that the paper's evaluation reads, labels lower-cased; none if it raises."""
    try:
        return tuple(read_mentions(completion))
    except ReferenceRaisesError:
        return ()


def read_mentions(completion: str) -> list[Mention]:
    """Whatever can be iterated under a label, as far as it is text; not grounded.

    Raises ReferenceRaisesError for an answer that the paper's code cannot read without raising; one that is no JSON has
    no mentions.
    """
    try:
        data = json.loads(strip_completion(completion))
    except (ValueError, RecursionError):
        return []
    groups = data.get("entities", {}) if isinstance(data, dict) else {}
    if not isinstance(groups, dict):
        raise ReferenceRaisesError("entities is not an object")
    mentions: list[Mention] = []
    for label, spans in groups.items():
        # A string is iterated by character and an object by key, as a for loop does it.
        if not isinstance(spans, (list, dict, str)):
            raise ReferenceRaisesError("the value of a label cannot be iterated")
        mentions += [Mention(text=span.strip(), label=label.lower().strip()) for span in spans if isinstance(span, str)]
    return mentions


def strip_completion(completion: str) -> str:
    """What the paper's code reads as the answer, searching for each of its patterns only once.

    Raises ReferenceRaisesError for an ``<answer>`` or a JSON fence that is never closed.
    """
    answer = _inside(_without_reasoning(completion), "<answer>", "</answer>")
    return _inside(answer, "```json", "```").strip()


def _inside(text: str, opening: str, closing: str) -> str:
    """The text between the first two of these, or the whole text if nothing is opened."""
    _, opened, after = text.partition(opening)
    if not opened:
        return text
    inside, closed, _ = after.partition(closing)
    if not closed:
        raise ReferenceRaisesError(f"unclosed {opening}")
    return inside


def _without_reasoning(text: str) -> str:
    """The text without its closed reasoning blocks and any remaining tags."""
    kept: list[str] = []
    position = 0
    while (start := text.find(_OPEN, position)) >= 0:
        end = text.find(_CLOSE, start + len(_OPEN))
        if end < 0:
            break
        kept.append(text[position:start])
        position = end + len(_CLOSE)
    kept.append(text[position:])
    return "".join(kept).replace(_OPEN, "").replace(_CLOSE, "")

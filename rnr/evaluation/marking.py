"""Entities of gold and answer, each with what became of it: for pages that colour a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rnr.evaluation.metrics import hedged_texts
from rnr.task.labels import label_key
from rnr.types import Example, Mention

Kind = Literal["hit", "boundary", "type", "missed", "spurious", "ungrounded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """One entity; ``missed`` are of the gold, all others of the answer."""

    text: str
    label: str
    start: int
    end: int
    kind: Kind
    gold_label: str = ""
    """Of a ``type`` or ``boundary`` error, the label of the gold entity that it is paired with."""


def marked(example: Example, mentions: Sequence[Mention]) -> list[Marked]:
    """What became of each entity, as ``error_kinds`` counts: pairs are one to one, first the right ones, then those
    with the right text or place under another label, then those that overlap under the right label."""
    hedged = hedged_texts(example.mentions, mentions)
    gold = sorted(set(example.mentions), key=lambda mention: (mention.start, mention.end))
    answer = sorted(mentions, key=lambda mention: mention.end)
    found: list[Marked] = [_as(mention, "ungrounded") for mention in answer if not mention.grounded]
    left = [mention for mention in answer if mention.grounded]
    for kind in ("hit", "type", "boundary"):
        for mention in list(left):
            if kind == "hit" and mention.text in hedged:
                continue
            partners = [other for other in gold if _pair(kind, other, mention)]
            if not partners:
                continue
            # Of several that would do, the one in the same place.
            partner = min(partners, key=lambda other: abs(other.start - mention.start))
            gold.remove(partner)
            left.remove(mention)
            found.append(_as(mention, kind, partner.label if kind != "hit" else ""))
    found += [_as(mention, "spurious") for mention in left]
    found += [_as(mention, "missed") for mention in gold]
    return sorted(found, key=lambda mark: (mark.start, mark.end))


def _as(mention: Mention, kind: Kind, gold_label: str = "") -> Marked:
    return Marked(
        text=mention.text,
        label=mention.label,
        start=mention.start,
        end=mention.end,
        kind=kind,
        gold_label=gold_label,
    )


def _pair(kind: str, gold: Mention, answer: Mention) -> bool:
    same_label = label_key(gold.label) == label_key(answer.label)
    same_text = gold.text == answer.text
    if kind == "hit":
        return same_text and same_label
    if kind == "type":
        return same_text or (gold.start, gold.end) == (answer.start, answer.end)
    return same_label and gold.start < answer.end and answer.start < gold.end

"""Each gold and predicted entity with its error type."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rnr.evaluation.metrics import hedged_texts
from rnr.task.labels import label_key
from rnr.types import Example, Mention

Kind = Literal["hit", "boundary", "type", "missed", "spurious", "ungrounded"]

ERROR_KINDS: tuple[Kind, ...] = ("boundary", "type", "missed", "spurious", "ungrounded")


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityOutcome:
    """One entity; ``missed`` are of the gold, all others of the answer."""

    text: str
    label: str
    start: int
    end: int
    kind: Kind
    gold_label: str = ""
    """Of a ``type`` or ``boundary`` error, the label of the gold entity that it is paired with."""


def error_kinds(example: Example, mentions: Sequence[Mention]) -> Counter[str]:
    """How often each of ``ERROR_KINDS`` occurs among the entities as ``outcomes``."""
    kinds = Counter(each.kind for each in outcomes(example, mentions))
    del kinds["hit"]
    return kinds


def outcomes(example: Example, mentions: Sequence[Mention]) -> list[EntityOutcome]:
    """The outcome of each entity, in order of position. Pairs are one to one.

    ``hit``: found, as ``exact_counts`` counts. ``type``: the gold text or place under a wrong (or hedged) label.
    ``boundary``: the gold label on an overlapping span. ``missed``: the remaining gold. ``spurious`` and
    ``ungrounded``: the remaining predictions, by whether they occur in the sentence.
    """
    hedged = hedged_texts(example.mentions, mentions)
    gold = _once(example.mentions)
    answer = sorted(mentions, key=lambda m: (m.end, m.start, label_key(m.label)))
    found: list[EntityOutcome] = [_as(mention, "ungrounded") for mention in answer if not mention.grounded]
    left = [mention for mention in answer if mention.grounded]
    for kind in ("hit", "type", "boundary"):
        for mention in _candidates(kind, left, gold, hedged):
            partner = _partner(kind, gold, mention)
            if partner is None:
                continue
            gold.remove(partner)
            left.remove(mention)
            found.append(_as(mention, kind, partner.label if kind != "hit" else ""))
    found += [_as(mention, "spurious") for mention in left]
    found += [_as(mention, "missed") for mention in gold]
    return sorted(found, key=lambda each: (each.start, each.end))


def _candidates(kind: Kind, left: Sequence[Mention], gold: Sequence[Mention], hedged: Collection[str]) -> list[Mention]:
    """The answer's entities that may be of this kind. Those at a gold place come first, as a text elsewhere would take
    their partner; those that only overlap keep the order of their ends."""
    if kind == "boundary":
        return list(left)
    there = {(mention.start, mention.end) for mention in gold}
    found = [each for each in _once(left) if each.text not in hedged] if kind == "hit" else left
    return sorted(found, key=lambda mention: (mention.start, mention.end) not in there)


def _once(mentions: Iterable[Mention]) -> list[Mention]:
    """The mentions in order of their ends, without duplicates."""
    facts = {(m.end, m.start, m.text, label_key(m.label)): m for m in mentions}
    return [facts[fact] for fact in sorted(facts)]


def _as(mention: Mention, kind: Kind, gold_label: str = "") -> EntityOutcome:
    return EntityOutcome(
        text=mention.text,
        label=mention.label,
        start=mention.start,
        end=mention.end,
        kind=kind,
        gold_label=gold_label,
    )


def _partner(kind: Kind, gold: Sequence[Mention], answer: Mention) -> Mention | None:
    """The partner of an answer's entity among the remaining gold, which is in order of its ends."""
    fitting = [other for other in gold if _pair(kind, other, answer)]
    if kind == "boundary":
        # Answers are in order of their ends too: taking the one that ends first leaves most for the others.
        return fitting[0] if fitting else None
    return min(fitting, key=lambda other: abs(other.start - answer.start), default=None)


def _pair(kind: Kind, gold: Mention, answer: Mention) -> bool:
    same_label = label_key(gold.label) == label_key(answer.label)
    same_text = gold.text == answer.text
    if kind == "hit":
        return same_text and same_label
    if kind == "type":
        return same_text or (gold.start, gold.end) == (answer.start, answer.end)
    return same_label and gold.start < answer.end and answer.start < gold.end

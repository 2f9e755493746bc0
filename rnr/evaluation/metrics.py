"""Counts of right and wrong mentions (as ``rnr.task.parsing.ground`` leaves them), and the scores they give.

- *reference*: the paper's. Sets of (normalised text, label) in each sentence, no offsets.
- *exact*: ours. Every mention counts, its text must occur in the sentence, and no text may be hedged.
- *strict*: every mention counts and its offsets must be right.
- *boundary_tolerant*: with the right label, an overlap is enough, or the same text elsewhere.

``overlap`` has *partial* and *type* by nervaluate, ``scoring`` the list of all. In nervaluate *exact* means the right
span under any label; here it is the right text under the right label, because an answer has no offsets of its own.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rnr.task.labels import IGNORED_LABELS, label_key, mention_key
from rnr.types import Example, Mention

REFERENCE_DROPPED_LABELS = IGNORED_LABELS | {""}
"""Gold labels that the reference removes from a data set; predicting them is still an error there."""

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)

# Start, end, text and label key of a mention.
_Fact: TypeAlias = tuple[int, int, str, str]


@dataclass(frozen=True, slots=True)
class Counts:
    """True positives, false positives and false negatives, of a sentence or summed over many."""

    true_positives: int = 0
    false_positives: int = 0
    false_negatives: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            self.true_positives + other.true_positives,
            self.false_positives + other.false_positives,
            self.false_negatives + other.false_negatives,
        )

    @property
    def precision(self) -> float:
        """Right among predicted, in [0, 1]; 0 when nothing was predicted."""
        predicted = self.true_positives + self.false_positives
        return self.true_positives / predicted if predicted else 0.0

    @property
    def recall(self) -> float:
        """Found among gold, in [0, 1]; 0 when there is no gold."""
        gold = self.true_positives + self.false_negatives
        return self.true_positives / gold if gold else 0.0

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall, in [0, 1]; 0 when all counts are 0, as in the reference."""
        # The reference's order of operations, so that rounded scores agree to the last digit.
        precision, recall = self.precision, self.recall
        return 2 * precision * recall / (precision + recall) if self.true_positives else 0.0

    @property
    def sentence_f1(self) -> float:
        """As ``f1``, but 1 when all counts are 0: an empty answer to an empty gold is right."""
        return 1.0 if self == Counts() else self.f1


def reference_normalise(text: str) -> str:
    """SQuAD normalisation, no case, ASCII punctuation, a/an/the, double spaces: ``The U.S.`` -> ``us``."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def reference_pairs(mentions: Iterable[Mention]) -> set[tuple[str, str]]:
    """The set of (normalised text, lower-cased label) by which the reference compares sentences."""
    return {(reference_normalise(mention.text), mention.label.lower().strip()) for mention in mentions}


def reference_counts(gold: Iterable[Mention], predicted: Iterable[Mention], asked: Iterable[str] = ()) -> Counts:
    """Counts under the paper's evaluation metric; gold mentions with a dropped label are left out.

    Predictions with such a label are errors, as the paper never asks for one, unless it was among the labels ``asked``
    for: then they are left out too.
    """
    dropped = {label.lower().strip() for label in asked} & REFERENCE_DROPPED_LABELS
    wanted = {pair for pair in reference_pairs(gold) if pair[1] not in REFERENCE_DROPPED_LABELS}
    offered = {pair for pair in reference_pairs(predicted) if pair[1] not in dropped}
    found = len(wanted & offered)
    return Counts(found, len(offered) - found, len(wanted) - found)


def reference_left_out(examples: Iterable[Example]) -> Counter[str]:
    """The gold mentions that ``reference_counts`` leaves out, by label."""
    labels = (mention.label.lower().strip() for example in examples for mention in example.mentions)
    return Counter(label for label in labels if label in REFERENCE_DROPPED_LABELS)


def exact_counts(example: Example, mentions: Sequence[Mention]) -> Counts:
    """Counts by text and label: a gold mention is found at most once, all other predictions are wrong.

    An answer has no offsets: a text that occurs more often than it is annotated is right wherever it was
    grounded. None of the mentions of a hedged text (``hedged_texts``) counts as found.
    """
    gold, matched = _exact_match(example, mentions)
    found = matched.total()
    return Counts(found, len(mentions) - found, len(gold) - found)


def counts_by_label(example: Example, mentions: Sequence[Mention]) -> dict[str, Counts]:
    """``exact_counts`` divided among the labels (as ``label_key``) of gold and prediction."""
    gold, matched = _exact_match(example, mentions)
    found = Counter(label for _, label in matched.elements())
    wanted = Counter(label for *_, label in gold)
    offered = Counter(label_key(mention.label) for mention in mentions)
    return {
        label: Counts(found[label], offered[label] - found[label], wanted[label] - found[label])
        for label in sorted(wanted | offered)
    }


def strict_counts(example: Example, mentions: Sequence[Mention]) -> Counts:
    """Counts by (start, end, label), a multiset; ungrounded mentions and extra labels are false positives."""
    wanted = Counter(mention_key(m) for m in example.mentions if m.grounded)
    offered = Counter(mention_key(m) for m in mentions if m.grounded)
    found = (wanted & offered).total()
    return Counts(found, len(mentions) - found, len(example.mentions) - found)


def boundary_tolerant_counts(example: Example, mentions: Sequence[Mention]) -> Counts:
    """Counts where the same text, or else an overlap, under the gold label is enough, paired one to one.

    The same text, because answers have no offsets: one that occurs more often than it is annotated is grounded at the
    first place.
    """
    wanted, offered, found = _grounded_facts(example.mentions), _grounded_facts(mentions), 0
    for first in (0, 2):  # at its place, then elsewhere
        same = Counter(fact[first:] for fact in wanted) & Counter(fact[first:] for fact in offered)
        wanted, offered = _without(wanted, same, first), _without(offered, same, first)
        found += same.total()
    # Both are in order of their ends: to take the overlapping gold mention that ends first is then optimal.
    found += _overlapping(wanted, offered)
    return Counts(found, len(mentions) - found, len(example.mentions) - found)


def hedged_texts(gold: Iterable[Mention], predicted: Iterable[Mention]) -> frozenset[str]:
    """The texts that are predicted under several labels, and in all more often than they are annotated.

    Which occurrence a prediction means is not known, so texts are compared and not places. With ``Paris`` twice in the
    sentence and annotated once, ``city`` and ``person`` are a hedge; annotated twice, they are two guesses.
    """
    offered = _facts(mention for mention in predicted if mention.grounded)
    labels = Counter(text for text, _ in {fact[2:] for fact in offered})
    if labels.total() == len(labels):
        return frozenset()
    mentions, annotated = Counter(fact[2] for fact in offered), Counter(fact[2] for fact in _facts(gold))
    return frozenset(text for text, count in labels.items() if count > 1 and mentions[text] > annotated[text])


def _overlapping(gold: list[_Fact], predicted: Iterable[_Fact]) -> int:
    """How many pairs of one label overlap; both sides are in order of their ends, and gold is used up."""
    before = len(gold)
    for fact in predicted:
        partner = next((each for each in gold if fact[3] == each[3] and _overlap(fact, each)), None)
        if partner is not None:
            gold.remove(partner)
    return before - len(gold)


def _overlap(one: _Fact, other: _Fact) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _without(facts: Iterable[_Fact], matched: Counter[tuple[int | str, ...]], first: int) -> list[_Fact]:
    """The facts left when each is taken away as often as it, less what is before ``first``, matched."""
    remaining = Counter(matched)
    left: list[_Fact] = []
    for fact in facts:
        if remaining[fact[first:]] > 0:
            remaining[fact[first:]] -= 1
        else:
            left.append(fact)
    return left


def _facts(mentions: Iterable[Mention]) -> set[_Fact]:
    return {(m.start, m.end, m.text, label_key(m.label)) for m in mentions}


def _grounded_facts(mentions: Iterable[Mention]) -> list[_Fact]:
    """With repetitions, in order of their ends."""
    ordered = sorted(mentions, key=lambda mention: mention.end)
    return [(m.start, m.end, m.text, label_key(m.label)) for m in ordered if m.grounded]


def _exact_match(example: Example, mentions: Sequence[Mention]) -> tuple[set[_Fact], Counter[tuple[str, str]]]:
    """Gold facts (one annotated twice is one), and how often each (text, label) was found."""
    hedged = hedged_texts(example.mentions, mentions)
    gold, predicted = _facts(example.mentions), _facts(m for m in mentions if m.grounded)
    wanted = Counter(fact[2:] for fact in gold)
    offered = Counter(fact[2:] for fact in predicted if fact[2] not in hedged)
    return gold, wanted & offered


@dataclass(frozen=True, slots=True)
class CorpusScore:
    """Micro precision, recall and F1 of a data set, in per cent, rounded to 2 decimals like the paper's."""

    precision: float
    recall: float
    f1: float


def corpus_score(counts: Iterable[Counts]) -> CorpusScore:
    """The score of a data set from the counts of its sentences; all 0 when there is nothing to find."""
    total = sum(counts, Counts())
    return CorpusScore(*(round(value * 100, 2) for value in (total.precision, total.recall, total.f1)))


def average(scores: Sequence[float]) -> float:
    """The mean of rounded data set scores, rounded to 2 decimals: the last column of the paper's table."""
    if not scores:
        raise ValueError("no data set scores to average")
    return round(sum(scores) / len(scores), 2)

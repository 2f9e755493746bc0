"""Counts of right and wrong mentions (as ``rnr.parsing.ground`` leaves them), and what they prove.

- *reference*: the paper's. Sets of (normalised text, label) in each sentence, no offsets.
- *honest*: ours. Every mention counts, its text must stand in the sentence, and no span may be hedged.
- *strict*: every mention counts and its offsets must be right.
- *boundary-tolerant*: as strict, but an overlap is enough.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import TypeAlias

import numpy as np

from rnr.parsing import normalise_label
from rnr.types import Example, Mention

IGNORED_LABELS = frozenset({"na", "n a", "misc", "else", "other", "nan"})
"""Catch-all labels which the paper removes from schema and gold alike."""

REFERENCE_DROPPED_LABELS = IGNORED_LABELS | {""}
"""Gold labels that the reference removes from a data set; predicting them is still an error there."""

ERROR_KINDS = ("boundary", "type", "missed", "spurious", "ungrounded")

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)

# Start, end, text and label key: what a mention says.
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
        """As ``f1``, but 1 when all counts are 0: finding nothing where nothing is to be found is right."""
        return 1.0 if self == Counts() else self.f1


def reference_normalise(text: str) -> str:
    """SQuAD normalisation, no case, ASCII punctuation, a/an/the, double spaces: ``The U.S.`` -> ``us``."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split())


def reference_pairs(mentions: Iterable[Mention]) -> set[tuple[str, str]]:
    """The set of (normalised text, lower-cased label) by which the reference compares sentences."""
    return {(reference_normalise(mention.text), mention.label.lower().strip()) for mention in mentions}


def reference_counts(gold: Iterable[Mention], predicted: Iterable[Mention]) -> Counts:
    """Counts under the paper's evaluation metric; gold mentions with a dropped label are left out."""
    wanted = {pair for pair in reference_pairs(gold) if pair[1] not in REFERENCE_DROPPED_LABELS}
    offered = reference_pairs(predicted)
    found = len(wanted & offered)
    return Counts(found, len(offered) - found, len(wanted) - found)


def label_key(label: str) -> str:
    """By what labels are compared, ignoring case, white space and ``_``: ``Art_Work`` -> ``art work``."""
    return normalise_label(label.replace("_", " "))


def honest_counts(example: Example, mentions: Sequence[Mention]) -> Counts:
    """Counts by text and label: a gold mention is found at most once, all other predictions are wrong.

    An answer has no offsets: a text that occurs more often than it is annotated is right wherever it was
    grounded. A span with more labels than the gold gives it is hedged, and none of them counts as found.
    """
    gold, _, matched = _honest_match(example, mentions)
    found = matched.total()
    return Counts(found, len(mentions) - found, len(gold) - found)


def counts_by_label(example: Example, mentions: Sequence[Mention]) -> dict[str, Counts]:
    """``honest_counts`` divided among the labels (as ``label_key``) of gold and prediction."""
    gold, _, matched = _honest_match(example, mentions)
    found = Counter(label for _, label in matched.elements())
    wanted = Counter(label for *_, label in gold)
    offered = Counter(label_key(mention.label) for mention in mentions)
    return {
        label: Counts(found[label], offered[label] - found[label], wanted[label] - found[label])
        for label in sorted(wanted | offered)
    }


def strict_counts(example: Example, mentions: Sequence[Mention]) -> Counts:
    """Counts by (start, end, label), a multiset; ungrounded mentions and extra labels are false positives."""
    wanted = Counter((m.start, m.end, label_key(m.label)) for m in example.mentions if m.grounded)
    offered = Counter((m.start, m.end, label_key(m.label)) for m in mentions if m.grounded)
    found = (wanted & offered).total()
    return Counts(found, len(mentions) - found, len(example.mentions) - found)


def boundary_tolerant_counts(example: Example, mentions: Sequence[Mention]) -> Counts:
    """Counts where the same text, or else an overlap, under the gold label is enough, paired one to one."""
    wanted, offered = _grounded_facts(example.mentions), _grounded_facts(mentions)
    same = Counter(fact[2:] for fact in wanted) & Counter(fact[2:] for fact in offered)
    # Both are in order of their ends: to take the overlapping gold mention that ends first is then optimal.
    found = same.total() + _pair_off("boundary", _without(wanted, same), _without(offered, same))
    return Counts(found, len(mentions) - found, len(example.mentions) - found)


def contested_spans(gold: Iterable[Mention], predicted: Iterable[Mention]) -> frozenset[tuple[int, int]]:
    """The (start, end) of hedged predictions: under more labels than one, and than the gold gives them."""
    spans = Counter(fact[:2] for fact in _facts(mention for mention in predicted if mention.grounded))
    if spans.total() == len(spans):
        return frozenset()
    allowed = Counter(fact[:2] for fact in _facts(gold))
    return frozenset(span for span, labels in spans.items() if labels > max(1, allowed[span]))


def error_kinds(example: Example, mentions: Sequence[Mention]) -> Counter[str]:
    """How often each of ``ERROR_KINDS`` occurs: a pairing of what ``honest_counts`` leaves over.

    ``type``: the gold span under a wrong (or hedged) label. ``boundary``: the gold label on an overlapping
    span. Each takes one prediction and one gold mention. ``missed``: the gold left. ``spurious`` and
    ``ungrounded``: the predictions left, by whether they stand in the sentence.
    """
    gold, contested, matched = _honest_match(example, mentions)
    kinds: Counter[str] = Counter(ungrounded=sum(not m.grounded for m in mentions))
    open_gold = _without(sorted(gold), matched)
    predicted = _grounded_facts(mentions)
    open_predicted = [fact for fact in predicted if fact[:2] in contested]
    open_predicted += _without((fact for fact in predicted if fact[:2] not in contested), matched)
    for kind in ("type", "boundary"):
        kinds[kind] = _pair_off(kind, open_gold, open_predicted)
    kinds.update(missed=len(open_gold), spurious=len(open_predicted))
    return +kinds


def _pair_off(kind: str, gold: list[_Fact], predicted: list[_Fact]) -> int:
    """How many pairs of this kind there are; both sides of each are taken out of their lists."""
    before = len(gold)
    for fact in list(predicted):
        partner = next((other for other in gold if _pairs_as(kind, other, fact)), None)
        if partner is not None:
            gold.remove(partner)
            predicted.remove(fact)
    return before - len(gold)


def _pairs_as(kind: str, gold: _Fact, predicted: _Fact) -> bool:
    if kind == "type":
        return gold[:2] == predicted[:2] or gold[2] == predicted[2]
    return gold[3] == predicted[3] and gold[0] < predicted[1] and predicted[0] < gold[1]


def _without(facts: Iterable[_Fact], matched: Counter[tuple[str, str]]) -> list[_Fact]:
    """The facts left when each matched (text, label) is taken away as often as it matched."""
    remaining = Counter(matched)
    left: list[_Fact] = []
    for fact in facts:
        if remaining[fact[2:]] > 0:
            remaining[fact[2:]] -= 1
        else:
            left.append(fact)
    return left


def _facts(mentions: Iterable[Mention]) -> set[_Fact]:
    return {(m.start, m.end, m.text, label_key(m.label)) for m in mentions}


def _grounded_facts(mentions: Iterable[Mention]) -> list[_Fact]:
    """With repetitions, in order of their ends."""
    ordered = sorted(mentions, key=lambda mention: mention.end)
    return [(m.start, m.end, m.text, label_key(m.label)) for m in ordered if m.grounded]


def _honest_match(
    example: Example, mentions: Sequence[Mention]
) -> tuple[set[_Fact], frozenset[tuple[int, int]], Counter[tuple[str, str]]]:
    """Gold facts (one annotated twice is one), hedged spans, how often each (text, label) was found."""
    contested = contested_spans(example.mentions, mentions)
    gold, predicted = _facts(example.mentions), _facts(m for m in mentions if m.grounded)
    wanted = Counter(fact[2:] for fact in gold)
    offered = Counter(fact[2:] for fact in predicted if fact[:2] not in contested)
    return gold, contested, wanted & offered


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


def bootstrap_intervals(
    data_sets: Sequence[Sequence[Counts]], *, seed: int, resamples: int = 1000
) -> dict[str, tuple[float, float]]:
    """Ends of the 95 % percentile intervals of ``precision``, ``recall`` and ``f1``, in per cent.

    Each is the mean over data sets of their micro scores; sentences are drawn with replacement within each set.
    """
    scores = _resampled_averages([_table(counts) for counts in data_sets], seed, resamples)[:, 0]
    low, high = np.percentile(scores, (2.5, 97.5), axis=0).tolist()
    return dict(zip(("precision", "recall", "f1"), zip(low, high, strict=True), strict=True))


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean F1 of one system minus another's, in points, the 95 % interval, and the two-sided p-value of none."""

    f1: float
    interval: tuple[float, float]
    p_value: float


def paired_bootstrap(
    first: Sequence[Sequence[Counts]], second: Sequence[Sequence[Counts]], *, seed: int, resamples: int = 1000
) -> Difference:
    """By how much the mean F1 over data sets of ``first`` is above that of ``second``.

    Both hold the same sentences in the same order, and a resample draws the same ones from both.
    """
    if [len(counts) for counts in first] != [len(counts) for counts in second]:
        raise ValueError("a paired comparison needs the counts of the same sentences on both sides")
    tables = [np.hstack((_table(one), _table(other))) for one, other in zip(first, second, strict=True)]
    scores = _resampled_averages(tables, seed, resamples)[..., 2]
    differences = scores[:, 0] - scores[:, 1]
    low, high = np.percentile(differences, (2.5, 97.5)).tolist()
    rarer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    observed = np.mean([_percentages(table.sum(axis=0)) for table in tables], axis=0)[:, 2]
    # One is added to both, because the sample itself is one of the resamples: p is never exactly 0.
    p_value = min(1.0, 2 * (rarer + 1) / (resamples + 1))
    return Difference(float(observed[0] - observed[1]), (low, high), p_value)


def _table(counts: Sequence[Counts]) -> np.ndarray:
    """int64 [sentences, 3]."""
    if not counts:
        raise ValueError("no sentences to draw from")
    return np.array([astuple(count) for count in counts], dtype=np.int64)


def _percentages(counts: np.ndarray) -> np.ndarray:
    """Precision, recall and F1 in per cent [..., systems, 3] from summed counts [..., 3 * systems]."""
    found, extra, missed = np.moveaxis(counts.reshape(*counts.shape[:-1], -1, 3), -1, 0)
    predicted, gold = found + extra, found + missed
    parts = (found / np.maximum(predicted, 1), found / np.maximum(gold, 1), 2 * found / np.maximum(predicted + gold, 1))
    return 100 * np.stack(parts, axis=-1)


def _resampled_averages(tables: Sequence[np.ndarray], seed: int, resamples: int) -> np.ndarray:
    """Mean precision, recall and F1 over data sets, in per cent [resamples, systems, 3]; every table is
    [sentences, 3 * systems]."""
    if not tables:
        raise ValueError("no data sets to draw from")
    generator, scores = np.random.default_rng(seed), []
    for table in tables:
        size = len(table)
        rows = max(1, 1_000_000 // size)  # bounds the memory of one block of draws
        blocks = (min(rows, resamples - done) for done in range(0, resamples, rows))
        sums = [table[generator.integers(size, size=(block, size))].sum(axis=1) for block in blocks]
        scores.append(_percentages(np.concatenate(sums)))
    return np.mean(scores, axis=0)

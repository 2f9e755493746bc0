"""Score saved predictions under each protocol, and compare two files of them.

The protocol *reference* parses and counts completions as the paper's code does, so that its scores are comparable with
the published ones; all others count what our one parser reads.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rnr.evaluation.bootstrap import Difference, bootstrap_intervals, paired_bootstrap
from rnr.evaluation.error_types import ERROR_KINDS, error_kinds
from rnr.evaluation.metrics import (
    Counts,
    average,
    boundary_tolerant_counts,
    corpus_score,
    counts_by_label,
    exact_counts,
    reference_counts,
    strict_counts,
)
from rnr.evaluation.overlap import partial_counts, type_counts
from rnr.evaluation.predictions import Prediction, read_predictions
from rnr.evaluation.published import columns
from rnr.messages import few
from rnr.task.chains import tagged_mentions
from rnr.task.reference_parsing import evaluation_mentions
from rnr.types import Example

PROTOCOLS: dict[str, Callable[[Prediction], Counts]] = {
    "reference": lambda prediction: reference_counts(
        prediction.example.mentions, evaluation_mentions(prediction.text), prediction.example.schema
    ),
    "exact": lambda prediction: exact_counts(prediction.example, prediction.answer.mentions),
    "strict": lambda prediction: strict_counts(prediction.example, prediction.answer.mentions),
    "boundary_tolerant": lambda prediction: boundary_tolerant_counts(prediction.example, prediction.answer.mentions),
    "partial": lambda prediction: partial_counts(prediction.example, prediction.answer.mentions),
    "type": lambda prediction: type_counts(prediction.example, prediction.answer.mentions),
    "chain": lambda prediction: reference_counts(
        prediction.example.mentions,
        tagged_mentions(prediction.answer.reasoning or "", prediction.example.sentence),
        prediction.example.schema,
    ),
}
"""Name -> counts of one sentence, defined in ``metrics`` and ``overlap``. ``chain`` scores the chain's tags, ``[text:
label]``, by the reference's counting, whether or not the answer repeats them: the difference is lost from chain to
answer.
"""

COMPARED = ("reference", "exact")
"""The protocols under which two files of predictions are compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """In per cent, rounded to 2 decimals as the paper's."""

    precision: float
    recall: float
    f1: float
    intervals: dict[str, tuple[float, float]]
    """Ends of the 95 % bootstrap interval of each of the three, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Answers without their scores: how many, how long, how many unreadable, which errors."""

    sentences: int
    finished: float
    """Per cent of the answers that ended before the token limit."""
    tokens: float
    """Mean tokens of an answer."""
    unreadable: dict[str, int]
    """Answers that could not be read, by cause (``rnr.task.parsing.ERRORS``)."""
    errors: dict[str, int]
    """Wrong and missing mentions, by each of ``ERROR_KINDS``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelScore:
    """One label under the exact protocol: per cent, and ``support``, the number of gold mentions."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSetReport:
    answers: Answers
    scores: dict[str, Score]
    """By the names of ``PROTOCOLS``."""
    labels: dict[str, LabelScore]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Scores in per cent: the paper's metric by data set and averaged, and the exact average."""

    f1: float
    interval: tuple[float, float]
    """95 % bootstrap interval of ``f1``."""
    exact_f1: float
    finished: float
    by_data_set: dict[str, dict[str, float]]
    decoding: str = ""
    """The decoding of the answers; empty if their file does not say (``rnr.evaluation.predictions``)."""
    uncalibrated_f1: float | None = None
    """``f1`` of the same answers with uncalibrated labels, if labels were calibrated."""

    def metrics(self) -> dict[str, float]:
        """The scores by their ``val/`` names."""
        flat = {
            f"val/{name}/{key}": value for name, scores in self.by_data_set.items() for key, value in scores.items()
        }
        own = {} if self.uncalibrated_f1 is None else {"val/uncalibrated_f1": self.uncalibrated_f1}
        return flat | {"val/f1": self.f1, "val/exact_f1": self.exact_f1, "val/finished": self.finished} | own


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All scores of one file of predictions."""

    answers: Answers
    """Of all data sets together."""
    averages: dict[str, Score]
    """By protocol: means of the rounded scores of the data sets, rounded again, as in the paper's last column."""
    data_sets: dict[str, DataSetReport]

    def rows(self) -> Iterator[tuple[str, dict[str, Score]]]:
        """Each data set with its scores by protocol, then the average; a data set may also be named ``average``."""
        yield from ((name, part.scores) for name, part in self.data_sets.items())
        yield "average", self.averages

    def evaluation(self) -> Evaluation:
        """The numbers that a training run tracks."""
        reference = {name: part.scores["reference"] for name, part in self.data_sets.items()}
        return Evaluation(
            f1=self.averages["reference"].f1,
            interval=self.averages["reference"].intervals["f1"],
            exact_f1=self.averages["exact"].f1,
            finished=self.answers.finished,
            by_data_set={
                name: {"precision": score.precision, "recall": score.recall, "f1": score.f1}
                for name, score in reference.items()
            },
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """F1 minus that of the compared predictions, in points."""

    average: Difference
    data_sets: dict[str, Difference]

    def rows(self) -> Iterator[tuple[str, Difference]]:
        """The difference on each data set, then on the average."""
        yield from self.data_sets.items()
        yield "average", self.average


def score_predictions(file: Path, examples: Iterable[Example]) -> Evaluation:
    """The scores of a file of predictions against ``examples``; raises ValueError as ``read_predictions`` does."""
    found = read_predictions(file, examples)
    return replace(report(found).evaluation(), decoding="; ".join(decodings(found.values())))


def f1_of(predictions: Mapping[str, Prediction], protocol: str = "reference") -> float:
    """``report(predictions).averages[protocol].f1`` without all the other scores."""
    parts = _by_data_set(predictions.values())
    return average([corpus_score(_counts(part, protocol)).f1 for part in parts.values()])


def decodings(predictions: Iterable[Prediction]) -> list[str]:
    """The decodings of these answers, each once; none if their file does not say."""
    return sorted({prediction.decoding for prediction in predictions if prediction.decoding})


def report(predictions: Mapping[str, Prediction]) -> Report:
    """All scores of these predictions (at least one), data sets in order of their first appearance."""
    by_data_set = _by_data_set(predictions.values())
    counts = {protocol: [_counts(part, protocol) for part in by_data_set.values()] for protocol in PROTOCOLS}
    data_sets = {
        name: DataSetReport(
            answers=_answers(part),
            scores={protocol: _average([counts[protocol][number]]) for protocol in PROTOCOLS},
            labels=_labels(part),
        )
        for number, (name, part) in enumerate(by_data_set.items())
    }
    return Report(
        answers=_answers(list(predictions.values())),
        averages={protocol: _average(parts) for protocol, parts in counts.items()},
        data_sets=data_sets,
    )


def zero_shot_f1(found: Report) -> dict[str, float]:
    """F1 under the paper's protocol by column of its zero-shot table, and the ``average`` of the available columns."""
    places = columns(found.data_sets)
    f1 = {column: found.data_sets[data_set].scores["reference"].f1 for column, data_set in places.items()}
    return f1 | {"average": average(list(f1.values()))} if f1 else {}


def compare(predictions: Mapping[str, Prediction], others: Mapping[str, Prediction]) -> dict[str, Comparison]:
    """By protocol: ``predictions`` against ``others`` on each data set and on average, by a paired bootstrap.

    Raises ValueError, naming uids, unless both hold the same sentences.
    """
    refuse_other_sentences(predictions, others)
    first = _by_data_set(predictions.values())
    second = _by_data_set(others[uid] for uid in predictions)
    comparisons: dict[str, Comparison] = {}
    for protocol in COMPARED:
        pairs = {name: (_counts(part, protocol), _counts(second[name], protocol)) for name, part in first.items()}
        comparisons[protocol] = Comparison(
            average=_difference(list(pairs.values())),
            data_sets={name: _difference([pair]) for name, pair in pairs.items()},
        )
    return comparisons


def refuse_other_sentences(scored: Collection[str], compared: Collection[str]) -> None:
    """Raise ValueError, naming uids, unless both have the same uids."""
    lacking = [_lacking("compared", scored, compared), _lacking("scored", compared, scored)]
    if any(lacking):
        raise ValueError("different sentences: " + "; ".join(filter(None, lacking)))


def _lacking(which: str, wanted: Iterable[str], found: Collection[str]) -> str:
    missing = [uid for uid in wanted if uid not in found]
    return f"missing in the {which} predictions: {few(missing)}" if missing else ""


def _by_data_set(predictions: Iterable[Prediction]) -> dict[str, list[Prediction]]:
    parts: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        parts.setdefault(prediction.example.source, []).append(prediction)
    return parts


def _counts(predictions: Iterable[Prediction], protocol: str) -> list[Counts]:
    return [PROTOCOLS[protocol](prediction) for prediction in predictions]


def _average(data_sets: Sequence[Sequence[Counts]]) -> Score:
    scores = [corpus_score(counts) for counts in data_sets]
    intervals = bootstrap_intervals(data_sets)
    return Score(
        precision=average([score.precision for score in scores]),
        recall=average([score.recall for score in scores]),
        f1=average([score.f1 for score in scores]),
        intervals={name: _rounded(interval) for name, interval in intervals.items()},
    )


def _difference(pairs: Sequence[tuple[Sequence[Counts], Sequence[Counts]]]) -> Difference:
    found = paired_bootstrap([first for first, _ in pairs], [second for _, second in pairs])
    return Difference(round(found.f1, 2), _rounded(found.interval), round(found.p_value, 4))


def _rounded(interval: tuple[float, float]) -> tuple[float, float]:
    return round(interval[0], 2), round(interval[1], 2)


def _answers(predictions: Sequence[Prediction]) -> Answers:
    errors: Counter[str] = Counter(dict.fromkeys(ERROR_KINDS, 0))
    for prediction in predictions:
        errors.update(error_kinds(prediction.example, prediction.answer.mentions))
    causes = Counter(prediction.answer.error for prediction in predictions if prediction.answer.error)
    return Answers(
        sentences=len(predictions),
        finished=round(100 * sum(prediction.finished for prediction in predictions) / len(predictions), 2),
        tokens=round(sum(prediction.tokens for prediction in predictions) / len(predictions), 1),
        unreadable=dict(causes.most_common()),
        errors=dict(errors),
    )


def _labels(predictions: Sequence[Prediction]) -> dict[str, LabelScore]:
    totals: dict[str, Counts] = {}
    for prediction in predictions:
        for label, counts in counts_by_label(prediction.example, prediction.answer.mentions).items():
            totals[label] = totals.get(label, Counts()) + counts
    labels: dict[str, LabelScore] = {}
    for label, counts in sorted(totals.items()):
        score = corpus_score([counts])
        support = counts.true_positives + counts.false_negatives
        labels[label] = LabelScore(precision=score.precision, recall=score.recall, f1=score.f1, support=support)
    return labels

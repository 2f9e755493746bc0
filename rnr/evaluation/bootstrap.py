"""Bootstrap over sentences: intervals of a score over data sets, and the difference of two systems."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from rnr.evaluation.metrics import Counts


def bootstrap_intervals(
    data_sets: Sequence[Sequence[Counts]], *, seed: int = 0, resamples: int = 1000
) -> dict[str, tuple[float, float]]:
    """Ends of the 95 % percentile intervals of ``precision``, ``recall`` and ``f1``, in per cent.

    Each is the mean over data sets of their micro scores; sentences are drawn with replacement within each set.
    """
    scores = _resampled_averages([_table(counts) for counts in data_sets], seed, resamples)[:, 0]
    low, high = np.percentile(scores, (2.5, 97.5), axis=0).tolist()
    return dict(zip(("precision", "recall", "f1"), zip(low, high, strict=True), strict=True))


@dataclass(frozen=True, slots=True)
class Difference:
    """Mean F1 of one system minus another's, in points, its 95 % interval, and the two-sided p-value of no
    difference."""

    f1: float
    interval: tuple[float, float]
    p_value: float


def paired_bootstrap(
    first: Sequence[Sequence[Counts]], second: Sequence[Sequence[Counts]], *, seed: int = 0, resamples: int = 1000
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
    p_value = min(1.0, max(2 * (rarer + 1) / (resamples + 1), _least_p(first, second)))
    return Difference(float(observed[0] - observed[1]), (low, high), p_value)


def _least_p(first: Sequence[Sequence[Counts]], second: Sequence[Sequence[Counts]]) -> float:
    """The two-sided p-value if every sentence on which the systems differ favours the same one: with n such sentences,
    chance does that once in 2^(n - 1). Resamples of few sentences are all alike and would give a smaller p."""
    differing = sum(one != other for pair in zip(first, second, strict=True) for one, other in zip(*pair, strict=True))
    return 2.0 ** (1 - differing)


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

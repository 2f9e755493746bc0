"""The evaluations of a run for its page: scores with intervals, confusion of labels, the worst sentences."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from rnr.config import DataConfig
from rnr.corpus.drawing import draw_from_each
from rnr.corpus.formats.rows import numbered_rows
from rnr.corpus.loading import load
from rnr.corpus.schemas import as_asked
from rnr.evaluation.bootstrap import bootstrap_intervals
from rnr.evaluation.error_types import EntityOutcome, outcomes
from rnr.evaluation.metrics import Counts, counts_by_label, exact_counts
from rnr.evaluation.predictions import Prediction, read_predictions
from rnr.evaluation.scoring import PROTOCOLS, report
from rnr.runs.report.groups import marks_of
from rnr.types import Example
from rnr.validation import validated

MOST_SENTENCES = 160
MOST_LABELS = 14
"""Of the table of confusions."""

Predictions = dict[str, Prediction]


def read_evaluation(folder: Path, config: Mapping[str, Any]) -> tuple[dict[str, Any], Predictions]:
    """The newest evaluation for the page, beside the one before GRPO if there is one, and its predictions.

    ``note`` says why there is none.
    """
    files = sorted((folder / "predictions").glob("*.jsonl"), key=lambda file: file.stat().st_mtime)
    if not files:
        return {"note": "nothing has been evaluated yet"}, {}
    try:
        examples = evaluated_examples(folder, config)
        newest = read_predictions(files[-1], examples)
        before = next((file for file in files if file.stem == "sft" and file != files[-1]), None)
        earlier = read_predictions(before, examples) if before else {}
    except (ValueError, OSError) as error:
        return {"note": f"cannot read the evaluated sentences again: {error}"}, {}
    found = report(newest)
    shown = {
        "name": files[-1].stem,
        "before": before.stem if before else "",
        "protocols": list(PROTOCOLS),
        "average": {name: _score(score) for name, score in found.averages.items()},
        "data_sets": {
            name: {
                "sentences": part.answers.sentences,
                "finished": part.answers.finished,
                "errors": part.answers.errors,
                "scores": {protocol: _score(score) for protocol, score in part.scores.items()},
            }
            for name, part in found.data_sets.items()
        },
        "labels": _labels(newest),
        "confusion": _confusion(newest),
        "sentences": worst(newest, earlier),
        "all_sentences": len(newest),
        "unreadable": found.answers.unreadable,
    }
    return shown, newest


def evaluated_examples(folder: Path, config: Mapping[str, Any]) -> list[Example]:
    """The sentences that a run evaluates on: those it has saved, or, for a run of an earlier version, the data that its
    config names."""
    file = folder / "evaluation.jsonl"
    if file.is_file():
        one = TypeAdapter(Example)
        return [one.validate_python(row) for _, row in numbered_rows(file.read_bytes().splitlines(), file)]
    if "data" not in config:
        raise ValueError(f"{folder / 'config.json'} has no section data")
    data = validated(DataConfig, config["data"], "data")
    loaded = load(data.evaluation, training=False, skip_bad_rows=data.skip_bad_rows, options=data.reading)
    return draw_from_each(as_asked(loaded, catch_alls=data.asks_catch_alls), data.evaluation_examples)


def _score(score: Any) -> dict[str, Any]:
    return {"precision": score.precision, "recall": score.recall, "f1": score.f1, "interval": score.intervals["f1"]}


def _labels(predictions: Predictions) -> list[dict[str, Any]]:
    """Each label under the exact protocol with a 95 % interval of F1 over sentences, those with most gold first."""
    by_label: dict[str, list[Counts]] = {}
    for prediction in predictions.values():
        for label, counts in counts_by_label(prediction.example, prediction.answer.mentions).items():
            by_label.setdefault(label, []).append(counts)
    rows = []
    for label, counts in by_label.items():
        total = sum(counts, Counts())
        low, high = bootstrap_intervals([counts])["f1"]
        rows.append(
            {
                "label": label,
                "gold": total.true_positives + total.false_negatives,
                "precision": round(100 * total.precision, 1),
                "recall": round(100 * total.recall, 1),
                "f1": round(100 * total.f1, 1),
                "interval": [round(low, 1), round(high, 1)],
            }
        )
    return sorted(rows, key=lambda row: -row["gold"])


def _confusion(predictions: Predictions) -> dict[str, Any]:
    """How often a gold label (row) was answered as another (column), missed, or answered where nothing is."""
    pairs: Counter[tuple[str, str]] = Counter()
    for prediction in predictions.values():
        pairs.update(map(_cell, outcomes(prediction.example, prediction.answer.mentions)))
    often: Counter[str] = Counter()
    for pair, count in pairs.items():
        for label in pair:
            often[label] += count
    labels = [label for label, _ in often.most_common() if label][:MOST_LABELS]
    rows = [[pairs[gold, answer] for answer in [*labels, ""]] for gold in [*labels, ""]]
    return {"labels": labels, "rows": rows, "all_labels": sum(bool(label) for label in often)}


def _cell(entity: EntityOutcome) -> tuple[str, str]:
    """(gold label, answered label) of an entity; empty for none."""
    match entity.kind:
        case "hit":
            return entity.label, entity.label
        case "missed":
            return entity.label, ""
        case "type" | "boundary":
            return entity.gold_label, entity.label
        case _:
            return "", entity.label


def worst(predictions: Predictions, earlier: Predictions) -> list[dict[str, Any]]:
    """Sentences with their marks, those that went wrong first: by F1, then by the number of errors."""

    def badness(prediction: Prediction) -> tuple[float, int]:
        counts = exact_counts(prediction.example, prediction.answer.mentions)
        return counts.sentence_f1, -(counts.false_positives + counts.false_negatives)

    chosen = sorted(predictions.values(), key=badness)
    # Half are the worst, the others are spread over the rest: a page of failures alone is one-sided.
    half = chosen[: MOST_SENTENCES // 2]
    rest = chosen[MOST_SENTENCES // 2 :]
    rest = rest[:: max(1, -(-len(rest) // (MOST_SENTENCES // 2)))]
    return [shown_sentence(prediction, earlier.get(prediction.example.uid)) for prediction in (*half, *rest)]


def shown_sentence(prediction: Prediction, other: Prediction | None) -> dict[str, Any]:
    """One sentence with one or two answers."""
    return {
        "uid": prediction.example.uid,
        "data_set": prediction.example.source,
        "sentence": prediction.example.sentence,
        "answers": [_answer(prediction), *([_answer(other)] if other is not None else [])],
    }


def _answer(prediction: Prediction) -> dict[str, Any]:
    counts = exact_counts(prediction.example, prediction.answer.mentions)
    return {
        "text": prediction.text,
        "f1": round(counts.sentence_f1, 3),
        "error": prediction.answer.error,
        "finished": prediction.finished,
        "marks": marks_of(prediction.example, prediction.text),
    }


def side_by_side(first: Predictions, second: Predictions) -> Sequence[dict[str, Any]]:
    """The sentences of both runs on which their answers differ, the largest difference first; ``answers`` are the
    first run's and the second's."""
    same = [
        (one, second[uid])
        for uid, one in first.items()
        if uid in second and second[uid].example.sentence == one.example.sentence
    ]

    def difference(pair: tuple[Prediction, Prediction]) -> float:
        scores = [exact_counts(each.example, each.answer.mentions).sentence_f1 for each in pair]
        return abs(scores[0] - scores[1])

    differing = [pair for pair in same if set(pair[0].answer.mentions) != set(pair[1].answer.mentions)]
    differing.sort(key=difference, reverse=True)
    return [shown_sentence(one, other) for one, other in differing[:MOST_SENTENCES]]

"""Read and write prediction files: JSON lines with the fields of ``_FIELDS``; ``text`` is the whole completion."""

import codecs
import reprlib
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from rnr.corpus.formats.files.opening import unpacked
from rnr.corpus.formats.rows import numbered_rows
from rnr.files.jsonl import json_line
from rnr.files.whole import write_whole
from rnr.task.aggregation import Chosen, aligned
from rnr.task.chains import grounded
from rnr.task.parsing import parse
from rnr.types import Answer, Decoding, Example

UNCALIBRATED = "uncalibrated"
"""The folder, beside a run's predictions, of the same answers with the policy's own labels."""
_FIELDS = {"uid": str, "data_set": str, "sentence": str, "text": str, "finished": bool, "tokens": int}
_BEFORE_JSON = codecs.BOM_UTF8 + b" \t\r\n"
_LARGEST = sys.float_info.max
_ROUNDED = 1e-6
"""Tolerance for probabilities outside 0 to 1, which are sums of floats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The answer to one sentence, its mentions grounded."""

    example: Example
    text: str
    """The whole completion."""
    answer: Answer
    """Read by our parser."""
    finished: bool
    tokens: int
    decoding: str = ""
    """The decoding (``rnr.task.decoding``), and the calibration weight of the labels if they were calibrated; empty if
    the file does not say."""
    confidences: tuple[float | None, ...] = ()
    """Confidence of each mention of the answer (``rnr.task.aggregation``); empty if the file has none."""


def save_predictions(examples: Iterable[Example], answers: Iterable[Chosen], decoding: Decoding, file: Path) -> None:
    """Write the answer to each example; ``file`` is complete and on disk, or not there at all."""
    rows = [
        {
            "uid": example.uid,
            "data_set": example.source,
            "sentence": example.sentence,
            "text": found.text,
            "finished": found.finished,
            "tokens": found.tokens,
            "decoding": f"{decoding}, labels calibrated by {found.calibrated:g}" if found.calibrated else decoding,
            "confidences": list(aligned(found, example.sentence)),
        }
        for example, found in zip(examples, answers, strict=True)
    ]
    write_whole(file, "".join(json_line(row) for row in rows))


def read_predictions(file: Path, examples: Iterable[Example]) -> dict[str, Prediction]:
    """The predictions in ``file`` by uid, in its order, each with its gold sentence from ``examples``.

    Raises ValueError, naming file and row, for a row that is not a prediction for one of these sentences.
    """
    return predictions_of(numbered_rows(prediction_lines(file), file), file, examples)


def prediction_lines(file: Path) -> list[bytes]:
    """The lines of a file of predictions; raises ValueError for a file that does not begin as JSON does."""
    content = unpacked(file, file.read_bytes())
    if content.lstrip(_BEFORE_JSON)[:1] not in (b"{", b"[", b""):
        raise ValueError(
            f"{file}: predictions are JSON lines, an object each; `python -m scripts.data convert {file} --to jsonl "
            "--out found.jsonl` writes those in another format so"
        )
    return content.splitlines()


def predictions_of(
    rows: Iterable[tuple[int, Mapping[str, Any]]], file: Path, examples: Iterable[Example]
) -> dict[str, Prediction]:
    """The same for numbered rows that were read from ``file``."""
    gold = {example.uid: example for example in examples}
    predictions: dict[str, Prediction] = {}
    for number, row in rows:
        try:
            prediction = _prediction(row, gold)
            if prediction.example.uid in predictions:
                raise ValueError(f"a second prediction for {prediction.example.uid!r}")
        except ValueError as error:
            raise ValueError(f"{file}, row {number}: {error}") from None
        predictions[prediction.example.uid] = prediction
    if not predictions:
        raise ValueError(f"{file}: no predictions in this file")
    return predictions


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a JSON value is a usable number: not a bool, NaN or infinite, nor beyond a float."""
    return type(value) in (int, float) and abs(value) <= _LARGEST


def confidence_of(score: float) -> float | None:
    """A score as a confidence in [0, 1], up to rounding; None if it is not one."""
    return min(max(float(score), 0.0), 1.0) if -_ROUNDED <= score <= 1 + _ROUNDED else None


def _prediction(row: Mapping[str, Any], gold: Mapping[str, Example]) -> Prediction:
    wrong = [name for name, kind in _FIELDS.items() if type(row.get(name)) is not kind]
    wrong += ["decoding"] * (not isinstance(row.get("decoding", ""), str))
    if wrong:
        raise ValueError(f"missing or of the wrong type: {', '.join(wrong)}")
    example = gold.get(row["uid"])
    if example is None or example.sentence != row["sentence"]:
        found = "is not in the data" if example is None else "is a different sentence in the data"
        raise ValueError(f"{row['uid']!r} {found}; give the data that these predictions were made from")
    answer = grounded(parse(row["text"]), example.sentence)
    confidences = _confidences(row)
    if confidences and len(confidences) != len(answer.mentions):
        raise ValueError(f"{len(confidences)} confidences for {len(answer.mentions)} mentions")
    return Prediction(
        example=example,
        text=row["text"],
        answer=answer,
        finished=row["finished"],
        tokens=row["tokens"],
        decoding=row.get("decoding", ""),
        confidences=confidences,
    )


def _confidences(row: Mapping[str, Any]) -> tuple[float | None, ...]:
    """The confidences that a row lists; raises ValueError for a value that is not one."""
    listed = [] if row.get("confidences") is None else row["confidences"]
    if not isinstance(listed, list) or not all(each is None or is_number(each) for each in listed):
        raise ValueError(f"confidences must be a list of numbers or null; found {reprlib.repr(listed)}")
    found = tuple(None if each is None else confidence_of(each) for each in listed)
    if wrong := [each for each, one in zip(listed, found, strict=True) if one is None and each is not None]:
        raise ValueError(f"confidences must be between 0 and 1; found {wrong[0]}")
    return found

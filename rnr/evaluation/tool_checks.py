"""Checks on predictions of other tools: offsets that do not count characters, and scores that are not confidences."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rnr.corpus.formats.entities.offset_units import REASONS
from rnr.corpus.formats.entities.offsets import INSIDE, cuts_word, units_that_fit
from rnr.corpus.report import Reading
from rnr.evaluation.predictions import Prediction, confidence_of
from rnr.types import Mention

NO_CONFIDENCES = "scores are ignored: some are outside 0 to 1, so they are not confidences"
_FEW = 3
_KEPT = 500
"""Maximum number of cut mentions that are tried in other units."""


@dataclass(slots=True)
class Checks:
    """Counts suspicious offsets and scores of the mentions in one file."""

    file: Path
    reading: Reading
    _placed: int = 0
    """Mentions with offsets and no text that confirms them."""
    _cut: int = 0
    _kept: list[tuple[str, int, int]] = field(default_factory=list)
    _scores: int = 0
    _beyond: str = ""
    """Row and value of the first score outside 0 to 1."""

    def place(self, mention: Mention, item: dict[str, Any] | list[Any], sentence: str, number: int) -> None:
        """Count a mention with offsets; one that cuts a word is reported."""
        if not mention.grounded or mention.text in (item.values() if isinstance(item, dict) else item):
            return
        self._placed += 1
        if not (cuts_word(sentence, mention.start) or cuts_word(sentence, mention.end)):
            return
        self._cut += 1
        self.reading.note(INSIDE, self.file, number, repr(mention.text))
        if len(self._kept) < _KEPT:
            self._kept.append((sentence, mention.start, mention.end))

    def score(self, score: float | None, number: int) -> float | None:
        """A score as a confidence; None if it is not one."""
        if score is None:
            return None
        self._scores += 1
        confidence = confidence_of(score)
        if confidence is None and not self._beyond:
            self._beyond = f"row {number}: {score:g}"
        return confidence

    def close(self, predictions: Mapping[str, Prediction], *, offsets: str) -> dict[str, Prediction]:
        """The predictions, without confidences if the scores are not confidences.

        Raises ValueError if most mentions cut words, unless ``offsets`` is ``characters``.
        """
        few = self._cut < _FEW and self._cut < self._placed
        if offsets != "characters" and not few and 2 * self._cut > self._placed:
            raise ValueError(self._wrong_offsets())
        if not self._beyond:
            return dict(predictions)
        self.reading.note(NO_CONFIDENCES, self.file, detail=self._beyond, times=self._scores)
        return {uid: replace(one, confidences=()) for uid, one in predictions.items()}

    def _wrong_offsets(self) -> str:
        units = [REASONS[unit] for unit in units_that_fit(self._kept)]
        fitting = f" (whole words if they counted {' or '.join(units)})" if units else ""
        return (
            f"{self.file}: {self._cut} of {self._placed} mentions begin or end inside a word, so their offsets "
            f"probably do not count characters{fitting}; write them in characters, with exclusive ends (--offsets "
            "characters takes them as they are)"
        )

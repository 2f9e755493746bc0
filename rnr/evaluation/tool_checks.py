"""Checks on predictions of other tools: offsets that do not count characters, and scores that are not confidences."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rnr.corpus.formats.entities.offset_units import REASONS, UNITS
from rnr.corpus.formats.entities.offsets import INSIDE, TOLERATED, cuts_word, units_that_fit
from rnr.corpus.report import Reading
from rnr.evaluation.predictions import Prediction, confidence_of
from rnr.types import Mention

NO_CONFIDENCES = "scores are ignored: some are outside 0 to 1, so they are not confidences"
_FEW = 3
_KEPT = 500
"""Maximum number of cut mentions, and of right ones, that are tried in other units."""

_SPACE = "\u2581\u0120"
"""What tokenizers write for the space before a word."""


@dataclass(slots=True)
class Checks:
    """Counts suspicious offsets and scores of the mentions in one file."""

    file: Path
    reading: Reading
    gold: Mapping[str, Collection[tuple[int, int]]]
    """Of each sentence the places of its mentions in the data."""
    _placed: int = 0
    """Mentions with offsets and no text that confirms them."""
    _cut: int = 0
    _right: int = 0
    """Those that stand where the data has a mention, which proves them, whatever they cut."""
    _kept: list[tuple[str, int, int]] = field(default_factory=list)
    _kept_right: list[tuple[str, int, int]] = field(default_factory=list)
    _scores: int = 0
    _beyond: str = ""
    """Row and value of the first score outside 0 to 1."""

    def place(self, mention: Mention, item: dict[str, Any] | list[Any], sentence: str, number: int) -> None:
        """Count a mention with offsets; one that cuts a word is reported."""
        if not mention.grounded or _says(mention.text, item.values() if isinstance(item, dict) else item):
            return
        self._placed += 1
        if (mention.start, mention.end) in self.gold.get(sentence, ()):
            self._right += 1
            if len(self._kept_right) < _KEPT:
                self._kept_right.append((sentence, mention.start, mention.end))
            return
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

        Raises ValueError if most mentions cut words and another unit fits them, or hardly any is right, unless
        ``offsets`` is ``characters``.
        """
        few = self._cut < _FEW and self._cut < self._placed
        if offsets != "characters" and not few and 2 * self._cut > self._placed:
            units = [unit for unit in units_that_fit(self._kept) if not self._disproved(unit)]
            if units or self._right <= TOLERATED * self._cut:
                raise ValueError(self._wrong_offsets([REASONS[unit] for unit in units]))
        if not self._beyond:
            return dict(predictions)
        self.reading.note(NO_CONFIDENCES, self.file, detail=self._beyond, times=self._scores)
        return {uid: replace(one, confidences=()) for uid, one in predictions.items()}

    def _disproved(self, unit: str) -> bool:
        """Whether mentions are right that would be elsewhere in another unit, and not by chance."""
        elsewhere = sum(UNITS[unit](*place) != place[1:] for place in self._kept_right)
        return elsewhere > TOLERATED * len(self._kept)

    def _wrong_offsets(self, units: Sequence[str]) -> str:
        fitting = f" (whole words if they counted {' or '.join(units)})" if units else ""
        return (
            f"{self.file}: {self._cut} of {self._placed} mentions begin or end inside a word, so their offsets "
            f"probably do not count characters{fitting}; write them in characters, with exclusive ends (--offsets "
            "characters takes them as they are)"
        )


def _says(text: str, values: Iterable[Any]) -> bool:
    """Whether one of these is a text, but for case, as of a model that knows none, and for the marks of its pieces."""
    texts = (value.strip().removeprefix("##").lstrip(_SPACE) for value in values if isinstance(value, str))
    return text.casefold() in map(str.casefold, texts)

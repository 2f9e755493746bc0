"""What the predictions of other tools may get wrong without an error: offsets that count no characters, and scores
that are no confidences."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rnr.corpus.formats.entities.offset_units import REASONS, UNITS
from rnr.corpus.formats.entities.offsets import INSIDE, TOLERATED, cuts_word, units_that_fit
from rnr.corpus.report import Reading
from rnr.evaluation.predictions import Prediction, confidence_of
from rnr.types import Mention

NO_CONFIDENCES = "scores are left out: some are outside of 0 to 1, so none of them is a confidence"
_FEW = 3
_KEPT = 500
"""So many mentions that are cut, and that are right, are tried in other units."""

_SPACE = "\u2581\u0120"
"""What tokenizers write for the space before a word."""


@dataclass(slots=True)
class Checks:
    """Counts what the mentions of one file say of their places and scores."""

    file: Path
    reading: Reading
    gold: Mapping[str, Collection[tuple[int, int]]]
    """Of each sentence the places of its mentions in the data."""
    _placed: int = 0
    """Mentions with a place and no text beside it that proves it."""
    _cut: int = 0
    _right: int = 0
    """Those that stand where the data has a mention, which proves them, whatever they cut."""
    _kept: list[tuple[str, int, int]] = field(default_factory=list)
    _kept_right: list[tuple[str, int, int]] = field(default_factory=list)
    _scores: int = 0
    _beyond: str = ""
    """Where the first score beyond 0 to 1 stands, and what it is."""

    def place(self, mention: Mention, item: dict[str, Any] | list[Any], sentence: str, number: int) -> None:
        """Count a mention that has a place; one that is cut is noted."""
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
        """The confidence that a score is, None where it is none."""
        if score is None:
            return None
        self._scores += 1
        confidence = confidence_of(score)
        if confidence is None and not self._beyond:
            self._beyond = f"row {number}: {score:g}"
        return confidence

    def close(self, predictions: Mapping[str, Prediction], *, offsets: str) -> dict[str, Prediction]:
        """The predictions, without confidences where scores are none.

        Raises ValueError where most mentions are cut, and another unit fits them or hardly any is right, unless it is
        said that ``offsets`` count characters.
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
        """Whether mentions are right that would stand elsewhere in another unit, and not by chance."""
        elsewhere = sum(UNITS[unit](*place) != place[1:] for place in self._kept_right)
        return elsewhere > TOLERATED * len(self._kept)

    def _wrong_offsets(self, units: Sequence[str]) -> str:
        fitting = f": they would be whole words if they counted {' or '.join(units)}" if units else ""
        return (
            f"{self.file}: {self._cut} of {self._placed} mentions begin or end inside a word, so their offsets are "
            f"probably no characters{fitting}; write them in characters, the end exclusive (--offsets characters "
            "takes them as they are)"
        )


def _says(text: str, values: Iterable[Any]) -> bool:
    """Whether one of these is a text, but for case, as of a model that knows none, and for the marks of its pieces."""
    said = (value.strip().removeprefix("##").lstrip(_SPACE) for value in values if isinstance(value, str))
    return text.casefold() in map(str.casefold, said)

"""Reads existing NER-CoT rows from files and checks them like a teacher's drafts."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rnr.corpus.formats.reading import read_rows
from rnr.corpus.formats.rows import DataError
from rnr.corpus.report import Reading
from rnr.files.jsonl import strict_json
from rnr.synthesis.checking import check
from rnr.synthesis.outcomes import Outcome, Rejection
from rnr.synthesis.rows import Row, read_row, row_answer, to_row
from rnr.types import Example

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedRow:
    """A row of a file; for a bad row, ``outcome`` has the rejection."""

    place: str
    row: Any
    outcome: Outcome

    @property
    def rejection(self) -> Rejection | None:
        """Why the row is bad, or None for a good row."""
        return self.outcome.rejections[0] if self.outcome.rejections else None

    @property
    def as_rejected(self) -> Row:
        """The row for ``OUT.rejected.jsonl``."""
        return {"place": self.place, **to_row(self.outcome)}


def check_rows(files: Sequence[str]) -> Iterator[CheckedRow]:
    """All rows of these files, checked; raises DataError if there is none."""
    empty = True
    for place, row, found in _read(files):
        empty = False
        if isinstance(found, Rejection):
            example, rejection = Example(uid=place, sentence="", schema=(), mentions=()), found
        else:
            example, rejection = found, check(found, row_answer(found))
        if rejection is None:
            outcome = Outcome(example=example, answer=row_answer(example))
        else:
            content = row.row if isinstance(row, DataError) else row
            text = "" if content is None else strict_json(content)
            outcome = Outcome(example=example, answer=None, rejections=(replace(rejection, text=text),))
        yield CheckedRow(place=place, row=row, outcome=outcome)
    if empty:
        raise DataError(f"no row in {', '.join(files)}")


def read_examples(files: Sequence[str]) -> list[Example]:
    """The examples of these files with their chains; raises DataError for a row that is no NER-CoT row."""
    examples: list[Example] = []
    for place, _, found in _read(files):
        if isinstance(found, Rejection):
            raise DataError(f"{place}: {found.detail}; remove such rows with `validate --out`")
        examples.append(found)
    return examples


def _read(files: Sequence[str]) -> Iterator[tuple[str, Any, Example | Rejection]]:
    """For each row: its place, the row, and its example or the reason why there is none."""
    reading = Reading()
    for file in files:
        for number, row in read_rows(Path(file), reading):
            found: Example | Rejection
            try:
                if isinstance(row, DataError):
                    raise row
                found = read_row(row, f"{Path(file).stem}:{number}")
            except ValueError as error:
                # Errors of the reader already name the place.
                detail = str(error).removeprefix(f"{file}, row {number}: ")
                found = Rejection(cause="not_a_row", detail=detail)
            yield f"{file}, row {number}", row, found
    for line in reading.report.lines():
        logger.warning(f"data: {line}")

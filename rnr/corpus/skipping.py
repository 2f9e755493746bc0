"""The bad rows that a run skips, and what is logged at the end of reading."""

import logging
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rnr.corpus.formats.rows import DataError
from rnr.corpus.report import Reading
from rnr.messages import counted

logger = logging.getLogger(__name__)

SHOWN = 10
"""Number of skipped rows that are listed."""
SECONDS = 2.0
"""How long reading continues after a bad row that may not be skipped, to count the others."""


@dataclass(slots=True)
class Skipped:
    """The bad rows, which are skipped, or the first of which is raised."""

    allowed: bool | None
    """None if the caller has no option for it."""
    count: int = 0
    first: list[str] = field(default_factory=list)
    _since: float = 0.0
    _whole: bool = True

    def add(self, error: DataError) -> None:
        self._since = self._since or time.monotonic()
        self.count += 1
        if self.count <= SHOWN:
            self.first.append(str(error))

    def refuse(self, file: Path) -> None:
        """Raise DataError if this file has bad rows and none may be skipped: the first, the number of others that were
        read, and what to do."""
        if self.allowed or not self.count:
            return
        least = "" if self._whole else "at least "
        more = f"; {least}{counted(self.count - 1, 'more bad row')} in this file" if self.count > 1 else ""
        out = "; data.skip_bad_rows=true, or --skip-bad-rows, skips them" if self.allowed is not None else ""
        check = f"`python -m scripts.data check {shlex.quote(str(file))}` lists all problems"
        raise DataError(f"{self.first[0]}{more}; {check}{out}")

    def enough(self) -> bool:
        """Whether to stop reading, because the data is refused anyway."""
        self._whole = bool(self.allowed or not self.count or time.monotonic() - self._since < SECONDS)
        return not self._whole

    @contextmanager
    def of(self, file: Path) -> Iterator[None]:
        """Read this file to its end, then refuse its bad rows unless they may be skipped."""
        try:
            yield
        except DataError:  # after a bad row, which is closer to the cause
            self.refuse(file)
            raise
        self.refuse(file)


def log(reading: Reading, skipped: Skipped) -> None:
    """Log the notes and the rows that were skipped."""
    for line in reading.report.lines():
        logger.warning(f"data: {line}")
    if skipped.count:
        more = [f"and {skipped.count - SHOWN} more"] if skipped.count > SHOWN else []
        logger.warning("\n  ".join([f"data: skipped {counted(skipped.count, 'bad row')}:", *skipped.first, *more]))

"""The bad rows that a run leaves out, and what is said at the end of reading."""

import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rnr.corpus.formats.rows import DataError
from rnr.corpus.report import Reading
from rnr.messages import counted

SHOWN = 10
"""So many of the rows that a run skips are named."""
SECONDS = 2.0
"""For so long a file is read on behind a bad row, where none may be left out, to say how many there are."""


@dataclass(slots=True)
class Skipped:
    """The bad rows that are left out, or the first of them raised."""

    allowed: bool | None
    """None where nobody could ask for it."""
    count: int = 0
    first: list[str] = field(default_factory=list)
    _since: float = 0.0
    _whole: bool = True

    def add(self, error: DataError) -> None:
        """Count one more."""
        self._since = self._since or time.monotonic()
        self.count += 1
        if self.count <= SHOWN:
            self.first.append(str(error))

    def refuse(self, file: Path) -> None:
        """Raise DataError where there are bad rows in this file, and none may be left out: the first, how many more
        there are as far as they were read, and what to do."""
        if self.allowed or not self.count:
            return
        least = "" if self._whole else "at least "
        more = f"; {least}{counted(self.count - 1, 'more bad row')} in this file" if self.count > 1 else ""
        out = "; data.skip_bad_rows=true, or --skip-bad-rows, leaves them out" if self.allowed is not None else ""
        check = f"`python -m scripts.data check {shlex.quote(str(file))}` lists all that is wrong"
        raise DataError(f"{self.first[0]}{more}; {check}{out}")

    def enough(self) -> bool:
        """Whether it is not worth reading on, because what is read is refused."""
        self._whole = bool(self.allowed or not self.count or time.monotonic() - self._since < SECONDS)
        return not self._whole

    @contextmanager
    def of(self, file: Path) -> Iterator[None]:
        """Reading this file to its end, behind which its bad rows are refused, if none may be left out."""
        try:
            yield
        except DataError:  # behind a bad row, which is nearer to the cause
            self.refuse(file)
            raise
        self.refuse(file)


def say(reading: Reading, skipped: Skipped) -> None:
    """Print what was noted, and the rows that were skipped."""
    for line in reading.report.lines():
        print(f"data: {line}")
    if skipped.count:
        more = [f"and {skipped.count - SHOWN} more"] if skipped.count > SHOWN else []
        print("\n  ".join([f"data: skipped {counted(skipped.count, 'bad row')}:", *skipped.first, *more]))

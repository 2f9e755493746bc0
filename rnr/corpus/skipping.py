"""The bad rows that a run leaves out, and what is said at the end of reading."""

from dataclasses import dataclass, field

from rnr.corpus.formats.rows import DataError
from rnr.corpus.report import Reading
from rnr.counting import counted

SHOWN = 10
"""So many of the rows that a run skips are named."""


@dataclass(slots=True)
class Skipped:
    """The bad rows that are left out, or the first of them raised."""

    allowed: bool
    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, error: DataError) -> None:
        """Count one more; raises it where none may be left out."""
        if not self.allowed:
            raise error
        self.count += 1
        if self.count <= SHOWN:
            self.first.append(str(error))


def say(reading: Reading, skipped: Skipped) -> None:
    """Print what was noted, and the rows that were skipped."""
    for line in reading.report.lines():
        print(f"data: {line}")
    if skipped.count:
        more = [f"and {skipped.count - SHOWN} more"] if skipped.count > SHOWN else []
        print("\n  ".join([f"data: skipped {counted(skipped.count, 'bad row')}:", *skipped.first, *more]))

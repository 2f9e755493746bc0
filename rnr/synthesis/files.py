"""The output files of one command, all next to ``OUT.jsonl``."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnr.files.jsonl import json_line, strict_json
from rnr.files.whole import write_whole
from rnr.synthesis.client import TeacherClient
from rnr.synthesis.outcomes import Outcome
from rnr.synthesis.report import report
from rnr.synthesis.rows import Row, to_row


@dataclass(frozen=True, slots=True)
class OutputFiles:
    """The paths of ``OUT.jsonl`` and the files next to it."""

    rows: Path

    def _beside(self, ending: str) -> Path:
        return self.rows.with_name(f"{self.rows.name.removesuffix('.jsonl')}.{ending}")

    @property
    def rejected(self) -> Path:
        return self._beside("rejected.jsonl")

    @property
    def report(self) -> Path:
        return self._beside("report.json")

    @property
    def journal(self) -> Path:
        return self._beside("journal.jsonl")

    def check_apart_from(self, inputs: Iterable[str]) -> None:
        """Raise ValueError if one of the inputs would be overwritten."""
        read = {Path(file).resolve() for file in inputs}
        for written in (self.rows, self.rejected, self.report, self.journal):
            if written.resolve() in read:
                raise ValueError(f"{written} is an input, and --out {self.rows} would overwrite it; give another --out")


def write_outcomes(
    files: OutputFiles,
    outcomes: Sequence[Outcome],
    *,
    clients: Sequence[TeacherClient],
    price_in: float,
    price_out: float,
) -> dict[str, Any]:
    """Write rows, rejected sentences and the report, each file completely or not at all; returns the report.

    Tokens and cost cover the whole journal; prices are per million tokens.
    """
    tokens = clients[0].journal.tokens()
    cost = sum(spent["prompt"] * price_in + spent["completion"] * price_out for spent in tokens.values()) / 1e6
    numbers = report(outcomes) | {
        "tokens": tokens,
        "cost": round(cost, 6),
        "requests_this_run": sum(client.requests for client in clients),
        "retries_this_run": dict(sum((client.retries for client in clients), Counter())),
    }
    write_rows(files.rejected, (to_row(outcome) for outcome in outcomes if outcome.answer is None))
    write_whole(files.report, strict_json(numbers, indent=2) + "\n")
    write_rows(files.rows, (to_row(outcome) for outcome in outcomes if outcome.answer is not None))
    return numbers


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write these rows as JSONL; on failure the previous file stays in place."""
    write_whole(path, "".join(json_line(row) for row in rows))

"""``python -m tests.chaos.report FILE ...``: what campaigns survived, as a table by kind."""

import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from tests.end_to_end.launcher import lines


def table(rows: Iterable[dict]) -> str:
    """Markdown; a fault that had nothing to befall is not counted as tried."""
    by_kind: dict[str, list[dict]] = defaultdict(list)
    for row in rows:
        if row.get("done"):
            by_kind[row["kind"]].append(row)
    out = ["| fault | survived of tried | seconds lost, median | worst |", "|---|--:|--:|--:|"]
    for kind, tried in sorted(by_kind.items()):
        survived = [row["seconds_lost"] for row in tried if row["survived"]]
        figures = f"{statistics.median(survived):.0f} | {max(survived):.0f}" if survived else "- | -"
        out.append(f"| {kind} | {len(survived)} of {len(tried)} | {figures} |")
    return "\n".join(out)


if __name__ == "__main__":
    found = [row for file in sys.argv[1:] for row in lines(Path(file))]
    print(table(found))
    for closing in (row["closing"] for row in found if "closing" in row):
        print({name: value for name, value in closing.items() if value not in (0, [])})

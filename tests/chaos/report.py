"""``python -m tests.chaos.report FILE ...``: what campaigns survived, as a table by kind."""

import statistics
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
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


def totals(closings: Sequence[dict]) -> str:
    """What the runs lost and left, all together, and the largest driver."""
    prompts, lost, doubled = (sum(each[name] for each in closings) for name in ("prompts", "lost", "doubled"))
    waits, workers, files = (
        [left for each in closings for left in each[name]]
        for name in ("waits beyond their deadline", "workers left", "files left")
    )
    drivers = [each["driver, every ten seconds"] for each in closings]
    mib, descriptors = (max(value for each in drivers for value in each[name]) for name in ("mib", "descriptors"))
    lost_or_doubled = f"{len(closings)} runs, {prompts} prompts: {lost} lost, {doubled} doubled"
    left = f"{len(waits)} waits beyond their deadline; {len(workers)} workers and {len(files)} files left"
    return f"{lost_or_doubled}; {left}; driver at most {mib} MiB, {descriptors} descriptors"


if __name__ == "__main__":
    found = [row for file in sys.argv[1:] for row in lines(Path(file))]
    print(table(found))
    if closings := [row["closing"] for row in found if "closing" in row]:
        print(totals(closings))

"""Numbers of rejected drafts by cause, as a dict and as a table."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from rnr.synthesis.outcomes import CAUSES, Outcome


def report(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Numbers of rejected and of regenerated drafts, in total and by cause; rates are from 0 to 1."""
    kept = sum(outcome.answer is not None for outcome in outcomes)
    rejected = Counter(rejection.cause for outcome in outcomes for rejection in outcome.rejections)
    given_up = Counter(outcome.rejections[-1].cause for outcome in outcomes if outcome.answer is None)
    drafts = kept + rejected.total()
    return {
        "sentences": len(outcomes),
        "kept": kept,
        "given_up": given_up.total(),
        "drafts": drafts,
        "reject_rate": _share(rejected.total(), drafts),
        "regeneration_rate": _share(rejected.total() - given_up.total(), drafts),
        "causes": {
            cause: {
                "rejected": rejected[cause],
                "regenerated": rejected[cause] - given_up[cause],
                "given_up": given_up[cause],
                "reject_rate": _share(rejected[cause], drafts),
                "regeneration_rate": _share(rejected[cause] - given_up[cause], drafts),
            }
            for cause in CAUSES
            if rejected[cause]
        },
    }


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def report_table(numbers: dict[str, Any]) -> Table:
    """The report as a table: one row per cause that occurred, and the total."""
    title = (
        f"{numbers['kept']} of {numbers['sentences']} sentences kept; rejected drafts, of {numbers['drafts']}, by cause"
    )
    table = Table("cause", "rejected", "%", "regenerated", "given up", "meaning", title=title)
    for cause, row in numbers["causes"].items():
        share = f"{100 * row['reject_rate']:.1f}"
        counts = (str(row[key]) for key in ("regenerated", "given_up"))
        table.add_row(cause, str(row["rejected"]), share, *counts, CAUSES[cause])
    rejected = numbers["drafts"] - numbers["kept"]
    counts = (f"{100 * numbers['reject_rate']:.1f}", str(rejected - numbers["given_up"]), str(numbers["given_up"]))
    table.add_row("all", str(rejected), *counts, style="bold")
    return table


def cost_line(numbers: dict[str, Any]) -> str:
    """One line with responses, tokens and cost of the whole journal, from the report of ``files.write_outcomes``."""
    tokens = "; ".join(
        f"{stage} {spent['requests']} responses, {spent['prompt']} + {spent['completion']} tokens"
        for stage, spent in numbers["tokens"].items()
    )
    return f"paid for: {tokens}; cost {numbers['cost']:g}"

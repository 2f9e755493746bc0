"""Medians, ranges, and ratios of two sides that are measured in alternation; how numbers are printed."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.table import Table

Numbers = dict[str, Any]
"""The results of a benchmark by name; a name that ends in ``_other`` belongs to the other side."""

Turn = Callable[[], float]
"""Runs one round of the work and returns its seconds."""


def seconds_of(call: Callable[[], object]) -> float:
    """The seconds that one call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def spread(name: str, values: Sequence[float]) -> Numbers:
    """The median under ``name``, minimum and maximum under ``name_range``; for (1, 4, 2): 2 and [1, 4]."""
    return {name: statistics.median(values), f"{name}_range": [round(min(values), 4), round(max(values), 4)]}


def alone(ours: Turn, rounds: int) -> Numbers:
    """Seconds of one side over ``rounds``, after one warm-up round."""
    ours()
    return spread("seconds", [ours() for _ in range(rounds)])


def in_turn(ours: Turn, theirs: Turn, rounds: int) -> Numbers:
    """Seconds of both sides over ``rounds`` pairs, after one warm-up pair, and the ratio of their speeds: the median
    over the pairs of (their seconds / our seconds), so that 2 means ours is twice as fast.

    The sides alternate, so that other load on the machine slows down both.
    """
    ours()
    theirs()
    timed = [(ours(), theirs()) for _ in range(rounds)]
    return {
        **spread("seconds", [mine for mine, _ in timed]),
        **spread("seconds_other", [other for _, other in timed]),
        **spread("ratio", [other / mine for mine, other in timed]),
    }


def shares(steps: Sequence[Mapping[str, float]]) -> Numbers:
    """Time of GRPO steps by part, as medians over ``steps``; each step has its ``seconds`` and the seconds of its parts
    ``sampling``, ``reward``, ``training`` and ``publish``.

    A worker is idle while neither its own part nor ``publish`` runs. A step of 10 s with parts 4, 1, 3 and 1 has shares
    0.4, 0.1, 0.3 and 0.1; its rollout workers are idle for a share of 0.5 and its learner for 0.6.
    """
    numbers: Numbers = {}
    for part in ("sampling", "reward", "training", "publish"):
        numbers |= spread(f"{part}_seconds", [step[part] for step in steps])
        numbers[f"{part}_share"] = statistics.median(step[part] / step["seconds"] for step in steps)
    for worker, part in (("rollout", "sampling"), ("learner", "training")):
        idle = [1 - (step[part] + step["publish"]) / step["seconds"] for step in steps]
        numbers[f"{worker}_idle_share"] = statistics.median(idle)
    return numbers


def table(title: str, numbers: Numbers) -> Table:
    """The numbers as a table to print."""
    rows = Table("what", "value", title=title)
    for name, value in numbers.items():
        rows.add_row(name, shown(value))
    return rows


def shown(value: Any) -> str:
    """The value as text: fractions with three digits, thousands with commas; 0.12345 is 0.123, 12345.6 is 12,346.
    Strings are unchanged."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return " to ".join(map(shown, value))
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"

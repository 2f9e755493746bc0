"""Whether a completion has the requested format: reasoning, then an answer."""

from rnr.types import Answer, Example


def well_formed(_example: Example, answer: Answer) -> float:
    """1 for exactly one reasoning block that is not blank, then exactly one object; else 0.

    The parser already refuses a second block, a second object and text around them.
    """
    return float(answer.error is None and bool((answer.reasoning or "").strip()))

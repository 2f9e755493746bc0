"""Names in brackets, as CoNLL-2012 has them, in a column of a column file."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator

_NAME_BRACKET = re.compile(r"\*\)?|\([^()*\s]+(?:\)|\*\)?)")
"""A cell of CoNLL-2012's column of names: ``(PERSON*``, ``*``, ``*)``, ``(PERSON)``."""
_BRACKETED = 0.9
"""Share of the cells of a column that tell it holds names in brackets; the others are errors."""


def are_brackets(counts: Counter[str]) -> bool:
    """Whether a column holds names in brackets: ``(PERSON*``, ``*)``, ``*``."""
    fitting = {cell: times for cell, times in counts.items() if _NAME_BRACKET.fullmatch(cell)}
    opens = any(cell.startswith("(") for cell in fitting)
    return opens and "*" in fitting and sum(fitting.values()) >= _BRACKETED * counts.total()


def from_brackets(cells: Iterable[str]) -> Iterator[str]:
    """``(ORG*``, ``*)``, ``*``, ``(GPE)`` -> ``B-ORG``, ``I-ORG``, ``O``, ``B-GPE``.

    What is none of these, opens what is open or closes what is not, and the last cell of a sentence whose bracket is
    still open, becomes no tag, which is an error of its line.
    """
    opened = ""
    cells = list(cells)
    for place, cell in enumerate(cells):
        begins, ends = cell.startswith("("), cell.endswith(")")
        wrong = begins == bool(opened) if begins or ends else False
        open_at_end = place == len(cells) - 1 and not ends and bool(opened or begins)
        if wrong or open_at_end or not _NAME_BRACKET.fullmatch(cell):
            yield f"unmatched {cell}"
            opened = ""
            continue
        opened = cell.strip("()*") if begins else opened
        yield f"{'B' if begins else 'I'}-{opened}" if opened else "O"
        opened = "" if ends else opened

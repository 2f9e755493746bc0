"""Reasoning chains built from gold mentions, for data that comes without chains (the offline ``template`` teacher).

``walk`` reads the sentence from left to right and marks each entity where it stands, so that every decision is taken
in its context and nothing is passed over. ``list`` argues one line per entity.
"""

from collections.abc import Callable
from typing import Literal

from rnr.types import Example

NOTHING_FOUND = "No entity here."


def walk(example: Example) -> str:
    """The sentence with each mention written as ``[text: label]``; of overlapping mentions the longest is marked."""
    pieces: list[str] = []
    position = 0
    for mention in sorted(example.mentions, key=lambda mention: (mention.start, -mention.end)):
        if mention.start < position:
            continue
        pieces += (example.sentence[position : mention.start], f"[{mention.text}: {mention.label}]")
        position = mention.end
    return "".join([*pieces, example.sentence[position:]])


def list_lines(example: Example) -> str:
    """One line ``"text" is a label.`` for each mention in reading order."""
    return "\n".join(f'"{mention.text}" is a {mention.label}.' for mention in example.mentions) or NOTHING_FOUND


CHAINS: dict[str, Callable[[Example], str]] = {"walk": walk, "list": list_lines}


def chain(example: Example) -> str:
    """The example's own chain if a teacher wrote one, otherwise one of ``kind`` built from its mentions."""
    text = example.reasoning if example.reasoning is not None else walk(example)
    # The sentence may itself contain the markers that bound a chain; written out they would end it early.
    return text.replace("<think>", "< think>").replace("</think>", "</ think>")

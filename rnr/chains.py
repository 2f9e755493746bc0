"""Reasoning chains built from gold mentions, for data that comes without chains (the offline ``template`` teacher)."""

from rnr.types import Example


def walk(example: Example) -> str:
    """The sentence read from left to right, each mention where it stands as ``[text: label]``.

    Every decision is taken in its context, nothing is passed over, and the chain ends where the sentence ends: a small
    model that lists entities instead goes on listing. Of overlapping mentions the longest is marked.
    """
    pieces: list[str] = []
    position = 0
    for mention in sorted(example.mentions, key=lambda mention: (mention.start, -mention.end)):
        if mention.start < position:
            continue
        pieces += (example.sentence[position : mention.start], f"[{mention.text}: {mention.label}]")
        position = mention.end
    return "".join([*pieces, example.sentence[position:]])


def chain(example: Example) -> str:
    """The example's own chain if a teacher wrote one, otherwise one built from its mentions."""
    text = example.reasoning if example.reasoning is not None else walk(example)
    # The sentence may itself contain the markers that bound a chain; written out they would end it early.
    return text.replace("<think>", "< think>").replace("</think>", "</ think>")

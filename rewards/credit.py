"""Credit by mention: what each token of a walking chain decided, for ``grpo.credit = "mention"``."""

from collections.abc import Sequence

from rnr.chains import Walk, follow
from rnr.metrics import label_key
from rnr.parsing import CLOSE, OPEN
from rnr.rollout_metrics import chain_f1
from rnr.types import Answer, Credit, Example, Rollout, ScoredGroup


def credit(example: Example, answer: Answer, rollout: Rollout) -> Credit:
    """What the chain of a rollout marked, place by place, against the gold mentions with their offsets.

    Empty for a chain that is no walk: one that marks nothing and goes through less than half of its sentence.
    """
    if answer.reasoning is None or not rollout.ends:
        return Credit()
    walk = follow(answer.reasoning, example.sentence)
    if not walk.mentions and not walk.slips and 2 * walk.covered < len(example.sentence):
        return Credit()
    gold = {(mention.start, mention.end, label_key(mention.label)) for mention in example.mentions}
    verdicts = [0] * len(example.sentence)
    for place in (*walk.slips, *walk.departures):
        verdicts[place] = -1
    right = 0
    for mention in walk.mentions:
        found = (mention.start, mention.end, label_key(mention.label)) in gold
        right += found
        verdicts[mention.start : mention.end] = [1 if found else -1] * len(mention.text)
    places = _places(rollout.text, answer.reasoning, walk, example.sentence)
    return Credit(
        places=tuple(places[end - 1] if end else -1 for end in rollout.ends),
        verdicts=tuple(verdicts),
        right=right,
        marked=len(walk.mentions) + len(walk.slips),
        gold=len(example.mentions),
    )


def _places(text: str, chain: str, walk: Walk, sentence: str) -> list[int]:
    """For each character of a completion, the character of the sentence that it is about, or -1."""
    opening = text.find(OPEN)
    # The sentence might be a word of the opening tag.
    start = text.find(chain, opening + len(OPEN) if opening >= 0 else 0)
    end = start + len(chain)
    places = [-1] * len(text)
    places[start:end] = walk.places
    if walk.reached < len(sentence):
        # To close a chain too early is to leave the sentence.
        closing = max(end, text.find(CLOSE, end) + len(CLOSE))
        places[end:closing] = [walk.reached] * (closing - end)
    return places


def worth(groups: Sequence[ScoredGroup]) -> dict[int, float]:
    """By verdict, what a mention adds to the F1 of the chains of these groups, to first order.

    F1 = 2 * right / (marked + gold) grows with each right mention by (2 - F1) / (marked + gold), falls with each wrong
    one by F1 / (marked + gold), and stays as it is where nothing is marked. With (marked + gold) as the mean of a
    rollout, these numbers are in the unit of a sentence's F1.
    """
    walks = [found for scored in groups for found in scored.credits if found.verdicts]
    f1 = chain_f1(walks)
    size = max(1, sum(walk.marked + walk.gold for walk in walks)) / max(1, len(walks))
    return {1: (2 - f1) / size, -1: -f1 / size, 0: 0.0}

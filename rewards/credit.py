"""Credit by mention: what each token of a walking chain decided, for ``grpo.credit = "mention"``."""

from collections.abc import Sequence

from rnr.chains import follow
from rnr.metrics import label_key
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
    # The sentence might be a word of the opening tag.
    start = rollout.text.find(answer.reasoning, rollout.text.find(">") + 1)
    end = start + len(walk.places)
    places = [-1] * len(rollout.text)
    places[start:end] = walk.places
    if walk.departures:
        # To close a chain before its sentence ends is one, too.
        closing = max(end, rollout.text.find(">", end) + 1)
        places[end:closing] = [walk.departures[-1]] * (closing - end)
    return Credit(
        places=tuple(places[end - 1] if end else -1 for end in rollout.ends),
        verdicts=tuple(verdicts),
        right=right,
        marked=len(walk.mentions) + len(walk.slips),
        gold=len(example.mentions),
    )


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

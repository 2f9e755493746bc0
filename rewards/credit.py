"""Credit by mention: what each token of a walking chain decided, for ``grpo.credit = "mention"``."""

from rnr.chains import follow
from rnr.metrics import label_key
from rnr.types import Answer, Credit, Example, Rollout


def credit(example: Example, answer: Answer, rollout: Rollout) -> Credit:
    """What the chain of a rollout marked, place by place, against the gold mentions with their offsets.

    Empty for a chain that is no walk: one that leaves its sentence before the first mark.
    """
    if answer.reasoning is None or not rollout.ends:
        return Credit()
    walk = follow(answer.reasoning, example.sentence)
    if not walk.mentions and walk.reached < len(example.sentence):
        return Credit()
    gold = {(mention.start, mention.end, label_key(mention.label)) for mention in example.mentions}
    verdicts = [0] * walk.reached
    right = 0
    for mention in walk.mentions:
        found = (mention.start, mention.end, label_key(mention.label)) in gold
        right += found
        verdicts[mention.start : mention.end] = [1 if found else -1] * len(mention.text)
    for place, end in walk.slips:
        verdicts[place:end] = [-1] * (end - place)
    start = rollout.text.find(answer.reasoning)
    places = [-1] * len(rollout.text)
    places[start : start + len(walk.places)] = walk.places
    return Credit(
        places=tuple(places[end - 1] if end else -1 for end in rollout.ends),
        verdicts=tuple(verdicts),
        right=right,
        marked=len(walk.mentions) + len(walk.slips),
        gold=len(example.mentions),
    )

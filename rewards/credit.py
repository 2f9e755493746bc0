"""Credit by mention: what each token of a walking chain decided, for ``grpo.credit = "mention"``."""

from collections.abc import Sequence

from rewards.faithfulness import faithfulness
from rnr.evaluation.rollout_metrics import chain_f1, walks
from rnr.task.chains import Walk, follow, marks
from rnr.task.labels import label_key
from rnr.task.parsing import CLOSE, OPEN, write
from rnr.types import DEPARTURE, Answer, Credit, Example, Rollout, ScoredGroup


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
        departure=-1 if faithfulness(example, answer) == 1 else _departure(answer.reasoning, rollout, example.sentence),
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
        closing = max(end, text.find(CLOSE) + len(CLOSE))
        places[end:closing] = [walk.reached] * (closing - end)
    return places


def _departure(chain: str, rollout: Rollout, sentence: str) -> int:
    """The first token at which an answer differs, but for white space, from the one that ``write`` makes of its chain's
    marks; -1 for one that is cut before it differs."""
    text = rollout.text
    closed = text.find(CLOSE)
    if closed < 0:
        return -1
    called_for = "".join(write(marks(chain, sentence), reasoning=None).split())
    given = [place for place in range(closed + len(CLOSE), len(text)) if not text[place].isspace()]
    pairs = zip(given, called_for, strict=False)
    here = next((place for place, letter in pairs if text[place] != letter), None)
    if here is None and len(given) > len(called_for):
        here = given[len(called_for)]
    if here is None:
        return len(rollout.token_ids) - 1 if rollout.finished else -1
    return next(token for token, end in enumerate(rollout.ends) if end > here)


def worth(groups: Sequence[ScoredGroup]) -> dict[int, float]:
    """What a mention adds to the F1 of the chains of these groups, to first order, by verdict.

    F1 = 2 * right / (marked + gold) grows with each right mention (1) by (2 - F1) / (marked + gold), falls with each
    wrong one (-1) by F1 / (marked + gold), and stays as it is where nothing is marked (0). An answer that departs from
    its chain (``DEPARTURE``) is taken to lose a right one. With (marked + gold) as the mean of a rollout, these numbers
    are in the unit of a sentence's F1.
    """
    found = walks(groups)
    f1 = chain_f1(found)
    size = max(1, sum(walk.marked + walk.gold for walk in found)) / max(1, len(found))
    return {1: (2 - f1) / size, -1: -f1 / size, 0: 0.0, DEPARTURE: -(2 - f1) / size}

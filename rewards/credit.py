"""Per-mention credit, for ``grpo.credit = "mention"``: the decision of each token of a tagged chain, and its value."""

from collections.abc import Sequence
from dataclasses import dataclass

from rewards.faithfulness import faithfulness
from rnr.evaluation.metrics import Counts
from rnr.evaluation.rollout_metrics import chain_counts, right_tags
from rnr.task.chains import ReadChain, read_tagged_chain, tagged_mentions
from rnr.task.parsing import CLOSE, reasoning_start, write
from rnr.types import Answer, Example, Rollout, ScoredGroup

RIGHT, WRONG, UNTAGGED = 1, -1, 0
"""The verdict on a character of the sentence: in a correctly tagged mention; in any other tag, or where the chain
diverges from its sentence; not tagged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MentionCredit:
    """The decisions of one tagged chain at each place of its sentence."""

    places: tuple[int, ...]
    """The character of the sentence that each token is about; -1 for tokens outside the chain."""
    verdicts: tuple[int, ...]
    """``RIGHT``, ``WRONG`` or ``UNTAGGED`` for each character of the sentence."""
    counts: Counts
    """Counts of the chain's tags."""
    mismatch: int
    """The token at which the answer departs from the chain's tags (chain-answer mismatch); -1 if it does not."""


def mention_credits(scored: ScoredGroup) -> list[MentionCredit | None]:
    """``mention_credit`` of each rollout of a group."""
    example = scored.group.prompt.example
    pairs = zip(scored.answers, scored.group.rollouts, strict=True)
    return [mention_credit(example, answer, rollout) for answer, rollout in pairs]


def mention_credit(example: Example, answer: Answer, rollout: Rollout) -> MentionCredit | None:
    """The chain's tags compared place by place with the gold mentions' offsets; None for a rollout without a tagged
    chain, or if the positions of its tokens are unknown."""
    chain = read_tagged_chain(answer, example.sentence)
    if chain is None or answer.reasoning is None or not rollout.ends:
        return None
    verdicts = [UNTAGGED] * len(example.sentence)
    for place in (*chain.copy_errors, *chain.divergences):
        verdicts[place] = WRONG
    for mention, right in zip(chain.mentions, right_tags(example, chain), strict=True):
        verdicts[mention.start : mention.end] = [RIGHT if right else WRONG] * len(mention.text)
    places = _places(rollout.text, chain, example.sentence)
    return MentionCredit(
        places=tuple(places[end - 1] if end else -1 for end in rollout.ends),
        verdicts=tuple(verdicts),
        counts=chain_counts(example, chain),
        mismatch=-1 if faithfulness(example, answer) == 1 else _mismatch(answer.reasoning, rollout, example.sentence),
    )


def _places(text: str, chain: ReadChain, sentence: str) -> list[int]:
    """For each character of a completion, the character of the sentence that it is about, or -1."""
    start = reasoning_start(text)
    end = start + len(chain.places)
    places = [-1] * len(text)
    places[start:end] = chain.places
    if chain.reached < len(sentence):
        # Closing a chain too early is a divergence from the sentence.
        closing = max(end, text.find(CLOSE) + len(CLOSE))
        places[end:closing] = [chain.reached] * (closing - end)
    return places


def _mismatch(reasoning: str, rollout: Rollout, sentence: str) -> int:
    """The first token at which an answer differs, except for white space, from the one that ``write`` makes of its
    chain's tags; -1 if it is cut before it differs."""
    text = rollout.text
    closed = text.find(CLOSE)
    if closed < 0:
        return -1
    called_for = "".join(write(tagged_mentions(reasoning, sentence), reasoning=None).split())
    given = [place for place in range(closed + len(CLOSE), len(text)) if not text[place].isspace()]
    pairs = zip(given, called_for, strict=False)
    here = next((place for place, letter in pairs if text[place] != letter), None)
    if here is None and len(given) > len(called_for):
        here = given[len(called_for)]
    if here is None:
        return len(rollout.token_ids) - 1 if rollout.finished else -1
    return next(token for token, end in enumerate(rollout.ends) if end > here)


def mention_values(credits: Sequence[MentionCredit]) -> dict[int, float]:
    """The first-order effect of a mention on the F1 of these chains, by verdict.

    With ``tagged + gold`` = (TP + FP) + (TP + FN), F1 = 2 * TP / (tagged + gold) grows by (2 - F1) / (tagged + gold)
    with each right mention, falls by F1 / (tagged + gold) with each wrong one, and does not change where nothing is
    tagged. With the mean (tagged + gold) per rollout, the values have the unit of a sentence's F1.
    """
    chains = [credit.counts for credit in credits]
    total = sum(chains, Counts())
    both = 2 * total.true_positives + total.false_positives + total.false_negatives
    size = max(1, both) / max(1, len(chains))
    return {RIGHT: (2 - total.f1) / size, WRONG: -total.f1 / size, UNTAGGED: 0.0}


def mention_advantages(credits: Sequence[MentionCredit], values: dict[int, float]) -> list[tuple[float, ...]]:
    """The advantage of each token of these chains, all of one group, from ``mention_values``.

    A token about a place gets the value of the decision there minus the mean over the chains; the token of a
    chain-answer mismatch loses the value of a right mention; all others get 0.
    """
    rows = [[values[verdict] for verdict in credit.verdicts] for credit in credits]
    means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    advantages: list[tuple[float, ...]] = []
    for credit, row in zip(credits, rows, strict=True):
        found = [row[place] - means[place] if place >= 0 else 0.0 for place in credit.places]
        if credit.mismatch >= 0:
            found[credit.mismatch] = -values[RIGHT]
        advantages.append(tuple(found))
    return advantages

"""Aggregate several completions of a prompt into one answer, with a confidence for each entity.

The confidence of an entity is

- with several samples: the share of them that names it, at its place and with its label;
- with one greedy completion whose chain marks it, ``[text: label]``: the probability that the policy writes exactly
  this mark at this place, the product of the probabilities of the mark's tokens (under a grammar, among the allowed
  tokens). For a policy that copies the sentence only the decisions count (begin, end, label), as all other tokens have
  a probability of about 1;
- otherwise None: an answer that repeats what its chain decided says nothing about the certainty of that decision.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, TypeAlias

from rnr.task.chains import grounded, read_chain, tagged_chain
from rnr.task.decoding import completed
from rnr.task.labels import MentionKey, label_key, mention_key
from rnr.task.parsing import parse, reasoning_start, write
from rnr.types import Answer, Decoding, Example, Mention, Rollout

Selection = Literal["greedy", "vote", "medoid"]
"""``greedy``: the greedy completion. ``vote``: the entities that enough samples name. ``medoid``: the sample that
agrees best with the others, by mean F1 (ThinkTwice, arXiv 2601.18395, calls it agreement)."""

VOTE_SHARE = 0.3
"""Minimum share of the samples that must name an entity in a vote, unless a threshold is given."""

_Fact: TypeAlias = tuple[MentionKey, str]
"""``mention_key`` and the text, which distinguishes mentions without offsets."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The answer to one prompt."""

    text: str
    """The whole completion, as ``rnr.task.parsing`` reads it; for a vote, an equivalent one."""
    mentions: tuple[Mention, ...]
    confidences: tuple[float | None, ...]
    """One for each mention."""
    marked: frozenset[tuple[int, int]]
    """The places that the chain marks."""
    reasoning: str | None
    error: str | None
    finished: bool
    tokens: int
    """Tokens of all completions that were sampled for it."""
    below_threshold: int = 0
    """Mentions that a threshold removed."""
    calibrated: float = 0.0
    """The weight by which labels were calibrated (``actors.label_calibration``); 0 for the completion's own."""


def aggregate(
    how: Selection, example: Example, decoding: Decoding, greedy: Rollout | None, samples: Sequence[Rollout] = ()
) -> Chosen:
    """The answer to ``example`` that these completions give; ``greedy`` is needed for ``greedy`` alone."""
    answers = [grounded(parse(sample.text), example.sentence) for sample in samples]
    shares = _shares(answers)
    tokens = sum(len(rollout.token_ids) for rollout in (*samples, *([greedy] if greedy else [])))
    match how:
        case "greedy":
            assert greedy is not None
            answer = grounded(parse(greedy.text), example.sentence)
            known = shares if samples else mark_probabilities(greedy, answer, example.sentence)
            return _from(greedy, answer, example.sentence, known, absent=0.0 if samples else None, tokens=tokens)
        case "medoid":
            best = _medoid(answers)
            return _from(samples[best], answers[best], example.sentence, shares, absent=None, tokens=tokens)
        case "vote":
            return _voted(example, decoding, shares, samples, answers, tokens)


Threshold: TypeAlias = float | Mapping[str, float]
"""Minimum confidence of an entity, one for all labels or one per label; a label that is not listed has no minimum."""


def refuse_threshold(threshold: Threshold | None) -> None:
    """Raise ValueError for a threshold outside of [0, 1]."""
    values = threshold.values() if isinstance(threshold, Mapping) else [threshold or 0.0]
    if wrong := [value for value in values if type(value) not in (int, float) or not 0.0 <= value <= 1.0]:
        raise ValueError(f"a threshold must be from 0 to 1, not {wrong[0]!r}")
    if not isinstance(threshold, Mapping):
        return
    first: dict[str, str] = {}
    for label, value in threshold.items():
        if threshold[other := first.setdefault(label_key(label), label)] != value:
            raise ValueError(f"two thresholds for one label, as {other!r} and {label!r}: remove one")


def apply_threshold(found: Chosen, example: Example, decoding: Decoding, threshold: Threshold | None) -> Chosen:
    """The answer without the mentions below the threshold.

    Raises ValueError if the confidence of a mention is unknown.
    """
    if not threshold:
        return found
    by_label = {label_key(label): least for label, least in threshold.items()} if isinstance(threshold, Mapping) else {}
    kept: list[tuple[Mention, float | None]] = []
    for mention, confidence in zip(found.mentions, found.confidences, strict=True):
        least = by_label.get(label_key(mention.label), 0.0) if isinstance(threshold, Mapping) else threshold
        if confidence is None and mention.grounded and least:
            raise ValueError(
                f"no confidence for {mention.text!r}, which a threshold needs: a single greedy answer without marks "
                "has none; ask for several samples"
            )
        if confidence is None or confidence >= least:
            kept.append((mention, confidence))
    if len(kept) == len(found.mentions):
        return found
    mentions = tuple(mention for mention, _ in kept)
    return replace(
        found,
        text=written(example, mentions, decoding, reasoning=found.reasoning),
        mentions=mentions,
        confidences=tuple(confidence for _, confidence in kept),
        below_threshold=found.below_threshold + len(found.mentions) - len(kept),
    )


def aligned(found: Chosen, sentence: str) -> tuple[float | None, ...]:
    """The confidences in the order of the mentions as read back from the answer's text."""
    pairs = list(zip(found.mentions, found.confidences, strict=True))
    by_place = {mention_key(mention): confidence for mention, confidence in pairs}
    # Without a chain's offsets, another occurrence of the same text may be read back.
    by_text = {(mention.text, label_key(mention.label)): confidence for mention, confidence in pairs}
    return tuple(
        by_place.get(mention_key(mention), by_text.get((mention.text, label_key(mention.label))))
        for mention in grounded(parse(found.text), sentence).mentions
    )


def _shares(answers: Sequence[Answer]) -> dict[MentionKey, float]:
    """The share of the answers that names each grounded mention."""
    named = Counter(key for answer in answers for key in {mention_key(m) for m in answer.mentions if m.grounded})
    return {key: count / len(answers) for key, count in named.items()}


def _from(
    rollout: Rollout,
    answer: Answer,
    sentence: str,
    known: dict[MentionKey, float],
    *,
    absent: float | None,
    tokens: int,
) -> Chosen:
    return Chosen(
        text=rollout.text,
        mentions=answer.mentions,
        confidences=tuple(known.get(mention_key(m), absent) if m.grounded else None for m in answer.mentions),
        marked=_marked(answer, sentence),
        reasoning=answer.reasoning,
        error=answer.error,
        finished=rollout.finished,
        tokens=tokens,
    )


def _marked(answer: Answer, sentence: str) -> frozenset[tuple[int, int]]:
    if answer.reasoning is None or not sentence:
        return frozenset()
    return frozenset((m.start, m.end) for m in read_chain(answer.reasoning, sentence).mentions)


def mark_probabilities(rollout: Rollout, answer: Answer, sentence: str) -> dict[MentionKey, float]:
    """The probability of each mark of the rollout's chain; empty if the positions of its tokens are unknown."""
    if answer.reasoning is None or not sentence or not rollout.ends:
        return {}
    begin = reasoning_start(rollout.text)
    chain = read_chain(answer.reasoning, sentence)
    tokens = list(zip(pairwise((0, *rollout.ends)), rollout.logprobs, strict=True))
    found: dict[MentionKey, float] = {}
    for mention, (start, end) in zip(chain.mentions, chain.spans, strict=True):
        # A token without a character of its own begins one that ends later; a token such as "][" belongs to two marks.
        own = (
            logprob
            for (before, after), logprob in tokens
            if before < begin + end and max(after, before + 1) > begin + start
        )
        found[mention_key(mention)] = min(1.0, math.exp(sum(own)))
    return found


def _medoid(answers: Sequence[Answer]) -> int:
    """The answer with the highest mean F1 against the others, the first of equals; an unparsable answer agrees with
    nothing."""
    facts = [None if one.error else frozenset((mention_key(m), m.text) for m in one.mentions) for one in answers]
    return max(range(len(facts)), key=lambda one: (sum(_agreement(facts[one], other) for other in facts), -one))


def _agreement(one: frozenset[_Fact] | None, other: frozenset[_Fact] | None) -> float:
    if one is None or other is None:
        return 0.0
    return 2 * len(one & other) / (len(one) + len(other)) if one or other else 1.0


def _voted(
    example: Example,
    decoding: Decoding,
    shares: dict[MentionKey, float],
    samples: Sequence[Rollout],
    answers: Sequence[Answer],
    tokens: int,
) -> Chosen:
    """All mentions of the samples, the most frequent first; one that overlaps an earlier one is dropped, unless a
    single sample names both. Thresholds are applied by the caller."""
    named = {mention_key(m): m for answer in answers for m in answer.mentions if m.grounded}
    together = [{mention_key(m) for m in answer.mentions} for answer in answers]
    kept: list[MentionKey] = []
    for key in sorted(named, key=lambda key: (-shares[key], key)):
        crossing = [other for other in kept if key[0] < other[1] and other[0] < key[1]]
        if all(any({key, other} <= answer for answer in together) for other in crossing):
            kept.append(key)
    mentions = tuple(named[key] for key in sorted(kept))
    best = _medoid(answers)
    return Chosen(
        text=written(example, mentions, decoding),
        mentions=mentions,
        confidences=tuple(shares[mention_key(m)] for m in mentions),
        marked=frozenset(place for answer in answers for place in _marked(answer, example.sentence)),
        reasoning=answers[best].reasoning,
        error=None if any(answer.error is None for answer in answers) else answers[best].error,
        finished=any(sample.finished for sample in samples),
        tokens=tokens,
    )


def written(example: Example, mentions: Sequence[Mention], decoding: Decoding, *, reasoning: str | None = None) -> str:
    """The completion that gives these mentions: under ``marks`` with the chain that tags them, else ``reasoning``."""
    if decoding == "marks":
        return completed(tagged_chain(replace(example, mentions=tuple(mentions))), example.sentence)
    return write(mentions, reasoning=reasoning)

"""Contextual calibration of the labels of marks: decided again, minus what the model would name anywhere.

A small policy has favourites in a schema that it was not trained on: it writes ``literary genre`` for writers and books
alike, because of the name and not because of the sentence. Its log-probability of a label at a mark, less ``weight``
times the mean that it gives this label at neutral marks (embedded sentences about other things, under the same schema),
says what speaks for the label *here*: contextual calibration (Zhao et al. 2021, arXiv 2102.09690), or pointwise mutual
information (Holtzman et al. 2021, arXiv 2104.08315). No sentence of the data that is asked about is used.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import takewhile
from typing import Any, TypeAlias, TypeVar

from actors.concurrency import gather_all
from actors.engine import MOST_CHOICES
from rnr.corpus.loading import load as load_data
from rnr.task.aggregation import Chosen, written
from rnr.task.chains import read_chain, tagged_chain
from rnr.task.prompts import ChatFormat
from rnr.types import Example, Mention, Prompt

Result = TypeVar("Result")

AFTER = 8
"""Characters after a mark that the tokenizer sees with it."""
KEPT = 1024
"""Schemas whose neutral marks are remembered."""

Choices: TypeAlias = Callable[[Mapping[tuple[int, ...], Sequence[int]]], Awaitable[Sequence[Mapping[int, float]]]]
"""For each beginning the log-probability of each of its ids as the next token, among them alone
(``actors.rollout.RolloutWorker.choices``)."""


class LabelCalibration:
    """Decides labels of finished chains by one policy. The neutral marks of a schema are asked once."""

    def __init__(self, choices: Choices, chat: ChatFormat, context_tokens: int) -> None:
        """``choices`` are those of the policy, which takes so many tokens."""
        self._choices = choices
        self._chat = chat
        self._context_tokens = context_tokens
        self._priors: dict[Any, asyncio.Task[list[float]]] = {}

    async def calibrate(
        self, prompt: Prompt, found: Chosen, weight: float, meanings: Mapping[str, str] | None = None
    ) -> Chosen:
        """The answer with each mark's label decided again, from left to right, in the chain with the labels that were
        decided before it; ``meanings`` are the definitions that the prompt gives. A confidence becomes that of the
        place, times the calibrated probability of the label. A mark keeps its label where the context ends before
        another, longer one would. Raises ValueError if the labels leave no room for a neutral sentence."""
        example, found = prompt.example, replace(found, calibrated=weight)
        marks = _marks(replace(example, mentions=found.mentions))
        if not found.finished or not marks or len(example.schema) < 2:
            return found
        around = (self._logprobs(prompt, before, after) for _, before, after in marks)
        prior, *by_mark = await gather_all([self._prior(example.schema, meanings), *around])
        assert prior is not None, "only marks may have no room"
        known = {_place(m): (m, c) for m, c in zip(found.mentions, found.confidences, strict=True)}
        mentions, confidences = [mention for mention, *_ in marks], []
        changed = False
        for number, own in enumerate(by_mark):
            mention, confidence = known[_place(mentions[number])]
            logs = await self._in_chain(prompt, mentions, number) if changed else None
            mentions[number], sure = _decide_label(example.schema, mention, confidence, own, logs or own, prior, weight)
            confidences.append(sure)
            changed |= mentions[number] != mention
        return replace(
            found,
            text=written(example, mentions, "marks"),
            mentions=tuple(mentions),
            confidences=tuple(confidences),
            reasoning=tagged_chain(replace(example, mentions=tuple(mentions))),
        )

    async def _in_chain(self, prompt: Prompt, mentions: Sequence[Mention], number: int) -> list[float] | None:
        """``_logprobs`` of one mark in the chain that marks these mentions."""
        _, before, after = _marks(replace(prompt.example, mentions=tuple(mentions)))[number]
        return await self._logprobs(prompt, before, after)

    async def calibrate_all(self, prompts: Sequence[Prompt], answers: Sequence[Chosen], weight: float) -> list[Chosen]:
        """The greedy answers to these prompts, calibrated. No request is left running when this returns
        or raises."""
        pairs = zip(prompts, answers, strict=True)
        try:
            return await gather_all(self.calibrate(prompt, found, weight) for prompt, found in pairs)
        finally:
            priors = list(self._priors.values())
            for prior in priors:
                prior.cancel()
            await asyncio.gather(*priors, return_exceptions=True)

    async def _prior(self, schema: tuple[str, ...], meanings: Mapping[str, str] | None) -> list[float]:
        """For each label its mean log-probability at the neutral marks."""
        key = schema, tuple(sorted((meanings or {}).items()))
        if key not in self._priors:
            if len(self._priors) >= KEPT:
                self._priors.pop(next(iter(self._priors)))
            self._priors[key] = asyncio.ensure_future(self._ask_prior(schema, meanings))
            self._priors[key].add_done_callback(partial(self._forget_failure, key))
        return await asyncio.shield(self._priors[key])  # other tasks wait for it, too

    def _forget_failure(self, key: Any, asked: "asyncio.Task[list[float]]") -> None:
        if (asked.cancelled() or asked.exception()) and self._priors.get(key) is asked:
            del self._priors[key]

    async def _ask_prior(self, schema: tuple[str, ...], meanings: Mapping[str, str] | None) -> list[float]:
        marks = await asyncio.to_thread(neutral_marks, self._chat, schema, self._context_tokens, meanings)
        by_mark = await gather_all(self._logprobs(*mark) for mark in marks)
        known = [logs for logs in by_mark if logs is not None]
        if not known:
            raise _no_room(schema, self._context_tokens)
        return [sum(logs) / len(logs) for logs in zip(*known, strict=True)]

    async def _logprobs(self, prompt: Prompt, before: str, after: str) -> list[float] | None:
        """The log-probability of each label of the schema, among all of them, between what a chain says up to the
        colon of a mark and ``after`` it; None where the context has no room for one. Labels are spelled as the
        tokenizer spells them, which may join the bracket with what follows; where several begin alike, each branch is
        a decision of its own."""
        chains = [f"{before} {label}]{after}" for label in prompt.example.schema]
        # In a thread: the whole chain once for each label, while others are answered.
        ends = await asyncio.to_thread(lambda: [self._chat.chain_tokens(chain) for chain in chains])
        open_ends = branches(ends)
        if len(prompt.token_ids) + max(map(len, open_ends), default=0) >= self._context_tokens:
            return None
        decisions = await self._choices({(*prompt.token_ids, *start): ids for start, ids in open_ends.items()})
        logs = dict(zip(open_ends, decisions, strict=True))
        return [
            sum(choice[end[len(start)]] for start, choice in logs.items() if end[: len(start)] == start) for end in ends
        ]


def neutral_marks(
    chat: ChatFormat, schema: tuple[str, ...], context_tokens: int, meanings: Mapping[str, str] | None = None
) -> list[tuple[Prompt, str, str]]:
    """The prompt of each neutral sentence under this schema, its chain up to the colon of its mark, and a little of
    what follows; those that are about a label of the schema only if all are. Raises ValueError if none of them has
    room, or for more labels than an engine tells apart."""
    if len(schema) > MOST_CHOICES:
        raise ValueError(
            f"label_calibration supports at most {MOST_CHOICES} labels, but {len(schema)} are asked for: set "
            "label_calibration to 0"
        )
    longest = max(schema, key=len)
    found: list[tuple[Prompt, str, str]] = []
    others = [example for example in neutral() if example.mentions[0].label not in schema]
    for example in others or neutral():
        asked = replace(example, schema=schema)
        ((_, before, after),) = _marks(asked)
        prompt = chat.prompt(replace(asked, mentions=()), meanings)
        if len(prompt.token_ids) + len(chat.chain_tokens(f"{before} {longest}]{after}")) < context_tokens:
            found.append((prompt, before, after))
    if not found:
        raise _no_room(schema, context_tokens)
    return found


def _no_room(schema: Sequence[str], context_tokens: int) -> ValueError:
    return ValueError(
        f"label_calibration: the {len(schema)} labels leave no room for a sentence in context_tokens={context_tokens}: "
        "raise that, or set label_calibration to 0"
    )


@cache
def neutral() -> tuple[Example, ...]:
    """An embedded sentence of each domain, with only its first mention."""
    found: dict[tuple[str, ...], Example] = {}
    for example in load_data(["demo/train"], training=False):
        if example.mentions:
            found.setdefault(example.schema, replace(example, mentions=example.mentions[:1]))
    return tuple(found.values())


def branches(ends: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], list[int]]:
    """Each beginning that several of these token sequences share -> the ids that continue them, ascending; beginnings
    with only one continuation are left out."""
    found: dict[tuple[int, ...], set[int]] = {}
    shared = sum(1 for _ in takewhile(lambda ids: len(set(ids)) == 1, zip(*ends, strict=False)))
    for end in ends:
        for length in range(shared, len(end)):
            found.setdefault(end[:length], set()).add(end[length])
    return {start: sorted(ids) for start, ids in found.items() if len(ids) > 1}


def _marks(example: Example) -> list[tuple[Mention, str, str]]:
    """For each mark of an example's chain, in order, its mention, the chain up to its colon, and a little of what
    follows it."""
    chain = tagged_chain(example)
    read = read_chain(chain, example.sentence)
    return [
        (mention, chain[:end].removesuffix(f" {mention.label}]"), f"{chain[end:]}\n"[:AFTER])
        for mention, (_, end) in zip(read.mentions, read.spans, strict=True)
    ]


def _place(mention: Mention) -> tuple[int, int]:
    return mention.start, mention.end


def _decide_label(
    schema: Sequence[str],
    mention: Mention,
    confidence: float | None,
    own: Sequence[float] | None,
    logs: Sequence[float] | None,
    prior: Sequence[float],
    weight: float,
) -> tuple[Mention, float | None]:
    """The mention with the label that these log-probabilities and ``prior`` speak for, and how sure that is;
    ``confidence`` was made of ``own``."""
    if own is None or logs is None:
        return mention, confidence
    scores = [log - weight * usual for log, usual in zip(logs, prior, strict=True)]
    best = max(range(len(scores)), key=scores.__getitem__)
    if confidence is not None:
        place = min(1.0, confidence / math.exp(own[schema.index(mention.label)]))
        confidence = place / sum(math.exp(score - scores[best]) for score in scores)
    return replace(mention, label=schema[best]), confidence

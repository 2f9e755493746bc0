"""Labels of marks decided again, against what the model would name anywhere.

A small policy has favourites in a schema that it was not trained on: it writes ``literary genre`` for writers and books
alike, because of the name and not because of the sentence. Its log-probability of a label at a mark, less ``weight``
times the mean that it gives this label at neutral marks (embedded sentences about other things, under the same schema),
says what speaks for the label *here*: contextual calibration (Zhao et al. 2021, arXiv 2102.09690), or pointwise mutual
information (Holtzman et al. 2021, arXiv 2104.08315). No sentence of the data that is asked about is used.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from rnr.corpus.loading import load as load_data
from rnr.task.chains import read_chain, tagged_chain
from rnr.task.choosing import Chosen, written
from rnr.task.prompts import ChatFormat
from rnr.types import Example, Mention, Prompt

NEUTRAL = 24
"""Sentences whose marks are neutral."""
KEPT = 1024
"""Schemas whose neutral marks are remembered."""


class LabelCalibration:
    """Decides labels of finished chains by one model on one engine. The neutral marks of a schema are asked once."""

    def __init__(self, engine: Any, chat: ChatFormat) -> None:
        """``engine`` is an ``actors.engine.Engine``."""
        self._engine = engine
        self._chat = chat
        self._priors: dict[Any, asyncio.Task[list[float]]] = {}

    async def decided(
        self, prompt: Prompt, found: Chosen, weight: float, meanings: Mapping[str, str] | None = None
    ) -> Chosen:
        """The answer with each mark's label decided again; ``meanings`` are the definitions that the prompt gives.
        A confidence becomes that of the place, times the calibrated probability of the label."""
        example = prompt.example
        chain = read_chain(tagged_chain(replace(example, mentions=found.mentions)), example.sentence)
        if not found.finished or not chain.mentions or len(example.schema) < 2:
            return found
        prior = await self._prior(example.schema, meanings)
        befores = _befores(replace(example, mentions=found.mentions))
        by_mark = await asyncio.gather(*(self._logprobs(prompt, before) for before in befores))
        known = {_place(m): (m, c) for m, c in zip(found.mentions, found.confidences, strict=True)}
        pairs = [known[_place(mention)] for mention in chain.mentions]
        decided = [
            _decided(example.schema, *pair, logs, prior, weight) for pair, logs in zip(pairs, by_mark, strict=True)
        ]
        mentions = tuple(mention for mention, _ in decided)
        return replace(
            found,
            text=written(example, mentions, "marks"),
            mentions=mentions,
            confidences=tuple(confidence for _, confidence in decided),
            reasoning=tagged_chain(replace(example, mentions=mentions)),
        )

    async def _prior(self, schema: tuple[str, ...], meanings: Mapping[str, str] | None) -> list[float]:
        """For each label its mean log-probability at the neutral marks."""
        key = schema, tuple(sorted((meanings or {}).items()))
        if key not in self._priors:
            if len(self._priors) >= KEPT:
                self._priors.pop(next(iter(self._priors)))
            self._priors[key] = asyncio.ensure_future(self._asked(schema, meanings))
        asked = self._priors[key]
        try:
            return await asyncio.shield(asked)  # others wait for it too
        except Exception:
            self._priors.pop(key, None)
            raise

    async def _asked(self, schema: tuple[str, ...], meanings: Mapping[str, str] | None) -> list[float]:
        marks = [replace(example, schema=schema) for example in neutral()]
        by_mark = await asyncio.gather(
            *(
                self._logprobs(self._chat.prompt(replace(mark, mentions=()), meanings), *_befores(mark))
                for mark in marks
            )
        )
        return [sum(logs) / len(logs) for logs in zip(*by_mark, strict=True)]

    async def _logprobs(self, prompt: Prompt, before: str) -> list[float]:
        """The log-probability of each label of the schema, among all of them, behind a chain that is written up to the
        colon of a mark. Labels are spelled as the tokenizer spells them; where several begin alike, each branch is a
        decision of its own."""
        ends = [self._chat.chain_tokens(f"{before} {label}]") for label in prompt.example.schema]
        open_ends = branches(ends)
        decisions = await asyncio.gather(
            *(self._engine.choice((*prompt.token_ids, *start), ids) for start, ids in open_ends.items())
        )
        logs = dict(zip(open_ends, decisions, strict=True))
        return [
            sum(logs[end[:length]][end[length]] for length in range(len(end)) if end[:length] in logs) for end in ends
        ]


@cache
def neutral() -> tuple[Example, ...]:
    """Embedded sentences with one mention each, no two of one label."""
    found: dict[str, Example] = {}
    for example in load_data(["demo/train"], training=False):
        for mention in example.mentions[:1]:
            found.setdefault(mention.label, replace(example, mentions=(mention,)))
    return tuple(found.values())[:NEUTRAL]


def branches(ends: Sequence[tuple[int, ...]]) -> dict[tuple[int, ...], list[int]]:
    """Each beginning that several of these token sequences share -> the ids by which they go on, ascending; beginnings
    that all go on alike are left out."""
    found: dict[tuple[int, ...], set[int]] = {}
    for end in ends:
        for length, token in enumerate(end):
            found.setdefault(end[:length], set()).add(token)
    return {start: sorted(ids) for start, ids in found.items() if len(ids) > 1}


def _befores(example: Example) -> list[str]:
    """The chain of an example up to the colon of each of its marks, in order."""
    chain = tagged_chain(example)
    read = read_chain(chain, example.sentence)
    return [
        chain[:end].removesuffix(f" {mention.label}]")
        for mention, (_, end) in zip(read.mentions, read.spans, strict=True)
    ]


def _place(mention: Mention) -> tuple[int, int]:
    return mention.start, mention.end


def _decided(
    schema: Sequence[str],
    mention: Mention,
    confidence: float | None,
    logs: Sequence[float],
    prior: Sequence[float],
    weight: float,
) -> tuple[Mention, float | None]:
    scores = [log - weight * usual for log, usual in zip(logs, prior, strict=True)]
    best = max(range(len(scores)), key=scores.__getitem__)
    if confidence is not None:
        place = min(1.0, confidence / math.exp(logs[schema.index(mention.label)]))
        confidence = place / sum(math.exp(score - scores[best]) for score in scores)
    return replace(mention, label=schema[best]), confidence

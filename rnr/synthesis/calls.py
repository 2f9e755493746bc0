"""The way to one teacher: through the journal, within deadlines, again when it is worth it."""

import asyncio
import hashlib
import json
import random
from collections import Counter
from dataclasses import dataclass, field

from rnr.synthesis.asking import Message
from rnr.synthesis.journal import Journal
from rnr.synthesis.teacher import Completion, Teacher, TeacherUnavailable

HALF_ANSWERS = 2
"""How often a request is paid for when its completion runs into the token limit: once more, with another seed."""
LONGEST_PAUSE = 60.0


class NoAnswer(RuntimeError):
    """One request that came to nothing as often as is allowed."""


class TeacherDown(RuntimeError):
    """Requests that one after the other came to nothing: it is the endpoint and not the sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How requests are made: how many at once, how long each may take, and how often and when it is made again."""

    concurrency: int = 8
    deadline_seconds: float = 300.0
    retries: int = 5
    first_pause_seconds: float = 1.0


@dataclass(slots=True)
class Line:
    """The way to one teacher: through the journal, within deadlines, again when it is worth it."""

    teacher: Teacher
    journal: Journal
    patience: Patience
    asked: int = 0
    retried: Counter[str] = field(default_factory=Counter)
    _unanswered: int = 0

    async def ask(
        self, guid: str, stage: str, attempt: int, messages: list[Message], temperature: float, *, again: int = 0
    ) -> Completion:
        """The journalled answer, or a new one, journalled; half of one only if another seed brought no whole one.

        ``again`` counts how often the same was asked before, and answered of no use: each has seeds of its own.
        Raises NoAnswer, and TeacherRefused or TeacherDown when there is no use in going on.
        """
        for half in range(HALF_ANSWERS):
            seed = int(_hash(guid, stage, attempt, again * HALF_ANSWERS + half)[:7], 16)
            request = (self.teacher.name, messages, temperature, seed)
            whole = (guid, stage, attempt, _hash(*request))
            # A whole answer is good under any limit, half of one only under the limit that cut it.
            cut = (guid, stage, attempt, _hash(*request, self.teacher.max_new_tokens))
            completion = self.journal.find(whole) or self.journal.find(cut)
            if completion is None:
                completion = await self._complete(messages, temperature, seed)
                self.journal.record(whole if completion.finished else cut, completion)
                if not completion.finished and half + 1 < HALF_ANSWERS:
                    self.retried["half answer"] += 1
            if completion.finished or half + 1 == HALF_ANSWERS:
                return completion
        raise AssertionError("the last answer is returned, finished or not")

    async def _complete(self, messages: list[Message], temperature: float, seed: int) -> Completion:
        pause, reason = self.patience.first_pause_seconds, ""
        for retry in range(self.patience.retries + 1):
            self.asked += 1
            after = 0.0
            try:
                async with asyncio.timeout(self.patience.deadline_seconds):
                    completion = await self.teacher.complete(messages, temperature=temperature, seed=seed)
                self._unanswered = 0
                return completion
            except TimeoutError:
                kind, reason = "deadline", f"no answer within {self.patience.deadline_seconds:g} s"
            except TeacherUnavailable as error:
                kind, reason, after = error.kind, str(error), error.retry_after
            if retry < self.patience.retries:
                self.retried[kind] += 1
                # Half of the pause is chance, so that requests which failed together do not come back together.
                await asyncio.sleep(max(after, random.uniform(0.5, 1.0) * min(pause, LONGEST_PAUSE)))
                pause *= 2
        self._unanswered += 1
        reason = f"asked {self.patience.retries + 1} times, last: {reason}"
        if self._unanswered >= 2 * self.patience.concurrency:
            raise TeacherDown(
                f"{self.teacher.name}: {self._unanswered} requests one after the other came to nothing; {reason}; "
                "what was paid for is kept: mend the endpoint and give the same command again"
            )
        raise NoAnswer(reason)


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

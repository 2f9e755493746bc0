"""A client of one teacher: journal, deadlines and retries around its requests."""

import asyncio
import hashlib
import json
import random
from collections import Counter
from dataclasses import dataclass, field

from rnr.messages import counted
from rnr.synthesis.journal import Journal
from rnr.synthesis.messages import Message
from rnr.synthesis.teacher import UNREACHABLE, Teacher, TeacherCompletion, TeacherUnavailable

TRUNCATED_ATTEMPTS = 2
"""Requests for a completion that is cut at the token limit: the second one has another seed."""
UNREACHED_RETRIES = 2
"""Retries for an endpoint that has never answered: it is probably down, or the URL is wrong."""
MAX_BACKOFF_SECONDS = 60.0
MAX_RETRY_AFTER_SECONDS = 300.0
"""Upper bound for a server's Retry-After."""


class NoAnswer(RuntimeError):
    """A request and all its retries failed."""


class TeacherDown(RuntimeError):
    """Many requests in a row failed, or nothing listens at the URL: the endpoint is the cause, not a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestPolicy:
    """Concurrent requests, deadline of each, retries after the first attempt, and the first backoff (it doubles)."""

    concurrency: int = 8
    deadline_seconds: float = 300.0
    retries: int = 5
    backoff_seconds: float = 1.0


@dataclass(slots=True)
class TeacherClient:
    """Sends requests to one teacher. ``requests`` and ``retries`` (by kind of failure) count this process only;
    ``last_error`` is the most recent failure."""

    teacher: Teacher
    journal: Journal
    policy: RequestPolicy
    requests: int = 0
    retries: Counter[str] = field(default_factory=Counter)
    last_error: str = ""
    _failed_in_a_row: int = 0
    _reached: bool = False

    async def ask(
        self, guid: str, stage: str, attempt: int, messages: list[Message], temperature: float, *, repeat: int = 0
    ) -> TeacherCompletion:
        """The completion from the journal, or a new one, which is written to the journal. It is truncated only if a
        second seed did not help.

        ``repeat`` numbers requests that differ only in their seed. Raises NoAnswer if only this sentence failed, and
        TeacherRefused or TeacherDown if the whole run should stop.
        """
        for number in range(TRUNCATED_ATTEMPTS):
            seed = int(_hash(guid, stage, attempt, repeat * TRUNCATED_ATTEMPTS + number)[:7], 16)
            request = (self.teacher.name, messages, temperature, seed)
            whole = (guid, stage, attempt, _hash(*request))
            # A finished completion is valid under any limit, a truncated one only under the limit that cut it.
            truncated = (guid, stage, attempt, _hash(*request, self.teacher.max_new_tokens))
            completion = self.journal.find(whole) or self.journal.find(truncated)
            is_last = number + 1 == TRUNCATED_ATTEMPTS
            if completion is None:
                completion = await self._complete(messages, temperature, seed)
                self.journal.record(whole if completion.finished else truncated, completion)
                if not completion.finished and not is_last:
                    self.retries["truncated"] += 1
            if completion.finished or is_last:
                return completion
        raise AssertionError("the last completion is returned, finished or not")

    async def _complete(self, messages: list[Message], temperature: float, seed: int) -> TeacherCompletion:
        backoff, reason = self.policy.backoff_seconds, ""
        for retry in range(self.policy.retries + 1):
            self.requests += 1
            after = 0.0
            try:
                async with asyncio.timeout(self.policy.deadline_seconds):
                    completion = await self.teacher.complete(messages, temperature=temperature, seed=seed)
                self._failed_in_a_row, self._reached = 0, True
                return completion
            except TimeoutError:
                kind, reason = "deadline", f"no answer within {self.policy.deadline_seconds:g} s"
            except TeacherUnavailable as error:
                kind, reason, after = error.kind, str(error), error.retry_after
            self.last_error = reason
            self._refuse_unreached(kind, reason, retry)
            if retry < self.policy.retries:
                self.retries[kind] += 1
                # Half of the backoff is jittered, so that requests that failed together do not retry together.
                jittered = random.uniform(0.5, 1.0) * min(backoff, MAX_BACKOFF_SECONDS)
                await asyncio.sleep(max(min(after, MAX_RETRY_AFTER_SECONDS), jittered))
                backoff *= 2
        self._failed_in_a_row += 1
        reason = f"gave up after {counted(self.policy.retries + 1, 'attempt')}, last error: {reason}"
        if self._failed_in_a_row >= 2 * self.policy.concurrency:
            raise TeacherDown(
                f"{self.teacher.name}: {self._failed_in_a_row} requests in a row failed; {reason}; "
                "paid responses are kept: fix the endpoint and run the same command again"
            )
        raise NoAnswer(reason)

    def _refuse_unreached(self, kind: str, reason: str, retry: int) -> None:
        """Raise TeacherDown if the endpoint is unreachable and has been since the start."""
        self._reached = self._reached or kind != UNREACHABLE
        if not self._reached and retry >= min(UNREACHED_RETRIES, self.policy.retries):
            raise TeacherDown(f"{reason}: nothing listens there; start the endpoint, or correct --base-url")


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

"""Sentences -> outcomes: requests drafts from the teacher until one passes, for ``concurrency`` sentences at a time.

Everything is computed from the input and the journal of paid responses. So the same command resumes a killed run and
writes the same files.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from rnr.runs.console import Console
from rnr.synthesis.checking import check, check_explicable, read_draft, read_score
from rnr.synthesis.client import NoAnswer, TeacherClient
from rnr.synthesis.messages import judge_messages, teacher_messages
from rnr.synthesis.outcomes import Outcome, Rejection, Score
from rnr.synthesis.progress import ProgressLine
from rnr.synthesis.rows import row_answer
from rnr.types import Answer, Example

MAX_TEMPERATURE = 1.2
"""Upper bound of the temperature, which rises with each new draft."""

SHOWN_ERROR = 160
"""Characters of an error in a progress line."""

JUDGE_ATTEMPTS = 3
"""Maximum number of requests to the judge for one draft, until a reply has a score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Which drafts are accepted, and how often a rejected draft is regenerated."""

    gold: bool = False
    threshold: float = 9.0
    attempts: int = 3
    temperature: float = 0.6
    temperature_step: float = 0.2


@dataclass(frozen=True, slots=True)
class Generator:
    """Turns one sentence into its outcome."""

    teacher: TeacherClient
    judge: TeacherClient | None
    rules: Rules

    async def generate(self, example: Example) -> Outcome:
        """The outcome with the first draft that passes, after at most ``attempts`` regenerations, each with the
        previous rejection in its prompt.

        No further draft is requested if none can be right, or if the judge's reply cannot be parsed.
        """
        if self.rules.gold and (rejection := check_explicable(example)) is not None:
            return Outcome(example=example, answer=None, rejections=(rejection,))
        rejections: list[Rejection] = []
        for attempt in range(self.rules.attempts + 1):
            try:
                answer, score, rejection = await self._draft(example, attempt, rejections[-1] if rejections else None)
            except NoAnswer as error:
                rejections.append(Rejection(cause="no_answer", detail=str(error)))
                break
            if rejection is None:
                return Outcome(example=example, answer=answer, score=score, rejections=tuple(rejections))
            rejections.append(rejection)
            if rejection.cause == "judge_unreadable":
                break
        return Outcome(example=example, answer=None, rejections=tuple(rejections))

    async def _draft(
        self, example: Example, attempt: int, before: Rejection | None
    ) -> tuple[Answer, Score | None, Rejection | None]:
        rules = self.rules
        temperature = min(rules.temperature + attempt * rules.temperature_step, MAX_TEMPERATURE)
        messages = teacher_messages(example, gold=rules.gold, rejection=before)
        completion = await self.teacher.ask(example.uid, "teacher", attempt, messages, temperature)
        answer = read_draft(completion.text, example)
        score = None
        if completion.finished:
            rejection = check(example, answer, gold=rules.gold)
        else:
            rejection = Rejection(
                cause="unfinished", detail=f"cut after {completion.completion_tokens} tokens: be brief"
            )
        if rejection is None:
            if rules.gold:  # the same texts and labels, with the offsets of the annotation
                answer = Answer(reasoning=answer.reasoning, mentions=example.mentions)
            score, rejection = await self._judged(example, answer, attempt)
        if rejection is not None:
            rejection = replace(rejection, text=completion.text)
        return answer, score, rejection

    async def judge_row(self, example: Example) -> Outcome:
        """The outcome of a row that already has a chain: only the judge is called."""
        answer = row_answer(example)
        try:
            score, rejection = await self._judged(example, answer, 0)
        except NoAnswer as error:
            score, rejection = None, Rejection(cause="no_answer", detail=str(error))
        if rejection is None:
            return Outcome(example=example, answer=answer, score=score)
        return Outcome(example=example, answer=None, rejections=(replace(rejection, text=example.reasoning or ""),))

    async def _judged(self, example: Example, answer: Answer, attempt: int) -> tuple[Score | None, Rejection | None]:
        if self.judge is None:
            return None, None
        messages = judge_messages(example, answer)
        score, reply = None, ""
        for repeat in range(JUDGE_ATTEMPTS):
            # The first request is greedy; only a higher temperature can give a different reply.
            temperature = repeat * self.rules.temperature_step
            completion = await self.judge.ask(example.uid, "judge", attempt, messages, temperature, repeat=repeat)
            score, reply = read_score(completion.text) if completion.finished else None, completion.text
            if score is not None:
                break
        if score is None:
            detail = f"{JUDGE_ATTEMPTS} replies without a score, the last: {reply[-200:]!r}"
            return None, Rejection(cause="judge_unreadable", detail=detail)
        if score.value < self.rules.threshold:
            detail = f"{score.value:g} where {self.rules.threshold:g} is needed: {score.reason}"
            return score, Rejection(cause="low_score", detail=detail)
        return score, None


Work = Callable[[Generator, Example], Awaitable[Outcome]]
"""``Generator.generate`` or ``Generator.judge_row``."""


async def run_all(
    examples: Sequence[Example],
    work: Callable[[Example], Awaitable[Outcome]],
    *,
    clients: Sequence[TeacherClient],
    console: Console,
) -> list[Outcome]:
    """The outcomes of all examples, in order; ``concurrency`` examples run at a time.

    On an error that stops the run, requests in flight are finished first (they are paid for), then it is raised.
    """
    outcomes: dict[int, Outcome] = {}
    failures: list[RuntimeError] = []
    queue = enumerate(examples)
    progress = ProgressLine(console, 0, len(examples))
    kept = 0

    def requests() -> int:
        return sum(client.requests for client in clients)

    async def worker() -> None:
        nonlocal progress, kept
        for number, example in queue:
            if not requests():
                # Answers from the journal take no time and must not distort the estimate of the time left.
                progress = ProgressLine(console, len(outcomes), len(examples))
            try:
                outcomes[number] = await work(example)
            except RuntimeError as error:
                failures.append(error)
            if failures:
                return
            kept += outcomes[number].answer is not None
            if requests():
                retries = sum(client.retries.total() for client in clients)
                error = next((client.last_error for client in reversed(clients) if client.last_error), "")
                numbers = {"kept": kept, "requests": requests(), "retries": retries}
                progress.step(len(outcomes) - 1, numbers, f"  last error: {error[:SHOWN_ERROR]}" if error else "")

    await asyncio.gather(*(worker() for _ in range(clients[0].policy.concurrency)))
    if failures:
        raise failures[0]
    return [outcomes[number] for number in range(len(examples))]

"""Sentences -> reasoning chains that passed, so many at a time, and what is left of them on disk.

Everything is computed from the journal of paid responses and the input again. So a run that was killed is gone on with
by the same command, and what it leaves is the same.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rnr.files import write_whole
from rnr.runs.console import Console, StageClock
from rnr.synthesis.asking import Outcome, Rejection, Row, Score, json_line, judge_messages, teacher_messages
from rnr.synthesis.calls import Line, NoAnswer
from rnr.synthesis.checking import check, check_explicable, read_draft, read_score
from rnr.synthesis.report import report
from rnr.synthesis.rows import row_answer, to_row
from rnr.types import Answer, Example

HOTTEST = 1.2
"""Each new draft is sampled at a higher temperature, up to this one."""

JUDGE_REPLIES = 3
"""How often the judge is asked about one draft while its replies hold no score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What is accepted, and how often a rejected sentence is written anew."""

    gold: bool = False
    threshold: float = 9.0
    attempts: int = 3
    temperature: float = 0.6
    temperature_step: float = 0.2


@dataclass(frozen=True, slots=True)
class Files:
    """``cot.jsonl`` and what lies beside it."""

    rows: Path

    def _beside(self, ending: str) -> Path:
        return self.rows.with_name(f"{self.rows.name.removesuffix('.jsonl')}.{ending}")

    @property
    def rejected(self) -> Path:
        return self._beside("rejected.jsonl")

    @property
    def report(self) -> Path:
        return self._beside("report.json")

    @property
    def journal(self) -> Path:
        return self._beside("journal.jsonl")


@dataclass(frozen=True, slots=True)
class Annotator:
    """One sentence -> its outcome."""

    teacher: Line
    judge: Line | None
    rules: Rules

    async def annotate(self, example: Example) -> Outcome:
        """The first draft that passes, after at most ``attempts`` new ones, each told what was wrong before.

        Where no draft can be right, or the judge cannot be read, no further one is paid for.
        """
        if self.rules.gold and (hopeless := check_explicable(example)) is not None:
            return Outcome(example=example, answer=None, rejections=(hopeless,))
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
        temperature = min(rules.temperature + attempt * rules.temperature_step, HOTTEST)
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
        """The outcome for a row that has its chain already: only the judge is asked."""
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
        score, said = None, ""
        for again in range(JUDGE_REPLIES):
            # The first verdict is the judge's likeliest; only another temperature can bring another reply.
            temperature = again * self.rules.temperature_step
            completion = await self.judge.ask(example.uid, "judge", attempt, messages, temperature, again=again)
            score, said = read_score(completion.text) if completion.finished else None, completion.text
            if score is not None:
                break
        if score is None:
            detail = f"{JUDGE_REPLIES} replies without a score, the last: {said[-200:]!r}"
            return None, Rejection(cause="judge_unreadable", detail=detail)
        if score.value < self.rules.threshold:
            detail = f"{score.value:g} where {self.rules.threshold:g} is needed: {score.reason}"
            return score, Rejection(cause="low_score", detail=detail)
        return score, None


async def run(
    examples: Sequence[Example],
    work: Callable[[Example], Awaitable[Outcome]],
    *,
    lines: Sequence[Line],
    console: Console,
) -> list[Outcome]:
    """The outcome of every example, in their order, ``concurrency`` of them at a time.

    When there is no use in going on, what is under way is ended (it is paid for), then the first error is raised.
    """
    outcomes: dict[int, Outcome] = {}
    failures: list[RuntimeError] = []
    queue = enumerate(examples)
    clock: StageClock | None = None
    kept = 0

    async def worker() -> None:
        nonlocal clock, kept
        for number, example in queue:
            try:
                outcomes[number] = await work(example)
            except RuntimeError as error:
                failures.append(error)
            if failures:
                return
            kept += outcomes[number].answer is not None
            asked = sum(line.asked for line in lines)
            # What the journal answered took no time and must not tell how long the rest takes.
            if clock is None and asked:
                clock = console.stage("sentence", len(outcomes) - 1, len(examples))
            if clock is not None:
                retried = sum(line.retried.total() for line in lines)
                clock.step(len(outcomes) - 1, {"kept": kept, "requests": asked, "retried": retried})

    await asyncio.gather(*(worker() for _ in range(lines[0].patience.concurrency)))
    if failures:
        raise failures[0]
    return [outcomes[number] for number in range(len(examples))]


def write_outcomes(
    files: Files, outcomes: Sequence[Outcome], *, lines: Sequence[Line], price_in: float, price_out: float
) -> dict[str, Any]:
    """Write rows, rejects and the report, each complete or not at all; returns the report.

    Tokens and cost are those of the whole journal; prices are per million tokens.
    """
    tokens = lines[0].journal.tokens()
    cost = sum(spent["prompt"] * price_in + spent["completion"] * price_out for spent in tokens.values()) / 1e6
    numbers = report(outcomes) | {
        "tokens": tokens,
        "cost": round(cost, 6),
        "requests_this_time": sum(line.asked for line in lines),
        "retried_this_time": dict(sum((line.retried for line in lines), Counter())),
    }
    write_rows(files.rejected, (to_row(outcome) for outcome in outcomes if outcome.answer is None))
    write_whole(files.report, json.dumps(numbers, indent=2) + "\n")
    write_rows(files.rows, (to_row(outcome) for outcome in outcomes if outcome.answer is not None))
    return numbers


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """A JSONL file of these rows, or the file that was there before."""
    write_whole(path, b"".join(json_line(row) for row in rows))

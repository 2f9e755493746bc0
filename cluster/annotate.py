"""Sentences -> reasoning chains that passed: journal, retries, bounded concurrency.

Whatever was paid for is on disk before anything is done with it, and everything else is computed from the journal
and the input again. So a run that was killed is gone on with by the same command, and what it leaves is the same.
"""

import asyncio
import fcntl
import hashlib
import json
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from actors.teacher import Completion, Teacher, TeacherUnavailable
from rnr.console import Console, StageClock
from rnr.cot import (
    Message,
    Outcome,
    Rejection,
    Row,
    Score,
    check,
    json_line,
    judge_messages,
    read_draft,
    read_score,
    report,
    row_answer,
    teacher_messages,
    to_row,
)
from rnr.files import write_whole
from rnr.types import Answer, Example

HALF_ANSWERS = 2
"""How often a request is paid for when its completion runs into the token limit: once more, with another seed."""
LONGEST_PAUSE = 60.0
HOTTEST = 1.2

Key = tuple[str, str, int, str]
"""(guid, stage, attempt, hash of the request)."""


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


class Journal:
    """Every response that was paid for: read at the start, and each new one on disk before ``record`` returns."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError when another process writes here, or when the file is not a journal."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{path}: another process is writing here; wait for it, or give another --out") from None
        self._completions: dict[Key, Completion] = {}
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        self._file.truncate(whole)  # a process that was killed may have left half a line
        for number, line in enumerate(content[:whole].split(b"\n")[:-1], 1):
            try:
                entry = json.loads(line)
                key = (entry["guid"], entry["stage"], entry["attempt"], entry["request"])
                self._completions[key] = Completion(**entry["completion"])
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: not an entry of a journal ({error}); repair it") from None

    def find(self, key: Key) -> Completion | None:
        """What was answered to this request, if it was ever paid for."""
        return self._completions.get(key)

    def record(self, key: Key, completion: Completion) -> None:
        """Keep a response; it survives whatever happens after this."""
        names = ("guid", "stage", "attempt", "request")
        entry = {**dict(zip(names, key, strict=True)), "completion": asdict(completion)}
        self._file.write(json_line(entry))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._completions[key] = completion

    def tokens(self) -> dict[str, dict[str, int]]:
        """What all responses so far are charged for, by stage."""
        spent: dict[str, Counter[str]] = {}
        for (_, stage, _, _), completion in self._completions.items():
            count = {"requests": 1, "prompt": completion.prompt_tokens, "completion": completion.completion_tokens}
            spent.setdefault(stage, Counter()).update(count)
        return {stage: dict(count) for stage, count in spent.items()}

    def close(self) -> None:
        """Let another process write here."""
        self._file.close()


@dataclass(slots=True)
class Line:
    """The way to one teacher: through the journal, within deadlines, again when it is worth it."""

    teacher: Teacher
    journal: Journal
    patience: Patience
    asked: int = 0
    retried: Counter[str] = field(default_factory=Counter)
    _unanswered: int = 0

    async def ask(self, guid: str, stage: str, attempt: int, messages: list[Message], temperature: float) -> Completion:
        """The journalled answer, or a new one, journalled; half of one only if another seed brought no whole one.

        Raises NoAnswer, and TeacherRefused or TeacherDown when there is no use in going on.
        """
        for half in range(HALF_ANSWERS):
            seed = int(_hash(guid, stage, attempt, half)[:7], 16)
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


@dataclass(frozen=True, slots=True)
class Annotator:
    """One sentence -> its outcome."""

    teacher: Line
    judge: Line | None
    rules: Rules

    async def annotate(self, example: Example) -> Outcome:
        """The first draft that passes, after at most ``attempts`` new ones, each told what was wrong before."""
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
        completion = await self.judge.ask(example.uid, "judge", attempt, judge_messages(example, answer), 0.0)
        score = read_score(completion.text) if completion.finished else None
        if score is None:
            return None, Rejection(cause="judge_unreadable", detail=f"the judge said {completion.text[-200:]!r}")
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

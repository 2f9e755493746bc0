"""Annotation runs against a scripted endpoint: errors, truncated completions, invalid replies, and a kill."""

import asyncio
import fcntl
import gzip
import hashlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import openai  # noqa: F401  # loaded before a deadline runs
import pytest
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from actors.teacher import LocalTeacher, TeacherSettings, open_teacher
from rnr.corpus.loading import load
from rnr.runs.console import Console
from rnr.synthesis.checking import check, read_draft, read_score
from rnr.synthesis.client import NoAnswer, RequestPolicy, TeacherClient, TeacherDown
from rnr.synthesis.generate import Generator, Rules, run_all
from rnr.synthesis.journal import Journal
from rnr.synthesis.messages import teacher_messages
from rnr.synthesis.outcomes import Outcome
from rnr.synthesis.progress import ProgressLine
from rnr.synthesis.rows import row_answer
from rnr.synthesis.teacher import TeacherCompletion, TeacherRefused, TeacherUnavailable, TemplateTeacher, _retry_after
from rnr.types import Example, Mention
from scripts.cot import main
from tests.jsonl import read_jsonl

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["Ada", "Bo", "Cy", "Di", "Ed", "Flo", "Gus", "Hal", "Ida", "Jo", "Kit", "Lou"]


@dataclass
class Endpoint:
    """A test server: the script of its replies, and the requests it has received."""

    url: str
    script: Callable[[dict[str, Any], int], Any]
    """(document of the user, number of requests for this sentence in this role) -> reply."""
    delay: float = 0.0
    asked: list[dict[str, Any]] = field(default_factory=list)


def document(body: dict[str, Any]) -> dict[str, Any]:
    return json.loads(body["messages"][1]["content"])


def reply(text: Any, *, finish: str = "stop", **message: Any) -> JSONResponse:
    content = {"role": "assistant", "content": text, **message}
    choice = {"index": 0, "message": content, "finish_reason": finish}
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    return JSONResponse(
        {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
    )


def good(asked: dict[str, Any], _count: int = 1) -> JSONResponse:
    """A correct chain for the name at the beginning of the sentence, or the judge's full score."""
    if "reasoning" in asked:
        return reply('{"reason": "fine", "score": 10}')
    name = asked["sentence"].split()[0]
    return reply(f'<think>\n"{name}" is a person who ran.\n</think>\n{{"entities":{{"person":["{name}"]}}}}')


def failure(status: int, **headers: str) -> JSONResponse:
    return JSONResponse({"error": {"message": f"scripted {status}"}}, status_code=status, headers=headers)


def dropped() -> StreamingResponse:
    async def half() -> Any:
        yield b'{"choices": ['
        raise ConnectionResetError

    return StreamingResponse(half(), media_type="application/json", headers={"content-length": "1000"})


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    app = FastAPI()
    listening = socket.create_server(("127.0.0.1", 0))
    served = Endpoint(url=f"http://127.0.0.1:{listening.getsockname()[1]}/v1", script=good)
    counts: Counter[tuple[bool, str]] = Counter()

    @app.post("/v1/chat/completions")
    async def complete(request: Request) -> Response:
        body = await request.json()
        asked = document(body)
        counts["reasoning" in asked, asked["sentence"]] += 1
        served.asked.append(body)
        await asyncio.sleep(served.delay)
        answer = served.script(asked, counts["reasoning" in asked, asked["sentence"]])
        if isinstance(answer, float):
            await asyncio.sleep(answer)
            answer = good(asked)
        return answer

    server = uvicorn.Server(uvicorn.Config(app, log_level=60, timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield served
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listening.close()
        assert not thread.is_alive()


def example(name: str) -> Example:
    mentions = (Mention(text=name, label="person", start=0, end=len(name)),)
    return Example(uid=name, sentence=f"{name} ran.", schema=("person",), mentions=mentions, source="t")


def annotate(
    endpoint: Endpoint,
    folder: Path,
    names: list[str],
    *,
    judge: bool = False,
    rules: Rules | None = None,
    **policy: Any,
) -> tuple[list[Outcome], TeacherClient]:
    """The outcomes of one sentence per name, and the client that was used."""
    policy = {"concurrency": 4, "deadline_seconds": 60.0, "backoff_seconds": 0.01} | policy

    async def go() -> tuple[list[Outcome], TeacherClient]:
        async with AsyncExitStack() as stack:
            settings = TeacherSettings(who="openai:m", base_url=endpoint.url)
            teacher = await stack.enter_async_context(open_teacher(settings))
            journal = Journal(folder / "journal.jsonl")
            stack.callback(journal.close)
            client = TeacherClient(teacher, journal, RequestPolicy(**policy))
            generator = Generator(client, client if judge else None, rules or Rules())
            examples = [example(name) for name in names]
            return await run_all(examples, generator.generate, clients=[client], console=Console()), client

    return asyncio.run(go())


def test_the_time_left_counts_the_first_answers_and_no_journalled_ones(monkeypatch, tmp_path: Path) -> None:
    now, lines = 0.0, []
    monkeypatch.setattr("rnr.synthesis.progress.time", SimpleNamespace(monotonic=lambda: now))
    monkeypatch.setattr(
        Console, "step_line", lambda _self, _name, step, _steps, _numbers, left: lines.append((step, left))
    )

    class Slow(TemplateTeacher):
        async def complete(self, messages: Any, *, temperature: float, seed: int) -> TeacherCompletion:
            nonlocal now
            now += 10.0
            return await super().complete(messages, temperature=temperature, seed=seed)

    async def go(names: str) -> None:
        with closing(Journal(tmp_path / "journal.jsonl")) as journal:
            client = TeacherClient(Slow(), journal, RequestPolicy(concurrency=1))
            generate = Generator(client, None, Rules(gold=True)).generate
            await run_all([example(name) for name in names], generate, clients=[client], console=Console())

    asyncio.run(go("AB"))
    lines.clear()
    asyncio.run(go("ABCDE"))
    # Two are in the journal; each of the other three takes ten seconds.
    assert lines == [(2, "about 20 s left"), (3, "about 10 s left"), (4, "about 0 s left")]


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (failure(429), "429"),
        (failure(500), "500"),
        (failure(503), "503"),
        (30.0, "deadline"),
        (dropped(), "connection"),
        (JSONResponse({"choices": []}), "unreadable"),
        (Response("<html>gateway</html>", media_type="text/html"), "unreadable"),
        (Response('{"id": "x", "choi', media_type="application/json"), "unreadable"),
        (reply("<think>\nlet me", finish="length"), "truncated"),
        (reply(None, finish="length", reasoning_content="let me"), "truncated"),
    ],
)
def test_a_passing_failure_is_retried(endpoint: Endpoint, tmp_path: Path, first: Any, kind: str) -> None:
    endpoint.script = lambda asked, count: first if count == 1 else good(asked)
    seconds = 2.0 if kind == "deadline" else 60.0  # the other cases must not depend on the load of the machine
    (outcome,), client = annotate(endpoint, tmp_path, ["Ada"], deadline_seconds=seconds)
    assert outcome.answer is not None
    assert outcome.rejections == ()
    assert client.retries == {kind: 1}
    assert len(endpoint.asked) == 2


@pytest.mark.parametrize("status", [400, 401, 404])
def test_what_no_retry_can_fix_stops_the_run(
    endpoint: Endpoint, tmp_path: Path, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint.script = lambda _asked, _count: failure(status)
    data = sentences(tmp_path, NAMES)
    assert main(command(data, tmp_path, endpoint)) == 1
    said = capsys.readouterr().err
    assert f"{endpoint.url}/ (model m) answered {status}" in said
    assert "scripted" in said
    assert len(endpoint.asked) <= 4  # only the requests that were in flight
    assert not (tmp_path / "cot.jsonl").exists()


def test_a_server_is_not_asked_before_the_time_it_names(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.script = lambda asked, count: failure(429, **{"retry-after": "1"}) if count == 1 else good(asked)
    begin = time.monotonic()
    annotate(endpoint, tmp_path, ["Ada"])
    assert time.monotonic() - begin >= 1


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120.0), ("", 0.0), ("soon", 0.0), ("-5", 0.0), ("٣", 0.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)],
)
def test_how_long_a_server_asks_to_wait_is_read_as_a_number(header: str, seconds: float) -> None:
    assert _retry_after(header) == seconds


def test_how_long_a_server_asks_to_wait_is_read_as_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 80 < _retry_after(date) <= 90


def test_no_server_can_ask_for_more_than_five_minutes(
    endpoint: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("rnr.synthesis.client.asyncio", SimpleNamespace(sleep=sleep, timeout=asyncio.timeout))
    headers = iter(["9" * 400, "Fri, 31 Dec 9999 23:59:59 GMT"])
    endpoint.script = lambda asked, count: failure(429, **{"retry-after": next(headers)}) if count < 3 else good(asked)
    outcomes, _ = annotate(endpoint, tmp_path, ["Ada"])
    assert outcomes[0].answer is not None
    assert slept == [300.0, 300.0]


def test_a_request_is_not_handed_on_to_another_host(endpoint: Endpoint, tmp_path: Path) -> None:
    other = endpoint.url.replace("127.0.0.1", "localhost")
    endpoint.script = lambda _asked, _count: Response(
        status_code=307, headers={"location": f"{other}/chat/completions"}
    )
    with pytest.raises(TeacherRefused, match="redirected to http://localhost; if that is intended"):
        annotate(endpoint, tmp_path, ["Ada"])
    assert len(endpoint.asked) == 1


def test_a_redirect_on_the_same_host_is_followed(endpoint: Endpoint, tmp_path: Path) -> None:
    moved = Response(status_code=307, headers={"location": f"{endpoint.url}/chat/completions?again=1"})
    endpoint.script = lambda asked, count: moved if count == 1 else good(asked)
    outcomes, client = annotate(endpoint, tmp_path, ["Ada"])
    assert outcomes[0].answer is not None
    assert client.requests == 1


def large() -> Response:
    return Response(b" " * 17 * 2**20, media_type="application/json")


def zipped() -> Response:
    return Response(gzip.compress(b" " * 2**20), media_type="application/json", headers={"content-encoding": "gzip"})


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (large, "too large", "the reply is larger than 16 MiB"),
        (zipped, "too large", "the reply is compressed"),
        (lambda: Response('{"choices": ' + "[" * 100_000, media_type="application/json"), "unreadable", "nested"),
        (lambda: nested("content"), "unreadable", "nested"),
        (lambda: reply(None, reasoning_content=["x"]), "unreadable", ""),
        (lambda: reply([{"type": "text"}]), "unreadable", "not text but list"),
    ],
)
def test_a_reply_without_end_or_shape_is_the_failure_of_its_sentence_alone(
    endpoint: Endpoint, tmp_path: Path, answer: Callable[[], Any], kind: str, words: str
) -> None:
    endpoint.script = lambda asked, _count: answer() if asked["sentence"].startswith("Ada") else good(asked)
    outcomes, client = annotate(endpoint, tmp_path, ["Ada", "Bo"], retries=1, deadline_seconds=60.0)
    assert [outcome.answer is not None for outcome in outcomes] == [False, True]
    if words:
        assert client.retries == {kind: 1}
        assert words in str(outcomes[0])


def nested(key: str) -> Response:
    deep = "[" * 100_000 + "]" * 100_000
    return Response(f'{{"choices": [{{"message": {{"{key}": {deep}}}}}]}}', media_type="application/json")


def test_a_sentence_without_an_answer_is_rejected_and_the_others_go_on(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.script = lambda asked, _count: failure(500) if asked["sentence"].startswith("Bo") else good(asked)
    (ada, bo, cy), _ = annotate(endpoint, tmp_path, ["Ada", "Bo", "Cy"], retries=2)
    assert ada.answer is not None
    assert cy.answer is not None
    assert [rejection.cause for rejection in bo.rejections] == ["no_answer"]
    assert "gave up after 3 attempts" in bo.rejections[0].detail
    assert "scripted 500" in bo.rejections[0].detail


def test_an_endpoint_that_is_down_stops_the_run(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.script = lambda _asked, _count: failure(502)
    with pytest.raises(TeacherDown, match="fix the endpoint"):
        annotate(endpoint, tmp_path, NAMES, retries=0, concurrency=2)
    assert len(endpoint.asked) <= 6


def test_where_nothing_listens_it_is_said_after_a_short_try(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        nowhere = Endpoint(url=f"http://127.0.0.1:{free.getsockname()[1]}/v1", script=good)
    with pytest.raises(
        TeacherDown, match=r"127.0.0.1:\d+/v1/ \(model m\): .*: nothing listens there; start the endpoint"
    ):
        annotate(nowhere, tmp_path, NAMES, retries=50, concurrency=1)
    assert list(tmp_path.iterdir()) == []


def test_an_endpoint_that_was_there_before_is_waited_for(endpoint: Endpoint, tmp_path: Path) -> None:
    teacher = TemplateTeacher()
    complete, fails = teacher.complete, iter([False, True, True, True, True, False])

    async def now_and_then(*asked: Any, **how: Any) -> TeacherCompletion:
        if next(fails):
            raise TeacherUnavailable("no route", kind="unreachable")
        return await complete(*asked, **how)

    teacher.complete = now_and_then

    async def go() -> list[Outcome]:
        with closing(Journal(tmp_path / "journal.jsonl")) as journal:
            client = TeacherClient(teacher, journal, RequestPolicy(concurrency=1, backoff_seconds=0.01))
            generate = Generator(client, None, Rules(gold=True)).generate
            found = await run_all([example("Ada"), example("Bo")], generate, clients=[client], console=Console())
            assert (client.retries, client.last_error) == ({"unreachable": 4}, "no route")
            return found

    assert [outcome.answer is not None for outcome in asyncio.run(go())] == [True, True]


def test_a_line_of_progress_says_why_requests_are_tried_again(
    endpoint: Endpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint.script = lambda asked, count: failure(503) if count == 1 else good(asked)
    annotate(endpoint, tmp_path, ["Ada"])
    said = capsys.readouterr().out
    assert "retries 1  about 0 s left  last error: http" in said
    assert "scripted 503" in said


def test_a_rejected_draft_is_regenerated_hotter_and_told_why(endpoint: Endpoint, tmp_path: Path) -> None:
    nonsense = [reply("Lovely weather!"), reply('<think>He ran.</think>{"entities":{"person":["Ada"]}}')]
    endpoint.script = lambda asked, count: nonsense[count - 1] if count <= 2 else good(asked)
    (outcome,), _ = annotate(endpoint, tmp_path, ["Ada"])
    assert outcome.answer is not None
    assert [rejection.cause for rejection in outcome.rejections] == ["no_json", "not_in_chain"]
    assert [round(body["temperature"], 2) for body in endpoint.asked] == [0.6, 0.8, 1.0]
    assert len({body["seed"] for body in endpoint.asked}) == 3
    told = [document(body).get("rejected", "") for body in endpoint.asked]
    assert told[0] == ""
    assert "no JSON object" in told[1]
    assert "'Ada' (person)" in told[2]


def test_after_its_attempts_a_sentence_is_given_up_with_all_reasons(endpoint: Endpoint, tmp_path: Path) -> None:
    scores = ["4", "0", "8.9"]
    endpoint.script = lambda asked, count: (
        reply(f'{{"reason": "weak", "score": {scores[count - 1]}}}') if "reasoning" in asked else good(asked)
    )
    (outcome,), _ = annotate(endpoint, tmp_path, ["Ada"], judge=True, rules=Rules(attempts=2))
    assert outcome.answer is None
    assert [rejection.cause for rejection in outcome.rejections] == ["low_score"] * 3
    assert outcome.rejections[-1].detail == "8.9 where 9 is needed: weak"


def judged(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [body for body in endpoint.asked if "reasoning" in document(body)]


def test_an_unreadable_judge_is_asked_again_and_the_draft_stays(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.script = lambda asked, count: (
        reply("I think it is fine") if "reasoning" in asked and count <= 2 else good(asked)
    )
    (outcome,), _ = annotate(endpoint, tmp_path, ["Ada"], judge=True)
    assert outcome.score is not None
    assert outcome.score.value == 10
    assert outcome.rejections == ()
    assert (len(endpoint.asked), len(judged(endpoint))) == (4, 3)
    # The same request would get the same reply.
    assert [body["temperature"] for body in judged(endpoint)] == [0.0, 0.2, 0.4]
    assert len({body["seed"] for body in judged(endpoint)}) == 3


def test_a_judge_that_stays_unreadable_costs_no_new_draft(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.script = lambda asked, _count: reply("I think it is fine") if "reasoning" in asked else good(asked)
    for _ in range(2):  # the second time everything comes from the journal
        (outcome,), _ = annotate(endpoint, tmp_path, ["Ada"], judge=True)
        assert outcome.answer is None
        assert [rejection.cause for rejection in outcome.rejections] == ["judge_unreadable"]
        assert outcome.rejections[0].detail == "3 replies without a score, the last: 'I think it is fine'"
        assert (len(endpoint.asked), len(judged(endpoint))) == (4, 3)


def test_an_entity_that_no_chain_can_quote_is_rejected_unasked(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.script = lambda asked, _count: reply("never asked")
    (outcome,), _ = annotate(endpoint, tmp_path, ["<think>"], rules=Rules(gold=True))
    assert [rejection.cause for rejection in outcome.rejections] == ["think_in_entity"]
    assert outcome.rejections[0].detail == "'<think>' (person)"
    assert endpoint.asked == []


def test_truncated_completions_that_stay_truncated_are_rejected_and_asked_again_only_under_a_higher_limit(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    endpoint.script = lambda _asked, _count: reply("<think>", finish="length")
    for _ in range(2):  # the second time everything comes from the journal
        (outcome,), _ = annotate(endpoint, tmp_path, ["Ada"], rules=Rules(attempts=0))
        assert [rejection.cause for rejection in outcome.rejections] == ["unfinished"]
        assert len(endpoint.asked) == 2
    longer = SimpleNamespace(name="openai:m", max_new_tokens=4096, complete=None)

    async def complete(*_arguments: Any, **_options: Any) -> TeacherCompletion:
        return TeacherCompletion(text="whole", prompt_tokens=1, completion_tokens=1, finished=True)

    longer.complete = complete
    journal = Journal(tmp_path / "journal.jsonl")
    messages = teacher_messages(example("Ada"), gold=False)
    client = TeacherClient(longer, journal, RequestPolicy())
    assert asyncio.run(client.ask("Ada", "teacher", 0, messages, 0.6)).text == "whole"
    journal.close()


def test_a_model_s_own_thinking_is_its_chain(endpoint: Endpoint, tmp_path: Path) -> None:
    answer = '{"entities":{"person":["Ada"]}}'
    endpoint.script = lambda _asked, _count: reply(answer, reasoning_content="Ada ran, so Ada is a person.")
    (outcome,), _ = annotate(endpoint, tmp_path, ["Ada"])
    assert outcome.answer is not None
    assert outcome.answer.reasoning == "Ada ran, so Ada is a person."


def test_gold_is_given_to_the_teacher_and_wanted_back(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.script = lambda asked, _count: (
        reply('<think>none</think>{"entities":{}}') if asked["sentence"].startswith("Bo") else good(asked)
    )
    (ada, bo), _ = annotate(endpoint, tmp_path, ["Ada", "Bo"], rules=Rules(gold=True, attempts=0))
    assert ada.answer is not None
    assert ada.answer.mentions == example("Ada").mentions
    assert [rejection.cause for rejection in bo.rejections] == ["not_gold"]
    gold = [document(body)["entities"] for body in endpoint.asked]
    assert {"text": "Ada", "label": "person", "start": 0, "end": 3} in [entities[0] for entities in gold]


# The journal ----------------------------------------------------------------------------------------------------------

COMPLETION = TeacherCompletion(text="x\u2028\ud83dy", prompt_tokens=3, completion_tokens=2, finished=True)


def test_half_a_line_of_a_killed_process_is_forgotten_and_written_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path)
    journal.record(("a", "teacher", 0, "h"), COMPLETION)
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:20])
    journal = Journal(path)
    assert journal.find(("a", "teacher", 0, "h")) == COMPLETION
    assert journal.find(("a", "teacher", 1, "h")) is None
    journal.record(("a", "teacher", 1, "h"), COMPLETION)
    journal.close()
    assert path.read_bytes().count(b"\n") == 2
    journal = Journal(path)
    assert journal.tokens() == {"teacher": {"requests": 2, "prompt": 6, "completion": 4}}
    journal.close()


def test_a_file_that_is_no_journal_and_one_in_use_are_refused(tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").write_text('{"sentence": "Ada ran."}\n')
    with pytest.raises(ValueError, match=r"other.jsonl, line 1: not a journal entry"):
        Journal(tmp_path / "other.jsonl")
    journal = Journal(tmp_path / "journal.jsonl")
    with pytest.raises(ValueError, match="another process"):
        Journal(tmp_path / "journal.jsonl")
    journal.close()


def test_a_journal_without_an_entry_is_removed_and_no_process_writes_into_a_removed_one(
    tmp_path: Path, monkeypatch
) -> None:
    path = tmp_path / "journal.jsonl"
    first = Journal(path)
    lock = fcntl.flock

    def removed_in_between(file: Any, how: int) -> None:
        monkeypatch.setattr("rnr.synthesis.journal.fcntl.flock", lock)
        first.close()
        assert not path.exists()
        lock(file, how)

    monkeypatch.setattr("rnr.synthesis.journal.fcntl.flock", removed_in_between)
    with closing(Journal(path)) as second:
        done = TeacherCompletion(text="", prompt_tokens=1, completion_tokens=1, finished=True)
        second.record(("a", "teacher", 0, "x"), done)
    assert len(path.read_text().splitlines()) == 1


def test_a_response_is_on_disk_before_anything_is_done_with_it(tmp_path: Path) -> None:
    class Once:
        name, max_new_tokens = "once", 10

        async def complete(self, *_arguments: Any, **_options: Any) -> TeacherCompletion:
            return COMPLETION

    path = tmp_path / "journal.jsonl"
    journal = Journal(path)

    async def go() -> None:
        await TeacherClient(Once(), journal, RequestPolicy()).ask("a", "teacher", 0, [], 0.0)
        assert json.loads(path.read_bytes())["completion"]["text"] == COMPLETION.text

    asyncio.run(go())
    journal.close()


def test_waiting_ends_with_the_last_retry(tmp_path: Path) -> None:
    class Busy:
        name, max_new_tokens = "busy", 10

        async def complete(self, *_arguments: Any, **_options: Any) -> TeacherCompletion:
            raise TeacherUnavailable("busy", kind="429")

    journal = Journal(tmp_path / "journal.jsonl")
    client = TeacherClient(Busy(), journal, RequestPolicy(retries=3, backoff_seconds=0.02))
    begin = time.monotonic()
    with pytest.raises(NoAnswer, match="gave up after 4 attempts, last error: busy"):
        asyncio.run(client.ask("a", "teacher", 0, [], 0.0))
    # Three pauses of 20, 40 and 80 ms, each at least half as long, and none after the last.
    assert 0.07 <= time.monotonic() - begin < 1.0
    assert client.retries == {"429": 3}
    journal.close()


# The command ----------------------------------------------------------------------------------------------------------


def sentences(folder: Path, names: list[str]) -> Path:
    rows = [
        {"sentence": f"{name} ran.", "schema": ["person"], "entities": [{"text": name, "label": "person"}]}
        for name in names
    ]
    file = folder / "data.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def command(data: Path, folder: Path, endpoint: Endpoint, *more: str) -> list[str]:
    teacher = ["--teacher", "openai:m", "--base-url", endpoint.url, "--concurrency", "4"]
    return ["generate", str(data), "--out", str(folder / "cot.jsonl"), *teacher, *more]


def test_killed_and_started_again_nothing_is_lost_or_paid_twice(endpoint: Endpoint, tmp_path: Path) -> None:
    endpoint.delay = 0.04
    endpoint.script = lambda asked, _count: reply("no idea") if asked["sentence"].startswith("Cy") else good(asked)
    names = [f"{name}{number}" for number in range(2) for name in NAMES]
    line = [sys.executable, "-m", "scripts.cot", *command(sentences(tmp_path, names), tmp_path, endpoint)]
    journal = tmp_path / "cot.journal.jsonl"
    process = subprocess.Popen(line, cwd=ROOT, stdout=subprocess.DEVNULL)
    try:
        while not journal.exists() or journal.read_bytes().count(b"\n") < 15:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "cot.jsonl").exists()
    kept = journal.read_bytes()
    paid = {json.loads(entry)["request"] for entry in kept[: kept.rfind(b"\n")].split(b"\n")}
    asked_before = len(endpoint.asked)

    assert subprocess.run(line, cwd=ROOT, stdout=subprocess.DEVNULL, timeout=30).returncode == 0
    again = {
        hashlib.sha256(
            json.dumps(["openai:m", body["messages"], body["temperature"], body["seed"]]).encode()
        ).hexdigest()
        for body in endpoint.asked[asked_before:]
    }
    assert len(paid) >= 15
    assert again
    assert not paid & again
    rows, rejects = read_jsonl(tmp_path / "cot.jsonl"), read_jsonl(tmp_path / "cot.rejected.jsonl")
    assert sorted(row["sentence"] for row in rows + rejects) == sorted(f"{name} ran." for name in names)
    assert {row["sentence"][:2] for row in rejects} == {"Cy"}
    assert {row["cause"] for row in rejects} == {"no_json"}
    assert all(row["score"] == 10 and row["score_reason"] == "fine" for row in rows)
    assert [example.reasoning for example in load([str(tmp_path / "cot.jsonl")], training=True)] == [
        row["cot"] for row in rows
    ]
    numbers = json.loads((tmp_path / "cot.report.json").read_text())
    # 22 good sentences, one draft each; 2 bad ones with 4 drafts each; the judge sees the good ones only.
    assert (numbers["kept"], numbers["given_up"], numbers["drafts"]) == (22, 2, 30)
    assert {stage: spent["requests"] for stage, spent in numbers["tokens"].items()} == {"teacher": 30, "judge": 22}

    asked_before, rows_before = len(endpoint.asked), (tmp_path / "cot.jsonl").read_bytes()
    assert main(line[3:]) == 0
    assert len(endpoint.asked) == asked_before
    assert (tmp_path / "cot.jsonl").read_bytes() == rows_before


def test_tokens_and_cost_are_reported(endpoint: Endpoint, tmp_path: Path) -> None:
    data = sentences(tmp_path, ["Ada", "Bo"])
    assert main(command(data, tmp_path, endpoint, "--price-in", "2", "--price-out", "30")) == 0
    numbers = json.loads((tmp_path / "cot.report.json").read_text())
    spent = {"requests": 2, "prompt": 200, "completion": 20}
    assert numbers["tokens"] == {"teacher": spent, "judge": spent}
    assert numbers["cost"] == pytest.approx((400 * 2 + 40 * 30) / 1e6)


def test_existing_rows_are_scored(endpoint: Endpoint, tmp_path: Path) -> None:
    data = sentences(tmp_path, ["Ada", "Bo"])
    assert main(["generate", str(data), "--out", str(tmp_path / "cot.jsonl")]) == 0
    endpoint.script = lambda asked, _count: reply(json.dumps({"score": 9 if "Ada" in asked["sentence"] else 5}))
    to = ["--out", str(tmp_path / "scored.jsonl"), "--judge", "openai:m", "--base-url", endpoint.url]
    assert main(["score", str(tmp_path / "cot.jsonl"), *to]) == 0
    assert [(row["guid"], row["score"]) for row in read_jsonl(tmp_path / "scored.jsonl")] == [("data/data:1", 9)]
    assert [row["cause"] for row in read_jsonl(tmp_path / "scored.rejected.jsonl")] == ["low_score"]


def test_template_chains_pass_their_own_validation_offline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "cot.jsonl"
    assert main(["generate", "demo/known", "--out", str(out)]) == 0
    assert len(read_jsonl(out)) == 144
    assert read_jsonl(tmp_path / "cot.rejected.jsonl") == []
    assert main(["validate", str(out)]) == 0
    bad = read_jsonl(out)[0] | {"cot": "I just know it."}
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text(out.read_text() + json.dumps(bad) + "\n{\n")
    assert main(["validate", str(mixed), "--out", str(tmp_path / "good.jsonl")]) == 1
    said = capsys.readouterr().out
    assert f"{mixed}, row 145: not_in_chain: " in said
    assert f"{mixed}, row 146: not_a_row: " in said
    assert read_jsonl(tmp_path / "good.jsonl") == read_jsonl(out)


def test_rows_keep_their_names_and_labels_in_another_writing_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    entities = [{"start": 0, "end": 3, "label": "art_work"}]
    rows = [{name: "doc-7", "text": "Ida met Ida", "entities": entities} for name in ("guid", "id", "note")]
    file = tmp_path / "in.jsonl"
    file.write_text("".join(json.dumps(row | {"text": f"Ida met {n}"}) + "\n" for n, row in enumerate(rows)))
    out = tmp_path / "o.jsonl"
    assert main(["generate", str(file), "--out", str(out)]) == 0
    assert [row["guid"] for row in read_jsonl(out)] == ["doc-7", "doc-7", "in/in:3"]
    assert {label for row in read_jsonl(out) for label in row["schema"]} == {"art work"}
    assert "data: labels are spelled as in prompts: art_work -> art work\n" in capsys.readouterr().out


def test_validation_lists_every_bad_row_and_keeps_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"sentence": "Ada ran.", "schema": ["person"], "entities": [{"text": "Ada", "label": "person"}]}
    chains = ["[Ada: person] ran.", "She ran.", "Nobody ran.", "Ada ran."]
    rows = [{"guid": f"a{number}", **row, "cot": chain} for number, chain in enumerate(chains, 1)]
    data = tmp_path / "in.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"sentence": 5}\n')
    assert main(["validate", str(data), "--out", str(tmp_path / "good.jsonl")]) == 1
    said = capsys.readouterr().out
    assert f"{data}, row 2: not_in_chain: 'Ada' (person)\n" in said
    assert f"{data}, row 3: not_in_chain: 'Ada' (person)\n" in said
    assert f"{data}, row 4: label_not_argued: 'Ada' (person)\n" in said
    assert f"{data}, row 5: not_a_row: 'sentence' must be text, found 5\n" in said
    assert "1 of 5 sentences kept" in said
    assert [row["guid"] for row in read_jsonl(tmp_path / "good.jsonl")] == ["a1"]
    bad = read_jsonl(tmp_path / "good.rejected.jsonl")
    assert [(row["place"], row["cause"]) for row in bad] == [
        (f"{data}, row 2", "not_in_chain"),
        (f"{data}, row 3", "not_in_chain"),
        (f"{data}, row 4", "label_not_argued"),
        (f"{data}, row 5", "not_a_row"),
    ]
    assert [json.loads(row["drafts"][0]["text"]) for row in bad] == [*rows[1:], {"sentence": 5}]


def test_a_file_is_never_validated_onto_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "cot.rejected.jsonl"
    data.write_text("{}\n")
    assert main(["validate", str(data), "--out", str(tmp_path / "cot.jsonl")]) == 2
    assert "cot.rejected.jsonl is an input" in capsys.readouterr().err
    assert data.read_text() == "{}\n"


def test_one_sentence_that_cannot_be_explained_does_not_stop_the_others(tmp_path: Path) -> None:
    data = sentences(tmp_path, ["Ada", "a<think>b", "Bo"])
    assert main(["generate", str(data), "--out", str(tmp_path / "cot.jsonl")]) == 0
    assert [row["sentence"] for row in read_jsonl(tmp_path / "cot.jsonl")] == ["Ada ran.", "Bo ran."]
    assert [(row["sentence"], row["cause"], row["detail"]) for row in read_jsonl(tmp_path / "cot.rejected.jsonl")] == [
        ("a<think>b ran.", "think_in_entity", "'a<think>b' (person)")
    ]


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("--limit", "-700", "must be at least 1; found {}"),
        ("--limit", "0", "must be at least 1; found {}"),
        ("--concurrency", "0", "must be at least 1; found {}"),
        ("--attempts", "-1", "must be at least 0; found {}"),
        ("--retries", "1.5", "valid integer"),
        ("--max-new-tokens", "0", "must be at least 1; found {}"),
        ("--context-tokens", "0", "must be at least 1; found {}"),
        ("--threshold", "11.0", "must be from 0 to 10; found {}"),
        ("--threshold", "nan", "must be from 0 to 10; found nan"),
        ("--temperature", "hot", "valid number"),
        ("--deadline", "inf", "must be at least 1; found inf"),
        ("--price-in", "-1.0", "must be at least 0; found {}"),
    ],
)
def test_an_option_out_of_its_range_is_refused_with_the_range(
    capsys: pytest.CaptureFixture[str], option: str, value: str, wanted: str
) -> None:
    assert main(["generate", "x.jsonl", "--out", "y.jsonl", f"{option}={value}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: Invalid value for '{option}': ")
    assert wanted.format(value) in said


def test_progress_counts_in_whole_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    ProgressLine(Console(), 0, 1).step(0, {"kept": 1523, "loss": 0.12345})
    assert "sentence 1/1  kept 1523  loss 0.123  " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--teacher", "gpt"], "unknown teacher 'gpt'"),
        (["--teacher", "openai:m"], "OPENAI_API_KEY is not set"),
        (
            ["--teacher", "openai:m", "--base-url", "host:8000"],
            "--base-url must be a URL such as http://host:8000/v1; f",
        ),
        (["--teacher", "local:./nowhere"], "local:./nowhere: no folder at './nowhere'"),
        (["--judge", "template"], "--judge template cannot score"),
        (["--out", "{data}"], "is an input"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    data = sentences(tmp_path, ["Ada"])
    given = [option.format(data=data) for option in options]
    given += [] if "--out" in given else ["--out", str(tmp_path / "cot.jsonl")]
    assert main(["generate", str(data), *given]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.glob("cot.*")) == [], "nothing is left behind"


def test_gold_of_sentences_without_entities_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "plain.jsonl"
    data.write_text('{"sentence": "Ada ran.", "schema": ["person"]}\n')
    assert main(["generate", str(data), "--out", str(tmp_path / "cot.jsonl")]) == 2
    assert "has entities to explain" in capsys.readouterr().err


# Teachers without an endpoint -----------------------------------------------------------------------------------------


def test_the_template_marks_entities_inside_others_too() -> None:
    mentions = (
        Mention(text="Bank of Cork", label="bank", start=0, end=12),
        Mention(text="Cork", label="city", start=8, end=12),
    )
    nested = Example(uid="n", sentence="Bank of Cork closed.", schema=("bank", "city"), mentions=mentions)
    messages = teacher_messages(nested, gold=True)
    completion = asyncio.run(TemplateTeacher().complete(messages, temperature=0.0, seed=0))
    answer = read_draft(completion.text, nested)
    assert answer.reasoning == "[Bank of Cork: bank] closed. [Cork: city]"
    assert check(nested, answer, gold=True) is None
    assert check(nested, row_answer(nested)) is not None  # it has no chain
    assert read_score(completion.text) is None


def test_a_local_teacher_speaks_through_the_tokenizer_s_template_and_counts_its_tokens(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "actors.rollout", SimpleNamespace(Sampling=SimpleNamespace))  # loads no torch

    class Tokenizer:
        all_special_tokens: tuple[str, ...] = ()

        def apply_chat_template(self, conversation: list[dict[str, str]], **_options: Any) -> str:
            return " ".join(message["content"] for message in conversation)

        def encode(self, text: str, **_options: Any) -> list[int]:
            return list(range(len(text.split())))

    class Worker:
        async def generate(self, prompt: Any, sampling: Any) -> Any:
            assert (sampling.count, sampling.temperature, sampling.max_new_tokens, sampling.seed) == (1, 0.6, 8, 5)
            assert prompt.token_ids == (0, 1, 2)
            return SimpleNamespace(rollouts=(SimpleNamespace(text="hm", token_ids=(7, 8), finished=False),))

    settings = TeacherSettings(who="local:x", max_new_tokens=8, context_tokens=16)
    teacher = LocalTeacher(Worker(), Tokenizer(), name="local:x", settings=settings)  # type: ignore[arg-type]
    messages = [{"role": "system", "content": "a b"}, {"role": "user", "content": "c"}]
    completion = asyncio.run(teacher.complete(messages, temperature=0.6, seed=5))
    assert completion == TeacherCompletion(text="hm", prompt_tokens=3, completion_tokens=2, finished=False)
    with pytest.raises(TeacherRefused, match="raise --context-tokens"):
        asyncio.run(teacher.complete([{"role": "user", "content": "a " * 9}], temperature=0.6, seed=5))

"""``POST /extract`` over a loaded model, with a page to try it; knows FastAPI and no engine."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import fields
from pathlib import Path
from secrets import compare_digest
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import Field, ValidationError
from starlette.requests import ClientDisconnect

from actors.concurrency import gather_all
from actors.extractor import Extractor
from actors.options import Asked
from actors.question import Limits, refuse_unasked
from rnr.files.jsonl import strict_json
from rnr.types import Decoding
from rnr.validation import FlagsApart, explain

GONE = 499
"""The status of a request whose client did not wait for the answer; only a log shows it."""
PAGE = Path(__file__).with_name("try_page.html")


class Question(Asked, FlagsApart):
    """The body of ``POST /extract``: ``{"sentences": [...], "labels": [...]}``."""

    sentences: list[str] = Field(min_length=1)
    labels: list[str] | dict[str, str] = Field(min_length=1)
    decoding: Decoding | None = None


class _Refused(Exception):
    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Service:
    """Answers requests within the limits; all requests share the engine's batches."""

    def __init__(self, extractor: Extractor, name: str, limits: Limits) -> None:
        self._extractor, self._name, self._limits = extractor, name, limits
        self._waiting = 0

    async def extract(self, question: Question, gone: Coroutine[Any, Any, None]) -> dict[str, Any]:
        """The rows of all sentences, in order; raises ``_Refused`` beyond a limit, ValueError for a bad question. When
        ``gone`` returns, the client has disconnected: unanswered sentences are cancelled."""
        leaving = asyncio.ensure_future(gone)
        try:
            return await self._answer(question, leaving)
        finally:
            leaving.cancel()

    async def _answer(self, question: Question, leaving: asyncio.Future[None]) -> dict[str, Any]:
        self._refuse(question)
        given = question.model_dump(exclude_unset=True, exclude={"sentences", "labels"})
        given["decoding"] = question.decoding or self._extractor.options.decoding
        options = self._extractor.options.but(**given)
        refuse_unasked(question.threshold, question.labels)
        self._waiting += len(question.sentences)
        asked = (self._extractor.extract(text, question.labels, options) for text in question.sentences)
        whole = asyncio.ensure_future(gather_all(asked))
        try:
            await asyncio.wait([whole, leaving], return_when=asyncio.FIRST_COMPLETED)
            if not whole.done():
                raise _Refused(GONE, "the client has disconnected")
            found = whole.result()
        finally:
            self._waiting -= len(question.sentences)
            whole.cancel()
            await asyncio.gather(whole, return_exceptions=True)
        return {"model": self._name, "results": [each.row() for each in found]}

    def _refuse(self, question: Question) -> None:
        limits = self._limits
        for what, count, most in (
            ("sentences", len(question.sentences), min(limits.sentences, limits.waiting)),
            ("characters", sum(map(len, question.sentences)), limits.characters),
            ("labels", len(question.labels), limits.labels),
            ("samples", question.samples, limits.samples),
        ):
            if count > most:
                raise _Refused(413, f"{count} {what}, but this server accepts {most} per request")
        if self._waiting + len(question.sentences) > limits.waiting:
            raise _Refused(429, f"{self._waiting} sentences are waiting (limit {limits.waiting}): try again later")

    def state(self) -> dict[str, Any]:
        """What ``GET /ready`` says."""
        limits = {field.name: getattr(self._limits, field.name) for field in fields(self._limits)}
        options = self._extractor.options
        by = options.label_weight(self._extractor.label_calibration)
        state = {"model": self._name, "decoding": options.decoding, "label_calibration": by}
        return {**state, "waiting": self._waiting, "limits": limits}


def routes(service: Service, *, api_key: str = "") -> APIRouter:
    """``/extract``, ``/ready`` and the page at ``/``; with a key, ``/extract`` asks for it."""
    router = APIRouter()

    body = {"required": True, "content": {"application/json": {"schema": Question.model_json_schema()}}}

    @router.post("/extract", openapi_extra={"requestBody": body})
    async def extract(request: Request) -> Response:
        given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if api_key and not compare_digest(given.encode(), api_key.encode()):
            return JSONResponse({"error": "the header Authorization: Bearer KEY is missing or wrong"}, 401)
        try:
            question = await _question(request)
            return _json(await service.extract(question, _gone(request)))
        except _Refused as error:
            return _json({"error": str(error)}, error.status)
        except ValueError as error:
            return _json({"error": str(error)}, 400)
        except asyncio.CancelledError:
            if not (task := asyncio.current_task()) or not task.cancelling():
                raise
            # The server does not wait for longer answers as it ends.
            return _json({"error": "the server is stopping: ask again later"}, 503)

    @router.get("/ready")
    async def ready() -> JSONResponse:
        return JSONResponse(service.state())

    @router.get("/", response_class=HTMLResponse)
    async def page() -> HTMLResponse:
        return HTMLResponse(PAGE.read_text(encoding="utf-8"))

    return router


async def _gone(request: Request) -> None:
    """Returns when the client of a request whose body was read closes its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _json(content: Any, status: int = 200) -> Response:
    """A JSON response; half of a surrogate pair, which a model may spell, is escaped."""
    text = strict_json(content).encode(errors="backslashreplace")
    return Response(text, status, media_type="application/json")


async def _question(request: Request) -> Question:
    """The question in a request; read here and not by FastAPI, whose answer to a bad one differs with the engine's app.

    A body of another type than JSON is refused: a page of another origin could send that without being asked.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise _Refused(415, "the body must be JSON: send the header content-type: application/json")
    try:
        return Question.model_validate_json(await request.body())
    except ClientDisconnect:
        raise _Refused(413, "the body is larger than this server accepts") from None
    except ValidationError as error:
        raise ValueError("; ".join(explain(error, Question, whole="the body"))) from None


class BodyLimit:
    """Refuses a request whose body is longer than this, before it is read into memory whole."""

    def __init__(self, app: Callable[..., Awaitable[None]], *, most: int) -> None:
        self._app, self._most = app, most

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """An ASGI application around another."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self._most:
            await JSONResponse({"error": f"the body may have at most {self._most} bytes"}, 413)(scope, receive, send)
            return
        read = 0

        async def limited() -> Any:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            return message if read <= self._most else {"type": "http.disconnect"}

        await self._app(scope, limited, send)

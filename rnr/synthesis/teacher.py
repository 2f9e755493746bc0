"""Teachers, which write or judge reasoning chains: the protocol, an OpenAI-compatible endpoint, and a template."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol

from rnr.synthesis.http_guard import ForeignRedirect, ReplyTooLarge, guarded_client
from rnr.synthesis.messages import Message, requested_example
from rnr.task.chains import chain, spelled
from rnr.task.parsing import write

if TYPE_CHECKING:  # openai is imported only when an endpoint is used
    from openai import APIStatusError, AsyncOpenAI

_RETRIABLE = (408, 409, 425, 429)
"""HTTP statuses that are retried, in addition to all from 500 on."""
UNREACHABLE = "unreachable"
"""Kind of failure: no connection could be made."""
_NO_CONNECTION = ("ConnectError", "ConnectTimeout")
"""Compared by class name, because openai uses one of two packages with separate classes."""


class TeacherRefused(RuntimeError):
    """A request that no retry can fix: a wrong key, an unknown model, a malformed or too long request."""


class TeacherUnavailable(RuntimeError):
    """A failed request that may be retried after ``retry_after`` seconds; retries are counted by ``kind``."""

    def __init__(self, message: str, *, kind: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherCompletion:
    """The text of a teacher, and the tokens that are charged."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    finished: bool
    """False if the completion was cut at the token limit."""


class Teacher(Protocol):
    """A model that completes chats. ``complete`` raises TeacherUnavailable if a retry may help, else TeacherRefused."""

    @property
    def name(self) -> str: ...
    @property
    def max_new_tokens(self) -> int: ...
    async def complete(self, messages: Sequence[Message], *, temperature: float, seed: int) -> TeacherCompletion: ...


class TemplateTeacher:
    """Offline and free of charge: the chain is the sentence with its gold entities marked, the answer is the gold."""

    name = "template"
    max_new_tokens = 0

    async def complete(self, messages: Sequence[Message], *, temperature: float, seed: int) -> TeacherCompletion:
        example = requested_example(messages)
        text = chain(example)
        # The chain marks the longest of overlapping entities; marks of the others follow the sentence.
        marks = (f"[{spelled(mention.text)}: {mention.label}]" for mention in example.mentions)
        text = " ".join([text, *dict.fromkeys(mark for mark in marks if mark not in text)])
        return TeacherCompletion(
            text=write(example.mentions, reasoning=text), prompt_tokens=0, completion_tokens=0, finished=True
        )


def endpoint_client(base_url: str | None) -> "AsyncOpenAI":
    from openai import AsyncOpenAI

    key = os.environ.get("OPENAI_API_KEY")
    if not key and not base_url:
        raise ValueError("OPENAI_API_KEY is not set: set it, or pass the --base-url of an endpoint that needs no key")
    if base_url and not base_url.startswith(("http://", "https://")):
        raise ValueError(f"--base-url must be a URL such as http://host:8000/v1; found {base_url}")
    # Retries and deadlines are left to ``TeacherClient``, so that each is counted and none is doubled.
    plain = AsyncOpenAI(api_key=key or "none", base_url=base_url, max_retries=0, timeout=None)
    return plain.with_options(http_client=guarded_client(plain.base_url))


class EndpointTeacher:
    """Any endpoint with OpenAI's chat completions API."""

    def __init__(self, client: "AsyncOpenAI", *, model: str, max_new_tokens: int) -> None:
        self.name = f"openai:{model}"
        self._client = client
        self._model = model
        self.max_new_tokens = max_new_tokens

    async def complete(self, messages: Sequence[Message], *, temperature: float, seed: int) -> TeacherCompletion:
        import openai

        where = f"{self._client.base_url} (model {self._model})"
        request: dict[str, Any] = {"model": self._model, "messages": list(messages), "temperature": temperature}
        try:
            reply: Any = await self._client.chat.completions.create(
                **request, seed=seed, max_tokens=self.max_new_tokens
            )
        except openai.APIStatusError as error:
            raise _of_status(error, where) from error
        except openai.APIConnectionError as error:
            raise _of_connection(error.__cause__ or error, where) from error
        except (ForeignRedirect, ReplyTooLarge) as error:
            raise _of_connection(error, where) from error
        except RecursionError:
            raise TeacherUnavailable(f"{where}: unreadable reply: nested too deep", kind="unreadable") from None
        except (openai.APIError, ValueError) as error:
            raise TeacherUnavailable(f"{where}: unreadable reply: {error}", kind="unreadable") from error
        return _completion(reply, where)


def _of_status(error: "APIStatusError", where: str) -> TeacherRefused | TeacherUnavailable:
    message = f"{where} answered {error.status_code}: {error.message[:300]}"
    if error.code == "insufficient_quota" or not (error.status_code in _RETRIABLE or error.status_code >= 500):
        advice = {401: "check OPENAI_API_KEY", 404: "check --base-url and the model's name"}
        return TeacherRefused(f"{message}; {advice.get(error.status_code, 'a retry would not help')}")
    after = _retry_after(error.response.headers.get("retry-after", ""))
    return TeacherUnavailable(message, kind=str(error.status_code), retry_after=after)


def _of_connection(cause: BaseException, where: str) -> TeacherRefused | TeacherUnavailable:
    if isinstance(cause, ForeignRedirect):
        return TeacherRefused(f"{where} {cause}")
    kind = "too large" if isinstance(cause, ReplyTooLarge) else "connection"
    if type(cause).__name__ in _NO_CONNECTION:
        kind = UNREACHABLE
    return TeacherUnavailable(f"{where}: {cause}", kind=kind)


def _retry_after(header: str) -> float:
    """Seconds to wait by the Retry-After header, which is a number or a date; 0 if it is neither."""
    if header.isascii() and header.isdecimal():
        return float(header)
    try:
        date = parsedate_to_datetime(header)
    except ValueError:
        return 0.0
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def _completion(reply: Any, where: str) -> TeacherCompletion:
    """The completion in a reply; the openai client does not validate replies, so this does."""
    choices = getattr(reply, "choices", None)
    message = getattr(choices[0], "message", None) if isinstance(choices, list) and choices else None
    if message is None:
        shown = str(reply)[:200] if isinstance(reply, str) else type(reply).__name__
        raise TeacherUnavailable(f"{where}: a reply without a completion: {shown}", kind="unreadable")
    text = getattr(message, "content", None) or ""
    if not isinstance(text, str):
        raise TeacherUnavailable(f"{where}: a completion that is not text but {type(text).__name__}", kind="unreadable")
    # Servers with a reasoning parser return the thinking in a separate field; the text is missing if it was cut there.
    thinking = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    if isinstance(thinking, str) and thinking and "</think>" not in text:
        text = f"<think>\n{thinking}\n</think>\n{text}"
    usage = getattr(reply, "usage", None)
    return TeacherCompletion(
        text=text,
        prompt_tokens=_count(getattr(usage, "prompt_tokens", None)),
        completion_tokens=_count(getattr(usage, "completion_tokens", None)),
        finished=getattr(reply.choices[0], "finish_reason", None) == "stop",
    )


def _count(tokens: object) -> int:
    return tokens if isinstance(tokens, int) and tokens > 0 else 0

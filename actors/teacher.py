"""Teachers: who writes reasoning chains and who judges them. An endpoint, a local model, or a template."""

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from rnr.chains import chain
from rnr.cot import Message, asked_example
from rnr.model_folder import resolve
from rnr.parsing import write
from rnr.prompts import ChatFormat, Tokenizer
from rnr.types import Example, Prompt

if TYPE_CHECKING:  # torch and the client are loaded only where they are used
    from openai import APIStatusError, AsyncOpenAI

    from actors.rollout import RolloutWorker

_PASSING = (408, 409, 425, 429)
"""Answers of a server that may well be another one a little later, as are all from 500 on."""


class TeacherRefused(RuntimeError):
    """A request that no repetition will mend: a wrong key, an unknown model, a malformed or too long request."""


class TeacherUnavailable(RuntimeError):
    """A request that came to nothing and may be made again, not before ``retry_after`` seconds; ``kind`` is counted."""

    def __init__(self, message: str, *, kind: str, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """What a teacher wrote, and what it is charged for."""

    text: str
    prompt_tokens: int
    completion_tokens: int
    finished: bool
    """False when the completion ran into the token limit."""


class Teacher(Protocol):
    """Raises TeacherUnavailable when it is worth asking again and TeacherRefused when it is not."""

    @property
    def name(self) -> str: ...
    @property
    def max_new_tokens(self) -> int: ...
    async def complete(self, messages: Sequence[Message], *, temperature: float, seed: int) -> Completion: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TeacherSettings:
    """``who`` is ``openai:MODEL``, ``local:FOLDER`` or ``template``."""

    who: str
    base_url: str | None = None
    max_new_tokens: int = 2048
    context_tokens: int = 4096
    concurrency: int = 8


@asynccontextmanager
async def open_teacher(settings: TeacherSettings) -> AsyncIterator[Teacher]:
    """The teacher that is meant, ended with the block; raises ValueError for one that cannot be."""
    kind, _, what = settings.who.partition(":")
    if settings.who == "template":
        yield TemplateTeacher()
    elif kind == "openai" and what:
        async with _client(settings.base_url) as client:
            yield EndpointTeacher(client, model=what, max_new_tokens=settings.max_new_tokens)
    elif kind == "local" and what:
        async with _local_teacher(resolve(what), settings) as teacher:
            yield teacher
    else:
        raise ValueError(f"unknown teacher {settings.who!r}: give openai:MODEL, local:FOLDER or template")


class TemplateTeacher:
    """Offline and free: the chain is the sentence with its gold entities marked, the answer is the gold."""

    name = "template"
    max_new_tokens = 0

    async def complete(self, messages: Sequence[Message], *, temperature: float, seed: int) -> Completion:
        example = asked_example(messages)
        text = chain(example)
        # Of overlapping entities the chain marks the longest; the others follow the sentence.
        marks = (f"[{mention.text}: {mention.label}]" for mention in example.mentions)
        text = " ".join([text, *dict.fromkeys(mark for mark in marks if mark not in text)])
        return Completion(
            text=write(example.mentions, reasoning=text), prompt_tokens=0, completion_tokens=0, finished=True
        )


def _client(base_url: str | None) -> "AsyncOpenAI":
    from openai import AsyncOpenAI

    key = os.environ.get("OPENAI_API_KEY")
    if not key and not base_url:
        raise ValueError("OPENAI_API_KEY is not set: set it, or give the --base-url of an endpoint that needs no key")
    # Retries and deadlines are the caller's, so that each is counted and none happens twice over.
    return AsyncOpenAI(api_key=key or "none", base_url=base_url, max_retries=0, timeout=None)


class EndpointTeacher:
    """Any endpoint that speaks OpenAI's chat completions."""

    def __init__(self, client: "AsyncOpenAI", *, model: str, max_new_tokens: int) -> None:
        self.name = f"openai:{model}"
        self._client = client
        self._model = model
        self.max_new_tokens = max_new_tokens

    async def complete(self, messages: Sequence[Message], *, temperature: float, seed: int) -> Completion:
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
            raise TeacherUnavailable(f"{where}: {error.__cause__ or error}", kind="connection") from error
        except (openai.APIError, ValueError) as error:
            raise TeacherUnavailable(f"{where}: unreadable reply: {error}", kind="unreadable") from error
        return _completion(reply, where)


def _of_status(error: "APIStatusError", where: str) -> TeacherRefused | TeacherUnavailable:
    said = f"{where} answered {error.status_code}: {error.message[:300]}"
    if error.code == "insufficient_quota" or not (error.status_code in _PASSING or error.status_code >= 500):
        advice = {401: "check OPENAI_API_KEY", 404: "check --base-url and the model's name"}
        return TeacherRefused(f"{said}; {advice.get(error.status_code, 'asking again would not help')}")
    seconds = error.response.headers.get("retry-after", "")
    after = float(seconds) if seconds.isdecimal() else 0.0
    return TeacherUnavailable(said, kind=str(error.status_code), retry_after=after)


def _completion(reply: Any, where: str) -> Completion:
    """The completion in a reply; the client does not check its shape, so one without is found here."""
    choices = getattr(reply, "choices", None)
    message = getattr(choices[0], "message", None) if isinstance(choices, list) and choices else None
    if message is None:
        raise TeacherUnavailable(f"{where}: a reply without a completion: {str(reply)[:200]}", kind="unreadable")
    text = getattr(message, "content", None) or ""
    # Servers that split off a model's own thinking give it beside the text, which is missing if the limit came first.
    thinking = getattr(message, "reasoning_content", None) or getattr(message, "reasoning", None)
    if thinking and "</think>" not in text:
        text = f"<think>\n{thinking}\n</think>\n{text}"
    usage = getattr(reply, "usage", None)
    return Completion(
        text=text,
        prompt_tokens=getattr(usage, "prompt_tokens", None) or 0,
        completion_tokens=getattr(usage, "completion_tokens", None) or 0,
        finished=getattr(reply.choices[0], "finish_reason", None) == "stop",
    )


@asynccontextmanager
async def _local_teacher(folder: str, settings: TeacherSettings) -> AsyncIterator[Teacher]:
    from transformers import AutoTokenizer

    from actors.rollout import single_engine

    tokenizer = AutoTokenizer.from_pretrained(folder)
    engine = single_engine(
        folder,
        stop_token_id=ChatFormat(tokenizer).stop_token_id,
        context_tokens=settings.context_tokens,
        concurrent_sequences=settings.concurrency,
    )
    async with engine as worker:
        yield LocalTeacher(worker, tokenizer, name=f"local:{folder}", settings=settings)


class LocalTeacher:
    """A model in a rollout worker of our own."""

    def __init__(self, worker: "RolloutWorker", tokenizer: Tokenizer, *, name: str, settings: TeacherSettings) -> None:
        self.name = name
        self._worker = worker
        self._tokenizer = tokenizer
        self.max_new_tokens = settings.max_new_tokens
        self._context_tokens = settings.context_tokens

    async def complete(self, messages: Sequence[Message], *, temperature: float, seed: int) -> Completion:
        from actors.rollout import Sampling

        limit = self.max_new_tokens
        text = self._tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        token_ids = tuple(self._tokenizer.encode(text, add_special_tokens=False))
        if len(token_ids) + limit > self._context_tokens:
            raise TeacherRefused(
                f"{self.name}: {len(token_ids)} prompt tokens and {limit} new ones do not fit into "
                f"{self._context_tokens}: raise --context-tokens or lower --max-new-tokens"
            )
        prompt = Prompt(example=Example(uid="", sentence="", schema=(), mentions=()), token_ids=token_ids)
        sampling = Sampling(count=1, temperature=temperature, max_new_tokens=limit, seed=seed)
        rollout = (await self._worker.generate(prompt, sampling)).rollouts[0]
        return Completion(
            text=rollout.text,
            prompt_tokens=len(token_ids),
            completion_tokens=len(rollout.token_ids),
            finished=rollout.finished,
        )

"""Opens a teacher by its name: one of ``rnr.synthesis.teacher``, or a model in an engine on this machine."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actors.model_files import load_tokenizer
from rnr.messages import model_named
from rnr.model_folder import resolve
from rnr.synthesis.messages import Message
from rnr.synthesis.teacher import (
    EndpointTeacher,
    Teacher,
    TeacherCompletion,
    TeacherRefused,
    TemplateTeacher,
    endpoint_client,
)
from rnr.task.encoding import Tokenizer
from rnr.task.prompts import ChatFormat
from rnr.types import Example, Prompt

if TYPE_CHECKING:  # torch is loaded only where it is used
    from actors.rollout import RolloutWorker


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
    """The named teacher, closed with the block; raises ValueError for a name or folder that cannot be used."""
    kind, _, what = settings.who.partition(":")
    if settings.who == "template":
        yield TemplateTeacher()
    elif kind == "openai" and what:
        async with endpoint_client(settings.base_url) as client:
            yield EndpointTeacher(client, model=what, max_new_tokens=settings.max_new_tokens)
    elif kind == "local" and what:
        with model_named(settings.who):
            folder = resolve(what)
            tokenizer = load_tokenizer(folder)
        async with _local_teacher(folder, tokenizer, settings) as teacher:
            yield teacher
    else:
        raise ValueError(f"unknown teacher {settings.who!r}: give openai:MODEL, local:FOLDER or template")


@asynccontextmanager
async def _local_teacher(folder: str, tokenizer: Any, settings: TeacherSettings) -> AsyncIterator[Teacher]:
    from actors.rollout import single_engine

    engine = single_engine(
        folder,
        stop_token_id=ChatFormat(tokenizer).stop_token_id,
        context_tokens=settings.context_tokens,
        max_num_seqs=settings.concurrency,
    )
    async with engine as worker:
        yield LocalTeacher(worker, tokenizer, name=f"local:{folder}", settings=settings)


class LocalTeacher:
    """A model in a local rollout worker."""

    def __init__(self, worker: "RolloutWorker", tokenizer: Tokenizer, *, name: str, settings: TeacherSettings) -> None:
        self.name = name
        self._worker = worker
        self._tokenizer = tokenizer
        self.max_new_tokens = settings.max_new_tokens
        self._context_tokens = settings.context_tokens

    async def complete(self, messages: Sequence[Message], *, temperature: float, seed: int) -> TeacherCompletion:
        from actors.engine import Sampling

        limit = self.max_new_tokens
        text = self._tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        token_ids = tuple(self._tokenizer.encode(text, add_special_tokens=False))
        if len(token_ids) + limit > self._context_tokens:
            raise TeacherRefused(
                f"{self.name}: {len(token_ids)} prompt tokens and {limit} new tokens do not fit into "
                f"{self._context_tokens}: raise --context-tokens or lower --max-new-tokens"
            )
        prompt = Prompt(example=Example(uid="", sentence="", schema=(), mentions=()), token_ids=token_ids)
        sampling = Sampling(count=1, temperature=temperature, max_new_tokens=limit, seed=seed)
        rollout = (await self._worker.generate(prompt, sampling)).rollouts[0]
        return TeacherCompletion(
            text=rollout.text,
            prompt_tokens=len(token_ids),
            completion_tokens=len(rollout.token_ids),
            finished=rollout.finished,
        )

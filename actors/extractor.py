"""A loaded model that extracts entities: what ``rnr.load`` returns."""

import asyncio
import queue
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from actors.chat_format import refuse_unfollowed
from actors.concurrency import gather_all
from actors.engine import Sampling
from actors.event_loop import ENDING, EventLoop, result_of
from actors.label_calibration import LabelCalibration
from actors.options import Options
from actors.question import Labels, asked, definitions, pair, refuse_one_text, refuse_text, refuse_unasked
from actors.rollout import RolloutWorker
from rnr.messages import model_named
from rnr.task.aggregation import Chosen, aggregate, apply_threshold
from rnr.task.decoding import refuse_undecodable
from rnr.task.extraction import Extraction, extraction
from rnr.task.prompts import ChatFormat, refuse_too_long
from rnr.task.windows import joined, windows
from rnr.types import Decoding, Example, Prompt, Rollout

LEAST_ANSWER = 32
"""Tokens of room that an answer needs in addition to the length of its text."""


class Extractor:
    """One model on one engine. Calls may come from several threads; all share the engine's batches.

    Also a context manager that closes the engine; the end of the process closes it, too.
    """

    def __init__(
        self,
        worker: RolloutWorker,
        folder: str,
        chat: ChatFormat,
        options: Options,
        *,
        label_calibration: float,
        context_tokens: int,
        max_new_tokens: int | None,
        in_flight: int,
        loop: EventLoop,
    ) -> None:
        """``label_calibration`` is the one of the model's run, used unless a question sets another."""
        self.worker = worker
        self.folder = folder
        self.chat = chat
        self.options = options
        self.label_calibration = label_calibration
        self._context_tokens = context_tokens
        self._max_new_tokens = max_new_tokens
        self._in_flight = in_flight
        self.windows = (0, 0)
        """How many windows of texts are answered, and how many were asked."""
        self.loop = loop
        self._calibration: LabelCalibration | None = None

    def __call__(self, text: str, labels: Labels, **options: Any) -> Extraction:
        """The entities of one text, of any length.

        ``labels`` are names, or ``{name: definition}``. ``options`` are those of ``Options``: threshold (one, or by
        label), samples, select, temperature, decoding, label_calibration, window, overlap. Raises ValueError for
        an invalid question.
        """
        refuse_text(text)
        return self.batch([text], labels, **options)[0]

    def batch(self, texts: Iterable[str], labels: Labels, **options: Any) -> list[Extraction]:
        """The entities of each text, in order. Raises ValueError as a call does."""
        refuse_one_text(texts)
        refuse_unasked(options.get("threshold"), labels)
        return list(self.stream(((text, labels) for text in texts), **options))

    def stream(self, questions: Iterable[tuple[str, Labels]], **options: Any) -> Iterator[Extraction]:
        """The answers to questions (text, labels), in order, each as soon as it and those before it are complete.

        Only as many questions are read ahead as the engine can use, so that there may be any number of them.
        """
        meant = self.options.but(**options)
        refuse_unfollowed(self.chat, meant.decoding)
        ahead: queue.Queue[Future[Extraction] | None] = queue.Queue(self._in_flight)
        stopped = threading.Event()

        def ask() -> None:
            # In a thread of its own, so that an answer does not wait for the next line of a pipe.
            last: Future[Extraction] | None = None
            try:
                for text, labels in map(pair, questions):
                    if stopped.is_set():
                        return
                    ahead.put(self.loop.submit(self.extract(text, labels, meant)))
            except BaseException as error:
                last = Future()
                last.set_exception(error)
            finally:
                for item in (last, None) if last else (None,):
                    ahead.put(item)

        threading.Thread(target=ask, name="rnr-questions", daemon=True).start()
        try:
            while (future := ahead.get()) is not None:
                yield result_of(future)
        finally:
            stopped.set()
            while not ahead.empty():
                waiting = ahead.get_nowait()
                if waiting is not None:
                    waiting.cancel()

    async def extract(self, text: str, labels: Labels, options: Options | None = None) -> Extraction:
        """The entities of one text; to be awaited in the engine's own event loop, as a server does."""
        options = options or self.options
        refuse_text(text)
        refuse_unfollowed(self.chat, options.decoding)
        names = asked(labels)
        if not text.strip():
            return Extraction(sentence=text, entities=(), reasoning=None, windows=0, samples=options.samples)
        meanings = definitions(labels)
        places, prompts = self._prompts(text, tuple(names), meanings, options)
        self._count_windows(asked=len(prompts))
        found = await asyncio.gather(*(self._window(prompt, options, meanings) for prompt in prompts))
        parts = [
            extraction(each, prompt.example.sentence, names, samples=options.samples)
            for each, prompt in zip(found, prompts, strict=True)
        ]
        return parts[0] if len(parts) == 1 else joined(text, places, parts)

    async def _window(self, prompt: Prompt, options: Options, meanings: Mapping[str, str] | None) -> Chosen:
        found = await self.answer(prompt, options, meanings)
        self._count_windows(answered=1)
        return found

    def _count_windows(self, answered: int = 0, asked: int = 0) -> None:
        self.windows = (self.windows[0] + answered, self.windows[1] + asked)

    @model_named("model")
    def _prompts(
        self, text: str, schema: tuple[str, ...], meanings: Mapping[str, str] | None, options: Options
    ) -> tuple[list[tuple[int, int]], list[Prompt]]:
        """The windows of a text and their prompts; windows are made smaller until prompt and answer have room."""
        tokenizer: Any = self.chat.tokenizer
        tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
        size, overlap = options.window, options.shared
        while True:
            places = windows(text, tokens, size=size, overlap=overlap)
            examples = [
                Example(uid=f"{start}:{end}", sentence=text[start:end], schema=schema, mentions=())
                for start, end in places
                if text[start:end].strip()
            ]
            places = [place for place in places if text[place[0] : place[1]].strip()]
            prompts = [self.chat.prompt(example, meanings) for example in examples]
            longest = max(len(prompt.token_ids) for prompt in prompts)
            room = self._context_tokens - longest - LEAST_ANSWER
            if room >= 2 * min(size, len(tokens)):
                break
            if size < 32:
                raise ValueError(
                    f"labels and definitions leave no room for text: the prompt takes {longest} tokens of "
                    f"context_tokens={self._context_tokens}"
                )
            size, overlap = size // 2, overlap // 2
        refuse_undecodable(examples, options.decoding)
        return places, [replace(prompt, decoding=options.decoding) for prompt in prompts]

    async def answer(self, prompt: Prompt, options: Options, meanings: Mapping[str, str] | None = None) -> Chosen:
        """The answer to one prompt, of as many completions as the options say. ``meanings`` are the definitions that
        the prompt gives."""
        room = self._context_tokens - len(prompt.token_ids)
        limit = min(room, self._max_new_tokens) if self._max_new_tokens else room
        how, example = options.how, prompt.example
        sampling = Sampling(
            count=options.samples, temperature=options.temperature, max_new_tokens=limit, decisions=False
        )

        async def completions(wanted: bool, sampling: Sampling) -> tuple[Rollout, ...]:
            return (await self.worker.generate(prompt, sampling)).rollouts if wanted else ()

        drawn, greedy = await asyncio.gather(
            completions(options.samples > 1, sampling),
            completions(how == "greedy", replace(sampling, count=1, temperature=0.0)),
        )
        found = aggregate(how, example, prompt.decoding, greedy[0] if greedy else None, drawn)
        if weight := options.label_weight(self.label_calibration):
            self._calibration = self._calibration or LabelCalibration(
                self.worker.choices, self.chat, self._context_tokens
            )
            found = await self._calibration.calibrate(prompt, found, weight, meanings)
        return apply_threshold(found, example, prompt.decoding, options.least)

    @model_named("model")
    def answers(self, examples: Sequence[Example], *, decoding: Decoding, **options: Any) -> list[Chosen]:
        """The answers to examples as the model is asked in a run, whole and in order: for evaluation.

        Raises ValueError for an example that cannot be asked under this decoding.
        """
        meant = Options.of(**dict(self.options) | options | {"decoding": decoding})
        refuse_unfollowed(self.chat, meant.decoding)
        refuse_undecodable(examples, meant.decoding)
        prompts = [replace(self.chat.prompt(example), decoding=meant.decoding) for example in examples]
        answer_tokens = self._max_new_tokens or LEAST_ANSWER
        refuse_too_long(prompts, context_tokens=self._context_tokens, answer_tokens=answer_tokens)

        return result_of(self.loop.submit(gather_all(self.answer(prompt, meant) for prompt in prompts)))

    def close(self) -> None:
        """Close the engine; running and later calls from other threads fail. Raises RuntimeError for an engine that
        does not end in time: it ends with the process."""
        if self.loop.stopped:
            return
        try:
            result_of(self.loop.submit(self.worker.stop()), seconds=ENDING, late="the engine did not end")
        finally:
            self.loop.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

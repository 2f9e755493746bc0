"""transformers as an ``Engine``, for machines without vLLM: completions in batches, under grammars by xgrammar."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
import xgrammar
from transformers import AutoModelForCausalLM, GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING
from transformers.utils import logging

from actors.delivery import Delivery
from actors.engine import Completion, EngineSettings, Sampling, among
from actors.model_files import load_config, load_tokenizer
from actors.token_text import pieces
from rnr.types import Segment

TAIL = 16
"""Tokens at the end of a completion in which a stop string is looked for."""


def best_device() -> str:
    """``cuda``, ``mps`` or ``cpu``: the fastest that is here."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def best_dtype(device: str) -> torch.dtype:
    """bf16 where the device computes in it, else float32."""
    knows = getattr(torch.cpu, "get_capabilities", dict)()  # missing in older releases of torch
    fast = device != "cpu" or any(knows.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return torch.bfloat16 if fast else torch.float32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    token_ids: Sequence[int]
    sampling: Sampling
    answer: "asyncio.Future[list[Completion]]"

    @property
    def kind(self) -> tuple[Any, ...]:
        """Requests of the same kind can share a batch."""
        sampling = self.sampling
        return (sampling.temperature, sampling.min_new_tokens, sampling.stop, sampling.seed, bool(sampling.grammar))


class TransformersEngine:
    """Completions by ``model.generate``. Requests that wait at the same time are completed together."""

    def __init__(self, settings: EngineSettings, *, device: str = "") -> None:
        self._settings = settings
        self._device = device or best_device()
        self._waiting: list[_Request] = []
        self._worker: asyncio.Task[None] | None = None
        self._model: Any = None
        self._compiler: Any = None
        self._choosing = asyncio.Lock()
        self._stopping = False

    @property
    def tokenizer(self) -> Any:
        """That of the model folder."""
        return self._tokenizer

    @property
    def stop_token_id(self) -> int:
        """The token that ends an answer."""
        return self._settings.stop_token_id

    async def start(self) -> None:
        """Load the weights of the model folder."""
        await asyncio.to_thread(self._load)

    def _load(self) -> None:
        folder = self._settings.model_folder
        self._tokenizer = load_tokenizer(folder)
        dtype = best_dtype(self._device)
        logging.disable_progress_bar()
        config = load_config(folder)
        config.return_dict = True
        kind = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
        attention = "sdpa" if getattr(kind, "_supports_sdpa", True) else "eager"  # whatever the config asks for
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, config=config, dtype=dtype, trust_remote_code=False, attn_implementation=attention
        )
        # The folder's sampling defaults are ignored: every request brings its own settings.
        model.generation_config = GenerationConfig()
        self._model = model.to(self._device).eval()
        eos = self._tokenizer.eos_token_id
        self._stops: list[int] = sorted({self.stop_token_id, *([] if eos is None else [eos])})
        info = xgrammar.TokenizerInfo.from_huggingface(
            self._tokenizer, vocab_size=model.config.get_text_config().vocab_size, stop_token_ids=self._stops
        )
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=max(1, self._settings.threads))

    async def load(self, delivery: Delivery) -> str:
        """Not supported: this engine answers for a finished model."""
        raise NotImplementedError("the transformers engine cannot load weights during a run; train with vLLM")

    async def sleep(self, level: int) -> None:
        """Not supported: it has no learner beside it."""
        raise NotImplementedError("the transformers engine does not sleep; train with vLLM")

    async def generate(self, token_ids: Sequence[int], sampling: Sampling) -> Sequence[Completion]:
        """``sampling.count`` completions of a prompt; raises ValueError for a prompt that leaves no room."""
        if len(token_ids) >= self._settings.model.context_tokens:
            raise ValueError(
                f"the prompt has {len(token_ids)} tokens, but the context only {self._settings.model.context_tokens}"
            )
        answer: asyncio.Future[list[Completion]] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(token_ids=token_ids, sampling=sampling, answer=answer))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await answer

    async def _work(self) -> None:
        """Complete what waits, batch by batch."""
        await asyncio.sleep(0)  # let all requests of this moment arrive
        while self._waiting:
            batch = self._batch()
            try:
                answers = await asyncio.to_thread(self._complete, batch)
            except Exception as error:
                for request in batch:
                    if not request.answer.done():
                        request.answer.set_exception(error)
                continue
            for request, found in zip(batch, answers, strict=True):
                if not request.answer.done():  # the caller may have gone
                    request.answer.set_result(found)
            await asyncio.sleep(0)

    def _batch(self) -> list[_Request]:
        """The next requests of one kind, as many as there is room for, removed from the queue."""
        self._waiting = [request for request in self._waiting if not request.answer.done()]
        kind = self._waiting[0].kind if self._waiting else None
        taken: list[_Request] = []
        rows = 0
        for request in self._waiting:
            fits = rows + request.sampling.count <= self._settings.generation.sequences
            if request.kind == kind and (fits or not taken):
                taken.append(request)
                rows += request.sampling.count
        self._waiting = [request for request in self._waiting if request not in taken]
        return taken

    def _complete(self, batch: Sequence[_Request]) -> list[list[Completion]]:
        if not batch:
            return []
        rows = [request for request in batch for _ in range(request.sampling.count)]
        first = rows[0].sampling
        compiled = {text: self._compiler.compile_grammar(text) for text in {r.sampling.grammar for r in rows} if text}
        steps = _Steps(
            [compiled.get(row.sampling.grammar) for row in rows],
            limits=[self._limit(row) for row in rows],
            stops=self._stops,
            ended=lambda ids: (
                self._stopping or (bool(first.stop) and first.stop in self._tokenizer.decode(ids[-TAIL:]))
            ),
            temperature=first.temperature or 1.0,
        )
        width = max(len(row.token_ids) for row in rows)
        pad = self._stops[0]
        ids = torch.tensor([[pad] * (width - len(row.token_ids)) + list(row.token_ids) for row in rows])
        mask = torch.tensor([[0] * (width - len(row.token_ids)) + [1] * len(row.token_ids) for row in rows])
        how: dict[str, Any] = {"do_sample": first.temperature > 0}
        if first.temperature > 0:
            how |= {"temperature": first.temperature, "top_k": 0, "top_p": 1.0}
            if first.seed is not None:
                torch.manual_seed(first.seed)
        with torch.inference_mode():
            found = self._model.generate(
                ids.to(self._device),
                attention_mask=mask.to(self._device),
                max_new_tokens=max(steps.limits),
                min_new_tokens=first.min_new_tokens or None,
                eos_token_id=self._stops,
                pad_token_id=pad,
                logits_processor=LogitsProcessorList([steps]),
                stopping_criteria=[steps.all_done],
                **how,
            )
        steps.settle(found)
        made = iter([self._completion(row, steps, number) for number, row in enumerate(rows)])
        return [[next(made) for _ in range(request.sampling.count)] for request in batch]

    def _limit(self, request: _Request) -> int:
        room = self._settings.model.context_tokens - len(request.token_ids)
        return max(1, min(request.sampling.max_new_tokens, room))

    def _completion(self, request: _Request, steps: "_Steps", row: int) -> Completion:
        token_ids, stop = tuple(steps.token_ids[row]), request.sampling.stop
        found = pieces(self._tokenizer, self.stop_token_id, request.token_ids, token_ids)
        if found is None:
            text, ends = self._tokenizer.decode(token_ids, skip_special_tokens=True), ()
        else:
            text, ends = "".join(found), tuple(accumulate(map(len, found)))
        at = text.find(stop) if stop else -1
        if at >= 0:
            text = text[: at + len(stop)]
        segment = Segment(token_ids=token_ids, logprobs=tuple(steps.logprobs[row]), policy_version=0)
        return Completion(
            segments=(segment,),
            text=text,
            finished=at >= 0 or token_ids[-1] in self._stops,
            ends=tuple(min(end, len(text)) for end in ends),
        )

    async def score(self, token_ids: Sequence[int]) -> list[float]:
        """Log-probabilities of ``token_ids[1:]``."""
        return await asyncio.to_thread(self._score, token_ids)

    def _score(self, token_ids: Sequence[int]) -> list[float]:
        ids = torch.tensor([list(token_ids)], device=self._device)
        with torch.inference_mode():
            logs = self._model(ids).logits[0, :-1].float().log_softmax(-1)
        return logs.gather(1, ids[0, 1:, None])[:, 0].tolist()

    async def choice(self, token_ids: Sequence[int], ids: Sequence[int]) -> dict[int, float]:
        """The log-probability of each of ``ids`` as the next token, among them alone."""
        async with self._choosing:  # one after the other: each is a pass over the whole prompt
            return await asyncio.to_thread(self._choice, token_ids, ids)

    def _choice(self, token_ids: Sequence[int], ids: Sequence[int]) -> dict[int, float]:
        if self._model is None:
            raise RuntimeError("the engine was stopped")
        with torch.inference_mode():
            prompt = torch.tensor([list(token_ids)], device=self._device)
            logits = self._model(prompt, logits_to_keep=1, use_cache=False).logits[0, -1].float()
        return among({token: float(logits[token]) for token in ids})

    async def stop(self) -> None:
        """Release the model: running completions end where they are, and queued requests are cancelled."""
        self._stopping = True
        for request in self._waiting:
            request.answer.cancel()
        if self._worker is not None:
            await asyncio.gather(self._worker, return_exceptions=True)
        async with self._choosing:
            self._model = None


class _Steps(LogitsProcessor):
    """What happens at each step of one batch: grammars forbid tokens, log-probabilities are kept, rows end."""

    def __init__(
        self, grammars: Sequence[Any], *, limits: Sequence[int], stops: Sequence[int], ended: Any, temperature: float
    ) -> None:
        self.limits = list(limits)
        self.token_ids: list[list[int]] = [[] for _ in grammars]
        self.logprobs: list[list[float]] = [[] for _ in grammars]
        self._done = [False] * len(grammars)
        self._stops, self._ended, self._temperature = set(stops), ended, temperature
        self._matchers = [None if grammar is None else xgrammar.GrammarMatcher(grammar) for grammar in grammars]
        vocabulary = next((grammar.tokenizer_info.vocab_size for grammar in grammars if grammar is not None), 0)
        self._bits = xgrammar.allocate_token_bitmask(len(grammars), vocabulary) if vocabulary else None
        self._logs: torch.Tensor | None = None

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """The scores with what no grammar allows at minus infinity."""
        scores = scores.float()  # type: ignore[assignment]
        if self._bits is not None:
            self._bits.fill_(-1)
            for row, matcher in enumerate(self._matchers):
                if matcher is not None and not self._done[row]:
                    matcher.fill_next_token_bitmask(self._bits, row)
            xgrammar.apply_token_bitmask_inplace(scores, self._bits.to(scores.device))
        self._logs = (scores / self._temperature).log_softmax(-1)
        return scores

    def settle(self, input_ids: torch.Tensor) -> None:
        """Note the tokens that were chosen since the scores were seen."""
        if self._logs is None:
            return
        chosen = input_ids[:, -1:]
        logs, tokens = self._logs.gather(1, chosen)[:, 0].tolist(), chosen[:, 0].tolist()
        self._logs = None
        for row, (token, log) in enumerate(zip(tokens, logs, strict=True)):
            if self._done[row]:
                continue
            self.token_ids[row].append(token)
            self.logprobs[row].append(log)
            matcher = self._matchers[row]
            if matcher is not None and not matcher.accept_token(token):
                raise RuntimeError(f"a token that its grammar forbids was chosen: {token}")
            made = self.token_ids[row]
            self._done[row] = token in self._stops or len(made) >= self.limits[row] or self._ended(made)

    def all_done(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """A stopping criterion: the rows that have ended."""
        self.settle(input_ids)
        return torch.tensor(self._done, device=input_ids.device)

"""A rollout is a function over an engine; ``RolloutWorker`` keeps one engine and is made a Ray actor by the cluster."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

from actors.delivery import Delivery
from actors.engine import Engine, EngineSettings, Sampling
from actors.vllm_engine import VllmEngine
from actors.worker_log import root_cause
from rnr.config import GenerationConfig
from rnr.faults import PolicyGone, WorkerUnusable
from rnr.types import Group, Prompt, Rollout

if TYPE_CHECKING:
    from actors.constrained import Decoder


class Receiving(Protocol):
    """The end of a transport on the rollout worker's side (``cluster/transport``)."""

    @property
    def receiver(self) -> str:
        """``module:function`` that takes the payload in the engine's own process."""
        ...

    def staged(self, parcels: Sequence[Any]) -> AbstractContextManager[Any]:
        """What was sent, put where that process can take it: the payload; taken away with the block."""
        ...


@contextmanager
def _unusable_if(what: str) -> Iterator[None]:
    """Raise WorkerUnusable for any error in the block but PolicyGone: the engine's state is unknown then."""
    try:
        yield
    except (WorkerUnusable, PolicyGone):
        raise
    except Exception as error:
        raise WorkerUnusable(f"{what}: {type(error).__name__}: {root_cause(str(error))}") from error


async def rollout(engine: Engine, prompt: Prompt, sampling: Sampling) -> Group:
    """``sampling.count`` completions of one prompt, each in one turn."""
    completions = await engine.generate(prompt.token_ids, sampling)
    return Group(
        prompt=prompt,
        rollouts=tuple(
            Rollout(
                segments=each.segments,
                text=prompt.opening + each.text,
                finished=each.finished,
                ends=tuple(len(prompt.opening) + end for end in each.ends),
            )
            for each in completions
        ),
    )


class RolloutWorker:
    """One engine, and the policy that it loaded last."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._decoder: Decoder | None = None

    @property
    def engine(self) -> Engine:
        """What it samples from."""
        return self._engine

    async def start(self) -> None:
        """Build the engine with the weights of the model folder (version 0)."""
        await self._engine.start()

    async def load(self, transport: Receiving, version: int, *parcels: Any) -> tuple[str, float]:
        """Make ``version`` the policy that is sampled from; the digest of the weights that arrived, and the seconds.

        Any error leaves the engine half-loaded: WorkerUnusable. Only PolicyGone, when the weights were lost with the
        learner that held them, leaves the engine as it was.
        """
        begin = time.monotonic()
        with _unusable_if(f"version {version} was not loaded"), transport.staged(parcels) as payload:
            delivery = Delivery(version=version, receiver=transport.receiver, payload=payload)
            digest = await self._engine.load(delivery)
        return digest, time.monotonic() - begin

    async def sleep(self, level: int) -> None:
        """Give the memory of a GPU back until the next ``load``; WorkerUnusable for whatever goes wrong."""
        with _unusable_if("the engine could not be put to sleep"):
            await self._engine.sleep(level)

    async def generate(self, prompt: Prompt, sampling: Sampling) -> Group:
        """The rollouts of one prompt, as its decoding says; other prompts are generated in the same batches."""
        if prompt.decoding == "free":
            return await rollout(self._engine, prompt, sampling)
        if self._decoder is None:
            from actors.constrained import Decoder

            self._decoder = Decoder(self._complete, self._engine.tokenizer, self._engine.stop_token_id)
        return await self._decoder.generate(prompt, sampling)

    async def _complete(self, prompt: Prompt, sampling: Sampling, *, grammar: str = "", stop: str = "") -> Group:
        return await rollout(self._engine, prompt, replace(sampling, grammar=grammar, stop=stop))

    async def score(self, token_ids: Sequence[int]) -> list[float]:
        """Log-probabilities of ``token_ids[1:]`` under the loaded policy: this side of the probe."""
        return await self._engine.score(token_ids)

    async def choices(self, asked: Mapping[tuple[int, ...], Sequence[int]]) -> list[dict[int, float]]:
        """For each beginning the log-probability of each of its ids as the next token, among them alone, in order."""
        return await asyncio.gather(*(self._engine.choice(start, ids) for start, ids in asked.items()))

    async def stop(self) -> None:
        await self._engine.stop()


@asynccontextmanager
async def single_engine(
    model_folder: str, *, stop_token_id: int, context_tokens: int, max_num_seqs: int, speculative_tokens: int = 0
) -> AsyncIterator[RolloutWorker]:
    """A worker in this process, which has the machine to itself and needs no Ray; ended with the block."""
    import torch

    settings = EngineSettings.alone(
        model_folder,
        stop_token_id=stop_token_id,
        context_tokens=context_tokens,
        generation=GenerationConfig(max_num_seqs=max_num_seqs, speculative_tokens=speculative_tokens),
        use_gpu=torch.cuda.is_available(),
    )
    worker = RolloutWorker(VllmEngine(settings))
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()

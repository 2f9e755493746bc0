"""What an inference engine does for a rollout worker. ``actors/vllm_engine.py`` is the one that runs by default."""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from actors.delivery import Delivery
from rnr.config import GenerationConfig, ModelConfig
from rnr.types import Segment

MOST_CHOICES = 1024
"""Maximum number of tokens that an engine chooses among (``Engine.choice``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """The settings of an engine: the model, the branches of the config that are about it, and its place."""

    model_folder: str
    stop_token_id: int
    model: ModelConfig
    generation: GenerationConfig
    threads: int
    gpus: float
    """Number of GPUs that the model is divided over, or the share of one; 0 for the CPU."""
    seed: int

    @property
    def use_gpu(self) -> bool:
        """Whether it has a GPU, or a share of one."""
        return self.gpus > 0

    @classmethod
    def alone(
        cls,
        model_folder: str,
        *,
        stop_token_id: int,
        context_tokens: int,
        generation: GenerationConfig,
        use_gpu: bool,
    ) -> "EngineSettings":
        """Those of an engine that shares its machine with no other worker: it has all the cores that this process may
        use, or ``OMP_NUM_THREADS`` of them."""
        return cls(
            model_folder=model_folder,
            stop_token_id=stop_token_id,
            model=ModelConfig(context_tokens=context_tokens),
            generation=generation,
            threads=int(os.environ.get("OMP_NUM_THREADS") or len(os.sched_getaffinity(0))),
            gpus=float(use_gpu),
            seed=0,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How completions are drawn; ``temperature`` 0 is greedy."""

    count: int
    temperature: float
    max_new_tokens: int
    min_new_tokens: int = 0
    """No completion ends before it has this many tokens: with ``max_new_tokens``, one length for all (benchmarks)."""
    seed: int | None = None
    grammar: str = ""
    """What the completion must obey, in xgrammar's EBNF; empty for anything. Log-probabilities are then those among the
    allowed tokens."""
    decisions: bool = True
    """Whether samples under a grammar carry the allowed ids of their tokens, for the loss; greedy ones never do."""
    stop: str = ""
    """A text at which a completion ends, which it keeps; empty for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A completion of a prompt; ``rnr.types.Rollout`` documents the fields."""

    segments: tuple[Segment, ...]
    text: str
    finished: bool
    ends: tuple[int, ...] = ()


def among(logprobs: Mapping[int, float]) -> dict[int, float]:
    """These log-probabilities, or logits, normalised over themselves."""
    largest = max(logprobs.values())
    total = largest + math.log(sum(math.exp(value - largest) for value in logprobs.values()))
    return {token: value - total for token, value in logprobs.items()}


class Engine(Protocol):
    """A policy to sample from. Any call may raise ``rnr.faults.WorkerUnusable``: the engine then has to be replaced."""

    @property
    def tokenizer(self) -> Any:
        """The model's tokenizer, of Hugging Face; used for decoding under a grammar."""
        ...

    @property
    def stop_token_id(self) -> int:
        """The token that ends an answer."""
        ...

    async def start(self) -> None:
        """Build the engine with the weights of the model folder, version 0."""
        ...

    async def load(self, delivery: Delivery) -> str:
        """Make the delivered policy the one that is sampled from; the digest of the weights that arrived
        (``rnr.digest``). Completions in flight continue with the new weights."""
        ...

    async def sleep(self, level: int) -> None:
        """Give the memory of a GPU back until the next ``load``, weights kept on the host (1) or discarded (2).
        Any other request meanwhile raises WorkerUnusable."""
        ...

    async def generate(self, token_ids: Sequence[int], sampling: Sampling) -> Sequence[Completion]:
        """``sampling.count`` completions of a prompt."""
        ...

    async def score(self, token_ids: Sequence[int]) -> list[float]:
        """Log-probabilities of ``token_ids[1:]`` at temperature 1."""
        ...

    async def choice(self, token_ids: Sequence[int], ids: Sequence[int]) -> dict[int, float]:
        """The log-probability of each of ``ids`` as the next token, among them alone, at temperature 1."""
        ...

    async def stop(self) -> None:
        """Release everything."""
        ...

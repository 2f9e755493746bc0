"""All learner ranks as one learner: hand out micro-batches, wait with a deadline, merge what comes back."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import ray

from actors.deadline import answer
from learner.batch import LossAggregation, mini_batches, plan_microbatches, weigh
from learner.engine import LearnerSettings, add_sums
from rnr.config import GrpoConfig
from rnr.types import Sample


class LearnerLost(RuntimeError):
    """A rank died or missed its deadline: all ranks must be rebuilt from the last checkpoint."""


class LearnerGroup:
    """One policy on ``len(handles)`` ranks."""

    def __init__(self, handles: Sequence[Any], *, deadline_seconds: float, max_tokens_per_microbatch: int) -> None:
        self._handles = handles
        self._deadline_seconds = deadline_seconds
        self._max_tokens = max_tokens_per_microbatch
        self.version = 0

    async def start(self, settings: LearnerSettings) -> None:
        """Join the ranks and build their engines."""
        calls = [
            handle.__ray_call__.remote(lambda _worker: ray.get_runtime_context().get_node_id())
            for handle in self._handles
        ]
        address = meeting_place(await self._gather("rendezvous", calls), ray.nodes())
        port = await self._wait("rendezvous", self._handles[0].open_store.remote(address))
        await self._all("start", settings, address, port, self._deadline_seconds)

    async def sft_step(self, samples: Sequence[Sample], learning_rate: float) -> dict[str, float]:
        """One supervised optimizer step; metrics averaged over all target tokens."""
        self.version += 1
        return await self._on_each("sft_step", self._plan(samples, "token_mean"), learning_rate)

    async def sft_loss(self, samples: Sequence[Sample]) -> float:
        """The loss per target token of sequences that are not trained on."""
        return (await self._on_each("sft_loss", self._plan(samples, "token_mean")))["sft/held_out_loss"]

    async def grpo_step(
        self,
        samples: Sequence[Sample],
        config: GrpoConfig,
        *,
        learning_rate: float,
        temperature: float,
        max_new_tokens: int,
        sampled: int,
    ) -> dict[str, float]:
        """The optimizer steps of one GRPO batch; metrics averaged over all tokens and steps."""
        parts = mini_batches(samples, config.mini_batches)
        share = sampled / len(parts)
        plans = [self._plan(part, config.loss_aggregation, max_new_tokens, share) for part in parts]
        self.version += 1
        by_rank = list(zip(*plans, strict=True))
        return await self._on_each("grpo_step", by_rank, config, learning_rate, temperature)

    def _plan(
        self, samples: Sequence[Sample], aggregation: LossAggregation, max_new_tokens: int = 1, sampled: float = 1
    ) -> Sequence[Any]:
        """The micro-batches of each rank for one optimizer batch."""
        weighted = weigh(samples, aggregation, max_new_tokens=max_new_tokens, sampled=sampled)
        return plan_microbatches(weighted, ranks=len(self._handles), max_tokens=self._max_tokens)

    async def _on_each(self, method: str, work: Sequence[Any], *arguments: Any) -> dict[str, float]:
        """``method`` on every rank with its own part of ``work``; the merged metrics."""
        calls = [
            getattr(handle, method).remote(part, *arguments) for handle, part in zip(self._handles, work, strict=True)
        ]
        sums: dict[str, tuple[float, float]] = {}
        for more in await self._gather(method, calls):
            sums = add_sums(sums, more)
        return {name: total / count for name, (total, count) in sums.items() if count}

    async def score(self, sample: Sample) -> list[float]:
        """The learner's log-probabilities of one sample's completion tokens at temperature 1."""
        return (await self._all("score", sample))[0]

    async def weights(self) -> list[Any]:
        """References to the weight buckets in the object store; the driver never holds the weights themselves."""
        streams = [handle.weights.options(num_returns="streaming").remote() for handle in self._handles]

        async def drain(stream: Any) -> list[Any]:
            return [reference async for reference in stream]

        drained = await self._gather("weights", [drain(stream) for stream in streams])
        return drained[0]

    async def reset_optimizer(self) -> None:
        await self._all("reset_optimizer")

    async def freeze_reference(self) -> None:
        await self._all("freeze_reference")

    async def save(self, folder: str) -> None:
        await self._all("save", folder)

    async def load(self, folder: str) -> None:
        await self._all("load", folder)

    async def export(self, folder: str, extra_files: Mapping[str, str]) -> None:
        await self._all("export", folder, extra_files)

    async def _all(self, method: str, *arguments: Any) -> list[Any]:
        return await self._gather(method, [getattr(handle, method).remote(*arguments) for handle in self._handles])

    async def _gather(self, phase: str, calls: Sequence[Any]) -> list[Any]:
        return await asyncio.gather(*(self._wait(phase, call, rank) for rank, call in enumerate(calls)))

    async def _wait(self, phase: str, call: Any, rank: int = 0) -> Any:
        place = f"learner rank {rank}, phase {phase}, version {self.version}"
        return await answer(call, place=place, seconds=self._deadline_seconds, lost=LearnerLost)

    def stop(self) -> None:
        """End all ranks."""
        for handle in self._handles:
            ray.kill(handle)


def meeting_place(node_of_rank: Sequence[str], nodes: Sequence[Mapping[str, Any]]) -> str:
    """Where rank 0 lets the others find it: loopback when all ranks are on its node, else its node's own address.

    ``nodes`` is what ``ray.nodes()`` returns. The driver's address would not do: rank 0 may be on another host.
    """
    if len(set(node_of_rank)) == 1:
        return "127.0.0.1"
    return next(node["NodeManagerAddress"] for node in nodes if node["NodeID"] == node_of_rank[0])

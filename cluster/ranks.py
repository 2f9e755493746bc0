"""All learner ranks as one: hand out the parts of a batch, wait with a deadline, merge what comes back, and tell the
loss of a rank from a bug whichever exception arrives first."""

import asyncio
import logging
import re
import secrets
import socket
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import ray

from actors.deadline import FIRST_START, answer, called
from actors.slots import end
from cluster.nodes import LOOPBACK
from learner.batch import mini_batches, plan_microbatches, weigh
from learner.loss import add_sums
from learner.settings import LearnerSettings
from rnr.config import DeadlineConfig, GrpoConfig, LossAggregation, MergingConfig
from rnr.digest import Manifest
from rnr.files.whole import LAG_SECONDS, not_there, write_whole
from rnr.messages import few
from rnr.runs.spans import span
from rnr.types import Sample

logger = logging.getLogger(__name__)

GRACE_SECONDS = 15.0
"""Seconds to wait for the other ranks after one has failed. The first error is often a survivor's: its connection to
the dead rank is reset before Ray knows of the death."""

_CUT_OFF = re.compile(r"gloo|nccl|connection (reset|closed|refused)|broken pipe|socket|tcpstore|peer", re.IGNORECASE)


class LearnerLost(RuntimeError):
    """A rank died, was cut off or missed its deadline: all ranks must be rebuilt from the last checkpoint."""


class FolderNotShared(RuntimeError):
    """A learner rank has the run folder on another disk than this process: no checkpoint could be resumed."""


class RankDied(LearnerLost):
    """The rank itself died, gave up or missed its deadline; others may only have been cut off from it."""


class LearnerRanks:
    """One policy on ``len(handles)`` ranks. It does not track the version: the policy service does. A method without
    a docstring is that of ``LearnerWorker`` on every rank."""

    def __init__(
        self, handles: Sequence[Any], *, deadlines: DeadlineConfig, max_tokens_per_microbatch: int | Literal["auto"]
    ) -> None:
        self._handles = handles
        self._deadlines = deadlines
        self._max_tokens: int | Literal["auto"] = max_tokens_per_microbatch

    @property
    def max_tokens(self) -> int:
        """Tokens of a micro-batch."""
        assert self._max_tokens != "auto", "start() finds it out"
        return self._max_tokens

    async def start(self, settings: LearnerSettings) -> None:
        """Join the ranks and build their engines."""
        seconds = self._deadlines.start
        alone = len(self._handles) == 1 and not settings.reached_by_engines
        address = LOOPBACK if alone else await self._meeting_place(seconds, outward=settings.reached_by_engines)
        (port,) = await self._gather("rendezvous", [self._handles[0].open_store.remote(address)], seconds)
        deadlines = self._deadlines
        # No rank gives up on the others before the deadline of the call that they share.
        longest = max(seconds, deadlines.update, deadlines.save, deadlines.score)
        fitted = await self._all("start", settings, address, port, seconds, longest, seconds=seconds)
        for note in dict.fromkeys(note for found in fitted for note in found.notes):
            logger.info(f"learner: {note}")
        if self._max_tokens == "auto":
            self._max_tokens = min(found.max_tokens for found in fitted)

    async def _meeting_place(self, seconds: float, *, outward: bool) -> str:
        calls = [
            handle.__ray_call__.remote(lambda _worker: ray.get_runtime_context().get_node_id())
            for handle in self._handles
        ]
        ids = await self._gather("rendezvous", calls, seconds)
        nodes = await called(ray.nodes, place="learner, phase rendezvous", seconds=seconds, lost=RankDied)
        return meeting_place(ids, nodes, outward=outward)

    async def sft_step(self, samples: Sequence[Sample], learning_rate: float) -> dict[str, float]:
        """One supervised optimizer step; metrics averaged over all target tokens."""
        return await self._on_each("sft_step", self._plan(samples, "token_mean"), learning_rate)

    async def sft_loss(self, samples: Sequence[Sample]) -> float:
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
        """The optimizer steps of one GRPO batch; metrics averaged over all tokens and steps. ``sampled`` counts the
        sequences that were sampled for it, those of dropped groups included."""
        parts = mini_batches(samples, config.mini_batches)
        share = sampled / len(parts)
        plans = [self._plan(part, config.loss_aggregation, max_new_tokens, share) for part in parts]
        by_rank = list(zip(*plans, strict=True))
        return await self._on_each("grpo_step", by_rank, config, learning_rate, temperature)

    def _plan(
        self, samples: Sequence[Sample], aggregation: LossAggregation, max_new_tokens: int = 1, sampled: float = 1
    ) -> Sequence[Any]:
        """The micro-batches of each rank for one optimizer batch."""
        weighted = weigh(samples, aggregation, max_new_tokens=max_new_tokens, sampled=sampled)
        return plan_microbatches(weighted, ranks=len(self._handles), max_tokens=self.max_tokens)

    async def _on_each(self, method: str, work: Sequence[Any], *arguments: Any) -> dict[str, float]:
        """``method`` on every rank with its own part of ``work``; the merged metrics."""
        calls = [
            getattr(handle, method).remote(part, *arguments) for handle, part in zip(self._handles, work, strict=True)
        ]
        sums: dict[str, tuple[float, float]] = {}
        for more in await self._gather(method, calls, self._deadlines.update):
            sums = add_sums(sums, more)
        return {name: total / count for name, (total, count) in sums.items() if count}

    async def token_values(self, uids: Collection[str]) -> dict[tuple[str, int], tuple[list[float], list[float]]]:
        found = await self._all("token_values", uids, seconds=self._deadlines.score)
        return {key: values for by_rank in found for key, values in by_rank.items()}

    async def score(self, sample: Sample) -> list[float]:
        """The learner's log-probabilities of one sample's completion tokens at temperature 1."""
        return (await self._all("score", sample, seconds=self._deadlines.score))[0]

    async def send(self, transport: Any) -> tuple[tuple[Any, ...], Manifest]:
        """References to the parcels of the policy and its manifest; the driver never holds the weights themselves."""
        streams = [handle.send.options(num_returns="streaming").remote(transport) for handle in self._handles]

        async def drain(rank: int, stream: Any) -> list[Any]:
            items = [reference async for reference in stream]
            # Ray hands an error out as one more item. So the last one of rank 0 is its manifest or why there is none,
            # and a rank above it has an item only if it failed.
            return items[:-1] + [await self._wait("send", rank, item, self._deadlines.update) for item in items[-1:]]

        draining = [drain(rank, stream) for rank, stream in enumerate(streams)]
        *parcels, manifest = (await self._gather("send", draining, self._deadlines.update))[0]
        return tuple(parcels), manifest

    async def make_room(self) -> None:
        await self._all("make_room", seconds=self._deadlines.update)

    async def reset_optimizer(self) -> None:
        await self._all("reset_optimizer", seconds=self._deadlines.update)

    async def freeze_reference(self) -> None:
        await self._all("freeze_reference", seconds=self._deadlines.update)

    async def merge(self, start: str, merging: MergingConfig) -> None:
        await self._all("merge", start, merging, seconds=self._deadlines.save)

    async def save(self, folder: str) -> None:
        """Raises FolderNotShared unless what the ranks have written is there for this process, too."""
        await self._write_and_check("save", folder)

    async def load(self, folder: str) -> None:
        await self._all("load", folder, seconds=self._deadlines.save)

    async def export(self, folder: str, extra_files: Mapping[str, str]) -> None:
        """Raises FolderNotShared unless what rank 0 has written is there for this process, too."""
        await self._write_and_check("export", folder, extra_files)

    async def check_folder(self, folder: Path) -> None:
        """Raise FolderNotShared unless every rank sees a file that this process writes into the run folder."""
        file = folder / f".seen-by-ranks-{secrets.token_hex(8)}"
        write_whole(file, "")
        try:
            seen = await self._all("sees", str(file), seconds=LAG_SECONDS + self._deadlines.score)
        finally:
            file.unlink(missing_ok=True)
        await self._refuse_hosts(folder, [rank for rank, sees in enumerate(seen) if not sees])

    async def _write_and_check(self, method: str, folder: str, *arguments: Any) -> None:
        by_rank = await self._all(method, folder, *arguments, seconds=self._deadlines.save)
        files = [{Path(folder, name) for name in names} for names in by_rank]
        missing = set(await asyncio.to_thread(not_there, set().union(*files)))
        absent = f" ({min(missing)} is not there)" if missing else ""
        await self._refuse_hosts(folder, [rank for rank, written in enumerate(files) if written & missing], absent)

    async def _refuse_hosts(self, folder: str | Path, ranks: Sequence[int], absent: str = "") -> None:
        """Raise FolderNotShared if there are ``ranks`` whose host has another folder of this name."""
        if ranks:
            hosts = await self._all("host", seconds=self._deadlines.score)
            elsewhere = few([f"learner rank {rank} on {hosts[rank]}" for rank in ranks], most=3)
            raise FolderNotShared(
                f"run.folder: the folder {folder} of {elsewhere} is not that of this process on "
                f"{socket.gethostname()}{absent}, so no checkpoint could be resumed. Set run.folder to a folder that "
                "the driver and all learner ranks have at the same path, on a file system that their hosts share"
            )

    async def _all(self, method: str, *arguments: Any, seconds: float) -> list[Any]:
        calls = [getattr(handle, method).remote(*arguments) for handle in self._handles]
        return await self._gather(method, calls, seconds)

    async def _gather(self, phase: str, calls: Sequence[Any], seconds: float) -> list[Any]:
        """The results by rank. When one fails, the others are heard for a while: a loss explains an error, and not the
        other way round."""
        tasks = [asyncio.ensure_future(self._wait(phase, rank, call, seconds)) for rank, call in enumerate(calls)]
        try:
            _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            if pending:
                await asyncio.wait(pending, timeout=GRACE_SECONDS)
            errors = [error for task in tasks if task.done() and (error := task.exception())]
            if errors:
                raise min(errors, key=_reported_last)
            return [task.result() for task in tasks]
        finally:
            for task in tasks:
                task.cancel()

    async def _wait(self, phase: str, rank: int, call: Any, seconds: float) -> Any:
        place = f"learner rank {rank}, phase {phase}"
        try:
            with span(f"learner-{rank}", phase):
                # All ranks take every call: one that has begun would wait for another whose call was cancelled.
                late = FIRST_START if phase == "start" else ""
                return await answer(call, place=place, seconds=seconds, lost=RankDied, cancel=False, late=late)
        except RuntimeError as error:
            if len(self._handles) > 1 and not isinstance(error, LearnerLost) and _CUT_OFF.search(str(error)):
                line = str(error).strip().splitlines()[-1]
                raise LearnerLost(f"{place}: cut off from another rank ({line})") from None
            raise

    def stop(self) -> None:
        for handle in self._handles:
            end(handle)


def _reported_last(error: BaseException) -> int:
    """Of several errors the smallest is reported: a rank's own loss explains all others."""
    return 0 if isinstance(error, RankDied) else 1 if isinstance(error, LearnerLost) else 2


def meeting_place(node_of_rank: Sequence[str], nodes: Sequence[Mapping[str, Any]], *, outward: bool = False) -> str:
    """Where rank 0 lets the others find it: loopback when all ranks are on its node, else its node's own address.
    ``outward`` takes the latter in any case: NCCL goes by the network of this address in all groups of a process, those
    with engines on other hosts, too.

    ``nodes`` is what ``ray.nodes()`` returns. The driver's address would not do: rank 0 may be on another host.
    """
    if len(set(node_of_rank)) == 1 and not outward:
        return LOOPBACK
    return next(node["NodeManagerAddress"] for node in nodes if node["NodeID"] == node_of_rank[0])

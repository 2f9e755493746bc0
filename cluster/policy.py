"""The policy: learner ranks that train it, and the one owner of its version.

A published policy is an immutable, versioned value. Nobody has to be present when it is published: rollout workers
pull the newest one before they take a lease, and a late joiner or a replaced worker does the same.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actors.retries import RetryBudget
from cluster.protocols import Metrics
from cluster.ranks import LearnerLost, LearnerRanks
from cluster.transport import Transport
from rnr.config import GrpoConfig, MergingConfig, SamplingConfig
from rnr.digest import Manifest
from rnr.files.free_space import is_no_room
from rnr.runs.token_values import Values
from rnr.types import Sample

logger = logging.getLogger(__name__)

STARTS = 3
"""How often in a row, at least, the ranks are started before the run ends."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Published:
    """A policy that rollout workers can pull. Two of one version are two: after the learner was rebuilt from a
    checkpoint, a version number comes again with other weights."""

    version: int
    manifest: Manifest
    transport: Transport
    """Sent the parcels, and receives them."""
    parcels: tuple[Any, ...]
    """Object references to what the transport sent."""
    probe_logprobs: tuple[float, ...]
    """The learner's log-probabilities of the probe."""

    def __str__(self) -> str:
        return f"version {self.version}"


class PolicyService:
    """Trains, publishes, saves and loads one policy. ``learner.engine`` documents what the ranks do."""

    def __init__(
        self,
        build: Callable[[], Awaitable[LearnerRanks]],
        *,
        grpo: GrpoConfig,
        sampling: SamplingConfig,
        learning_rate: Callable[[str, int], float],
        transport: Transport,
        probe: Sequence[int],
        restart_seconds: float = 0.0,
        engines_sleep: Callable[[], Awaitable[Metrics]],
        offloads: bool = False,
        run_folder: Path | None = None,
    ) -> None:
        """``build`` makes running ranks with the weights of the model folder; ``learning_rate`` gives that of a step of
        a stage; ``probe`` are the tokens by which a sync is checked; ``restart_seconds`` is how long ranks that came up
        once are started again when they do not. ``engines_sleep`` has engines that take turns with the ranks leave them
        their GPUs, if there are any; it is called before the ranks are built, before they train, and, if the optimizer
        ``offloads`` its state, before they fetch that for anything else. Ranks have to see ``run_folder``, if there is
        one, as this process does."""
        self._build = build
        self._restart_seconds = restart_seconds
        self._engines_sleep = engines_sleep
        self._offloads = offloads
        self._run_folder = run_folder
        self._grpo = grpo
        self._sampling = sampling
        self._learning_rate = learning_rate
        self.transport = transport
        """Sends what is published from now on."""
        self._probe = Sample(uid="probe", prompt_ids=tuple(probe[:1]), completion_ids=tuple(probe[1:]))
        self._ranks: LearnerRanks | None = None
        self._came_up = False
        self._version = 0

    @property
    def version(self) -> int:
        """Batches trained on so far, over both stages."""
        return self._version

    @property
    def ranks(self) -> LearnerRanks:
        assert self._ranks is not None, "start() comes first"
        return self._ranks

    async def start(self) -> None:
        """Build the ranks, in place of those that there were: their weights are those of the model folder.

        A start that loses a rank, because its host has just died and Ray does not know it yet or because it is killed
        again, or that finds no room where there was some, is tried again after a pause. Raises what stood in its way,
        LearnerLost mostly, when retries are exhausted, and FolderNotShared before anything is trained that could not be
        kept.
        """
        # Ranks that never came up are more likely wrong than unlucky.
        retries = RetryBudget(tries=STARTS, seconds=self._restart_seconds if self._came_up else 0.0)
        self.stop()
        await self._engines_sleep()
        while True:
            try:
                self._ranks = await self._build()
                if self._run_folder is not None:
                    await self._ranks.check_folder(self._run_folder)
                self._came_up = True
                break
            except Exception as lost:
                self.stop()
                no_room = self._came_up and is_no_room(lost)  # in the shared memory of its host, for a while
                if not (no_room or isinstance(lost, LearnerLost)) or retries.failed():
                    raise
                logger.warning(f"learner: {lost}; restarting its ranks in {retries.delay:g} s")
                await asyncio.sleep(retries.delay)
        self._version = 0

    async def _before_state(self) -> None:
        if self._offloads:
            await self._engines_sleep()

    async def make_room(self) -> None:
        """Give back what the ranks, if there are any, hold of their GPUs and do not need between two steps."""
        if self._ranks is not None:
            await self._ranks.make_room()

    async def sft_step(self, samples: Sequence[Sample], step: int) -> Metrics:
        """One supervised optimizer step."""
        rate = self._learning_rate("sft", step)
        await self._engines_sleep()
        metrics = await self.ranks.sft_step(samples, rate)
        self._version += 1
        return metrics | {"sft/lr": rate}

    async def held_out_loss(self, samples: Sequence[Sample]) -> float:
        await self._engines_sleep()
        return await self.ranks.sft_loss(samples)

    async def update(self, samples: Sequence[Sample], *, step: int, sampled: int) -> Metrics:
        """The optimizer steps of one GRPO batch, for which ``sampled`` sequences were sampled in all."""
        rate = self._learning_rate("grpo", step)
        ages = [self._version - sample.policy_version for sample in samples]
        slept = await self._engines_sleep()
        metrics = await self.ranks.grpo_step(
            samples,
            self._grpo,
            learning_rate=rate,
            temperature=self._sampling.temperature,
            max_new_tokens=self._sampling.max_new_tokens,
            sampled=sampled,
        )
        self._version += 1
        staleness = {"async/staleness_mean": sum(ages) / len(ages), "async/staleness_max": max(ages)}
        return metrics | staleness | slept | {"actor/lr": rate}

    async def token_values(self, uids: Collection[str]) -> Values:
        """What the last ``update`` saw of each token of the completions of these prompts."""
        return await self.ranks.token_values(uids)

    async def publish(self) -> Published:
        """The policy as it is now, for workers to pull."""
        parcels, manifest = await self.ranks.send(self.transport)
        scores = await self.ranks.score(self._probe)
        return Published(
            version=self._version,
            manifest=manifest,
            transport=self.transport,
            parcels=parcels,
            probe_logprobs=tuple(scores),
        )

    async def reset_optimizer(self) -> None:
        await self._before_state()
        await self.ranks.reset_optimizer()

    async def freeze_reference(self) -> None:
        await self.ranks.freeze_reference()

    async def merge(self, start: str, merging: MergingConfig) -> None:
        """To be published and exported, but not trained on."""
        await self._before_state()
        await self.ranks.merge(start, merging)

    async def save(self, folder: str) -> None:
        await self._before_state()
        await self.ranks.save(folder)

    async def load(self, folder: str, version: int) -> None:
        """Take up what ``save`` wrote at ``version``, which is that of the policy from now on."""
        await self._before_state()
        await self.ranks.load(folder)
        self._version = version

    async def export(self, folder: str, extra_files: Mapping[str, str]) -> None:
        await self.ranks.export(folder, extra_files)

    def stop(self) -> None:
        if self._ranks is not None:
            self._ranks.stop()
            self._ranks = None

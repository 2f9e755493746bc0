"""How many rollout workers there are: what the cluster has room for, within the range of the config or of a request.

A request is a file in the run folder (``rnr/runs/scale.py``), written by ``python -m scripts.scale``. Workers come and
go in the background: no step waits for one that comes, and one that goes answers its leases first.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from actors.deadline import called
from actors.pool import Pool, WorkerLost
from actors.slots import Slot
from cluster.placement import IN_PROCESS
from rnr.config import ClusterConfig
from rnr.runs.scale import requested_workers

logger = logging.getLogger(__name__)

EVERY = 2.0
"""Seconds between two checks of the cluster."""

SILENT = 60.0
"""Deadline in seconds for Ray to describe the cluster."""

PATIENCE = 20.0
"""Seconds that a worker of a range, whose node went, may be without a place before the run continues without it."""

Range = tuple[int, int]


class Cluster(Protocol):
    """What is asked of the cluster; both may block."""

    def room(self) -> int:
        """How many more rollout workers fit now."""
        ...

    def placed(self, name: str) -> bool:
        """Whether the worker of this slot has a place on a node that is there."""
        ...

    def ranks_waiting(self) -> int:
        """How many learner ranks have lost their place and wait for one."""
        ...


@dataclass(slots=True, kw_only=True)
class Autoscaler:
    """Keeps a pool at the size that it can have."""

    pool: Pool
    cluster: Cluster
    configured: Range
    requested_workers: Callable[[], Range | None] = lambda: None
    """The request by hand, if there is one; raises ValueError for one that cannot be read."""
    now: Callable[[], float] = time.monotonic
    _placeless: dict[Slot, float] = field(default_factory=dict)
    """Since when."""
    _give_up_at: float | None = None
    """When workers are given up for learner ranks that wait for a place, if some do."""
    _warned: str = ""

    async def watch(self) -> None:
        """Look every ``EVERY`` seconds, forever. A look that fails is reported once and tried again: a run does not
        end because it cannot grow."""
        while True:
            try:
                await self.look()
            except Exception as error:
                self._warn_once(f"rollout workers stay at {len(self.pool.slots)}: {type(error).__name__}: {error}")
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """Bring the pool to the size that it can have now."""
        fewest, most = self.requested_workers() or self.configured
        wanted = fewest if fewest == most else await self._possible()
        wanted = max(fewest, min(most, wanted))
        before = len(self.pool.slots)
        if wanted != before:
            self.pool.resize(wanted)
            logger.info(f"rollout workers: {before} -> {wanted} (range {fewest} to {most})")

    async def _possible(self) -> int:
        coming = [slot for slot in self.pool.slots if not slot.ready]
        ask = partial(self._ask, [slot.name for slot in coming])
        placed, room, ranks = await called(ask, place="the cluster", seconds=SILENT, lost=WorkerLost)
        placeless = [slot for slot in coming if slot.name not in placed and not slot.ready]
        if ranks:
            return self._beside(len(self.pool.slots), len(placeless), ranks)
        self._give_up_at = None
        return self._wanted(len(self.pool.slots), placeless, room)

    def _ask(self, names: list[str]) -> tuple[set[str], int, int]:
        placed = {name for name in names if self.cluster.placed(name)}
        return placed, self.cluster.room(), self.cluster.ranks_waiting()

    def _beside(self, size: int, placeless: int, ranks: int) -> int:
        """The size while learner ranks wait for a place, without which there is no step: one less that is up for each
        of them, and none that waits for a place, too. Ray is left a moment to find one by itself, and as long as
        workers take to go, or as our patience lasts, no further one is given up."""
        now = self.now()
        if self._give_up_at is None:
            self._give_up_at = now + EVERY
        if now < self._give_up_at or self.pool.leaving:
            return size
        self._give_up_at = now + PATIENCE
        return size - placeless - ranks

    def _wanted(self, size: int, placeless: list[Slot], room: int) -> int:
        """The size without those that have waited for a place for too long, or with those that fit beside them."""
        now = self.now()
        self._placeless = {slot: self._placeless.get(slot, now) for slot in placeless}
        if room:
            return size + max(0, room - len(placeless))
        return size - sum(now - since > PATIENCE for since in self._placeless.values())

    def _warn_once(self, text: str) -> None:
        if text != self._warned:
            self._warned = text
            logger.warning(text)


@asynccontextmanager
async def autoscaled(
    pool: Pool, cluster: Cluster, config: ClusterConfig, folder: Path | None
) -> AsyncIterator[Autoscaler]:
    """Keep the pool at the size that it can have for the length of a block; ``folder`` is where requests lie."""
    autoscaler = Autoscaler(
        pool=pool,
        cluster=cluster,
        configured=(config.fewest_rollout_workers, config.most_rollout_workers),
        # In one process there is one: ``scripts.scale`` refuses such a run.
        requested_workers=partial(requested_workers, folder)
        if folder and config.address != IN_PROCESS
        else lambda: None,
    )
    watching = asyncio.create_task(autoscaler.watch())
    try:
        yield autoscaler
    finally:
        watching.cancel()

"""Weights are data: a published policy is an immutable, versioned value which rollout workers pull.

Nobody has to be present when it is published. A worker pulls the newest version before it takes a lease; a late joiner
or a replaced worker does exactly the same. A version counts as live on a worker only after the log-prob probe: both
sides score the same tokens, and their mean difference must be within the tolerance. Checksums of parameters would not
do, because an engine may sample from packed copies of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from actors.pool import Member, Pool
from cluster.learner_group import LearnerGroup
from rnr.types import Sample


class WeightSyncError(RuntimeError):
    """A rollout worker does not sample from the policy that the learner holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedPolicy:
    version: int
    buckets: tuple[Any, ...]
    """Object references; empty for version 0, which every worker starts with."""
    probe_logprobs: tuple[float, ...]


class WeightLink:
    """Publishes the learner's policy and brings rollout workers up to it."""

    def __init__(self, probe: Sequence[int], *, tolerance: float) -> None:
        self.learner: LearnerGroup | None = None
        self._probe = tuple(probe)
        self._tolerance = tolerance
        self.newest: PublishedPolicy | None = None
        self.pool: Pool | None = None
        self.largest_difference = 0.0
        self._seconds: list[float] = []
        self._differences: list[float] = []

    async def publish(self, version: int) -> dict[str, float]:
        """Make the learner's weights the newest policy and wait until every rollout worker has it, verified."""
        assert self.pool is not None
        assert self.learner is not None
        buckets = await self.learner.weights()
        sample = Sample(uid="probe", prompt_ids=self._probe[:1], completion_ids=self._probe[1:])
        scores = await self.learner.score(sample)
        self.newest = PublishedPolicy(version=version, buckets=tuple(buckets), probe_logprobs=tuple(scores))
        self._seconds, self._differences = [], []
        await self.pool.everywhere()
        return {
            "infra/weight_version": version,
            "infra/probe_difference": max(self._differences, default=0.0),
            "timing_s/load_weights": max(self._seconds, default=0.0),
        }

    async def pull(self, member: Member) -> None:
        """Bring one worker to the newest version and verify it; nothing to do when it is there already."""
        newest = self.newest
        assert self.pool is not None
        if newest is None or member.version == newest.version:
            return
        loading = member.handle.load.remote(newest.version, *newest.buckets)  # type: ignore[union-attr]
        self._seconds.append(await self.pool.wait(member, "load weights", loading))
        probing = member.handle.probe.remote(self._probe)  # type: ignore[union-attr]
        seen = await self.pool.wait(member, "probe", probing)
        pairs = zip(seen, newest.probe_logprobs, strict=True)
        difference = sum(abs(ours - theirs) for ours, theirs in pairs) / len(seen)
        if not difference <= self._tolerance:
            raise WeightSyncError(
                f"{member.name} does not sample from version {newest.version}: on {len(seen)} probe tokens its "
                f"log-probabilities differ from the learner's by {difference:.3f} on average (at most "
                f"{self._tolerance:g} is rounding). Some weights did not arrive, or the engine runs another model"
            )
        self._differences.append(difference)
        self.largest_difference = max(self.largest_difference, difference)
        member.version = newest.version

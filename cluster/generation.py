"""Generation: rollout workers that sample from the newest published policy.

A version counts as live on a worker when (1) the digest of the weights that arrived is the manifest's, (2) the worker's
log-probabilities of the probe changed if the learner's did, and (3) they agree with the learner's within the
tolerance. (1) alone does not see packed copies inside an engine, such as a tied head; (3) alone does not see a load
that did nothing, because at the learning rates of RL one update moves them less than rounding does.
"""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from zlib import crc32

from ray.exceptions import ObjectLostError

from actors.concurrency import gather_all
from actors.engine import EngineSettings, Sampling
from actors.pool import Pool, Spawn, WorkerLost
from actors.slots import Slot
from cluster.policy import Published
from cluster.protocols import Metrics
from cluster.ranks import LearnerLost
from rnr.config import DeadlineConfig, SamplingConfig, SyncConfig
from rnr.faults import PolicyGone
from rnr.types import Group, Prompt

if TYPE_CHECKING:
    from cluster.worker_factory import WorkerFactory

QUEUED = 2
"""Sequences queued in a rollout worker's engine for each one that it decodes, so that no slot is empty while the last
samples of a group are drawn."""


class WeightSyncError(WorkerLost):
    """A rollout worker does not sample from the policy that the learner holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPolicy:
    """The policy that a worker has loaded."""

    published: Published
    probe_logprobs: tuple[float, ...]
    """The worker's own log-probabilities of the probe."""
    asleep: bool = False
    """Whether its engine has slept since: it has to load again before its next request."""

    def __str__(self) -> str:
        return str(self.published)


class GenerationService:
    """Groups of rollouts, greedy answers and scores from the newest policy that ``adopt`` was given."""

    def __init__(
        self,
        spawn: Spawn,
        *,
        size: int,
        capacity: int,
        sampling: SamplingConfig,
        sync: SyncConfig,
        deadlines: DeadlineConfig,
        probe: Sequence[int],
        seed: int,
        sleep_level: int = 0,
        make_room: Callable[[], Awaitable[None]] | None = None,
        on_release: Callable[[str], None] = lambda _name: None,
    ) -> None:
        """``size`` rollout workers to begin with, each with up to ``capacity`` sequences at once; ``on_release`` hears
        the name of each that is given back. With a ``sleep_level`` above 0 engines take turns with the learner on its
        GPUs, and ``make_room`` is called before one wakes."""
        self.pool = Pool(
            "rollout",
            spawn=spawn,
            size=size,
            capacity=capacity,
            prepare=self.catch_up,
            on_release=on_release,
            restart_seconds=deadlines.restart,
            retry_losses=True,
            passed_on=(LearnerLost,),
        )
        self._sampling = sampling
        self._sync = sync
        self._deadlines = deadlines
        self._probe = tuple(probe)
        self._seed = seed
        self._sleep_level = sleep_level
        self._make_room = make_room
        self._newest: Published | None = None
        self._load_seconds: list[float] = []
        self._differences: list[float] = []
        self.largest_difference = 0.0
        """Of all probes so far, mean over the probe's tokens, in nats."""

    async def start(self) -> None:
        await self.pool.start_all()

    async def generate(self, prompt: Prompt, count: int | None = None) -> Group:
        """``sampling.samples_per_prompt`` rollouts of a prompt, or ``count`` of them, to measure its difficulty. Their
        seed follows from the run's, the prompt's uid and what they are for: GRPO is not trained on the very samples by
        which its prompts were chosen."""
        purpose = "" if count is None else "difficulty/"
        sampling = Sampling(
            count=count or self._sampling.samples_per_prompt,
            temperature=self._sampling.temperature,
            max_new_tokens=self._sampling.max_new_tokens,
            seed=crc32(f"{self._seed}/{purpose}{prompt.uid}".encode()) % 2**31,
        )
        return await self.sample(prompt, sampling)

    async def greedy(self, prompts: Sequence[Prompt], *, max_new_tokens: int) -> list[Group]:
        """One greedy answer to each prompt, in their order."""
        sampling = Sampling(count=1, temperature=0.0, max_new_tokens=max_new_tokens)
        seconds = self._deadlines.generate
        return await gather_all(
            self.pool.lease("evaluation", lambda worker, p=prompt: worker.generate.remote(p, sampling), seconds=seconds)
            for prompt in prompts
        )

    async def choices(self, asked: Mapping[tuple[int, ...], Sequence[int]]) -> list[dict[int, float]]:
        """What ``actors.rollout.RolloutWorker.choices`` says, of whichever worker is least busy."""
        return await self.pool.lease(
            "labels of a mark",
            lambda worker: worker.choices.remote(asked),
            seconds=self._deadlines.generate,
            size=len(asked),
        )

    async def sample(self, prompt: Prompt, sampling: Sampling) -> Group:
        """The rollouts of one prompt, drawn in this way."""
        return await self.pool.lease(
            f"rollout of {prompt.uid}",
            lambda worker: worker.generate.remote(prompt, sampling),
            seconds=self._deadlines.generate,
            size=sampling.count,
        )

    async def adopt(self, published: Published) -> Metrics:
        """Make this the policy of all further leases, and load it now wherever a worker is up. A worker that is lost on
        the way is replaced when it is needed; nobody waits for one that is down."""
        self._newest = published
        self._load_seconds, self._differences = [], []
        await self.pool.refresh()
        return {
            "infra/weight_version": published.version,
            "infra/probe_difference": max(self._differences, default=0.0),
            "timing_s/load_weights": max(self._load_seconds, default=0.0),
        }

    async def catch_up(self, slot: Slot) -> None:
        """Bring one worker to the newest policy and verify it; nothing to do when it is there already."""
        newest, before = self._newest, slot.state
        if newest is None or (before is not None and before.published is newest and not before.asleep):
            return
        worker: Any = slot.handle  # this one, whoever takes its place meanwhile
        if self._make_room is not None:
            await self._make_room()
        loading = worker.load.remote(newest.transport, newest.version, *newest.parcels)
        try:
            digest, seconds = await self.pool.wait(slot, f"load {newest}", loading, seconds=self._deadlines.load)
        except (PolicyGone, ObjectLostError) as gone:
            if self._newest is not newest:  # the learner was rebuilt in the meantime, and has published again
                if slot.handle is not worker:
                    raise WorkerLost(f"{slot.name} was lost while it loaded {newest}") from None
                return await self.catch_up(slot)
            raise LearnerLost(f"{slot.name} cannot load {newest}: {gone}") from None
        probing = worker.score.remote(self._probe)
        scores = tuple(await self.pool.wait(slot, f"probe {newest}", probing, seconds=self._deadlines.score))
        difference = verify_sync(slot.name, newest, before, digest, scores, tolerance=self._sync.probe_tolerance)
        self._load_seconds.append(seconds)
        self._differences.append(difference)
        self.largest_difference = max(self.largest_difference, difference)
        slot.state = LoadedPolicy(published=newest, probe_logprobs=scores)

    async def sleep(self) -> Metrics:
        """Have all engines give back what they hold of GPUs on which they take turns with the learner; the seconds, or
        nothing where they do not. Whatever is asked of them next wakes them, with the newest policy; a worker that is
        lost on the way is replaced then."""
        if not self._sleep_level:
            return {}
        begin = time.monotonic()
        await self.pool.rest(self._put_to_sleep)
        return {"timing_s/sleep": time.monotonic() - begin}

    async def _put_to_sleep(self, slot: Slot) -> None:
        worker: Any = slot.handle
        if slot.state is None or not slot.state.asleep:
            sleeping = worker.sleep.remote(self._sleep_level)
            await self.pool.wait(slot, "sleep", sleeping, seconds=self._deadlines.load)
            slot.state = slot.state and replace(slot.state, asleep=True)

    def metrics(self) -> Metrics:
        """Counters since the start."""
        return self.pool.metrics()

    def stop(self) -> None:
        self.pool.stop()


def verify_sync(
    name: str,
    published: Published,
    before: LoadedPolicy | None,
    digest: str,
    scores: Sequence[float],
    *,
    tolerance: float,
) -> float:
    """Mean difference, in nats, between the worker's and the learner's log-probabilities of the probe.

    Raises WeightSyncError naming which of the three conditions of a live version does not hold.
    """
    if digest != published.manifest.digest:
        raise WeightSyncError(
            f"{name}: the weights of {published} are corrupt: digest {digest[:12]}, the learner's is "
            f"{published.manifest.digest[:12]}"
        )
    if before is not None and published.probe_logprobs != before.published.probe_logprobs:
        same = tuple(scores) == before.probe_logprobs
        if same and digest != before.published.manifest.digest:
            raise WeightSyncError(
                f"{name}: loading {published} had no effect: the {len(scores)} probe log-probabilities are identical "
                f"to those of {before}, but the learner's changed"
            )
    pairs = zip(scores, published.probe_logprobs, strict=True)
    difference = sum(abs(ours - theirs) for ours, theirs in pairs) / len(scores)
    if not difference <= tolerance:
        raise WeightSyncError(
            f"{name} does not sample from {published}: on {len(scores)} probe tokens its log-probabilities differ "
            f"from the learner's by {difference:.3f} on average (rounding explains at most {tolerance:g}). Some "
            "weights did not arrive where the engine samples from, or the engine runs another model"
        )
    return difference


def generation_service(
    workers: "WorkerFactory",
    engine: EngineSettings,
    *,
    size: int,
    sampling: SamplingConfig,
    sync: SyncConfig,
    deadlines: DeadlineConfig,
    probe: Sequence[int],
    seed: int,
    make_room: Callable[[], Awaitable[None]],
) -> GenerationService:
    """Generation by ``size`` rollout workers to begin with. Before an engine that sleeps by turns with the learner
    takes its memory, when it starts or wakes, ``make_room`` is called."""
    level = engine.generation.sleep_level

    async def spawn(name: str) -> Any:
        if level:
            await make_room()
        return await workers.rollout(name, engine)

    return GenerationService(
        spawn,
        size=size,
        capacity=QUEUED * engine.generation.sequences,
        sampling=sampling,
        sync=sync,
        deadlines=deadlines,
        probe=probe,
        seed=seed,
        sleep_level=level,
        make_room=make_room if level else None,
        on_release=workers.release,
    )

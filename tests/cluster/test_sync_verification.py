"""When a published policy counts as live on a worker."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from actors.pool import Slot, WorkerLost
from cluster.generation import GenerationService, LoadedPolicy, WeightSyncError, verify_sync
from cluster.policy import Published
from cluster.ranks import LearnerLost
from cluster.transport.object_store import ObjectStore
from rnr.config import DeadlineConfig, SamplingConfig, SyncConfig
from rnr.digest import Manifest
from rnr.faults import PolicyGone


def _published(number: int, digest: str, scores: tuple[float, ...], version: int = 0) -> Published:
    manifest = Manifest(digest=digest, tensors={})
    version = version or number
    return Published(version=version, manifest=manifest, transport=ObjectStore(), parcels=(), probe_logprobs=scores)


FIRST = _published(1, "aa", (-1.0, -2.0))
SECOND = _published(2, "bb", (-1.01, -2.0))


def _verified(published: Published, before: LoadedPolicy | None, digest: str, scores: tuple[float, ...]) -> float:
    return verify_sync("rollout-0", published, before, digest, scores, tolerance=0.15)


def test_the_difference_is_the_mean_over_the_probe() -> None:
    assert _verified(FIRST, None, "aa", (-1.1, -2.1)) == pytest.approx(0.1)


def test_weights_that_arrive_as_others_are_caught_by_their_digest() -> None:
    with pytest.raises(WeightSyncError, match="the weights of version 1 are corrupt"):
        _verified(FIRST, None, "ab", (-1.0, -2.0))


def test_a_load_that_did_nothing_is_caught_although_it_is_within_the_tolerance() -> None:
    before = LoadedPolicy(published=FIRST, probe_logprobs=(-1.02, -2.02))
    with pytest.raises(WeightSyncError, match="loading version 2 had no effect"):
        _verified(SECOND, before, "bb", (-1.02, -2.02))
    assert _verified(SECOND, before, "bb", (-1.03, -2.02)) == pytest.approx(0.02)


def test_a_policy_that_did_not_change_need_not_change_the_worker() -> None:
    before = LoadedPolicy(published=FIRST, probe_logprobs=(-1.02, -2.02))
    again = _published(2, "aa", (-1.0, -2.0))
    assert _verified(again, before, "aa", (-1.02, -2.02)) == pytest.approx(0.02)


def test_a_worker_that_samples_from_something_else_is_caught_by_the_probe() -> None:
    with pytest.raises(WeightSyncError, match=r"does not sample from version 1: on 2 probe tokens .* by 0\.200"):
        _verified(FIRST, None, "aa", (-1.2, -2.2))
    with pytest.raises(WeightSyncError, match="by nan on average"):
        _verified(FIRST, None, "aa", (float("nan"), -2.0))


def _catch_up(published_meanwhile: Published | None, *, lost: bool = False) -> Any:
    """What a worker has loaded that finds the policy of version 1 gone, while this one was published and, maybe, the
    worker itself was lost."""
    loaded: list[int] = []

    async def load(_transport: Any, version: int) -> tuple[str, float]:
        loaded.append(version)
        if version > 1:
            return "bb", 0.1
        if published_meanwhile:
            await service.adopt(published_meanwhile)
        if lost:
            slot.handle = None
        raise PolicyGone("the learner's process is gone")

    async def score(_probe: Any) -> list[float]:
        return [-1.0, -2.0]

    nothing: Any = None
    service = GenerationService(
        nothing,
        size=0,
        capacity=1,
        sampling=SamplingConfig(),
        sync=SyncConfig(),
        deadlines=DeadlineConfig(),
        probe=(1, 2, 3),
        seed=0,
    )

    async def scenario() -> None:
        await service.adopt(FIRST)
        await service.catch_up(slot)

    slot = Slot(name="rollout-0")
    slot.handle = SimpleNamespace(load=SimpleNamespace(remote=load), score=SimpleNamespace(remote=score))
    asyncio.run(scenario())
    return loaded, slot.state


def test_a_policy_that_went_with_its_learner_is_no_loss_of_the_one_that_has_published_since() -> None:
    loaded, state = _catch_up(SECOND)
    assert loaded == [1, 2]
    assert state.published is SECOND
    with pytest.raises(LearnerLost, match="rollout-0 cannot load version 1: the learner's process is gone"):
        _catch_up(None)
    with pytest.raises(WorkerLost, match="rollout-0 was lost while it loaded version 1"):
        _catch_up(SECOND, lost=True)

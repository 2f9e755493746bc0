"""When a published policy counts as live on a worker."""

import pytest

from cluster.generation import LoadedPolicy, WeightSyncError, verify_sync
from cluster.policy import Published
from cluster.transport.object_store import ObjectStore
from rnr.digest import Manifest


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

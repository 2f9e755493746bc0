"""Places on nodes, with a Ray that answers late: what is made for nobody is given back."""

import asyncio
import threading
from typing import Any

import pytest

pytest.importorskip("ray")

from actors.pool import WorkerLost
from cluster import reservations
from cluster.placement import Bundle
from cluster.reservations import Reservations

PLACE: Any = object()
BUNDLE = Bundle(members=("rollout-0",), resources={"CPU": 1.0}, held=True)


class LateRay:
    """Makes a placement group when it is allowed to."""

    def __init__(self, monkeypatch) -> None:
        self.may_answer, self.removed_one = threading.Event(), threading.Event()
        self.made: list[object] = []
        self.removed: list[object] = []
        monkeypatch.setattr(reservations, "placement_group", self._make)
        monkeypatch.setattr(reservations, "remove_placement_group", self._remove)
        monkeypatch.setattr(reservations, "roomiest", lambda *_: "node")

    def _make(self, *_given: Any, **_options: Any) -> object:
        self.may_answer.wait(10)
        self.made.append(object())
        return self.made[-1]

    def _remove(self, group: object) -> None:
        self.removed.append(group)
        self.removed_one.set()


def test_a_place_that_comes_after_its_deadline_is_given_back(monkeypatch) -> None:
    late, held = LateRay(monkeypatch), Reservations({})
    with pytest.raises(WorkerLost, match=r"^rollout-0, phase start: Ray did not answer within 0\.1 s$"):
        asyncio.run(held.claim(BUNDLE, seconds=0.1))
    late.may_answer.set()
    assert late.removed_one.wait(10)
    assert late.removed == late.made
    assert not held.groups


def test_a_place_that_nobody_waits_for_any_more_is_given_back(monkeypatch) -> None:
    late, held = LateRay(monkeypatch), Reservations({})

    async def scenario() -> None:
        task = asyncio.ensure_future(held.claim(BUNDLE, seconds=60))
        await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    asyncio.run(scenario())
    late.may_answer.set()
    assert late.removed_one.wait(10)
    assert late.removed == late.made


@pytest.mark.parametrize("give_back", [lambda held: held.release("rollout-0"), lambda held: held.release_all(0.1)])
def test_a_cluster_that_is_gone_keeps_nobody_who_gives_a_place_back(monkeypatch, give_back) -> None:
    may_end, ended = threading.Event(), threading.Event()

    def remove(_group: object) -> None:
        may_end.wait(10)
        ended.set()

    monkeypatch.setattr(reservations, "remove_placement_group", remove)
    held = Reservations({"rollout-0": PLACE})
    give_back(held)
    assert not held.groups
    assert not ended.is_set()
    may_end.set()
    assert ended.wait(10)


def test_a_place_that_cannot_be_given_back_is_reported(monkeypatch, caplog) -> None:
    def remove(_group: object) -> None:
        raise OSError("the GCS is gone")

    monkeypatch.setattr(reservations, "remove_placement_group", remove)
    for there in (False, True):  # once the run has left Ray, it has no place that could be kept
        monkeypatch.setattr(reservations.ray, "is_initialized", lambda there=there: there)
        Reservations({"rollout-0": PLACE}).release_all()
    assert caplog.messages == ["a place could not be given back: OSError: the GCS is gone"]

"""Nodes that join and leave a real Ray, with logical resources: the pool of rollout workers follows."""

import asyncio
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

pytestmark = pytest.mark.ray
ray = pytest.importorskip("ray")

from ray._private.node import Node  # noqa: E402
from ray._private.parameter import RayParams  # noqa: E402

from actors.concurrency import gather_all  # noqa: E402
from actors.deadline import answer  # noqa: E402
from actors.pool import Pool, WorkerLost  # noqa: E402
from cluster.placement import rollout_bundle  # noqa: E402
from cluster.ray_session import session  # noqa: E402
from cluster.reservations import Reservations  # noqa: E402
from cluster.scaling import Autoscaler  # noqa: E402
from cluster.workers import RayWorkers  # noqa: E402
from rnr.config import ClusterConfig, DeadlineConfig  # noqa: E402

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module", autouse=True)
def local_ray() -> Iterator[None]:
    with session(seconds=120, num_cpus=1):
        yield


def joined(**resources: Any) -> Node:
    """One more Ray node on this machine, on loopback like the first."""
    head = ray._private.worker._global_node
    parameters = RayParams(
        gcs_address=head.gcs_address,
        node_ip_address="127.0.0.1",
        object_store_memory=80 * 2**20,
        include_log_monitor=False,
        node_manager_port=0,
        dashboard_agent_listen_port=None,
        min_worker_port=0,
        max_worker_port=0,
        temp_dir=head.get_temp_dir_path(),
        **resources,
    )
    return Node(parameters, head=False, shutdown_at_exit=False, spawn_reaper=False)


class Anywhere:
    def node(self) -> str:
        return ray.get_runtime_context().get_node_id()

    def much(self) -> bytes:
        return bytes(2**20)

    def work(self, number: int) -> tuple[int, str, int]:
        return number, self.node(), os.getpid()


async def _until(condition: Any, scaling: Autoscaler) -> None:
    for _ in range(600):
        await scaling.look()
        if condition():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"still {scaling.pool.metrics()}")


def test_a_node_that_joins_is_one_more_worker_and_one_that_leaves_is_one_less(monkeypatch) -> None:
    monkeypatch.setattr("cluster.scaling.PATIENCE", 1.0)
    config = ClusterConfig(rollout_workers="1..4", cpus_per_worker=1)
    reservations = Reservations({})
    workers = RayWorkers(config, DeadlineConfig(start=60), reservations)

    async def spawn(name: str) -> Any:
        slot = name.partition(".")[0]
        await reservations.claim(rollout_bundle(config, slot), seconds=60)
        actor: Any = ray.remote(Anywhere).options(num_cpus=1, scheduling_strategy=reservations.strategy(slot))
        handle = actor.remote()
        await handle.node.remote()
        return handle

    pool = Pool("rollout", spawn=spawn, size=1, capacity=1, attempts=5, on_release=workers.release)
    scaling = Autoscaler(pool=pool, cluster=workers, configured=(1, 4))

    async def worked(count: int) -> set[str]:
        done = await gather_all(
            pool.lease("work", lambda worker, number=number: worker.work.remote(number), seconds=60)
            for number in range(count)
        )
        assert [number for number, _, _ in done] == list(range(count))
        return {node for _, node, _ in done}

    async def scenario() -> None:
        await pool.start_all()
        await scaling.look()
        assert len(pool.slots) == 1  # the one core is taken
        here = await worked(4)
        second = joined(num_cpus=1)
        try:
            await _until(lambda: sum(slot.ready for slot in pool.slots) == 2, scaling)
            both = await worked(20)
            assert here < both
            assert len(both) == 2
        finally:
            second.kill_all_processes(check_alive=False, allow_graceful=False)
        while await worked(20) != here:  # a worker lives a moment longer than its node
            pass
        await _until(lambda: len(pool.slots) == 1, scaling)
        assert list(reservations.groups) == ["rollout-0"]
        pool.stop()
        reservations.release_all()

    asyncio.run(scenario())


def test_an_answer_that_its_host_still_had_is_lost_with_the_host() -> None:
    """Large answers stay in the object store of the worker's host until the driver takes them."""
    second = joined(num_cpus=1, resources={"second": 1})
    try:
        worker: Any = ray.remote(Anywhere).options(num_cpus=0, resources={"second": 1}).remote()
        reference = worker.much.remote()
        assert ray.wait([reference], timeout=60, fetch_local=False)[0]
    finally:
        second.kill_all_processes(check_alive=False, allow_graceful=False)
    with pytest.raises(WorkerLost, match="rollout of a: the answer was lost with its host"):
        asyncio.run(answer(reference, place="rollout of a", seconds=90, lost=WorkerLost))


def test_workers_spread_over_the_nodes() -> None:
    config = ClusterConfig(rollout_workers=2, cpus_per_worker=0.25)
    second = joined(num_cpus=1)

    async def scenario() -> set[str]:
        reservations = Reservations({})
        for name in ("rollout-0", "rollout-1"):
            await reservations.claim(rollout_bundle(config, name), seconds=60)
            while await asyncio.to_thread(lambda name=name: not reservations.placed(name)):
                await asyncio.sleep(0.1)
            await asyncio.sleep(1.0)  # until the nodes have told what is free
        actors = [
            ray.remote(Anywhere).options(num_cpus=0.25, scheduling_strategy=reservations.strategy(name)).remote()
            for name in ("rollout-0", "rollout-1")
        ]
        found = {await actor.node.remote() for actor in actors}
        for actor in actors:
            ray.kill(actor)
        reservations.release_all()
        return found

    try:
        assert len(asyncio.run(scenario())) == 2
    finally:
        second.kill_all_processes(check_alive=False, allow_graceful=False)

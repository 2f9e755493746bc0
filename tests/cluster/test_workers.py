"""Real Ray actors made of the worker classes: where they land, and what they can import."""

import asyncio
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.ray
ray = pytest.importorskip("ray")

from cluster.gpus import worker_gpus  # noqa: E402
from cluster.placement import bundles  # noqa: E402
from cluster.ray_session import session  # noqa: E402
from cluster.reservations import reserve  # noqa: E402
from cluster.start_errors import StartFailed  # noqa: E402
from cluster.workers import RayWorkers  # noqa: E402
from rnr.config import ClusterConfig, DeadlineConfig, RewardConfig  # noqa: E402
from rnr.types import Example, Group, Mention, Prompt  # noqa: E402
from tests.carriers import rollout  # noqa: E402

ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module", autouse=True)
def local_ray(tmp_path_factory) -> Iterator[None]:
    # Logical GPUs: Ray hands out their numbers as it would those of real ones.
    program = tmp_path_factory.mktemp("bin") / "nvidia-smi"
    program.write_text(
        "#!/bin/sh\necho '0, GPU-1, H100, 81920, 9.0, Disabled'\necho '1, GPU-2, A10, 23552, 8.6, [N/A]'\n"
    )
    program.chmod(0o755)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        patched.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        with session(seconds=120, num_cpus=4, num_gpus=2):
            yield


class Member:
    def gpus(self) -> list[int]:
        return ray.get_gpu_ids()


def test_ranks_and_workers_that_share_two_gpus_are_one_of_each_on_either() -> None:
    cluster = ClusterConfig(rollout_workers=2, learner_ranks=2, gpus_per_rollout_worker=0.5, gpus_per_learner_rank=0.5)

    async def work() -> dict[str, list[int]]:
        reservations = await reserve(bundles(cluster), seconds=60)
        names = [f"{kind}-{number}" for kind in ("learner", "rollout") for number in range(2)]
        actors = {
            name: ray.remote(Member)
            .options(num_cpus=0.25, num_gpus=0.5, scheduling_strategy=reservations.strategy(name))
            .remote()
            for name in names
        }
        found = {name: await actor.gpus.remote() for name, actor in actors.items()}
        for actor in actors.values():
            ray.kill(actor)
        reservations.release_all()
        return found

    found = asyncio.run(work())
    assert found["learner-0"] == found["rollout-0"]
    assert found["learner-1"] == found["rollout-1"]
    assert found["learner-0"] != found["learner-1"]


def test_a_node_tells_all_its_gpus_to_a_task_that_has_none() -> None:
    found = worker_gpus(ClusterConfig(address="a.cluster:6379"))  # which is taken for the one that was joined
    assert str(found) == "2 GPUs of the cluster: the smallest is A10, 23.0 GiB"
    assert [gpu.gib for gpu in found.gpus] == [80.0, 23.0]


def _workers(logs: Path | None = None) -> RayWorkers:
    from cluster.workers import Reservations

    return RayWorkers(ClusterConfig(), DeadlineConfig(start=60), Reservations({}), logs)


def _group() -> Group:
    example = Example(
        uid="a", sentence="Ada ran", schema=("p",), mentions=(Mention(text="Ada", label="p", start=0, end=3),)
    )
    return Group(prompt=Prompt(example=example, token_ids=(1,)), rollouts=(rollout("x"),))


def test_a_reward_that_the_driver_finds_is_found_by_its_worker_and_tried_there(tmp_path, monkeypatch) -> None:
    (tmp_path / "only_the_driver_knows.py").write_text("def half(example, answer):\n    return 0.5\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    async def work() -> Any:
        worker = await _workers().reward("reward-0.0", RewardConfig(preset="only_the_driver_knows:half"), 8)
        return await worker.score.remote(_group())

    assert [reward.total for reward in asyncio.run(work()).rewards] == [0.5]


def test_a_reward_that_fails_in_its_worker_is_refused_before_the_run_begins(tmp_path, monkeypatch) -> None:
    (tmp_path / "fails_elsewhere.py").write_text(
        "import ray\n\ndef half(example, answer):\n"
        "    if ray.get_runtime_context().get_actor_id():\n        raise OSError('no model here')\n    return 0.5\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    workers = _workers(tmp_path)
    with pytest.raises(StartFailed) as refused:
        asyncio.run(workers.reward("reward-1.0", RewardConfig(preset="fails_elsewhere:half"), 8))
    message = str(refused.value)
    assert message.startswith("reward-1.0, phase start: ValueError: reward 'fails_elsewhere:half'")
    assert message.endswith(f"its traceback is at the end of {tmp_path / 'reward-1.0.log'}")
    assert "OSError: no model here" in message
    assert "Traceback" not in message
    assert 'trial.py", line' in (tmp_path / "reward-1.0.log").read_text()


def test_an_actor_has_its_workers_name_and_prints_and_logs_into_the_run_folder(tmp_path) -> None:
    workers = _workers(tmp_path)

    async def work() -> None:
        worker = await workers.reward("reward-7.0", RewardConfig(), 8)
        assert ray.get_actor("reward-7.0") == worker
        await worker.__ray_call__.remote(lambda _worker: print("the worker said so", flush=True))
        await worker.__ray_call__.remote(lambda _worker: logging.getLogger("learner.extension").warning("and logged"))

    asyncio.run(work())
    header, *lines = (tmp_path / "reward-7.0.log").read_text().splitlines()
    assert header.startswith("--- process ")
    assert lines == ["the worker said so", "and logged"]


def test_a_host_without_the_run_folder_keeps_to_rays_own_logs(tmp_path) -> None:
    from actors.worker_log import print_to

    assert not print_to(str(tmp_path / "nowhere" / "reward-0.0.log"))
    assert not (tmp_path / "nowhere").exists()

"""What is decided before a worker is started is decided once, for the cluster that was joined."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from actors.engine import EngineSettings
from cluster import run, run_services
from cluster.gpus import Gpu, WorkerGpus
from cluster.services import Start
from learner.settings import LearnerSettings
from rnr.cli import load_config
from rnr.config import Config
from rnr.host_memory import HostMemory
from rnr.runs.console import Console
from rnr.runs.status import StatusFile


@pytest.fixture
def cluster(monkeypatch):
    """A cluster of two hosts with a GPU of 80 GiB each; the driver is on one of them."""
    node = {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}}
    ray = SimpleNamespace(cluster_resources=lambda: {"CPU": 8.0, "GPU": 2.0}, nodes=lambda: [node, node])
    monkeypatch.setattr(run, "ray", ray)
    monkeypatch.setattr(run.ray_session, "connect", lambda *_arguments, **_options: None)
    found = WorkerGpus(gpus=[Gpu(name="H100", gib=80.0, capability=9.0)] * 2, where="the cluster")
    monkeypatch.setattr(run, "worker_gpus", lambda _cluster: found)


def test_gpus_are_those_of_the_cluster_for_the_memory_plan_too(cluster, tiny_model, colours, tmp_path, caplog) -> None:
    config = load_config(
        None,
        [
            f"--model.path={tiny_model}",
            f"--data.train=['{colours}/train.jsonl']",
            f"--data.evaluation=['{colours}/test.jsonl']",
            "--sft.sequences_per_step=4",
            "--cluster.address=10.0.0.1:6379",
            f"--run.folder={tmp_path}",
        ],
    )
    ready = run.validate_run(config, resume=False, status=StatusFile())
    run.record_to(None)
    decided = ready.config.cluster
    assert (decided.gpus_per_rollout_worker, decided.gpus_per_learner_rank) == (1.0, 1.0)
    assert ready.config.generation.gpu_memory_fraction == 0.85
    # A GPU each: 0.95 of 80 for the learner and 0.85 for the engine. By the driver's one GPU they would be halves.
    said = caplog.text
    assert "of 76.0 GiB" in said
    assert "of 68.0 GiB" in said
    assert "GPUs: 2 GPUs of the cluster: H100, 80.0 GiB" in said
    assert ready.config.generation.sequences == 512  # the whole of an engine's GPU is decided once, too
    assert ready.tree["cluster"]["gpus_per_rollout_worker"] is None  # kept as it was given: a resumed run decides anew


@pytest.mark.parametrize("address", ["", "10.0.0.1:6379"])
def test_the_start_reports_memory_that_this_machine_lacks(
    cluster, tiny_model, colours, tmp_path, monkeypatch, caplog, address
) -> None:
    here = HostMemory(total=2**30, free=2**30 // 4, limited=True)
    monkeypatch.setattr("cluster.dry_run.host_memory", lambda: here)
    options = [f"--model.path={tiny_model}", f"--data.train=['{colours}/train.jsonl']", "--sft.sequences_per_step=4"]
    options += [
        f"--data.evaluation=['{colours}/test.jsonl']",
        f"--run.folder={tmp_path}",
        f"--cluster.address={address}",
    ]
    run.validate_run(load_config(None, options), resume=False, status=StatusFile())
    run.record_to(None)
    # Engine and learner are on GPUs, and the reward worker needs 0.3 GiB.
    said = "memory: the workers need about 0.3 GiB, but only 0.2 of 1.0 GiB that this container or job may use are free"
    assert (said in caplog.text) == (not address)


def test_the_plan_of_a_cluster_that_is_not_joined_is_not_made_with_the_gpus_of_this_machine(
    tiny_model, colours, monkeypatch, capsys
) -> None:
    from scripts import plan

    monkeypatch.setattr("cluster.gpus.local_gpus", lambda: [Gpu(name="T4", gib=0.5, capability=7.5)])
    options = [f"--model.path={tiny_model}", f"--data.train=['{colours}/train.jsonl']", "--sft.sequences_per_step=4"]
    options += [f"--data.evaluation=['{colours}/test.jsonl']", "--cluster.address=10.0.0.1:6379"]
    assert plan.main(options) == 0
    said = capsys.readouterr().out
    assert "GPU memory" not in said
    assert "resources: checked when the cluster is joined" in said
    options += ["--cluster.gpus_per_rollout_worker=1", "--cluster.gpus_per_learner_rank=1", "--json"]
    assert plan.main(options) == 0
    (said,) = json.loads(capsys.readouterr().out)["plan"]["GPU memory"]
    assert said == (
        "not estimated: the GPUs of a cluster are known only after joining it; generation.max_num_seqs is 64 while "
        "they are unknown"
    )


def test_the_plan_in_a_ray_job_is_that_of_its_cluster_and_not_of_this_machine(
    tiny_model, colours, monkeypatch, capsys
) -> None:
    from scripts import plan

    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    options = [f"--model.path={tiny_model}", f"--data.train=['{colours}/train.jsonl']", "--sft.sequences_per_step=4"]
    options += [f"--data.evaluation=['{colours}/test.jsonl']", "--cluster.cpus_per_worker=1000"]
    assert plan.main(options) == 0
    assert "resources: checked when the cluster is joined" in capsys.readouterr().out


def test_engines_and_learner_are_told_what_was_decided(tmp_path) -> None:
    (tmp_path / "config.json").write_text("{}")
    asked: dict[str, Any] = {}

    class Workers:
        async def rollout(self, name: str, settings: EngineSettings) -> str:
            asked[name] = settings
            return name

        async def learner(self, settings: LearnerSettings, *, threads: int) -> LearnerSettings:
            asked["threads"] = threads
            return settings

        def release(self, name: str) -> None: ...

        async def reward(self, name: str, **_options: Any) -> str:
            return name

    config = load_config(None, ["--cluster.learner_ranks=2", "--grpo.kl_coefficient=0.1", "--run.seed=7"])
    config = run.with_gpus(config, {"CPU": 8.0, "GPU": 1.0})  # fewer than workers and ranks: they share
    start = Start(model_folder=str(tmp_path), stop_token_id=5, probe=(1, 2, 3), learning_rate=lambda *_: 0.5)
    workers: Any = Workers()
    services = run_services._services(config, workers, start, hosts=[8.0], folder=None)
    asyncio.run(cast(Any, services.generation.pool._spawn("rollout-0.0")))
    engine = asked["rollout-0.0"]
    assert (engine.model_folder, engine.stop_token_id, engine.seed) == (str(tmp_path), 5, 7)
    assert (engine.use_gpu, engine.gpus, engine.threads, engine.generation.gpu_memory_fraction) == (True, 0.5, 8, 0.4)
    learner: Any = asyncio.run(cast(Any, services.policy._build()))
    assert (learner.model_folder, learner.seed, learner.gpu_memory_share) == (str(tmp_path), 7, 0.6)
    assert learner.copies == 1  # the reference; the object store keeps nothing on the GPU
    assert asked["threads"] == 4
    assert services.policy._learning_rate("sft", 0) == 0.5


def test_engines_that_sleep_and_their_learner_are_told_so(tmp_path) -> None:
    (tmp_path / "config.json").write_text("{}")
    config = run.with_gpus(load_config(None, ["--generation.sleep=level2"]), {"CPU": 8.0, "GPU": 1.0})
    start = Start(model_folder=str(tmp_path), stop_token_id=5, probe=(1, 2, 3), learning_rate=lambda *_: 0.5)
    asked: list[Any] = []

    class Workers:
        async def rollout(self, _name: str, settings: EngineSettings) -> str:
            asked.append(settings.generation.sleep_level)
            return "worker"

        async def learner(self, settings: LearnerSettings, *, threads: int) -> LearnerSettings:
            return settings

        def release(self, name: str) -> None: ...

        async def reward(self, name: str, **_options: Any) -> str:
            return name

    workers: Any = Workers()
    services = run_services._services(config, workers, start, hosts=[8.0], folder=None)
    asyncio.run(cast(Any, services.generation.pool._spawn("rollout-0.0")))
    learner: Any = asyncio.run(cast(Any, services.policy._build()))
    assert (asked, learner.gpu_memory_share, learner.gpu_gib_asleep) == ([2], 0.95, 2.5)
    assert set(asyncio.run(cast(Any, services.policy._engines_sleep()))) == {"timing_s/sleep"}


def test_a_run_is_carried_out_on_what_was_made_ready(cluster, tiny_model, colours, tmp_path, monkeypatch) -> None:
    options = [f"--model.path={tiny_model}", f"--data.train=['{colours}/train.jsonl']", "--sft.sequences_per_step=4"]
    options += [f"--data.evaluation=['{colours}/test.jsonl']", f"--run.folder={tmp_path}", "--tracking.wandb_project="]
    ready = run.validate_run(load_config(None, options), resume=False, status=StatusFile())
    seen: dict[str, Any] = {}

    @asynccontextmanager
    async def running(config, start, *, status, folder) -> AsyncIterator[Any]:
        seen.update(config=config, start=start, folder=folder)
        yield SimpleNamespace(policy="policy", generation="generation", scoring="scoring")

    class Stages(SimpleNamespace):
        async def run_all(self, seconds: float) -> dict[str, Any]:
            seen.update(vars(self))
            return {"f1": {}}

    monkeypatch.setattr(run, "run_services", running)
    monkeypatch.setattr(run, "Stages", Stages)
    assert asyncio.run(run.run(ready, Console())) == {"f1": {}}
    assert seen["config"].cluster.gpus_per_learner_rank == 1.0
    assert (seen["start"].model_folder, seen["start"].probe) == (str(tiny_model), ready.prepared.probe)
    assert seen["folder"] == ready.folder
    assert [seen[name] for name in ("policy", "generation", "scoring")] == ["policy", "generation", "scoring"]
    assert seen["checkpoints"]._layout.learner_ranks == 1


@pytest.mark.parametrize(
    ("gpus", "sleep", "first"),
    [
        ((0.5, 0.5), "off", True),  # vLLM would count what the learner takes meanwhile as its own
        ((0.5, 0.5), "level2", True),
        ((1.0, 1.0), "off", False),
        ((0.7, 0.7), "off", False),
        ((0.0, 0.0), "off", False),  # on CPUs both at once, which is sooner
    ],
)
def test_the_learner_starts_before_the_engines_wherever_they_share_gpus(gpus, sleep, first, monkeypatch) -> None:
    started: list[bool] = []

    class Services:
        generation = SimpleNamespace(pool=None)

        async def start(self, _status: Any, *, policy_first: bool) -> None:
            started.append(policy_first)

    async def nothing(*_arguments: Any, **_options: Any) -> None: ...

    stand_ins = {
        "reserve": nothing,
        "end_workers": nothing,
        "RayWorkers": lambda *_: None,
        "cores_by_host": lambda _: [],
    }
    stand_ins |= {"_services": lambda *_, **__: Services(), "autoscaled": lambda *_: nullcontext()}
    for name, stand_in in stand_ins.items():
        monkeypatch.setattr(run_services, name, stand_in)
    shares = {"gpus_per_rollout_worker": gpus[0], "gpus_per_learner_rank": gpus[1]}
    config = Config.model_validate({"cluster": shares, "generation": {"sleep": sleep}})

    async def start() -> None:
        unused: Any = None
        async with run_services.run_services(config, unused, status=unused):
            pass

    asyncio.run(start())
    assert started == [first]

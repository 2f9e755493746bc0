"""What is decided before a worker is started is decided once, for the cluster that was joined."""

from types import SimpleNamespace

import pytest

from cluster import run
from rnr.cli import load_config
from rnr.runs.status import StatusFile


@pytest.fixture
def cluster(monkeypatch):
    """A cluster of two hosts with a GPU of 80 GiB each; the driver is on one of them."""
    node = {"Alive": True, "Resources": {"CPU": 4.0, "GPU": 1.0}}
    ray = SimpleNamespace(cluster_resources=lambda: {"CPU": 8.0, "GPU": 2.0}, nodes=lambda: [node, node])
    monkeypatch.setattr(run, "ray", ray)
    monkeypatch.setattr(run.ray_session, "connect", lambda *_arguments, **_options: None)
    monkeypatch.setattr(run, "gpu_memory", lambda: [80.0])


def test_gpus_are_those_of_the_cluster_for_the_memory_plan_too(cluster, tiny_model, colours, tmp_path, capsys) -> None:
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
    ready = run.get_ready(config, resume=False, status=StatusFile())
    run.record_to(None)
    decided = ready.config.cluster
    assert (decided.gpus_per_rollout_worker, decided.gpus_per_learner_rank) == (1.0, 1.0)
    assert ready.config.generation.gpu_memory_fraction == 0.85
    # A GPU each: 0.95 of 80 for the learner and 0.85 for the engine. By the driver's one GPU they would be halves.
    said = capsys.readouterr().out
    assert "of 76.0 GiB" in said
    assert "of 68.0 GiB" in said
    assert ready.tree["cluster"]["gpus_per_rollout_worker"] is None  # kept as it was given: a resumed run decides anew


def test_the_plan_of_a_cluster_that_is_not_joined_says_nothing_of_the_memory_of_undecided_gpus(
    tiny_model, colours, monkeypatch, capsys
) -> None:
    from scripts import plan

    monkeypatch.setattr(plan, "gpu_memory", lambda: [8.0])
    options = [f"--model.path={tiny_model}", f"--data.train=['{colours}/train.jsonl']", "--sft.sequences_per_step=4"]
    options += [f"--data.evaluation=['{colours}/test.jsonl']", "--cluster.address=10.0.0.1:6379"]
    assert plan.main(options) == 0
    said = capsys.readouterr().out
    assert "GPU memory" not in said
    assert "resources: checked when the cluster is joined" in said
    assert plan.main([*options, "--cluster.gpus_per_rollout_worker=1", "--cluster.gpus_per_learner_rank=1"]) == 0
    assert "of 7.6 GiB" in capsys.readouterr().out


def test_the_plan_in_a_ray_job_is_that_of_its_cluster_and_not_of_this_machine(
    tiny_model, colours, monkeypatch, capsys
) -> None:
    from scripts import plan

    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    options = [f"--model.path={tiny_model}", f"--data.train=['{colours}/train.jsonl']", "--sft.sequences_per_step=4"]
    options += [f"--data.evaluation=['{colours}/test.jsonl']", "--cluster.cpus_per_worker=1000"]
    assert plan.main(options) == 0
    assert "resources: checked when the cluster is joined" in capsys.readouterr().out

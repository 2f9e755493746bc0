"""What a run needs and whether a cluster has it, before anything is started."""

import pytest

from cluster.plan import check_disk, check_resources, disk_gib, free_gib, placed, roles, threads_per_worker
from rnr.cli import load_config
from rnr.config import GenerationConfig


def _config(*overrides: str):
    return load_config(None, [f"--cluster.{override}" for override in overrides])


def test_the_roles_of_a_run_are_its_workers_and_what_each_asks_for() -> None:
    config = _config(
        "rollout_workers=2",
        "learner_ranks=4",
        "reward_workers=3",
        "cpus_per_worker=0.5",
        "gpus_per_rollout_worker=1",
        "gpus_per_learner_rank=0.5",
    )
    assert [(role.name, role.count, role.cpus, role.gpus) for role in roles(config)] == [
        ("rollout", 2, 0.5, 1.0),
        ("learner", 4, 0.5, 0.5),
        ("reward", 3, 0.5, 0.0),
    ]


def test_the_defaults_fit_on_one_core() -> None:
    check_resources(_config(), {"CPU": 1.0})  # three workers of a quarter core


def test_what_fits_exactly_fits() -> None:
    config = _config("cpus_per_worker=0.1", "rollout_workers=7", "learner_ranks=2", "reward_workers=1")
    check_resources(config, {"CPU": 1.0})  # ten tenths, which do not add up to 1 in binary


def test_too_few_cores_say_what_is_needed_what_there_is_and_what_to_change() -> None:
    config = _config("cpus_per_worker=1", "rollout_workers=2")
    # 2 rollout + 1 learner + 1 reward = 4.
    with pytest.raises(ValueError) as raised:
        check_resources(config, {"CPU": 2.0})
    message = str(raised.value)
    assert message.startswith("the run needs 4 CPUs (2 rollout x 1 + 1 learner x 1 + 1 reward x 1)")
    assert "the cluster has 2" in message
    assert "lower cluster.rollout_workers, cluster.learner_ranks or cluster.cpus_per_" in message


def test_too_few_gpus_are_told_apart_from_cores() -> None:
    config = _config("gpus_per_rollout_worker=1", "gpus_per_learner_rank=0.5")
    with pytest.raises(ValueError, match=r"the run needs 1\.5 GPUs \(1 rollout x 1 \+ 1 learner x 0\.5 .* has 1:"):
        check_resources(config, {"CPU": 8.0, "GPU": 1.0})
    with pytest.raises(ValueError, match=r"1\.5 GPUs .* the cluster has 0:"):
        check_resources(config, {"CPU": 8.0})
    check_resources(config, {"CPU": 8.0, "GPU": 2.0})


@pytest.mark.parametrize(
    ("gpus", "each", "memory"),
    [(0.0, 0.0, 0.85), (1.0, 0.5, 0.4), (2.0, 1.0, 0.85), (8.0, 1.0, 0.85)],
)
def test_a_config_that_says_nothing_of_gpus_takes_what_there_is(gpus, each, memory) -> None:
    config = placed(_config(), gpus)
    cluster = config.cluster
    assert (cluster.gpus_per_rollout_worker, cluster.gpus_per_learner_rank) == (each, each)
    assert config.generation.gpu_memory_fraction == memory


def test_what_a_config_says_of_gpus_stands() -> None:
    cluster = placed(_config("gpus_per_rollout_worker=0", "gpus_per_learner_rank=1"), 1.0).cluster
    assert (cluster.gpus_per_rollout_worker, cluster.gpus_per_learner_rank) == (0.0, 1.0)
    generation = GenerationConfig(gpu_memory_fraction=0.3)
    config = _config().model_copy(update={"generation": generation})
    assert placed(config, 1.0).generation.gpu_memory_fraction == 0.3


def test_workers_that_do_not_fit_on_half_a_gpu_each_are_too_many() -> None:
    with pytest.raises(ValueError, match=r"the run needs 2 GPUs \(2 rollout x 0\.5 \+ 2 learner x 0\.5 .* has 1:"):
        check_resources(_config("rollout_workers=2", "learner_ranks=2"), {"CPU": 8.0, "GPU": 1.0})


@pytest.mark.parametrize(
    ("workers", "cpus", "threads"),
    [(1, 2.0, 2), (2, 8.0, 4), (3, 8.0, 2), (4, 2.0, 1), (1, 0.5, 1)],
)
def test_the_workers_of_one_kind_share_all_cores(workers, cpus, threads) -> None:
    assert threads_per_worker(workers, cpus) == threads


def test_a_run_needs_room_for_its_checkpoints_and_its_export() -> None:
    config = load_config(None, ["--checkpoint.keep=2"])
    # Four checkpoints of seven times the weights, and the weights: 4 * 7 * 0.25 + 0.25.
    assert disk_gib(config, 0.25) == 7.25
    check_disk(config, 0.25, 7.25)
    with pytest.raises(ValueError, match=r"needs 7\.2 GiB .*run\.folder \(runs\) has 7\.2.*checkpoint\.keep"):
        check_disk(config, 0.25, 7.2)
    # An adapter of rank 8 is small: 4 * 0.2 * 0.25 + 0.25.
    assert disk_gib(load_config(None, ["--checkpoint.keep=2", "--model.lora_rank=8"]), 0.25) == pytest.approx(0.45)


def test_the_free_space_of_a_folder_that_is_not_there_yet_is_that_of_its_disk(tmp_path) -> None:
    assert free_gib(tmp_path / "runs" / "mine") == pytest.approx(free_gib(tmp_path), abs=1.0)

"""What a run needs and whether a cluster has it, before anything is started."""

import pytest

from cluster.assignment import check_nodes
from cluster.in_process import cores_by_host, resources_in_process
from cluster.placement import (
    bundles,
    check_resources,
    decide_gpus,
    roles,
    threads_per_worker,
)
from rnr.cli import load_config
from rnr.config import GenerationConfig, ScorerConfig


def _config(*overrides: str):
    return load_config(None, [f"--cluster.{override}" for override in overrides]).cluster


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
    cluster, generation = decide_gpus(_config(), GenerationConfig(), gpus)
    assert (cluster.gpus_per_rollout_worker, cluster.gpus_per_learner_rank) == (each, each)
    assert generation.gpu_memory_fraction == memory


def test_an_engine_that_a_config_gives_a_share_of_a_gpu_takes_as_much_of_it_as_one_that_is_given_it() -> None:
    halves = _config("gpus_per_rollout_worker=0.5", "gpus_per_learner_rank=0.5")
    for gpus in (1.0, 8.0):
        assert decide_gpus(halves, GenerationConfig(), gpus)[1].gpu_memory_fraction == 0.4
    assert decide_gpus(halves, GenerationConfig(gpu_memory_fraction=0.6), 1.0)[1].gpu_memory_fraction == 0.6
    for whole in (0, 1, 2):
        cluster = _config(f"gpus_per_rollout_worker={whole}", "gpus_per_learner_rank=0.5")
        assert decide_gpus(cluster, GenerationConfig(), 4.0)[1].gpu_memory_fraction == 0.85


def test_what_a_config_says_of_gpus_stands() -> None:
    cluster, _ = decide_gpus(_config("gpus_per_rollout_worker=0", "gpus_per_learner_rank=1"), GenerationConfig(), 1.0)
    assert (cluster.gpus_per_rollout_worker, cluster.gpus_per_learner_rank) == (0.0, 1.0)
    _, generation = decide_gpus(_config(), GenerationConfig(gpu_memory_fraction=0.3), 1.0)
    assert generation.gpu_memory_fraction == 0.3
    _, generation = decide_gpus(_config(), GenerationConfig(gpu_memory_fraction=0.6), 1.0)
    assert generation.gpu_memory_fraction == 0.6


def test_workers_that_do_not_fit_on_half_a_gpu_each_are_too_many() -> None:
    halves, _ = decide_gpus(_config("rollout_workers=2", "learner_ranks=2"), GenerationConfig(), 1.0)
    with pytest.raises(ValueError, match=r"the run needs 2 GPUs \(2 rollout x 0\.5 \+ 2 learner x 0\.5 .* has 1:"):
        check_resources(halves, {"CPU": 8.0, "GPU": 1.0})


@pytest.mark.parametrize(
    ("workers", "hosts", "threads"),
    [
        *((1, [2.0], 2), (2, [8.0], 4), (3, [8.0], 2), (4, [2.0], 1), (1, [0.5], 1)),
        (1, [4.0, 4.0], 4),  # and not 8: it is on one of them
        (4, [4.0, 4.0], 2),
        (2, [1.0, 16.0, 16.0], 16),
        (1, [4.0, 64.0], 64),
        (8, [4.0, 64.0], 8),
    ],
)
def test_the_workers_of_one_kind_share_all_cores_and_none_has_more_than_a_host(workers, hosts, threads) -> None:
    assert threads_per_worker(workers, hosts) == threads


def test_hosts_that_are_there_and_have_cores_are_counted(monkeypatch) -> None:
    nodes = [
        {"Alive": True, "Resources": {"CPU": 4.0}},
        {"Alive": True, "Resources": {"memory": 9.0}},
        {"Alive": True, "Resources": {"CPU": 0.0}},
        {"Alive": False, "Resources": {"CPU": 64.0}},
    ]
    monkeypatch.setattr("cluster.in_process.ray.nodes", lambda: nodes)
    assert cores_by_host("auto") == [4.0]
    nodes.clear()
    assert cores_by_host("auto") == [1.0]


def _node(cpus: float, gpus: float = 0.0, alive: bool = True) -> dict:
    return {"Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus}}


def test_a_worker_that_fits_on_no_single_node_is_told_at_once_whatever_the_sum_is() -> None:
    cluster = _config("cpus_per_worker=3")
    check_nodes(cluster, [_node(2), _node(4)])
    with pytest.raises(ValueError, match=r"one rollout worker needs 3 CPU and 0 GPU on one node.*largest: 2 CPU"):
        check_nodes(cluster, [_node(2), _node(2), _node(8, alive=False)])
    both = _config("cpus_per_worker=3", "gpus_per_rollout_worker=1", "gpus_per_learner_rank=1")
    with pytest.raises(ValueError, match="no node has both"):
        check_nodes(both, [_node(4), _node(1, 1)])


def test_a_rank_and_a_worker_that_share_a_gpu_are_reserved_as_a_pair() -> None:
    halves = _config("rollout_workers=2", "learner_ranks=2", "gpus_per_rollout_worker=0.5", "gpus_per_learner_rank=0.5")
    assert [(bundle.members, bundle.resources) for bundle in bundles(halves)] == [
        (("learner-0", "rollout-0"), {"CPU": 0.5, "GPU": 1.0}),
        (("learner-1", "rollout-1"), {"CPU": 0.5, "GPU": 1.0}),
    ]


def test_workers_with_gpus_of_their_own_are_reserved_one_by_one_and_without_gpus_nothing_is() -> None:
    whole = _config("rollout_workers=2", "gpus_per_rollout_worker=1", "gpus_per_learner_rank=1")
    assert [bundle.members for bundle in bundles(whole)] == [("learner-0",), ("rollout-0",), ("rollout-1",)]
    more = _config("rollout_workers=3", "gpus_per_rollout_worker=0.5", "gpus_per_learner_rank=0.5")
    assert [bundle.members for bundle in bundles(more)] == [("learner-0", "rollout-0"), ("rollout-1",), ("rollout-2",)]
    assert bundles(_config("gpus_per_rollout_worker=0", "gpus_per_learner_rank=0")) == ()


def _judge(**asked) -> ScorerConfig:
    return ScorerConfig(use="mine:judge", **asked)


def test_scorers_are_workers_of_the_run_and_their_gpus_are_taken_first() -> None:
    judge = _judge(workers=2, cpus=1, gpus=1)
    config = _config("gpus_per_rollout_worker=1", "gpus_per_learner_rank=1")
    assert [(role.name, role.count, role.cpus, role.gpus) for role in roles(config, (judge,))][3:] == [
        ("judge", 2, 1.0, 1.0)
    ]
    check_resources(config, {"CPU": 8.0, "GPU": 4.0}, (judge,))
    with pytest.raises(
        ValueError, match=r"needs 4 GPUs .* \+ 2 judge x 1\), .* has 3: .* \(or those of reward\.scorers\)"
    ):
        check_resources(config, {"CPU": 8.0, "GPU": 3.0}, (judge,))
    with pytest.raises(ValueError, match=r"needs 2\.75 CPUs .* \+ 2 judge x 1\)"):
        check_resources(config, {"CPU": 2.0, "GPU": 4.0}, (judge,))
    # Of three GPUs one is the judge's; of two one is left for both; of one there is none, which is told.
    shares = {gpus: decide_gpus(_config(), GenerationConfig(), gpus, (_judge(gpus=1),))[0] for gpus in (3.0, 2.0, 1.0)}
    assert [share.gpus_per_rollout_worker for share in shares.values()] == [1.0, 0.5, 0.5]
    check_resources(shares[2.0], {"CPU": 8.0, "GPU": 2.0}, (_judge(gpus=1),))
    with pytest.raises(ValueError, match="needs 2 GPUs"):
        check_resources(shares[1.0], {"CPU": 8.0, "GPU": 1.0}, (_judge(gpus=1),))


def test_a_scorer_that_fits_on_no_single_node_is_told_by_its_name() -> None:
    with pytest.raises(ValueError, match=r"one judge worker needs 0\.25 CPU and 2 GPU .* in reward\.scorers"):
        check_nodes(_config(), [_node(4, 1), _node(4, 1)], (_judge(gpus=2),))


def test_in_one_process_nothing_is_asked_of_the_cores_and_scorers_take_what_there_is() -> None:
    config = _config("address=in_process", "cpus_per_worker=16")
    check_resources(config, resources_in_process(), (_judge(cpus=100, gpus=8),))


@pytest.mark.parametrize(
    ("ranks", "engines", "gpus", "needed"),
    [
        (4, 2, 4.0, 4),  # two pairs and two ranks beside no engine
        (6, 4, 8.0, 6),
        (6, 3, 8.0, 6),
        (3, 1, 2.0, 3),
        (4, 2, 3.0, 4),
        (1, 3, 2.0, 2),  # a pair and two halves
    ],
)
def test_a_rank_beside_no_engine_has_a_gpu_to_itself(ranks, engines, gpus, needed) -> None:
    asked = _config(f"learner_ranks={ranks}", f"rollout_workers={engines}")
    cluster, _ = decide_gpus(asked, GenerationConfig(), gpus)
    assert cluster.gpus_per_learner_rank == 0.5
    reserved = bundles(cluster)
    assert sum(bundle.resources["GPU"] for bundle in reserved) == needed
    held = [bundle.resources["GPU"] for bundle in reserved if bundle.members[0].startswith("learner")]
    assert held == [1.0] * ranks
    if needed <= gpus:
        check_resources(cluster, {"CPU": 64.0, "GPU": gpus})


def test_ranks_for_which_there_are_too_few_gpus_are_refused_with_the_number_that_fits() -> None:
    cluster, _ = decide_gpus(_config("learner_ranks=4", "rollout_workers=2"), GenerationConfig(), 3.0)
    with pytest.raises(ValueError) as raised:
        check_resources(cluster, {"CPU": 64.0, "GPU": 3.0})
    message = str(raised.value)
    assert message.startswith(
        "the run needs 4 GPUs (2 rollout x 0.5 + 2 learner x 0.5 + 2 learner beside no engine x 1 + 1 reward x 0), "
        "but the cluster has 3: lower"
    )
    assert message.endswith("; cluster.learner_ranks=3 would fit")  # two pairs and one


@pytest.mark.parametrize(
    ("asked", "fraction", "said"),
    [
        (
            ("learner_ranks=2", "gpus_per_learner_rank=0.5", "gpus_per_rollout_worker=1"),
            None,
            "2 of the 2 learner ranks",
        ),
        (("learner_ranks=4", "gpus_per_learner_rank=0.25", "gpus_per_rollout_worker=0"), None, "4 of the 4 learner"),
        # A pair takes half a GPU, so that two pairs would be on one.
        (
            ("learner_ranks=2", "rollout_workers=2", "gpus_per_learner_rank=0.3", "gpus_per_rollout_worker=0.2"),
            None,
            r"gpus_per_learner_rank=0\.3: 2 of the 2 .* NCCL allows one per GPU: set it to 1, or both",
        ),
        # 0.5 + 0.25 leave a quarter, which the second engine takes.
        (
            ("rollout_workers=2", "gpus_per_learner_rank=0.5", "gpus_per_rollout_worker=0.25"),
            None,
            r"a second engine would be put on the GPU of a learner rank.* set cluster\.gpus_per_learner_rank to 0\.75",
        ),
        # Three engines beside one rank: the second and the third share a GPU.
        (
            ("rollout_workers=3", "gpus_per_learner_rank=0.5", "gpus_per_rollout_worker=0.5"),
            0.6,
            r"2 engines would be put on one GPU, and each takes 0\.6 .*gpu_memory_fraction to 0\.47 or less",
        ),
        (("rollout_workers=1..8", "gpus_per_learner_rank=1", "gpus_per_rollout_worker=0.25"), 0.4, "4 engines would"),
        (("rollout_workers=5", "gpus_per_learner_rank=1", "gpus_per_rollout_worker=0.2"), 0.22, "5 engines would"),
    ],
)
def test_shares_that_would_put_too_much_on_one_gpu_are_refused_by_name(asked, fraction, said) -> None:
    generation = GenerationConfig(gpu_memory_fraction=fraction) if fraction else GenerationConfig()
    with pytest.raises(ValueError, match=said):
        decide_gpus(_config(*asked), generation, 8.0)


def test_engines_that_this_machine_has_no_gpu_for_crowd_none(monkeypatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    pair, generation = _config("rollout_workers=1..8"), GenerationConfig(gpu_memory_fraction=0.6)
    assert decide_gpus(pair, generation, 1.0)[0].gpus_per_rollout_worker == 0.5  # which fills the one GPU
    with pytest.raises(ValueError, match="2 engines would be put on one GPU"):
        decide_gpus(pair.model_copy(update={"address": "10.0.0.1:6379"}), generation, 1.0)  # a node may be added
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(ValueError, match="2 engines would be put on one GPU"):
        decide_gpus(pair, generation, 1.0)


def test_shares_that_leave_every_rank_its_gpu_stand() -> None:
    for asked, fraction in (
        (("learner_ranks=2", "gpus_per_learner_rank=0.6", "gpus_per_rollout_worker=1"), 0.85),
        (("gpus_per_learner_rank=0.5", "gpus_per_rollout_worker=1"), 0.85),  # one rank, beside a judge perhaps
        (("rollout_workers=3", "gpus_per_learner_rank=0.5", "gpus_per_rollout_worker=0.5"), 0.4),
        (("rollout_workers=2", "gpus_per_learner_rank=0", "gpus_per_rollout_worker=0.6"), 0.85),
    ):
        decide_gpus(_config(*asked), GenerationConfig(gpu_memory_fraction=fraction), 8.0)

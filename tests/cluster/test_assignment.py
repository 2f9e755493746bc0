"""Which node each bundle goes to, by hand."""

import asyncio
from collections import Counter
from typing import Any

import pytest

pytest.importorskip("ray")

from cluster.assignment import assign, check_nodes, spread_note
from cluster.placement import bundles, check_resources, decide_gpus
from cluster.reservations import reserve
from rnr.config import ClusterConfig, GenerationConfig, ScorerConfig


def _nodes(*gpus: float, cpus: float = 64.0) -> dict[str, dict[str, float]]:
    return {name: {"CPU": cpus, "GPU": has} for name, has in zip("ABCD", gpus, strict=False)}


def _decided(gpus: float, **cluster: Any) -> ClusterConfig:
    return decide_gpus(ClusterConfig(**cluster), GenerationConfig(), gpus)[0]


def _where(found: dict[str, str], kind: str) -> dict[str, int]:
    return dict(Counter(node for name, node in found.items() if name.startswith(kind)))


@pytest.mark.parametrize(
    ("nodes", "cluster", "ranks", "engines"),
    [
        # An engine over four GPUs takes a node, so the ranks have the other.
        (_nodes(4, 4), {"learner_ranks": 4, "rollout_workers": 1, "gpus_per_rollout_worker": 4}, [4], [1]),
        # All fit on one node; the engines have the other.
        (_nodes(8, 8), {"learner_ranks": 8, "rollout_workers": 8}, [8], [8]),
        # On the node where they leave least; engines where there is most room.
        (_nodes(8, 4, 8), {"learner_ranks": 4, "rollout_workers": 4}, [4], [2, 2]),
        # That node would leave no room for the engine over four GPUs, the other does.
        (_nodes(4, 6), {"learner_ranks": 3, "rollout_workers": 1, "gpus_per_rollout_worker": 4}, [3], [1]),
        # Twelve on as few nodes as there can be.
        (_nodes(4, 8, 8), {"learner_ranks": 12, "rollout_workers": 8}, [8, 4], [4, 4]),
        # Together the ranks would leave one node too small for its engine: 6 - 4 < 4.
        (_nodes(6, 6), {"learner_ranks": 4, "rollout_workers": 2, "gpus_per_rollout_worker": 4}, [2, 2], [1, 1]),
    ],
)
def test_ranks_are_kept_together_and_every_engine_has_its_node(nodes, cluster, ranks, engines) -> None:
    asked = bundles(_decided(sum(has["GPU"] for has in nodes.values()), **cluster))
    found = assign(asked, nodes)
    assert len(found) == len(asked)
    assert sorted(_where(found, "learner").values(), reverse=True) == ranks
    assert sorted(_where(found, "rollout").values(), reverse=True) == engines


def test_pairs_of_a_rank_and_an_engine_are_kept_together_too() -> None:
    asked = bundles(_decided(6.0, learner_ranks=3, rollout_workers=5))
    # Three pairs on the node of three GPUs, two engines of half a GPU on the others.
    found = assign(asked, _nodes(2, 3, 1))
    assert _where(found, "learner") == {"B": 3}
    assert _where(found, "rollout") == {"A": 2}


def test_what_no_node_has_room_for_beside_the_others_is_refused_before_the_start() -> None:
    cluster = _decided(8.0, learner_ranks=4, rollout_workers=2, gpus_per_rollout_worker=2)
    nodes = [{"NodeID": node, "Alive": True, "Resources": has} for node, has in _nodes(3, 3, 2).items()]
    check_resources(cluster, {"CPU": 64.0, "GPU": 8.0})
    check_nodes(cluster, nodes)  # ranks 3 + 1, engines 2 and 2
    wide = _decided(8.0, learner_ranks=2, rollout_workers=2, gpus_per_rollout_worker=3)
    check_resources(wide, {"CPU": 64.0, "GPU": 8.0})
    with pytest.raises(ValueError, match=r"rollout-1 needs 0\.25 CPU and 3 GPU on one node.* by node: 4 \+ 2 \+ 2\)"):
        check_nodes(wide, [{"Resources": has} for has in _nodes(4, 2, 2).values()])


def test_the_gpus_of_a_scorer_are_on_one_node_too() -> None:
    judges = (ScorerConfig(use="mine:judge", gpus=2, workers=2),)
    cluster = _decided(7.0, learner_ranks=1, rollout_workers=1, gpus_per_rollout_worker=2)
    # 2 + 1 and 2 + 2 of three and four GPUs; of 3 + 3 + 1, which are as many, two nodes have room for a pair each.
    check_resources(cluster, {"CPU": 64.0, "GPU": 7.0}, judges)
    check_nodes(cluster, [{"Resources": has} for has in _nodes(3, 4).values()], judges)
    with pytest.raises(ValueError, match=r"judge-1 needs 0\.25 CPU and 2 GPU .*\(or those of reward\.scorers\)"):
        check_nodes(cluster, [{"Resources": has} for has in _nodes(3, 3, 1).values()], judges)


def test_ranks_on_several_nodes_are_told_by_their_numbers() -> None:
    assert spread_note(["A", "A"]) == spread_note([]) == ""
    assert spread_note(["A", "B", "B"]) == (
        "learner: 3 ranks on 2 nodes (2 + 1), because no node has room for all: gradients cross the network in every "
        "step"
    )


def test_what_is_reserved_goes_where_it_was_checked_to_fit(monkeypatch, caplog) -> None:
    held: list[tuple[float, str]] = []

    class Place:
        def __init__(self, node: str) -> None:
            self.node = node

        def ready(self) -> Any:
            return asyncio.sleep(0)

    def group(asked: Any, **options: Any) -> Place:
        held.append((asked[0]["GPU"], options["_soft_target_node_id"]))
        return Place(options["_soft_target_node_id"])

    monkeypatch.setattr("cluster.reservations.placement_group", group)
    monkeypatch.setattr(
        "cluster.reservations.placement_group_table", lambda place: {"bundles_to_node_id": {0: place.node}}
    )
    monkeypatch.setattr("cluster.reservations.free_by_node", lambda: _nodes(4, 4))
    together = _decided(8.0, learner_ranks=4, rollout_workers=1, gpus_per_rollout_worker=4)
    asyncio.run(reserve(bundles(together), seconds=5))
    assert held == [*[(1.0, "A")] * 4, (4.0, "B")]
    assert caplog.text == ""
    held.clear()
    monkeypatch.setattr("cluster.reservations.free_by_node", lambda: _nodes(3, 3))
    judge = ScorerConfig(use="mine:judge", gpus=1)
    asyncio.run(reserve(bundles(_decided(6.0, learner_ranks=4, rollout_workers=1), (judge,)), seconds=5))
    # Three ranks on A, one and the engine on B; the judge's GPU there is left to it.
    assert held == [*[(1.0, "A")] * 3, (1.0, "B"), (1.0, "B")]
    assert "4 ranks on 2 nodes (3 + 1)" in caplog.text

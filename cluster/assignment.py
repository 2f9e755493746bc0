"""Which node each bundle goes to; the check before a start and the start itself use the same assignment."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cluster.placement import Bundle, bundles, fits, roles
from rnr.config import ClusterConfig, ScorerConfig

Free = Mapping[str, Mapping[str, float]]
"""Node -> what is free there."""


def assign(asked: Sequence[Bundle], free: Free) -> dict[str, str]:
    """First member of each bundle -> its node; bundles that fit on no node are left out.

    The learner's ranks are kept together, because their gradients cross the network otherwise: on the node on which
    they leave least, else on as few as possible. All others, the largest first, go where there is most room. Where the
    ranks leave the others no room, the others go first.
    """
    ranks = [bundle for bundle in asked if bundle.ranks]
    others = sorted((each for each in asked if not each.ranks), key=lambda each: each.resources["GPU"], reverse=True)
    found: dict[str, str] = {}
    for nodes in _places_of_ranks(ranks, free):
        room = _copy(free)
        found = _fill_in_order(ranks, nodes, room) | _spread(others, room)
        if len(found) == len(asked):
            return found
    room = _copy(free)
    others_first = _spread(others, room)
    others_first |= _fill_in_order(ranks, _most_first(ranks, room), room)
    return max(others_first, found, key=len)


def _places_of_ranks(ranks: Sequence[Bundle], free: Free) -> Iterator[list[str]]:
    """Nodes to fill with the ranks, in the order in which they are to be tried: each one that holds all of them, the
    tightest first and nodes that are alike once; then all."""
    tried: list[Mapping[str, float]] = []
    for node in sorted(free, key=lambda node: free[node].get("GPU", 0.0)):
        if free[node] not in tried and len(_fill_in_order(ranks, [node], _copy(free))) == len(ranks):
            tried.append(free[node])
            yield [node]
    yield _most_first(ranks, free)


def _most_first(ranks: Sequence[Bundle], free: Free) -> list[str]:
    """The nodes, those with room for the most ranks first."""
    return sorted(free, key=lambda node: -fits(free[node], ranks[0].resources)) if ranks else []


def _copy(free: Free) -> dict[str, dict[str, float]]:
    return {node: dict(has) for node, has in free.items()}


def _fill_in_order(asked: Sequence[Bundle], nodes: Sequence[str], room: dict[str, dict[str, float]]) -> dict[str, str]:
    """Place each bundle on the first node with room, and subtract it there."""
    found = {}
    for bundle in asked:
        node = next((node for node in nodes if fits(room[node], bundle.resources)), None)
        if node is not None:
            found |= _take(bundle, node, room)
    return found


def _spread(asked: Sequence[Bundle], room: dict[str, dict[str, float]]) -> dict[str, str]:
    """Place each bundle on the node with the most room for it, and subtract it there."""
    found = {}
    for bundle in asked:
        node = max(room, key=lambda node, need=bundle.resources: fits(room[node], need), default=None)
        if node is not None and fits(room[node], bundle.resources):
            found |= _take(bundle, node, room)
    return found


def _take(bundle: Bundle, node: str, room: dict[str, dict[str, float]]) -> dict[str, str]:
    for name, amount in bundle.resources.items():
        room[node][name] = room[node].get(name, 0.0) - amount
    return {bundle.members[0]: node}


def spread_note(node_of_rank: Sequence[str]) -> str:
    """A note when the learner ranks are on several nodes; empty when they are all on one."""
    each = sorted(Counter(node_of_rank).values(), reverse=True)
    if len(each) < 2:
        return ""
    return (
        f"learner: {len(node_of_rank)} ranks on {len(each)} nodes ({' + '.join(map(str, each))}), because no node has "
        "room for all: gradients cross the network in every step"
    )


def check_nodes(
    cluster: ClusterConfig, nodes: Sequence[Mapping[str, Any]], scorers: Sequence[ScorerConfig] = ()
) -> None:
    """Raise ValueError when a worker fits on no single node, whatever the sum of all is, or on none beside the others;
    ``nodes`` as ``ray.nodes()`` gives them."""
    alive = [node["Resources"] for node in nodes if node.get("Alive", True)]
    for role in roles(cluster, scorers):
        wanted = {"CPU": role.cpus, "GPU": role.gpus}
        if not any(all(has.get(name, 0.0) + 1e-6 >= need for name, need in wanted.items()) for has in alive):
            most = {name: max((has.get(name, 0.0) for has in alive), default=0.0) for name in wanted}
            largest = ", ".join(f"{count:g} {name}" for name, count in most.items())
            keys = "cluster.cpus_per_worker or cluster.gpus_per_*"
            keys = keys if role in roles(cluster) else "its cpus or gpus in reward.scorers"
            raise ValueError(
                f"one {role.name} worker needs {role.cpus:g} CPU and {role.gpus:g} GPU on one node, but no node has "
                f"both (largest: {largest}): lower {keys}"
            )
    asked = bundles(cluster, scorers)
    found = assign(asked, {str(number): has for number, has in enumerate(alive)})
    missing = [bundle for bundle in asked if bundle.members[0] not in found]
    if missing:
        who, needs = " with ".join(missing[0].members), missing[0].resources
        theirs = " (or those of reward.scorers)" if scorers else ""
        has = " + ".join(f"{has['GPU']:g}" for has in alive if has.get("GPU"))
        raise ValueError(
            f"{who} needs {needs['CPU']:g} CPU and {needs['GPU']:g} GPU on one node, but next to the other workers no "
            f"node has both (GPUs by node: {has}): lower cluster.rollout_workers, cluster.learner_ranks or "
            f"cluster.gpus_per_*{theirs}, or add a node"
        )

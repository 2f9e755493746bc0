"""Places on nodes, held by Ray's placement groups: one for each bundle, because a placement group cannot grow."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from threading import Thread
from typing import Any

import ray
from ray._private import state
from ray.util.placement_group import (
    PlacementGroup,
    placement_group,
    placement_group_table,
    remove_placement_group,
)
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from actors.deadline import answer, called
from actors.pool import WorkerLost
from cluster.assignment import assign, spread_note
from cluster.nodes import elsewhere
from cluster.placement import Bundle, fits

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Reservations:
    """Name of a worker -> its place, which it finds again when it is replaced."""

    groups: dict[str, PlacementGroup]

    def strategy(self, name: str) -> Any:
        """How Ray places the worker of this name: in its bundle, or spread over the nodes where there is none."""
        if name not in self.groups:
            return "SPREAD"
        return PlacementGroupSchedulingStrategy(placement_group=self.groups[name], placement_group_bundle_index=0)

    async def claim(
        self, bundle: Bundle, *, seconds: float, avoid: Sequence[str] = (), node: str | None = None
    ) -> None:
        """Hold a place for the members of a bundle, on ``node``, or where there is most room; the one they have, if
        they have one. Nodes to ``avoid`` are left out, and a place there is given up. Raises WorkerLost when no node
        has room within ``seconds``."""
        name = bundle.members[0]
        ask = partial(called, place=f"{' and '.join(bundle.members)}, phase start", seconds=seconds, lost=WorkerLost)
        if avoid and await ask(partial(self.node_of, name)) in avoid:
            self.release(name)
        if name not in self.groups:
            node = node or await ask(partial(roomiest, bundle.resources, avoid))
            make = partial(
                placement_group,
                [bundle.resources],
                strategy="STRICT_PACK",
                _soft_target_node_id=node,
                bundle_label_selector=[elsewhere(avoid)],
            )
            group = await ask(make, undo=remove_placement_group)
            self.groups |= dict.fromkeys(bundle.members, group)
        group = self.groups[name]
        try:
            place = f"{' and '.join(bundle.members)}: a node with {bundle.resources}"
            await answer(group.ready(), place=place, seconds=seconds, lost=WorkerLost)
        except WorkerLost:
            self.release(name)
            raise

    def node_of(self, name: str) -> str | None:
        """The node where the worker of this name has its place."""
        group = self.groups.get(name)
        return placement_group_table(group)["bundles_to_node_id"].get(0) if group is not None else None

    def placed(self, name: str) -> bool:
        """Whether the worker of this name has a place on a node that is there."""
        group = self.groups.get(name)
        return group is not None and placement_group_table(group)["state"] == "CREATED"

    def ranks_waiting(self) -> int:
        """How many learner ranks have a place that is on no node that is there."""
        ranks = [group for name, group in [*self.groups.items()] if name.startswith("learner-")]
        return sum(placement_group_table(group)["state"] != "CREATED" for group in ranks)

    def release(self, name: str) -> None:
        """Give up the place of a worker; one that it shares is kept for the other."""
        group = self.groups.get(name)
        if group is not None and list(self.groups.values()).count(group) == 1:
            del self.groups[name]
            _give_back([group])

    def release_all(self, seconds: float = 5.0) -> None:
        """Give everything back, as far as Ray answers within ``seconds``."""
        groups = {id(group): group for group in self.groups.values()}
        self.groups.clear()
        _give_back([*groups.values()]).join(seconds)


def _give_back(groups: Sequence[PlacementGroup]) -> Thread:
    """Remove placement groups in a thread that delays neither the event loop nor the end of the process: where the
    cluster is gone each call takes most of a minute."""

    def remove() -> None:
        try:
            for group in groups:
                remove_placement_group(group)
        except Exception as error:
            if ray.is_initialized():  # else all places went with it
                logger.warning(f"a place could not be given back: {type(error).__name__}: {error}")

    thread = Thread(target=remove, name="ray call", daemon=True)
    thread.start()
    return thread


async def reserve(bundles: Sequence[Bundle], *, seconds: float) -> Reservations:
    """Reserve the bundles that are to be held, each on the node that ``assign`` gives it, and say where the learner's
    ranks are on several; raises WorkerLost naming the first that no node had room for in time."""
    reservations = Reservations({})
    ask = partial(called, place="places for the workers", seconds=seconds, lost=WorkerLost)
    found = assign(bundles, await ask(free_by_node)) if bundles else {}
    # Only a bundle that no node has room for now waits for one.
    for bundle in sorted(bundles, key=lambda bundle: bundle.members[0] not in found):
        if bundle.held:
            await reservations.claim(bundle, seconds=seconds, node=found.get(bundle.members[0]))
    ranks = (bundle.members[0] for bundle in bundles if bundle.ranks)
    nodes = [await ask(partial(reservations.node_of, name)) for name in ranks]
    if note := spread_note([node for node in nodes if node]):
        logger.info(note)
    return reservations


def free_by_node() -> dict[str, Mapping[str, float]]:
    """Node -> what is free there; without nodes that are about to leave."""
    leaving = state.state.get_draining_nodes()
    return {node: free for node, free in state.available_resources_per_node().items() if node not in leaving}


def roomiest(need: Mapping[str, float], avoid: Sequence[str] = ()) -> str | None:
    """The node where ``need`` fits most often, so that workers spread; None if it fits nowhere now."""
    found = [(fits(free, need), node) for node, free in free_by_node().items() if node not in avoid]
    most, node = max(found, default=(0, ""))
    return node if most else None


def room(need: Mapping[str, float]) -> int:
    """How often ``need`` fits on the nodes as they are now."""
    return sum(fits(free, need) for free in free_by_node().values())

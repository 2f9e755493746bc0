"""Nodes that can be reached. Ray reports a dead host as alive until its health checks have failed, about half a minute
later; until then it would place workers there."""

import asyncio
import re
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

LOOPBACK = "127.0.0.1"
"""The address by which a host reaches itself, and no other host reaches it."""

SECONDS = 3.0
"""Seconds a node has to accept a connection."""

TRIES, PAUSE = 3, 1.0
"""How often an address is tried before it is refused, and the seconds between: a head may just be starting."""
_PLACE = re.compile(r"(?:ray://)?\[?([^\[\]/]+?)\]?:(\d{1,5})")

Node = Mapping[str, Any]
"""As ``ray.nodes()`` gives it."""


async def unreachable(nodes: Sequence[Node]) -> list[str]:
    """The ids of nodes that Ray reports alive and whose raylet accepts no connection."""
    alive = [node for node in nodes if node["Alive"]]
    answers = await asyncio.gather(*map(_answers, alive))
    return [node["NodeID"] for node, answer in zip(alive, answers, strict=True) if not answer]


def refuse_unreachable(address: str, what: str) -> None:
    """Raise ValueError if the HOST:PORT of a cluster has no such host, or nothing there takes a connection: Ray would
    look for it for minutes. A host that says nothing at all is left to Ray, as any other address."""
    if not (place := _PLACE.fullmatch(address)):
        return
    for left in reversed(range(TRIES)):
        try:
            socket.create_connection((place[1], int(place[2])), timeout=SECONDS).close()
            return
        except TimeoutError:
            return
        except (OSError, OverflowError) as error:
            if not left:
                raise ValueError(f"{what}: cannot connect ({error}); check that it is up and its address") from None
        time.sleep(PAUSE)


def elsewhere(node_ids: Iterable[str]) -> dict[str, str]:
    """Ray's label selector for every node but these; it selects nothing, so that all will do, without any."""
    names = ", ".join(sorted(node_ids))
    return {"ray.io/node-id": f"!in({names})"} if names else {}


async def _answers(node: Node) -> bool:
    connecting = asyncio.open_connection(node["NodeManagerAddress"], node["NodeManagerPort"])
    with suppress(OSError, TimeoutError):
        _, writer = await asyncio.wait_for(connecting, SECONDS)
        writer.close()
        return True
    return False

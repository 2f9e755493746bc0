"""Which nodes take no connection, and how Ray is told to place workers elsewhere."""

import asyncio
import socket

from ray._private.label_utils import validate_label_selector

from cluster.nodes import elsewhere, unreachable


def _node(name: str, port: int, *, alive: bool = True) -> dict:
    return {"NodeID": name, "NodeManagerAddress": "127.0.0.1", "NodeManagerPort": port, "Alive": alive}


def test_a_node_that_takes_no_connection_is_found_although_ray_calls_it_alive() -> None:
    with socket.create_server(("127.0.0.1", 0)) as up, socket.create_server(("127.0.0.1", 0)) as down:
        ports = up.getsockname()[1], down.getsockname()[1]
        down.close()
        nodes = [_node("aa", ports[0]), _node("bb", ports[1]), _node("cc", ports[1], alive=False)]
        assert asyncio.run(unreachable(nodes)) == ["bb"]


def test_a_silent_host_is_not_waited_for(monkeypatch) -> None:
    monkeypatch.setattr("cluster.nodes.SECONDS", 0.05)
    with socket.socket() as full:
        # A queue that is full drops what comes, as a cable that was pulled does.
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(address)
        assert asyncio.run(unreachable([_node("aa", address[1])])) == ["aa"]
        for each in waiting:
            each.close()


def test_the_selector_is_one_that_ray_knows() -> None:
    assert elsewhere([]) == {}
    selector = elsewhere(["b" * 56, "a" * 56])
    assert selector == {"ray.io/node-id": f"!in({'a' * 56}, {'b' * 56})"}
    assert validate_label_selector(selector) is None

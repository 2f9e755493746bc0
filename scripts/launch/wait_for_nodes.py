"""Wait, with a deadline, until all nodes have joined a Ray cluster.

python -m scripts.launch.wait_for_nodes --address 10.0.0.1:6385 --nodes 2 --seconds 300
"""

import sys
import time
from collections.abc import Callable
from typing import Annotated

import typer

from scripts.command_line import as_written, new_app, run, within

app = new_app()


def main(argv: list[str]) -> int:
    return run(app, argv)


@app.command(help=as_written(__doc__))
def wait_for_nodes(
    address: Annotated[str, typer.Option(help="address of the head, HOST:PORT")],
    nodes: Annotated[int, typer.Option(callback=within(1), help="number of nodes, including the head")],
    seconds: Annotated[float, typer.Option(callback=within(1), help="deadline in seconds")] = 300.0,
    pause: Annotated[float, typer.Option(callback=within(0), help="seconds between two checks")] = 2.0,
) -> int:
    """Exit code 0 as soon as ``nodes`` nodes are alive; 1 at the deadline, with the number that joined."""
    import ray

    from cluster import ray_session

    begin = time.monotonic()
    found, problem = 0, ""
    while time.monotonic() - begin < seconds:
        left = seconds - (time.monotonic() - begin)
        try:
            with ray_session.session(address, seconds=max(1.0, left)):
                found, problem = _until(lambda: _alive(ray.nodes()), nodes, left, pause), ""
        except ValueError as error:  # the head is not up yet
            problem = f": {error}"
            time.sleep(pause)
        if found >= nodes:
            print(f"{found} nodes after {time.monotonic() - begin:.0f} s")
            return 0
    print(f"error: {found} of {nodes} nodes joined {address} within {seconds:g} s{problem}", file=sys.stderr)
    return 1


def _until(count: Callable[[], int], wanted: int, seconds: float, pause: float) -> int:
    """The result of ``count`` as soon as it is at least ``wanted``, or after ``seconds``."""
    end = time.monotonic() + seconds
    while (found := count()) < wanted and time.monotonic() < end:
        time.sleep(pause)
    return found


def _alive(nodes: list[dict]) -> int:
    return sum(bool(node["Alive"]) for node in nodes)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Scale: change the number of rollout workers of an active run.

python -m scripts.scale runs/mine 4        # four, within a step
python -m scripts.scale runs/mine 1..8     # as many as the cluster has room for, from one to eight
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

from rnr.runs.scale import request_workers
from scripts.command_line import as_written, new_app, run

app = new_app()


def main(argv: list[str]) -> int:
    return run(app, argv)


@app.command(help=as_written(__doc__))
def scale(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="the run's folder")],
    workers: Annotated[str, typer.Argument(metavar="N", help="a number such as 4, or a range such as 1..8")],
) -> None:
    """Write the request; the run reads it within seconds and prints its response."""
    request_workers(folder, workers)
    print(f"asked {folder} for {workers} rollout workers; see infra/rollout_workers_alive in its metrics.jsonl")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

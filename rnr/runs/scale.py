"""Requests to an active run for a number of rollout workers: a file in the run folder that the run polls."""

from pathlib import Path

from rnr.config import worker_range
from rnr.files.whole import write_whole
from rnr.runs.run_folder import is_active, saved_config

FILE = "rollout_workers"
"""Name of the file; it holds what ``cluster.rollout_workers`` may be."""


def request_workers(folder: Path, workers: str) -> None:
    """Ask the run in ``folder`` for so many rollout workers, a number or a range; raises ValueError if that is neither,
    or if no run goes on there."""
    try:
        worker_range(workers)
    except ValueError as error:
        raise ValueError(f"N {error}") from None
    if saved_config(folder).get("cluster", {}).get("address") == "in_process":
        raise ValueError(f"the run in {folder} has one process (--debug) and one rollout worker")
    if not is_active(folder):
        raise ValueError(f"no run is active in {folder}: start or resume it with --cluster.rollout_workers={workers}")
    write_whole(folder / FILE, workers.strip() + "\n")


def requested_workers(folder: Path) -> tuple[int, int] | None:
    """The (fewest, most) that were asked for; None if nothing was. Raises ValueError, naming the file, for what cannot
    be read."""
    file = folder / FILE
    try:
        return worker_range(file.read_text(encoding="utf-8", errors="replace").strip())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"{file} {error}") from None


def clear_request(folder: Path) -> None:
    """Remove a request: it is for the process that ran when it was made, and the config counts for the next."""
    if (file := folder / FILE).exists():
        print(f"run: discarding an old request for {file.read_text(errors='replace').strip()!r} rollout workers")
        file.unlink()

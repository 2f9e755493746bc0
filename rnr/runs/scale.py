"""Requests to an active run for a number of rollout workers: a file in the run folder that the run polls."""

import logging
from pathlib import Path

from rnr.config import worker_range
from rnr.files.whole import write_whole
from rnr.runs.lock import is_active
from rnr.runs.run_folder import saved_config

logger = logging.getLogger(__name__)

FILE = "rollout_workers"
"""Name of the file; it holds a value of ``cluster.rollout_workers``."""


def request_workers(folder: Path, workers: str) -> None:
    """Ask the run in ``folder`` for a number or range of rollout workers; raises ValueError if it is neither, or if no
    run is active there."""
    try:
        worker_range(workers)
    except ValueError as error:
        raise ValueError(f"N {error}") from None
    if saved_config(folder).get("cluster", {}).get("address") == "in_process":
        raise ValueError(f"the run in {folder} is a single process (--debug) with one rollout worker")
    if not is_active(folder):
        raise ValueError(f"no run is active in {folder}: start or resume it with --cluster.rollout_workers={workers}")
    write_whole(folder / FILE, workers.strip() + "\n")


def requested_workers(folder: Path) -> tuple[int, int] | None:
    """The requested (fewest, most) workers; None without a request. Raises ValueError, naming the file, for a request
    that cannot be read."""
    file = folder / FILE
    try:
        return worker_range(file.read_text(encoding="utf-8", errors="replace").strip())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"{file} {error}") from None


def clear_request(folder: Path) -> None:
    """Remove a request: it was meant for the process that ran then; the next one follows the config."""
    if (file := folder / FILE).exists():
        logger.info(f"run: discarding an old request for {file.read_text(errors='replace').strip()!r} rollout workers")
        file.unlink()

"""``scripts.train`` that also notes what a campaign wants to know: waits beyond their deadline, memory, descriptors.

Usage: ``python -m tests.chaos.driver FOLDER ARGUMENTS OF scripts.train``
"""

import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psutil

from actors import deadline

SLACK = 10.0
"""Seconds that a busy machine may take to notice that a deadline has passed."""


def note(file: Path, row: dict[str, Any]) -> None:
    with file.open("a") as out:
        out.write(json.dumps(row) + "\n")


def watch_waits(file: Path) -> None:
    """Note every wait that took longer than it may."""
    answer = deadline.answer

    async def watched(reference: Any, *, place: str, seconds: float, **options: Any) -> Any:
        begin = time.monotonic()
        try:
            return await answer(reference, place=place, seconds=seconds, **options)
        finally:
            took = time.monotonic() - begin
            if took > seconds + SLACK:
                note(file, {"place": place, "allowed": seconds, "took": took})

    deadline.answer = watched


def watch_process(file: Path) -> None:
    """Note memory (MiB) and descriptors of this process every ten seconds."""
    me = psutil.Process()
    while True:
        note(file, {"time": time.time(), "mib": me.memory_info().rss >> 20, "descriptors": me.num_fds()})
        time.sleep(10)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    watch_waits(folder / "waits.jsonl")
    threading.Thread(target=watch_process, args=(folder / "process.jsonl",), daemon=True).start()
    from scripts.train import main  # after the deadline is watched

    sys.exit(main(sys.argv[2:]))

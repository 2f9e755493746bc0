"""Progress of texts on standard error, also within a long one."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rnr.messages import counted

PROGRESS_SECONDS = 5.0


@contextmanager
def progress_shown(texts: Callable[[], int], windows: Callable[[], tuple[int, int]]) -> Iterator[None]:
    """Report every ``PROGRESS_SECONDS`` how many ``texts`` are done; if none was since the last report, also how many
    ``windows`` are answered and were asked."""
    begin, ended = time.monotonic(), threading.Event()

    def report() -> None:
        last = 0
        while not ended.wait(PROGRESS_SECONDS):
            done, (answered, asked) = texts(), windows()
            rate = f"{done / (time.monotonic() - begin):.1f} per second"
            within = f"{answered} of {counted(asked, 'window')}"
            print(f"{counted(done, 'text')}, {within if done == last else rate}", file=sys.stderr, flush=True)
            last = done

    thread = threading.Thread(target=report, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

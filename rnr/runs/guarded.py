"""Trackers besides the run folder: a failure is reported once, and neither stops a run nor delays it for long."""

import logging
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

logger = logging.getLogger(__name__)

START_SECONDS = 180.0
"""W&B itself waits up to 90 s for its server, and is then started again without it."""
CALL_SECONDS = 30.0
"""A row is handed to a process or to a file of this machine."""
FINISH_SECONDS = 300.0
"""W&B uploads the rest; it hangs forever if its own process has died."""


class Closes(Protocol):
    """What is guarded."""

    def finish(self) -> None: ...


Tracks = TypeVar("Tracks", bound=Closes)


class Guarded(Generic[Tracks]):
    """A tracker that is dropped after its first failure."""

    def __init__(
        self,
        name: str,
        make: Callable[[], Tracks],
        *,
        later: str,
        abandon: Callable[[], None] = lambda: None,
    ) -> None:
        """``later`` is logged with a failure and says where the data is. ``abandon`` makes sure that this process does
        not wait for the failed tracker when it exits."""
        self._name = name
        self._later = later
        self._abandon = abandon
        self._tracker: Tracks | None = None
        made: list[Tracks] = []
        if self._done(lambda: made.append(make()), START_SECONDS):
            self._tracker = made[0]

    def call(self, what: Callable[[Tracks], object], *, seconds: float = CALL_SECONDS) -> None:
        """Make this call of the tracker, unless it was dropped. Never raises what the call raises."""
        tracker = self._tracker
        if tracker is not None and not self._done(lambda: what(tracker), seconds):
            self._tracker = None

    def finish(self, seconds: float = FINISH_SECONDS) -> None:
        """Close it, once."""
        self.call(lambda tracker: tracker.finish(), seconds=seconds)
        self._tracker = None

    def _done(self, call: Callable[[], object], seconds: float) -> bool:
        """Whether this call succeeded; an error is reported. A signal that ends the wait abandons the tracker, too."""
        try:
            why = prevented(call, seconds)
        except BaseException:
            self._abandon()
            raise
        if why:
            logger.warning(f"{self._name} disabled: {why}; {self._later}")
            self._abandon()
        return not why


def prevented(call: Callable[[], object], seconds: float) -> str:
    """The error of this call, on one line; empty if it succeeded."""
    failures: list[str] = []

    def made() -> None:
        try:
            call()
        except BaseException as error:  # whatever it is, the run continues
            failures.append(" ".join(f"{type(error).__name__}: {error}".split()))

    thread = threading.Thread(target=made, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # the interpreter is exiting and starts no more threads
        return str(error)
    thread.join(seconds)
    if thread.is_alive():
        return f"did not finish within {seconds:g} s"
    return "".join(failures)

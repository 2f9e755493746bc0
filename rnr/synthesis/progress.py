"""Progress lines of a run over sentences."""

import time
from collections.abc import Mapping

from rnr.runs.console import Console, duration


class ProgressLine:
    """Prints numbers and the time left after each sentence, for work that starts now at sentence ``first``."""

    def __init__(self, console: Console, first: int, sentences: int) -> None:
        self._console = console
        self._first = first
        self._sentences = sentences
        self._begin = time.monotonic()

    def step(self, sentence: int, numbers: Mapping[str, float], more: str = "") -> None:
        """Report a finished sentence; ``more`` is printed after the time left."""
        seconds = (time.monotonic() - self._begin) / (sentence + 1 - self._first) * (self._sentences - sentence - 1)
        left = f"about {duration(seconds)} left{more}"
        self._console.step_line("sentence", sentence, self._sentences, numbers, left)

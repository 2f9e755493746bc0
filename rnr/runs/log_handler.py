"""What RNR's loggers report, as lines of the terminal: in a command and in a worker. A program that imports RNR
configures ``logging`` itself."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

PACKAGES = ("rnr", "rewards", "actors", "learner", "cluster")


class _Lines(logging.Handler):
    def __init__(self, say: Callable[[str], object]) -> None:
        super().__init__()
        self._say = say

    def emit(self, record: logging.LogRecord) -> None:
        # As with ``print``, a terminal or a disk that takes no more is an error of the command.
        say = self._say if record.levelno < logging.ERROR else partial(print, file=sys.stderr)
        say(self.format(record))


def log_to(say: Callable[[str], object]) -> None:
    """Give ``say`` every line of level INFO or WARNING from now on, in place of previous handlers; an ERROR goes to
    standard error."""
    handler = _Lines(say)
    for logger in map(logging.getLogger, PACKAGES):
        logger.handlers = [handler]
        logger.propagate = False  # libraries give the root logger handlers, too: each line would appear twice
        logger.setLevel(logging.INFO)


@contextmanager
def kept_enabled() -> Iterator[None]:
    """RNR's loggers still report after a block of a user's code, which disables them where it configures ``logging``:
    ``dictConfig`` and ``fileConfig`` disable all loggers that they do not name."""
    try:
        yield
    finally:
        for name, logger in logging.root.manager.loggerDict.items():
            if name.partition(".")[0] in PACKAGES and isinstance(logger, logging.Logger):
                logger.disabled = False


@contextmanager
def logged_to(say: Callable[[str], object]) -> Iterator[None]:
    """``log_to`` for the length of a block."""
    loggers = [logging.getLogger(name) for name in PACKAGES]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    log_to(say)
    try:
        yield
    finally:
        for logger, (handlers, propagate, level) in zip(loggers, before, strict=True):
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)

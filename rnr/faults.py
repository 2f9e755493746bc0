"""Exceptions that more than one package raises or handles."""


def causes(error: BaseException) -> list[BaseException]:
    """The plain exceptions inside a group of groups, as task groups raise them; of any other exception it alone."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [cause for inner in error.exceptions for cause in causes(inner)]


class WorkerUnusable(RuntimeError):
    """The worker's engine is gone, half-loaded or cut off: the worker is replaced and its work handed out again."""


class PolicyGone(RuntimeError):
    """A published policy was in the memory of a learner that died: the worker is fine, the learner is lost."""


class Stopped(Exception):
    """The run stopped on request; says what was saved."""


class NoRoom(RuntimeError):
    """A disk is full and stayed so; says which, how much it has and what it was for. The run can be resumed."""

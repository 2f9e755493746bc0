"""What a worker raises when it can no longer work."""


class WorkerUnusable(RuntimeError):
    """The worker's engine is gone, half-loaded or cut off: the worker is replaced and its work handed out again."""


class PolicyGone(RuntimeError):
    """A published policy lay in the memory of a learner that is no more: the worker is sound, the learner is not."""

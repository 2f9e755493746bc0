"""What a worker raises when it can no longer work."""


class WorkerUnusable(RuntimeError):
    """The worker's engine is gone or half-loaded: the pool replaces the worker and hands its leases out again."""

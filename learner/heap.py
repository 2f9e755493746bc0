"""The C heap of a learner on a CPU, which ``CPU_LEARNER`` (cluster/workers.py) keeps from shrinking automatically."""

import ctypes

import psutil

from rnr.host_memory import host_memory

SHARE_OF_MEMORY = 0.25


class Heap:
    """Gives free pages back to the system now and then.

    Never giving them back saves a fifth of a step, but blocks of ever other sizes fragment the heap: after 100 steps of
    a 135M model it held 16 GiB for 5 GiB of tensors, and Ray ended the process. So the free pages go whenever the
    process has grown by a quarter of the memory that there is since they went last; more often would undo the saving.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._growth_bytes = SHARE_OF_MEMORY * host_memory().total
        self._after_trim: int | None = None

    def keep_small(self) -> None:
        """Call it between two steps, when no activations are alive."""
        resident = self._process.memory_info().rss
        if self._after_trim is None:
            self._after_trim = resident
        if resident < self._after_trim + self._growth_bytes:
            return
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # only glibc has it
        if trim is not None:
            trim(0)
        self._after_trim = self._process.memory_info().rss

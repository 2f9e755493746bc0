"""The C heap of a learner on a CPU, which ``CPU_LEARNER`` (cluster/launch.py) tells never to shrink by itself."""

import ctypes

import psutil

GROWTH_BYTES = 2 * 2**30


class Heap:
    """Gives free pages back to the system now and then.

    Never giving them back saves a fifth of a step, but blocks of ever other sizes fragment the heap: after 100 steps of
    a 135M model it held 16 GiB for 5 GiB of tensors, and the kernel or Ray ended the process. So the free pages go
    whenever the process has grown by 2 GiB since they went last.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._after_trim: int | None = None

    def keep_small(self) -> None:
        """Call it between two steps, when no activations are alive."""
        resident = self._process.memory_info().rss
        if self._after_trim is None:
            self._after_trim = resident
        if resident < self._after_trim + GROWTH_BYTES:
            return
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it
        if trim is not None:
            trim(0)
        self._after_trim = self._process.memory_info().rss

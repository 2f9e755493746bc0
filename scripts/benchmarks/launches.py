"""Kernel launches and GPU utilisation of an optimizer step; many small kernels leave a GPU idle."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from scripts.benchmarks.turns import Numbers

COPIES = ("Memcpy", "Memset")
SHOWN = 5


def launches(turn: Callable[[], float], seconds: float, device: Any, *, micro_batches: int) -> Numbers:
    """Profiles one more step.

    On a GPU: kernels, copies, busy seconds of the device, and the idle share of ``seconds``, the step time without a
    profiler. On a CPU: dispatched operations. Kernels and operations are also given per micro-batch; the optimizer's
    are included.
    """
    if device.type != "cuda":
        count = operations(turn).total()
        return {"operations": count, "operations_per_micro_batch": count / micro_batches}
    from torch.autograd import DeviceType  # pyright: ignore[reportPrivateImportUsage]
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA, ProfilerActivity.CPU]) as found:
        turn()
    events = [event for event in found.events() or [] if event.device_type == DeviceType.CUDA]
    return on_device(events, seconds, micro_batches=micro_batches)


def on_device(events: Iterable[Any], seconds: float, *, micro_batches: int) -> Numbers:
    """The numbers of ``launches`` from the profiler's GPU events; named ranges (``record_function``) do not count."""
    work = [event for event in events if not getattr(event, "is_user_annotation", False)]
    kernels = sum(not event.name.startswith(COPIES) for event in work)
    busy = covered([(event.time_range.start, event.time_range.end) for event in work]) / 1e6
    times: Counter[str] = Counter()
    for event in work:
        times[event.name[:40]] += event.time_range.end - event.time_range.start
    whole = times.total() or 1
    return {
        "kernels": kernels,
        "kernels_per_micro_batch": kernels / micro_batches,
        "copies": len(work) - kernels,
        "device_seconds": busy,
        "idle_share": max(0.0, 1 - busy / seconds),
        "most_device_time": "; ".join(f"{name} {time / whole:.0%}" for name, time in times.most_common(SHOWN)),
    }


def covered(ranges: Sequence[tuple[float, float]]) -> float:
    """The total length of the union of the ranges; kernels of two streams may overlap."""
    total, end = 0.0, float("-inf")
    for start, stop in sorted(ranges):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def operations(call: Callable[[], object]) -> Counter[str]:
    """How often ``call`` dispatches each operation, by name. Views and empty tensors are left out, because they launch
    no kernel; compiled code dispatches nothing."""
    from torch.utils._python_dispatch import TorchDispatchMode

    found: Counter[str] = Counter()

    class Count(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if not (func.is_view or "view" in func.name() or "empty" in func.name()):
                found[func.name()] += 1
            return func(*args, **(kwargs or {}))

    with Count():
        call()
    return found

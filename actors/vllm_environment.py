"""What vLLM reads from the environment of the process that starts it, and how its own process ended as it started."""

import glob
import os
import re
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from actors.engine import EngineSettings
from actors.locked_folder import choose_folder_for_kernels, held_for_a_while, root_of_workers
from actors.worker_log import root_cause
from rnr.faults import WorkerUnusable

SOCKETS = "VLLM_RPC_BASE_PATH"
"""The folder of an engine's sockets, which remain when it ends."""


_KILLED = re.compile(r"Failed core proc\(s\): (?:\{\}|.*: -(\d+))")
"""In the RuntimeError that vLLM raises when a signal has ended its process as it started; it may not know which."""


def set_environment(settings: EngineSettings) -> None:
    """Set the environment of an engine with these settings; its log level and cache sizes may already be set."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    choose_folder_for_kernels(Path(tempfile.gettempdir()))
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1"
    # Each sentence has a grammar of its own, so few are asked for twice; vLLM would keep 512 MiB of them.
    os.environ.setdefault("VLLM_XGRAMMAR_CACHE_MB", "64")
    if not settings.use_gpu:
        # The engine may share its cores with the learner and with other workers: threads float.
        os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
        os.environ["OMP_NUM_THREADS"] = str(settings.threads)
        os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(settings.generation.kv_cache_gib)
        # vLLM compiles three small functions of its sampler, which are kept from one run to the next. Headers that are
        # compiled ahead are not: torch puts them below TMPDIR, which a run has to itself, and would spend 15 to 20 s of
        # a core on them in every run, also where nothing is left to compile.
        os.environ.setdefault("TORCHINDUCTOR_CPP_CACHE_PRECOMPILE_HEADERS", "0")


@contextmanager
def sockets_in(folder: Path) -> Iterator[None]:
    """Have an engine that is started in this block put its sockets there, unless they already have a folder."""
    if SOCKETS in os.environ:
        yield
        return
    os.environ[SOCKETS] = str(folder)
    try:
        yield
    finally:  # the folder goes with the engine, and another one that this process starts may not look for it
        del os.environ[SOCKETS]


@contextmanager
def start_reported() -> Iterator[None]:
    """Errors of an engine that is started in this block, in plain text, which can be sent from one process to another:
    pydantic's cannot, and quote all arguments. WorkerUnusable if a signal ended its process, else RuntimeError."""
    try:
        yield
    except Exception as error:
        if killed := _KILLED.search(str(error)):
            how = f"was ended by {signal.Signals(int(killed[1])).name}" if killed[1] else "ended"
            raise WorkerUnusable(
                f"the engine's process {how} as it started, usually because the machine, container or job ran out of "
                "memory; the log of this worker (logs/) has the cause if it was another"
            ) from error
        text = "; ".join(each["msg"] for each in error.errors()) if isinstance(error, ValidationError) else str(error)
        raise RuntimeError(f"vLLM did not start: {type(error).__name__}: {root_cause(text)}") from error


@contextmanager
def literal_path(folder: str) -> Iterator[str]:
    """A path of a model's folder that vLLM can load. vLLM takes ``[``, ``*`` and ``?`` for a pattern, so a path with
    these is replaced by a link for the length of the block."""
    if glob.escape(folder) == folder:
        yield folder
        return
    with held_for_a_while(root_of_workers()) as place:
        link = place / "model"
        link.symlink_to(folder)
        yield str(link)

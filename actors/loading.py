"""``rnr.load``: a model folder -> an ``Extractor``, on vLLM or on transformers."""

import atexit
import importlib.util
import os
import sys
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from actors.chat_format import chat_format, grammar_decoding, refuse_unfollowed, trained_calibration
from actors.engine import Engine, EngineSettings
from actors.event_loop import EventLoop, result_of
from actors.extractor import Extractor
from actors.model_files import refuse_long_context
from actors.options import Options, refuse_limits
from actors.output import stdout_to_stderr
from rnr.config import GenerationConfig, ModelConfig
from rnr.messages import model_named
from rnr.model_folder import resolve
from rnr.task.prompts import ChatFormat
from rnr.types import Decoding

EngineName = Literal["vllm", "transformers"]

SEQUENCES_AT_ONCE = {"cpu": 64, "cuda": 256, "mps": 32}
"""How many completions one engine decodes at once, by device."""
START = 3600.0
"""Seconds until an engine is up: a large model may come from a slow disk, and be compiled."""


@model_named("model")
def load(
    model: str,
    *,
    engine: EngineName = "vllm",
    decoding: Decoding | None = None,
    context_tokens: int = ModelConfig().context_tokens,
    max_new_tokens: int | None = None,
    device: str = "",
    **options: Any,
) -> Extractor:
    """A loaded model that extracts entities: ``load("runs/demo/export")("Ada met Bob.", ["person"])``.

    ``model`` is a Hugging Face folder or id; the export of a run records how it was asked. ``engine="vllm"`` is
    the fast one, ``"transformers"`` needs neither vLLM nor Ray and takes a ``device`` (``cuda``, ``mps``, ``cpu``;
    detected if empty). ``decoding`` is a grammar by default: ``marks`` for tagged chains, else
    ``schema``. ``max_new_tokens`` limits an answer; by default the context does. ``options`` are the defaults of all
    calls: samples, select, threshold, temperature, label_calibration, window, overlap.

    Nothing is printed to standard output. Raises ValueError, before the engine starts, for what cannot be used.
    """
    folder = resolve(model)
    chat = chat_format(folder)
    meant = Options.of(decoding=decoding or grammar_decoding(folder), **options)
    refuse_limits(context_tokens, max_new_tokens)
    _refuse_engine(engine, device)
    refuse_long_context(folder, context_tokens)
    refuse_unfollowed(chat, meant.decoding)
    with stdout_to_stderr(), _unnamed_main():
        made, count = _engine(engine, folder, chat, context_tokens, device)
        from actors.rollout import RolloutWorker

        worker, loop = RolloutWorker(made), EventLoop()
        try:
            result_of(loop.submit(worker.start()), seconds=START, late=f"the engine of {folder}: not up")
        except BaseException:
            loop.stop()
            raise
    extractor = Extractor(
        worker,
        folder,
        chat,
        meant,
        label_calibration=trained_calibration(folder),
        context_tokens=context_tokens,
        max_new_tokens=max_new_tokens,
        in_flight=2 * count,
        loop=loop,
    )
    atexit.register(_close, weakref.ref(extractor))
    return extractor


def _close(extractor: "weakref.ref[Extractor]") -> None:
    alive = extractor()
    if alive is not None:
        alive.close()


def _refuse_engine(engine: str, device: str) -> None:
    if device and engine == "vllm":
        raise ValueError(
            f'device={device!r} is for engine="transformers"; vLLM uses the first visible GPU, or the CPU: set '
            "CUDA_VISIBLE_DEVICES to choose another"
        )
    if device and device.partition(":")[0] not in SEQUENCES_AT_ONCE:
        raise ValueError(f"device must be {', '.join(SEQUENCES_AT_ONCE)} (cuda:1 for the second GPU), not {device!r}")
    if engine not in ("vllm", "transformers"):
        raise ValueError(f'engine must be "vllm" or "transformers", not {engine!r}')
    needed = ("vllm", "torch") if engine == "vllm" else ("transformers", "torch", "xgrammar")
    if missing := [name for name in needed if importlib.util.find_spec(name) is None]:
        other = ' or use engine="transformers"' if engine == "vllm" else ""
        raise ValueError(
            f'engine="{engine}" needs {", ".join(missing)}, which is not installed: in the folder of RNR '
            f'pip install ".[{engine}]"{other}'
        )


def _engine(name: EngineName, folder: str, chat: ChatFormat, context_tokens: int, device: str) -> tuple[Engine, int]:
    """The engine, not started, and how many completions it makes at once."""
    if threading.active_count() > 1 or "torch" in sys.modules:
        # A forked engine would inherit locks that threads hold: a notebook's, or those of torch's pools.
        os.environ.setdefault("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
    # Twenty lines about how vLLM runs on this device do not help a user who extracts entities; errors are still shown.
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if name == "vllm":
        import torch

        from actors.vllm_engine import VllmEngine

        device = "cuda" if torch.cuda.is_available() else "cpu"
        made: Any = VllmEngine
    else:
        from actors.transformers_engine import TransformersEngine, best_device

        device = device or best_device()
        made = TransformersEngine
    count = SEQUENCES_AT_ONCE.get(device.partition(":")[0], 64)
    settings = EngineSettings.alone(
        folder,
        stop_token_id=chat.stop_token_id,
        context_tokens=context_tokens,
        generation=GenerationConfig(max_num_seqs=count),
        use_gpu=device.startswith("cuda"),
    )
    return (made(settings) if name == "vllm" else made(settings, device=device)), count


@contextmanager
def _unnamed_main() -> Iterator[None]:
    """Keep a spawned engine process from running the caller's script again: it needs nothing from it, and a script
    without ``if __name__ == "__main__"`` would load the model again and again."""
    main = sys.modules["__main__"]
    spec, file = getattr(main, "__spec__", None), getattr(main, "__file__", None)
    try:
        main.__spec__ = None
        if file is not None:
            del main.__file__
        yield
    finally:
        main.__spec__ = spec
        if file is not None:
            main.__file__ = file

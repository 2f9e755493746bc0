"""The loop of a loaded model: nobody waits for ever, whoever closes it."""

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from actors import loading
from actors.event_loop import EventLoop, result_of
from actors.extractor import Extractor
from actors.options import Options


async def _for_ever(*_: Any) -> None:
    await asyncio.sleep(3600)


async def _at_once() -> None: ...


def _extractor(worker: Any) -> Extractor:
    chat: Any = None
    options = Options(decoding="free")
    limits = {"context_tokens": 64, "max_new_tokens": 8, "in_flight": 2}
    return Extractor(worker, "", chat, options, label_calibration=0.0, loop=EventLoop(), **limits)


def test_what_goes_on_when_the_loop_is_stopped_is_no_longer_waited_for() -> None:
    loop = EventLoop()
    waiting = loop.submit(_for_ever())
    loop.stop()
    with pytest.raises(RuntimeError, match="is closed; load it again"):
        result_of(waiting, seconds=5)
    with pytest.raises(RuntimeError, match="is closed"):
        loop.submit(_for_ever())
    loop.stop()  # as the end of the process does it once more


def test_a_call_that_holds_the_thread_up_holds_nobody_else_up() -> None:
    loop, begun, release = EventLoop(), threading.Event(), threading.Event()

    async def block() -> None:
        begun.set()
        release.wait(20)

    loop.submit(block())
    assert begun.wait(5)
    begin = time.monotonic()
    loop.stop(0.2)
    assert time.monotonic() - begin < 5
    release.set()


def test_a_failure_of_its_own_is_told_from_a_deadline() -> None:
    loop = EventLoop()

    async def late() -> None:
        raise TimeoutError("the engine's own")

    with pytest.raises(TimeoutError, match="the engine's own"):
        result_of(loop.submit(late()), seconds=5)
    with pytest.raises(RuntimeError, match=r"the engine was not up within 0\.1 s"):
        result_of(loop.submit(_for_ever()), seconds=0.1, late="the engine was not up")
    loop.stop()


def test_a_question_that_another_thread_closes_the_model_over_is_told_so(monkeypatch) -> None:
    ner = _extractor(SimpleNamespace(stop=_at_once))
    monkeypatch.setattr(ner, "extract", _for_ever)
    said: list[str] = []

    def ask() -> None:
        try:
            ner("Ada met Bob.", ["person"])
        except RuntimeError as error:
            said.append(str(error))

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    time.sleep(0.1)
    ner.close()
    asking.join(10)
    assert said == ["the model is closed; load it again"]
    ner.close()


def test_an_engine_that_does_not_end_is_told_and_its_loop_ended(monkeypatch) -> None:
    monkeypatch.setattr("actors.extractor.ENDING", 0.1)
    ner = _extractor(SimpleNamespace(stop=_for_ever))
    with pytest.raises(RuntimeError, match=r"the engine did not end within 0\.1 s"):
        ner.close()
    assert ner.loop.stopped


def test_an_engine_that_does_not_come_up_is_told(tiny_model, monkeypatch) -> None:
    monkeypatch.setattr(loading, "START", 0.1)
    monkeypatch.setattr(loading, "_engine", lambda *_: (SimpleNamespace(start=_for_ever), 1))
    with pytest.raises(RuntimeError, match=r"the engine of .*: not up within 0\.1 s"):
        loading.load(str(tiny_model), engine="transformers")

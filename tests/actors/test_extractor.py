"""What a loaded model reports while it reads a long text."""

import asyncio
from types import SimpleNamespace
from typing import Any

from actors import extractor
from actors.extractor import Extractor
from actors.options import Options


def test_the_windows_of_a_text_are_counted_as_they_are_asked_and_answered(monkeypatch) -> None:
    nothing: Any = None
    limits = {"context_tokens": 64, "max_new_tokens": 8, "in_flight": 2}
    ner = Extractor(nothing, "", nothing, Options(decoding="free"), label_calibration=0.0, loop=nothing, **limits)
    seen = [ner.windows]

    async def answer(*_asked: Any) -> None:
        seen.append(ner.windows)

    prompt = SimpleNamespace(example=SimpleNamespace(sentence="Ada"))
    monkeypatch.setattr(extractor, "refuse_unfollowed", lambda *_: None)
    monkeypatch.setattr(extractor, "extraction", lambda *_, **__: None)
    monkeypatch.setattr(extractor, "joined", lambda text, _places, _parts: text)
    monkeypatch.setattr(ner, "_prompts", lambda *_: ([(0, 3), (3, 6)], [prompt, prompt]))
    monkeypatch.setattr(ner, "answer", answer)
    assert asyncio.run(ner.extract("AdaBob", ["person"])) == "AdaBob"
    assert [*seen, ner.windows] == [(0, 0), (0, 2), (1, 2), (2, 2)]

"""What our engine asks of vLLM and makes of its answers, with a stand-in for vLLM's own."""

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("vllm")

from actors.delivery import Delivery
from actors.engine import EngineSettings
from actors.vllm_engine import VllmEngine, segments
from rnr.config import GenerationConfig, ModelConfig


class Recorded:
    """Takes what vLLM's engine takes and remembers it."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.digests = ["aa"]

    async def pause_generation(self, **options: Any) -> None:
        self.events.append("pause")

    async def resume_generation(self) -> None:
        self.events.append("resume")

    async def collective_rpc(self, method: str, args: tuple[Any, ...]) -> list[str]:
        self.events.append((method, args))
        return self.digests

    async def update_weight_version(self, version: str) -> None:
        self.events.append(("label", version))

    async def generate(self, prompt: dict[str, Any], parameters: Any, name: str, lora_request: Any) -> Any:
        self.events.append(prompt["cache_salt"])
        logprobs = [None, {6: SimpleNamespace(logprob=-0.5)}]
        yield SimpleNamespace(prompt_logprobs=logprobs)


def _engine() -> tuple[VllmEngine, Recorded]:
    settings = EngineSettings(
        model_folder="m",
        stop_token_id=2,
        model=ModelConfig(),
        generation=GenerationConfig(),
        threads=1,
        use_gpu=False,
        seed=0,
    )
    engine, recorded = VllmEngine(settings), Recorded()
    engine._engine = recorded
    return engine, recorded


def test_tokens_are_guessed_ahead_where_the_config_says_so() -> None:
    engine, _ = _engine()
    assert engine._guessing() == {}
    guessing = replace(engine._settings, generation=GenerationConfig(speculative_tokens=3))
    asked = VllmEngine(guessing)._guessing()["speculative_config"]
    assert (asked["method"], asked["num_speculative_tokens"]) == ("ngram", 3)


def _delivery(version: int) -> Delivery:
    return Delivery(version=version, receiver="module:receive", payload="/folder")


def test_cached_prefixes_of_another_load_are_never_reused_even_when_a_version_comes_twice() -> None:
    engine, recorded = _engine()

    async def work() -> None:
        for _ in range(2):  # after a rebuild from a checkpoint the same number stands for other weights
            await engine.load(_delivery(7))
            assert await engine.score((5, 6)) == [-0.5]

    asyncio.run(work())
    first, second = (event for event in recorded.events if isinstance(event, str) and event.startswith("load"))
    assert first != second


def test_a_load_is_made_while_generation_is_paused_and_labelled_before_it_goes_on() -> None:
    engine, recorded = _engine()
    assert asyncio.run(engine.load(_delivery(3))) == "aa"
    assert recorded.events == [
        "pause",
        ("load_policy", ("module:receive", "/folder")),
        ("label", "3"),
        "resume",
    ]


def test_the_tokens_of_a_completion_are_divided_by_the_policy_that_made_them() -> None:
    spans = [SimpleNamespace(version="4", start=0, end=2), SimpleNamespace(version="5", start=2, end=3)]
    old, new = segments((7, 8, 9), (-1.0, -2.0, -3.0), spans, version=4)
    assert (old.token_ids, old.logprobs, old.policy_version) == ((7, 8), (-1.0, -2.0), 4)
    assert (new.token_ids, new.logprobs, new.policy_version) == ((9,), (-3.0,), 5)


def test_where_vllm_does_not_say_all_tokens_count_as_made_by_the_policy_that_was_asked() -> None:
    (only,) = segments((7, 8), (-1.0, -2.0), None, version=4)
    assert (only.token_ids, only.policy_version) == ((7, 8), 4)

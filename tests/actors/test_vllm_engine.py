"""What our engine asks of vLLM and makes of its answers, with a stand-in for vLLM's own."""

import asyncio
import glob
import importlib
import inspect
import json
import os
import pickle
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("vllm")

from pydantic import ValidationError
from transformers import MistralConfig
from vllm import AsyncEngineArgs
from vllm.config.lora import LoRAConfig
from vllm.model_executor.model_loader import get_model_loader
from vllm.v1.engine.utils import wait_for_engine_startup

from actors.delivery import Delivery
from actors.engine import EngineSettings, Sampling
from actors.vllm_adapter import room_for
from actors.vllm_engine import VllmEngine, _files_to_read, segments
from actors.vllm_environment import literal_path, start_reported
from rnr.config import GenerationConfig, ModelConfig
from rnr.faults import WorkerUnusable


class Recorded:
    """Takes what vLLM's engine takes and remembers it."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.digests = ["aa"]

    async def pause_generation(self, **options: Any) -> None:
        self.events.append("pause")

    async def resume_generation(self) -> None:
        self.events.append("resume")

    async def sleep(self, level: int) -> None:
        self.events.append(("sleep", level))

    async def wake_up(self, tags: list[str]) -> None:
        self.events.append(("wake", tags))

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
        gpus=0.0,
        seed=0,
    )
    engine, recorded = VllmEngine(settings), Recorded()
    engine._engine = recorded
    return engine, recorded


@pytest.mark.parametrize("fails", [False, True])
def test_sockets_lie_in_a_folder_that_goes_with_the_engine(fails, monkeypatch) -> None:
    made: list[Path] = []

    def from_engine_args(arguments: Any) -> Any:
        made.append(Path(os.environ["VLLM_RPC_BASE_PATH"]))
        (made[0] / "socket").touch()
        if fails:
            raise RuntimeError("no memory")
        recorded.get_tokenizer = lambda: SimpleNamespace(backend_tokenizer=None)
        recorded.shutdown = lambda: None
        return recorded

    monkeypatch.delenv("VLLM_RPC_BASE_PATH", raising=False)
    monkeypatch.setattr("vllm.AsyncEngineArgs", lambda **arguments: SimpleNamespace(**arguments))
    monkeypatch.setattr("vllm.v1.engine.async_llm.AsyncLLM.from_engine_args", from_engine_args)
    engine, recorded = _engine()
    engine = pickle.loads(pickle.dumps(VllmEngine(engine._settings)))  # as Ray takes it to its worker
    with tempfile.TemporaryDirectory(prefix="rnr-test-", dir="/tmp") as root:
        monkeypatch.setattr(tempfile, "tempdir", root)
        if fails:
            with pytest.raises(RuntimeError, match="no memory"):
                asyncio.run(engine.start())
        else:
            asyncio.run(engine.start())
            assert (made[0] / "socket").exists()
            asyncio.run(engine.stop())
        assert made[0].parent == Path(root)
        assert list(Path(root).iterdir()) == []
    assert "VLLM_RPC_BASE_PATH" not in os.environ


def test_a_folder_whose_path_reads_as_a_pattern_is_given_to_vllm_by_a_link(tmp_path) -> None:
    folder = tmp_path / "model [v2]*"
    folder.mkdir()
    (folder / "model.safetensors").write_text("weights")
    assert not glob.glob(f"{folder}/*.safetensors")  # as vLLM looks for them
    with literal_path(str(folder)) as path:
        (found,) = glob.glob(f"{path}/*.safetensors")
        assert Path(found).read_text() == "weights"
    assert not Path(path).exists()
    assert (folder / "model.safetensors").exists()
    with literal_path(str(tmp_path)) as path:
        assert path == str(tmp_path)


def test_tokens_are_guessed_ahead_where_the_config_says_so() -> None:
    engine, _ = _engine()
    assert engine._guessing() == {}
    guessing = replace(engine._settings, generation=GenerationConfig(speculative_tokens=3))
    asked = VllmEngine(guessing)._guessing()["speculative_config"]
    assert (asked["method"], asked["num_speculative_tokens"]) == ("ngram", 3)


@pytest.mark.parametrize(
    ("grammar", "eos", "bias"), [("root ::= o", 1, {2: -100.0}), ("root ::= o", 2, None), ("", 1, None)]
)
def test_a_token_that_ends_answers_and_no_text_copies_no_sentence_under_a_grammar(grammar, eos, bias) -> None:
    engine, recorded = _engine()
    asked = []

    async def generate(prompt, parameters, name, lora_request):
        asked.append(parameters)
        yield SimpleNamespace(outputs=[])

    recorded.generate = generate
    recorded.get_tokenizer = lambda: SimpleNamespace(eos_token_id=eos)
    sampling = Sampling(count=1, temperature=1.0, max_new_tokens=5, grammar=grammar)
    assert asyncio.run(engine.generate((5, 6), sampling)) == []
    assert (asked[0].logit_bias, asked[0].stop_token_ids) == (bias, [2])


def test_vllm_reads_the_files_that_transformers_reads(tmp_path) -> None:
    MistralConfig(vocab_size=99, max_position_embeddings=64, dtype="bfloat16").save_pretrained(tmp_path)
    own = {"params.json": '{"vocab_size": 7}', "tokenizer.model.v3": "", "consolidated.safetensors": ""}
    index = {"weight_map": {"a": "model-1.safetensors"}}
    for name, text in (own | {"model-1.safetensors": "", "model.safetensors.index.json": json.dumps(index)}).items():
        (tmp_path / name).write_text(text)
    arguments = AsyncEngineArgs(
        model=str(tmp_path), dtype="bfloat16", max_model_len=32, **_files_to_read(str(tmp_path))
    )
    config = arguments.create_model_config()
    assert (config.hf_config.vocab_size, config.tokenizer_mode) == (99, "hf")
    loader = get_model_loader(arguments.create_load_config())
    files = loader._prepare_weights(str(tmp_path), None, None, True, None)[1]
    assert [Path(file).name for file in files] == ["model-1.safetensors"]


def test_pickles_are_left_to_vllm(tmp_path) -> None:
    (tmp_path / "pytorch_model.bin").write_text("")
    assert _files_to_read(str(tmp_path))["load_format"] == "auto"


def test_a_tokenizer_that_vllm_took_from_elsewhere_ends_the_start() -> None:
    engine, recorded = _engine()
    recorded.get_tokenizer = lambda: SimpleNamespace(backend_tokenizer=None)
    asyncio.run(engine._refuse_another_tokenizer())
    recorded.get_tokenizer = SimpleNamespace
    recorded.shutdown = lambda: recorded.events.append("shutdown")
    with pytest.raises(ValueError, match=r"reads m by SimpleNamespace and not by its tokenizer\.json"):
        asyncio.run(engine._refuse_another_tokenizer())
    assert recorded.events == ["shutdown"]


@pytest.mark.parametrize(("rank", "room"), [(1, 8), (8, 8), (12, 16), (24, 32), (257, 320), (512, 512)])
def test_an_adapter_of_any_rank_gets_a_room_that_vllm_has(rank, room, monkeypatch) -> None:
    assert room_for(rank) == room
    assert LoRAConfig(max_lora_rank=room_for(rank)).max_lora_rank == room
    monkeypatch.delattr("vllm.config.lora.MaxLoRARanks")
    assert room_for(rank) == room


def test_an_adapter_that_is_too_large_for_vllm_is_refused_by_the_config() -> None:
    with pytest.raises(ValidationError, match="less than or equal to 512"):
        ModelConfig(lora_rank=513)


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


@pytest.mark.parametrize("level", [1, 2])
def test_an_engine_that_sleeps_wakes_to_load_and_has_its_cache_back_last(level) -> None:
    engine, recorded = _engine()

    async def work() -> None:
        await engine.sleep(level)
        with pytest.raises(WorkerUnusable, match="the engine is asleep: load a policy first"):
            await engine.score((5, 6))
        await engine.load(_delivery(4))
        assert await engine.score((5, 6)) == [-0.5]
        await engine.load(_delivery(5))

    asyncio.run(work())
    receive = ("load_policy", ("module:receive", "/folder"))
    assert recorded.events == [
        ("sleep", level),
        ("wake", ["weights"]),  # it was paused when it fell asleep
        receive,
        ("wake", ["kv_cache"]),
        ("label", "4"),
        "resume",
        "load-1",
        "pause",
        receive,
        ("label", "5"),
        "resume",
    ]


def test_only_an_engine_that_sleeps_is_built_to_sleep() -> None:
    engine, _ = _engine()
    for sleep, asked in (("auto", False), ("off", False), ("level1", True), ("level2", True)):
        generation = GenerationConfig.model_validate({"sleep": sleep})
        on_gpu = VllmEngine(replace(engine._settings, gpus=0.5, generation=generation))
        assert on_gpu._on_device().get("enable_sleep_mode", False) is asked


def test_vllm_sleeps_and_wakes_by_these_names() -> None:
    asynchronous = importlib.import_module("vllm.v1.engine.async_llm").AsyncLLM
    assert "level" in inspect.signature(asynchronous.sleep).parameters
    assert "tags" in inspect.signature(asynchronous.wake_up).parameters


def test_the_tokens_of_a_completion_are_divided_by_the_policy_that_made_them() -> None:
    spans = [SimpleNamespace(version="4", start=0, end=2), SimpleNamespace(version="5", start=2, end=3)]
    old, new = segments((7, 8, 9), (-1.0, -2.0, -3.0), spans, version=4)
    assert (old.token_ids, old.logprobs, old.policy_version) == ((7, 8), (-1.0, -2.0), 4)
    assert (new.token_ids, new.logprobs, new.policy_version) == ((9,), (-3.0,), 5)


def test_where_vllm_does_not_say_all_tokens_count_as_made_by_the_policy_that_was_asked() -> None:
    (only,) = segments((7, 8), (-1.0, -2.0), None, version=4)
    assert (only.token_ids, only.policy_version) == ((7, 8), 4)


def test_an_engine_whose_process_was_killed_as_it_started_says_so_and_one_that_failed_keeps_its_error() -> None:
    said = "Engine core initialization failed. See root cause above. Failed core proc(s): "
    with pytest.raises(WorkerUnusable, match="process was ended by SIGKILL as it started, us"), start_reported():
        raise RuntimeError(said + "{'EngineCore': -9}")
    with pytest.raises(WorkerUnusable, match="the engine's process ended as it started, us"), start_reported():
        raise RuntimeError(said + "{}")  # vLLM looked before its exit code was there
    with pytest.raises(RuntimeError, match="initialization failed") as raised, start_reported():
        raise RuntimeError(said + "{'EngineCore': 1}")
    assert type(raised.value) is RuntimeError
    assert "Failed core proc(s): " in inspect.getsource(wait_for_engine_startup)  # vLLM's own words

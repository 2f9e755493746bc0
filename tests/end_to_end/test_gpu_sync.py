"""Weights between processes that share a GPU, and engines over several: `python -m pytest -m gpu`."""

import asyncio
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
import torch

from actors.delivery import Delivery, received
from cluster.transport.cuda_ipc import CudaIpc
from cluster.transport.nccl import Nccl
from rnr.digest import Digest, bits, factors, word_sums

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]

SHAPES = {"head.weight": (50_001, 64), "layers.0.weight": (7, 3), "scale": ()}


def test_sums_on_the_gpu_are_those_of_the_cpu() -> None:
    words = torch.randint(-(2**15), 2**15, (9_000_001,), dtype=torch.int16)
    table = torch.from_numpy(factors())
    here = [int(each) for each in word_sums(words, table)]
    assert here == [int(each) for each in word_sums(words.cuda(), table.cuda())]


def _engine(pipe: Any) -> None:
    """Stands for the engine's process: the digests of what arrives, and how many buckets are mapped."""
    from cluster.transport import cuda_ipc

    while (payload := pipe.recv()) is not None:
        tensors, digest = received(CudaIpc.receiver, payload)
        sums = {name: float(tensor.float().sum()) for name, tensor in tensors}
        pipe.send((digest(), sums, len(cuda_ipc._mapped)))


def _digest(weights: dict[str, torch.Tensor]) -> str:
    found = Digest()
    for name, tensor in weights.items():
        found.add(name, bits(tensor))
    return found.result()


def test_another_process_reads_two_versions_from_the_same_buckets_to_the_last_bit() -> None:
    context = multiprocessing.get_context("spawn")
    pipe, other = context.Pipe()
    process = context.Process(target=_engine, args=(other,))
    process.start()
    try:
        for version in range(3):
            weights = {
                name: torch.randn(shape, device="cuda", dtype=torch.bfloat16) + version
                for name, shape in SHAPES.items()
            }
            with CudaIpc().staged(list(CudaIpc().send(iter(weights.items())))) as payload:
                pipe.send(payload)
                assert pipe.poll(120), "no answer from the other process"
                digest, sums, mapped = pipe.recv()
            assert digest == _digest(weights)
            assert sums == {name: pytest.approx(float(tensor.float().sum())) for name, tensor in weights.items()}
            assert mapped == 1
        pipe.send(None)
        process.join(60)
        assert process.exitcode == 0
    finally:
        process.kill()


def _engine_on_another_gpu(pipe: Any) -> None:
    torch.cuda.set_device(1)
    while (payload := pipe.recv()) is not None:
        tensors, digest = received(Nccl.receiver, payload)
        sums = {name: float(tensor.float().sum()) for name, tensor in tensors}
        pipe.send((digest(), sums))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="NCCL between two GPUs needs two")
def test_an_engine_on_another_gpu_is_sent_two_versions_by_nccl_to_the_last_bit() -> None:
    context = multiprocessing.get_context("spawn")
    pipe, other = context.Pipe()
    process = context.Process(target=_engine_on_another_gpu, args=(other,))
    process.start()
    try:
        for version in range(2):
            weights = {
                name: torch.randn(shape, device="cuda", dtype=torch.bfloat16) + version
                for name, shape in SHAPES.items()
            }
            with Nccl().staged(list(Nccl().send(iter(weights.items())))) as payload:
                pipe.send(payload)
                assert pipe.poll(120), "no answer from the other process"
                digest, sums = pipe.recv()
            assert digest == _digest(weights)
            assert sums == {name: pytest.approx(float(tensor.float().sum())) for name, tensor in weights.items()}
        pipe.send(None)
        process.join(60)
        assert process.exitcode == 0
    finally:
        process.kill()


def _small_engine(folder: Path, **sections: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """An engine of a small random model, not started, and the model's weights on the GPU."""
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from actors.engine import EngineSettings
    from actors.vllm_engine import VllmEngine
    from rnr.config import GenerationConfig, ModelConfig
    from rnr.model_folder import resolve

    tokenizer = PreTrainedTokenizerFast.from_pretrained(resolve("smollm2-135m-instruct"))
    sizes = {"hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **sizes)).to(torch.bfloat16)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    sleep = sections.pop("sleep", "off")
    settings = EngineSettings(
        model_folder=str(folder),
        stop_token_id=2,
        model=ModelConfig(context_tokens=256),
        generation=GenerationConfig(max_num_seqs=8, gpu_memory_fraction=0.3, sleep=sleep),
        threads=2,
        seed=0,
        **sections,
    )
    return VllmEngine(settings), {name: weight.cuda() for name, weight in model.state_dict().items()}


@pytest.mark.slow
@pytest.mark.parametrize("sleep", ["level1", "level2"])
def test_an_engine_gives_its_memory_back_while_it_sleeps_and_wakes_to_the_weights_that_it_is_sent(
    tmp_path, sleep
) -> None:
    engine, weights = _small_engine(tmp_path, sleep=sleep, gpus=0.5)

    def send() -> Any:
        return CudaIpc().staged(list(CudaIpc().send(iter(weights.items()))))

    async def work() -> None:
        await engine.start()
        try:
            before = await engine.score((5, 6, 7, 8))
            for _ in range(2):
                awake, whole = torch.cuda.mem_get_info()
                await engine.sleep(int(sleep[-1]))
                asleep = torch.cuda.mem_get_info()[0]
                assert asleep - awake > 0.2 * whole
                with send() as payload:
                    delivery = Delivery(version=1, receiver=CudaIpc.receiver, payload=payload)
                    assert await engine.load(delivery) == _digest(weights)
                assert await engine.score((5, 6, 7, 8)) == pytest.approx(before, abs=0.05)
                assert torch.cuda.mem_get_info()[0] < asleep - 0.2 * whole
        finally:
            await engine.stop()

    asyncio.run(work())


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="an engine over two GPUs needs two")
def test_an_engine_over_two_gpus_answers(tmp_path) -> None:
    from actors.engine import Sampling

    engine, _ = _small_engine(tmp_path, gpus=2.0)

    async def work() -> int:
        await engine.start()
        try:
            completions = await engine.generate((5, 6, 7), Sampling(count=2, temperature=1.0, max_new_tokens=9))
            return len(completions)
        finally:
            await engine.stop()

    assert asyncio.run(work()) == 2

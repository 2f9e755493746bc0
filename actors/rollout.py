"""``RolloutWorker``: one vLLM engine as a plain class; the cluster makes a Ray actor of it."""

import asyncio
import json
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy
import torch
from safetensors.torch import save_file

from actors.faults import WorkerUnusable
from rnr.types import Group, Prompt, Rollout, Segment

Bucket = dict[str, numpy.ndarray]
"""Tensor name -> bf16 weights, their bits seen as int16 (numpy has no bfloat16)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutSettings:
    model_folder: str
    stop_token_id: int
    context_tokens: int
    concurrent_sequences: int
    kv_cache_gib: float
    gpu_memory_fraction: float
    lora_rank: int
    lora_alpha: int
    threads: int
    use_gpu: bool
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How completions are drawn; ``temperature`` 0 is greedy."""

    count: int
    temperature: float
    max_new_tokens: int
    min_new_tokens: int = 0
    """No completion ends before it has this many tokens: with ``max_new_tokens``, one length for all (benchmarks)."""
    seed: int | None = None


class RolloutWorker:
    """Completions with token ids and log-probabilities, from the newest policy it was told to load."""

    receiver = "actors.weight_receiver.WeightReceiver"
    """The class inside vLLM that takes new weights in."""

    def __init__(self, settings: RolloutSettings) -> None:
        self._settings = settings
        self._engine: Any = None
        self._version = 0
        self._adapter: Any = None
        self._requests = 0
        self._decoder: Any = None

    async def start(self) -> None:
        """Build the engine with the weights of the model folder (version 0)."""
        settings = self._settings
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
        os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "1"
        if not settings.use_gpu:
            # The engine may share its cores with the learner and with other workers: threads float.
            os.environ["VLLM_CPU_OMP_THREADS_BIND"] = "nobind"
            os.environ["OMP_NUM_THREADS"] = str(settings.threads)
            os.environ["VLLM_CPU_KVCACHE_SPACE"] = str(max(1, round(settings.kv_cache_gib)))
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        extra: dict[str, Any] = {}
        if not settings.use_gpu:
            from actors.cpu_norm import PRIORITY

            # Prefixes are cached by whole blocks. The CPU backend's default, 128 tokens, is as long as a prompt: all
            # samples of a prompt would read it anew. 32 is the smallest that its kernels take.
            extra |= {"block_size": 32, "ir_op_priority": PRIORITY}
            # On a CPU vLLM would put the model into a process of its own, which waits for every step by spinning on a
            # core that the scheduler needs. The engine's process can hold both: a third more tokens on two cores.
            extra["distributed_executor_backend"] = "vllm.v1.executor.uniproc_executor.UniProcExecutor"
        if settings.lora_rank:
            extra |= {"enable_lora": True, "max_lora_rank": max(8, settings.lora_rank), "max_loras": 1}
            # Without a list vLLM wraps the head as well, which then fails over a probe beside requests in flight.
            extra["lora_target_modules"] = linear_layers(settings.model_folder)
        arguments = AsyncEngineArgs(
            model=settings.model_folder,
            dtype="bfloat16",
            max_model_len=settings.context_tokens,
            max_num_seqs=settings.concurrent_sequences,
            enforce_eager=not settings.use_gpu,
            gpu_memory_utilization=settings.gpu_memory_fraction,
            # Raw log-probabilities would make every importance ratio wrong at a temperature other than 1.
            logprobs_mode="processed_logprobs",
            worker_extension_cls=self.receiver,
            disable_log_stats=True,
            seed=settings.seed,
            generation_config="vllm",
            **extra,
        )
        self._engine = AsyncLLM.from_engine_args(arguments)

    async def load(self, version: int, *buckets: Bucket) -> float:
        """Make ``version`` the policy that is sampled from; returns the seconds it took.

        Requests in flight are frozen and go on with the new weights; each token keeps the log-probability of the policy
        that produced it. A load that raises leaves the engine unusable: the worker must be replaced.
        """
        started = time.monotonic()
        folder = Path(
            tempfile.mkdtemp(prefix=f"rnr-v{version}-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)
        )
        try:
            await asyncio.to_thread(self._write, folder, buckets)
            await self._engine.pause_generation(mode="keep", clear_cache=False)
            if self._settings.lora_rank:
                await self._load_adapter(folder)
            else:
                await self._engine.collective_rpc("load_policy", args=(str(folder),))
            self._version = version
            await self._engine.resume_generation()
        except RuntimeError as error:
            raise WorkerUnusable(f"version {version} was not loaded: {error}") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return time.monotonic() - started

    def _write(self, folder: Path, buckets: tuple[Bucket, ...]) -> None:
        names: set[str] = set()
        for number, bucket in enumerate(buckets):
            tensors = {name: torch.from_numpy(bits.copy()).view(torch.bfloat16) for name, bits in bucket.items()}
            names |= tensors.keys()
            file = "adapter_model.safetensors" if self._settings.lora_rank else f"weights-{number:05d}.safetensors"
            save_file(tensors, folder / file)
        if self._settings.lora_rank:
            modules = sorted({name.split(".lora_")[0].rpartition(".")[2] for name in names})
            config = {
                "peft_type": "LORA",
                "task_type": "CAUSAL_LM",
                "r": self._settings.lora_rank,
                "lora_alpha": self._settings.lora_alpha,
                "target_modules": modules,
                "bias": "none",
            }
            (folder / "adapter_config.json").write_text(json.dumps(config))

    async def _load_adapter(self, folder: Path) -> None:
        from vllm.lora.request import LoRARequest

        # One name and id for all versions, so that requests in flight go on with the new one as they would with whole
        # weights. In place, because an engine asked for an id that it knows would keep the adapter it has.
        await self._engine.add_lora(LoRARequest("policy", 1, str(folder), load_inplace=True))
        self._adapter = LoRARequest("policy", 1, str(folder))

    async def generate(self, prompt: Prompt, sampling: Sampling) -> Group:
        """``sampling.count`` completions of one prompt; other prompts are generated in the same batches."""
        if prompt.decoding == "free":
            return await self._complete(prompt, sampling)
        if self._decoder is None:
            from actors.constrained import Decoder

            self._decoder = Decoder(self._complete, self._engine.get_tokenizer(), self._settings.stop_token_id)
        return await self._decoder.generate(prompt, sampling)

    async def _complete(self, prompt: Prompt, sampling: Sampling, *, grammar: str = "", stop: str = "") -> Group:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        parameters = SamplingParams(
            n=sampling.count,
            temperature=sampling.temperature,
            max_tokens=sampling.max_new_tokens,
            min_tokens=sampling.min_new_tokens,
            # vLLM rewinds a seeded generator when a prompt is prefilled in pieces, which CPU generators cannot do.
            seed=sampling.seed if self._settings.use_gpu else None,
            logprobs=0,
            stop_token_ids=[self._settings.stop_token_id],
            stop=[stop] if stop else None,
            include_stop_str_in_output=True,
            structured_outputs=StructuredOutputsParams(grammar=grammar) if grammar else None,
            skip_special_tokens=True,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        version = self._version  # a later one may take over before the last token
        output = await self._request(prompt.token_ids, parameters)
        rollouts = tuple(self._rollout(prompt, completion, version) for completion in output.outputs)
        return Group(prompt=prompt, rollouts=rollouts)

    async def _request(self, token_ids: tuple[int, ...], parameters: Any) -> Any:
        from vllm.v1.engine.exceptions import EngineDeadError

        self._requests += 1
        final = None
        # The salt keeps cached prefixes of older policies from being reused.
        prompt = {"prompt_token_ids": list(token_ids), "cache_salt": f"v{self._version}"}
        name = f"request-{self._requests}"
        try:
            async for output in self._engine.generate(prompt, parameters, name, lora_request=self._adapter):
                final = output
        except EngineDeadError as error:
            raise WorkerUnusable(f"the engine died: {error}") from error
        return final

    def _rollout(self, prompt: Prompt, completion: Any, version: int) -> Rollout:
        token_ids = tuple(completion.token_ids)
        chosen = [logprobs[token].logprob for token, logprobs in zip(token_ids, completion.logprobs, strict=True)]
        segment = Segment(token_ids=token_ids, logprobs=tuple(chosen), policy_version=version)
        return Rollout(
            segments=(segment,),
            text=completion.text,
            ends=self._ends(prompt, token_ids, completion.text),
            finished=completion.finish_reason == "stop",
        )

    def _ends(self, prompt: Prompt, token_ids: tuple[int, ...], text: str) -> tuple[int, ...]:
        """Characters of the text after each token, those of several tokens with the last of them; empty where the text
        was put together in another way than from whole tokens."""
        from tokenizers.decoders import DecodeStream

        tokenizer = getattr(self._engine.get_tokenizer(), "_tokenizer", None)
        if tokenizer is None:
            return ()  # not one of the fast tokenizers
        stream = DecodeStream(ids=list(prompt.token_ids), skip_special_tokens=True)
        stop = self._settings.stop_token_id
        pieces = ("" if token == stop else stream.step(tokenizer, token) or "" for token in token_ids)
        try:
            ends = tuple(accumulate(map(len, pieces)))
        except Exception as error:  # tokenizers has no narrower class for it
            if "Invalid prefix" not in str(error):
                raise
            return ()
        return ends if ends and ends[-1] == len(text) else ()

    async def probe(self, token_ids: tuple[int, ...]) -> list[float]:
        """Log-probabilities of ``token_ids[1:]`` under the loaded policy: this side of the probe."""
        from vllm import SamplingParams

        output = await self._request(token_ids, SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0))
        return [
            logprobs[token].logprob for token, logprobs in zip(token_ids[1:], output.prompt_logprobs[1:], strict=True)
        ]

    async def stop(self) -> None:
        """Shut the engine process down."""
        if self._engine is not None:
            self._engine.shutdown()
            # Or vLLM's finaliser would try it again at the very end of the interpreter, and print a traceback.
            self._engine = None


def linear_layers(model_folder: str) -> list[str]:
    """The last names of a model's linear layers but its head: those that ``learner.engine`` gives an adapter."""
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model_folder))
    head = model.get_output_embeddings()
    layers = (
        name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and module is not head
    )
    return sorted({name.rpartition(".")[2] for name in layers})


@asynccontextmanager
async def single_engine(
    model_folder: str, *, stop_token_id: int, context_tokens: int, concurrent_sequences: int
) -> AsyncIterator[RolloutWorker]:
    """A worker in this process, which has the machine to itself and needs no Ray; ended with the block."""
    worker = RolloutWorker(
        RolloutSettings(
            model_folder=model_folder,
            stop_token_id=stop_token_id,
            context_tokens=context_tokens,
            concurrent_sequences=concurrent_sequences,
            kv_cache_gib=1.0,
            gpu_memory_fraction=0.85,
            lora_rank=0,
            lora_alpha=0,
            threads=torch.get_num_threads(),
            use_gpu=torch.cuda.is_available(),
            seed=0,
        )
    )
    await worker.start()
    try:
        yield worker
    finally:
        await worker.stop()

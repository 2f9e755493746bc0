"""vLLM as an ``Engine``. Its interfaces move between releases: only this file, ``actors/weight_receiver.py``,
``actors/cpu_norm.py``, ``actors/vllm_on_gpu.py``, ``actors/vllm_adapter.py``, ``actors/vllm_environment.py`` and
``actors/vllm_server.py`` know them."""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from actors.delivery import Delivery, received
from actors.engine import MOST_CHOICES, Completion, EngineSettings, Sampling, among
from actors.locked_folder import folder_for_sockets
from actors.token_text import character_ends
from actors.vllm_adapter import linear_layers, refuse_adapters, room_for, write_adapter
from actors.vllm_environment import literal_path, set_environment, sockets_in, start_reported
from actors.vllm_on_gpu import gpu_arguments, refuse_platform
from actors.worker_log import root_cause
from rnr.faults import WorkerUnusable
from rnr.model_folder import SAFE_WEIGHTS
from rnr.types import Segment

EXTENSION = "actors.weight_receiver.WeightReceiver"
"""The class that vLLM mixes into its own worker."""


class VllmEngine:
    """Completions with token ids and log-probabilities from vLLM's asynchronous engine."""

    def __init__(self, settings: EngineSettings, *, extension: str = EXTENSION) -> None:
        self._settings = settings
        self._extension = extension
        self._engine: Any = None
        self._held = ExitStack()
        self._version = 0
        self._loads = 0
        self._asleep = False
        self._adapter: Any = None
        self._requests = 0

    @property
    def tokenizer(self) -> Any:
        """That of the model, as vLLM loaded it."""
        return self._engine.get_tokenizer()

    @property
    def stop_token_id(self) -> int:
        """The token that ends an answer."""
        return self._settings.stop_token_id

    @property
    def client(self) -> Any:
        """vLLM's own engine, for vLLM's own server."""
        return self._engine

    async def start(self) -> None:
        """Build the engine with the weights of the model folder (version 0)."""
        settings = self._settings
        set_environment(settings)
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        refuse_platform(use_gpu=settings.use_gpu)
        arguments = AsyncEngineArgs(
            model=settings.model_folder,
            dtype="bfloat16",
            max_model_len=settings.model.context_tokens,
            max_num_seqs=settings.generation.sequences,
            enforce_eager=not settings.use_gpu,
            gpu_memory_utilization=settings.generation.gpu_memory_fraction,
            # Raw log-probabilities would make every ratio wrong at a temperature other than 1.
            logprobs_mode="processed_logprobs",
            # As many as a schema has labels may be asked for at once; only what is asked for is computed.
            max_logprobs=MOST_CHOICES,
            worker_extension_cls=self._extension,
            disable_log_stats=True,
            seed=settings.seed,
            generation_config="vllm",
            use_tqdm_on_load=False,
            **_files_to_read(settings.model_folder),
            **self._on_device(),
            **self._with_adapter(),
            **self._guessing(),
        )
        with ExitStack() as held:
            arguments.model = held.enter_context(literal_path(settings.model_folder))
            with sockets_in(held.enter_context(folder_for_sockets())), start_reported():
                self._engine = AsyncLLM.from_engine_args(arguments)
            self._held = held.pop_all()
        await self._refuse_another_tokenizer()
        await self._label(0)

    async def _refuse_another_tokenizer(self) -> None:
        """Raise ValueError where vLLM took Mistral's own tokenizer all the same, of which no grammar can be made."""
        if not hasattr(self.tokenizer, "backend_tokenizer"):
            taken = type(self.tokenizer).__name__
            await self.stop()
            raise ValueError(
                f"model.path: this vLLM reads {self._settings.model_folder} by {taken} and not by its tokenizer.json: "
                "use a copy of the folder without tekken.json and tokenizer.model.v*"
            )

    def _on_device(self) -> dict[str, Any]:
        if self._settings.use_gpu:
            return gpu_arguments(self._settings.generation, gpus=self._settings.gpus)
        from actors.cpu_norm import PRIORITY

        return {
            # Prefixes are cached by whole blocks. The CPU backend's default, 128 tokens, is as long as a prompt: all
            # samples of a prompt would read it again. 32 is the smallest that its kernels take.
            "block_size": 32,
            "ir_op_priority": PRIORITY,
            # vLLM rewinds the seeded generator of a prompt that is prefilled in pieces, which CPU generators cannot do:
            # so none is. A prompt is at most as long as the context, which a batch has room for.
            "enable_chunked_prefill": False,
            # On a CPU vLLM would put the model into a process of its own, which waits for every step by spinning on a
            # core that the scheduler needs. The engine's process can hold both: a third more tokens on two cores.
            "distributed_executor_backend": "vllm.v1.executor.uniproc_executor.UniProcExecutor",
        }

    def _guessing(self) -> dict[str, Any]:
        """Speculative decoding by n-gram lookup, without a draft model: matches the last two to four tokens."""
        ahead = self._settings.generation.speculative_tokens
        lookup = {"method": "ngram", "num_speculative_tokens": ahead, "prompt_lookup_min": 2, "prompt_lookup_max": 4}
        return {"speculative_config": lookup} if ahead else {}

    def _with_adapter(self) -> dict[str, Any]:
        rank = self._settings.model.lora_rank
        if not rank:
            return {}
        refuse_adapters(self._settings.model_folder)
        return {
            "enable_lora": True,
            "max_lora_rank": room_for(rank),
            "max_loras": 1,
            # Without a list vLLM wraps the head as well, which then fails over a probe beside requests in flight.
            "lora_target_modules": linear_layers(self._settings.model_folder),
        }

    async def load(self, delivery: Delivery) -> str:
        """Make the delivered policy the one that is sampled from; the digest of what arrived.

        Requests in flight are frozen and continue with the new weights; each token keeps the log-probability of the
        policy that produced it. An engine that sleeps wakes, the cache once the weights are there.
        """
        if self._asleep:  # and has been paused since
            await self._engine.wake_up(tags=["weights"])
        else:
            await self._engine.pause_generation(mode="keep", clear_cache=False)
        if self._settings.model.lora_rank:
            digest = await self._load_adapter(delivery)
        else:
            arguments = (delivery.receiver, delivery.payload)
            digests = set(await self._engine.collective_rpc("load_policy", args=arguments))
            if len(digests) > 1:
                raise WorkerUnusable(f"version {delivery.version} arrived in {len(digests)} different states")
            (digest,) = digests
        if self._asleep:
            await self._engine.wake_up(tags=["kv_cache"])
            self._asleep = False
        self._version = delivery.version
        self._loads += 1
        await self._label(delivery.version)
        await self._engine.resume_generation()
        return digest

    async def sleep(self, level: int) -> None:
        """Give weights and cache of the GPU back until the next ``load``; what is in flight is given up."""
        await self._engine.sleep(level=level)
        self._asleep = True

    async def _label(self, version: int) -> None:
        """Have vLLM say of each token which policy made it; releases without this say it of the completion."""
        label = getattr(self._engine, "update_weight_version", None)
        if label is not None:
            await label(str(version))

    async def _load_adapter(self, delivery: Delivery) -> str:
        from vllm.lora.request import LoRARequest

        weights, digest = received(delivery.receiver, delivery.payload)
        with tempfile.TemporaryDirectory(prefix="rnr-adapter-") as folder:
            write_adapter(folder, weights, self._settings.model)
            # One name and id for all versions, so that requests in flight continue with the new one as they would with
            # whole weights. In place, because an engine asked for an id that it knows would keep the adapter it has.
            await self._engine.add_lora(LoRARequest("policy", 1, folder, load_inplace=True))
            self._adapter = LoRARequest("policy", 1, folder)
        return digest()

    async def generate(self, token_ids: Sequence[int], sampling: Sampling) -> list[Completion]:
        """``sampling.count`` completions of one prompt."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        parameters = SamplingParams(
            n=sampling.count,
            temperature=sampling.temperature,
            max_tokens=sampling.max_new_tokens,
            min_tokens=sampling.min_new_tokens,
            seed=sampling.seed,
            logprobs=0,
            stop_token_ids=[self._settings.stop_token_id],
            stop=[sampling.stop] if sampling.stop else None,
            include_stop_str_in_output=bool(sampling.stop),
            structured_outputs=StructuredOutputsParams(grammar=sampling.grammar) if sampling.grammar else None,
            logit_bias=self._held_back() if sampling.grammar else None,
            skip_special_tokens=True,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        version = self._version  # a later version may take over before the last token
        output = await self._request(token_ids, parameters)
        return [self._completion(token_ids, completion, version) for completion in output.outputs]

    def _held_back(self) -> dict[int, float] | None:
        """vLLM 0.25.1, the release for GPUs, tells a grammar the tokenizer's own end only (later ones all ends). Where
        answers end with another token, as Gemma's do, a sentence that spells it could be copied by it, and the answer
        would end there: it is made as good as impossible, and an answer under a grammar ends with the tokenizer's."""
        stop, eos = self.stop_token_id, self.tokenizer.eos_token_id
        return None if eos in (None, stop) else {stop: -100.0}

    async def _request(self, token_ids: Sequence[int], parameters: Any) -> Any:
        from vllm.v1.engine.exceptions import EngineDeadError

        if self._asleep:
            raise WorkerUnusable("the engine is asleep: load a policy first")
        self._requests += 1
        final = None
        # Salted with the number of loads, which never comes twice in an engine's life, while a version may: after a
        # learner was rebuilt from a checkpoint the same number stands for other weights.
        prompt = {"prompt_token_ids": list(token_ids), "cache_salt": f"load-{self._loads}"}
        name = f"request-{self._requests}"
        try:
            async for output in self._engine.generate(prompt, parameters, name, lora_request=self._adapter):
                final = output
        except EngineDeadError as error:
            raise WorkerUnusable(
                f"the engine died; the log of this worker (logs/) has the cause: {root_cause(str(error))}"
            ) from error
        return final

    def _completion(self, prompt_ids: Sequence[int], completion: Any, version: int) -> Completion:
        token_ids = tuple(completion.token_ids)
        logprobs = tuple(values[token].logprob for token, values in zip(token_ids, completion.logprobs, strict=True))
        return Completion(
            segments=segments(token_ids, logprobs, getattr(completion, "weight_versions", None), version),
            text=completion.text,
            finished=completion.finish_reason == "stop",
            ends=character_ends(self.tokenizer, self.stop_token_id, prompt_ids, token_ids, completion.text),
        )

    async def score(self, token_ids: Sequence[int]) -> list[float]:
        """Log-probabilities of ``token_ids[1:]`` under the loaded policy."""
        from vllm import SamplingParams

        output = await self._request(token_ids, SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0))
        return [values[token].logprob for token, values in zip(token_ids[1:], output.prompt_logprobs[1:], strict=True)]

    async def choice(self, token_ids: Sequence[int], ids: Sequence[int]) -> dict[int, float]:
        """The log-probability of each of ``ids`` as the next token, among them alone."""
        from vllm import SamplingParams

        parameters = SamplingParams(max_tokens=1, temperature=1.0, allowed_token_ids=list(ids), logprobs=len(ids))
        output = await self._request(token_ids, parameters)
        (values,) = output.outputs[0].logprobs
        return among({token: values[token].logprob for token in ids})

    async def stop(self) -> None:
        if self._engine is not None:
            self._engine.shutdown()
            # Else vLLM's finaliser would try again at interpreter exit, and print a traceback.
            self._engine = None
        self._held.close()


def _files_to_read(folder: str) -> dict[str, str]:
    """Arguments that make vLLM read the files that the learner reads: by itself it prefers config, tokenizer and
    weights of Mistral's own form where they stand there, too."""
    safe = any(Path(folder).glob(SAFE_WEIGHTS))
    return {"tokenizer_mode": "hf", "config_format": "hf", "load_format": "safetensors" if safe else "auto"}


def segments(
    token_ids: tuple[int, ...], logprobs: tuple[float, ...], spans: Sequence[Any] | None, version: int
) -> tuple[Segment, ...]:
    """The tokens by the policy that made them, as vLLM's ``weight_versions`` say; all of ``version``, that at the time
    of the request, where it does not."""
    bounds = [(int(span.version), span.start, span.end) for span in spans or ()] or [(version, 0, len(token_ids))]
    return tuple(
        Segment(token_ids=token_ids[start:end], logprobs=logprobs[start:end], policy_version=made_by)
        for made_by, start, end in bounds
    )

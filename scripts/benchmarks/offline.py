"""Throughput of ``predict`` compared with vLLM's offline ``LLM.generate`` and with the transformers engine, one after
the other. Prompts, grammars and vLLM's settings are the same.

python -m scripts.benchmarks.offline --model runs/demo/export --data demo/known demo/unseen
"""

import os
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from actors.chat_format import chat_format
from rnr.corpus.loading import load as load_data
from rnr.files.jsonl import strict_json
from rnr.model_folder import resolve
from rnr.task.encoding import PieceEncoder
from rnr.task.grammar import chain_grammar
from rnr.task.prompts import chain_opening
from rnr.types import Example
from scripts.command_line import among, as_written, new_app, repeated, run, within

app = new_app()

ENGINES = ("vllm", "offline", "transformers")
CONTEXT = 1024
SEQUENCES = 64


def main(argv: list[str]) -> int:
    return run(app, repeated(repeated(argv, "--data"), "--engines"))


@app.command(help=as_written(__doc__))
def offline(
    model: Annotated[str, typer.Option(help="a model folder or a model name")],
    data: Annotated[list[str], typer.Option(help="data files, or parts of the demo data")],
    sentences: Annotated[
        int, typer.Option(callback=within(1), help="number of sentences; the data repeats if it has fewer")
    ] = 500,
    engines: Annotated[list[str] | None, typer.Option(callback=among(ENGINES), help=", ".join(ENGINES))] = None,
) -> int:
    """Print one JSON line of numbers per engine."""
    examples = load_data(data, training=False)
    examples = [examples[number % len(examples)] for number in range(sentences)]
    for engine in engines or ENGINES:
        measured = _offline if engine == "offline" else _ours
        print(strict_json(measured(engine, model, examples)), flush=True)
    return 0


def _ours(engine: Any, model: str, examples: Sequence[Example]) -> dict[str, Any]:
    from actors.loading import load

    begin = time.perf_counter()
    with load(model, engine=engine, decoding="marks", context_tokens=CONTEXT) as extractor:
        started = time.perf_counter()
        extractor("Ada met Bob.", ["person"])
        first = time.perf_counter()
        found = list(extractor.stream((example.sentence, example.schema) for example in examples))
        return _row(engine, begin, started, first, len(examples), sum(each.tokens for each in found))


def _offline(engine: str, model: str, examples: Sequence[Example]) -> dict[str, Any]:
    """The numbers of vLLM's ``LLM.generate`` with the settings of our engine."""
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    begin = time.perf_counter()
    from vllm import LLM, SamplingParams
    from vllm.sampling_params import StructuredOutputsParams

    folder = resolve(model)
    chat = chat_format(folder)
    more: dict[str, Any] = {
        "enforce_eager": True,
        "block_size": 32,
        "enable_chunked_prefill": False,
        "distributed_executor_backend": "vllm.v1.executor.uniproc_executor.UniProcExecutor",
    }
    llm = LLM(folder, dtype="bfloat16", max_model_len=CONTEXT, max_num_seqs=SEQUENCES, generation_config="vllm", **more)
    started = time.perf_counter()
    opening = chain_opening(PieceEncoder(chat.tokenizer), chat.opening)
    prompts: list[Any] = [{"prompt_token_ids": [*chat.prompt(example).token_ids, *opening]} for example in examples]
    asked = [
        SamplingParams(
            temperature=0.0,
            max_tokens=CONTEXT - len(prompt["prompt_token_ids"]),
            stop_token_ids=[chat.stop_token_id],
            structured_outputs=StructuredOutputsParams(grammar=chain_grammar(example.sentence, example.schema)),
        )
        for prompt, example in zip(prompts, examples, strict=True)
    ]
    llm.generate(prompts[:1], asked[:1], use_tqdm=False)
    first = time.perf_counter()
    found = llm.generate(prompts, asked, use_tqdm=False)
    tokens = sum(len(each.outputs[0].token_ids) + len(opening) for each in found)
    return _row(engine, begin, started, first, len(examples), tokens)


def _row(engine: str, begin: float, started: float, first: float, count: int, tokens: int) -> dict[str, Any]:
    seconds = time.perf_counter() - first
    return {
        "engine": engine,
        "start_seconds": round(started - begin, 1),
        "first_answer_seconds": round(first - started, 2),
        "sentences": count,
        "seconds": round(seconds, 2),
        "sentences_per_second": round(count / seconds, 2),
        "tokens": tokens,
        "tokens_per_second": round(tokens / seconds, 1),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

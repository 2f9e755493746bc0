"""Benchmarks. Two sides are measured in alternation and reported as a ratio; docs/BENCHMARKS.md explains each number.

python -m scripts.bench learner [--peer trl]   # one optimizer step: shared prompt against one prompt per completion
python -m scripts.bench rollout                # one rollout worker: tokens and samples per second
python -m scripts.bench rewards                # the default reward against the paper's reward
python -m scripts.bench sync                   # weight sync from the learner to a rollout worker, verified
python -m scripts.bench step [--peer trl]      # a complete GRPO step on the real cluster
python -m scripts.bench gpu                    # all GPU measurements of docs/BENCHMARKS.md, in eight minutes
"""

import importlib
import sys
from argparse import Namespace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal, get_args

import typer

from rnr.files.jsonl import strict_json
from rnr.files.whole import write_whole
from rnr.messages import plain_console
from rnr.model_folder import EMBEDDED_MODEL, resolve
from rnr.types import Decoding
from scripts.benchmarks.gpu_steps import Step
from scripts.benchmarks.random_model import SIZES, write_random_model
from scripts.benchmarks.turns import table
from scripts.command_line import new_app, refuse_idle, run, within

app = new_app(__doc__)


def main(argv: list[str]) -> int:
    return run(app, argv)


def _count(description: str) -> Any:
    return typer.Option(callback=within(1), help=description)


def _tokens(value: str) -> int | str:
    if value != "auto" and not (value.isascii() and value.isdigit() and int(value)):
        raise typer.BadParameter(f'must be a number of tokens or "auto"; found {value}')
    return value if value == "auto" else int(value)


Rounds = Annotated[int, _count("timed rounds, after one warm-up round")]
Json = Annotated[Path | None, typer.Option("--json", help="also write the numbers to this file")]
Model = Annotated[str, typer.Option(help=f"a model folder, a model name, or one of {', '.join(SIZES)}")]
Prompts = Annotated[int, _count("prompts per step")]
Samples = Annotated[int, _count("completions per prompt")]
PromptTokens = Annotated[int, _count("tokens per prompt")]
CompletionTokens = Annotated[int, _count("tokens per completion, exactly")]
MaxTokens = Annotated[
    str,
    typer.Option(callback=_tokens, help="tokens per micro-batch; auto, as in a run: by GPU memory, 2048 on a CPU"),
]
LoraRank = Annotated[int, typer.Option(callback=within(0), help="rank of the LoRA adapter; 0 trains all weights")]
Deadline = Annotated[float, typer.Option(callback=within(0), help="deadline of a single call, in seconds")]
PeerName = Annotated[
    Literal["trl"] | None, typer.Option("--peer", help="alternate with steps of this trainer; run `make peer` first")
]
PeerBatch = Annotated[int, _count("samples per batch of the peer")]
PeerWeights = Annotated[
    Literal["float32", "bfloat16"],
    typer.Option(help="dtype of the peer's weights; its own default is float32 under bf16 autocast"),
]
Ranks = Annotated[int, _count("learner ranks")]
Sentences = Annotated[
    str, typer.Option(help="a data set: use prompts of its sentences, and let completions end with the stop token")
]
Lengths = Annotated[
    str,
    typer.Option(
        metavar="FILE|real",
        help="draw prompt and answer lengths from a data file or the demo data; the other side has uniform lengths",
    ),
]


@app.command()
def learner(
    context: typer.Context,
    model: Model = EMBEDDED_MODEL,
    prompts: Prompts = 2,
    samples: Samples = 8,
    prompt_tokens: PromptTokens = 200,
    completion_tokens: CompletionTokens = 130,
    max_tokens: MaxTokens = "auto",
    lora_rank: LoraRank = 0,
    deadline: Deadline = 900.0,
    peer: PeerName = None,
    peer_batch: PeerBatch = 8,
    peer_weights: PeerWeights = "float32",
    lengths: Lengths = "",
    profile: Annotated[Path | None, typer.Option(help="profile one step: print its operations, write a trace")] = None,
    rounds: Rounds = 5,
    json_file: Json = None,
) -> None:
    """Time one GRPO optimizer step on one rank."""
    if not peer:
        refuse_idle(context, ("deadline", "peer_batch", "peer_weights"), "without --peer")
    if lengths:
        refuse_idle(context, ("prompt_tokens", "completion_tokens"), "with --lengths, which sets both")
    _measure(context)


@app.command()
def rollout(
    context: typer.Context,
    model: Model = EMBEDDED_MODEL,
    prompts: Prompts = 8,
    samples: Samples = 8,
    prompt_tokens: PromptTokens = 210,
    completion_tokens: CompletionTokens = 128,
    concurrent: Annotated[int, _count("maximum number of concurrent sequences (max_num_seqs)")] = 64,
    rounds: Rounds = 5,
    json_file: Json = None,
) -> None:
    """Time sampling with one rollout worker and no other process."""
    _measure(context)


@app.command()
def rewards(context: typer.Context, rounds: Rounds = 5, json_file: Json = None) -> None:
    """Time reward scoring on one core."""
    _measure(context)


@app.command()
def sync(
    context: typer.Context,
    model: Model = EMBEDDED_MODEL,
    prompt_tokens: PromptTokens = 210,
    max_tokens: MaxTokens = "auto",
    lora_rank: LoraRank = 0,
    deadline: Deadline = 900.0,
    ranks: Ranks = 1,
    rounds: Rounds = 5,
    json_file: Json = None,
) -> None:
    """Time a weight sync from the learner to a rollout worker, with its verification."""
    _measure(context)


@app.command()
def step(
    context: typer.Context,
    model: Model = EMBEDDED_MODEL,
    prompts: Prompts = 4,
    samples: Samples = 8,
    prompt_tokens: PromptTokens = 210,
    completion_tokens: CompletionTokens = 128,
    max_tokens: MaxTokens = "auto",
    lora_rank: LoraRank = 0,
    deadline: Deadline = 900.0,
    peer: PeerName = None,
    peer_batch: PeerBatch = 8,
    peer_weights: PeerWeights = "float32",
    sentences: Sentences = "",
    decoding: Annotated[
        Decoding, typer.Option(help="decoding for --sentences; if it is not free, steps alternate with free decoding")
    ] = "free",
    ranks: Ranks = 1,
    rounds: Rounds = 5,
    json_file: Json = None,
) -> None:
    """Time complete GRPO steps on the real cluster."""
    if not peer:
        refuse_idle(context, ("peer_batch", "peer_weights"), "without --peer")
    if sentences:
        refuse_idle(context, ["prompt_tokens"], "with --sentences, which sets the length")
    _measure(context)


@app.command()
def gpu(
    context: typer.Context,
    rows: Annotated[
        Path, typer.Option(help="JSONL with one line per measurement; the table and logs are written next to it")
    ] = Path("bench-gpu.jsonl"),
    seconds: Annotated[float, typer.Option(callback=within(30), help="time budget for all steps together")] = 480.0,
    steps: Annotated[
        str, typer.Option(help=f"comma-separated subset of {','.join(get_args(Step))}; all of them by default")
    ] = "",
    tiny: Annotated[bool, typer.Option("--tiny", help="smallest sizes that run every step, to test on a CPU")] = False,
    json_file: Json = None,
) -> None:
    """Run all GPU measurements of docs/BENCHMARKS.md, most important first."""
    _measure(context)


def _measure(context: typer.Context) -> None:
    """Run the benchmark named like this command, print its numbers, and write them to --json if given."""
    options = Namespace(**context.params)
    with TemporaryDirectory() as folder:
        if context.params.get("model") in SIZES:
            options.model = str(write_random_model(options.model, Path(folder), resolve(EMBEDDED_MODEL)))
        # Imported here, so that each benchmark loads only the engines it needs.
        numbers = importlib.import_module(f"scripts.benchmarks.{context.info_name}").measure(options)
    plain_console().print(table(f"bench {context.info_name}", numbers))
    if options.json_file:
        write_whole(options.json_file, strict_json(numbers, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Speed, as ratios of things measured in turn in one run. What each figure means is in docs/BENCHMARKS.md.

python -m scripts.bench learner [--peer trl]   # one optimizer step: a group's prompt once against once per completion
python -m scripts.bench rollout                # one rollout worker: tokens and samples a second
python -m scripts.bench rewards                # our default reward against the paper's
python -m scripts.bench sync                   # the learner's weights on a rollout worker, verified
python -m scripts.bench step [--peer trl]      # a whole GRPO step of the real cluster
python -m scripts.bench gpu                    # everything that is asked of a GPU, in eight minutes
"""

import importlib
import sys
from argparse import Namespace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import typer

from rnr.files.jsonl import strict_json
from rnr.files.whole import write_whole
from rnr.messages import plain_console
from rnr.model_folder import EMBEDDED_MODEL, resolve
from rnr.types import Decoding
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


Rounds = Annotated[int, _count("how often each side is timed")]
Json = Annotated[Path | None, typer.Option("--json", help="also write the numbers here")]
Model = Annotated[str, typer.Option(help=f"a folder, a name, or one of {', '.join(SIZES)}")]
Prompts = Annotated[int, _count("how many at a time")]
Samples = Annotated[int, _count("completions of each prompt")]
PromptTokens = Annotated[int, _count("of each prompt")]
CompletionTokens = Annotated[int, _count("exactly so many of each")]
MaxTokens = Annotated[
    str,
    typer.Option(callback=_tokens, help="of a micro-batch; auto as in a run: by a GPU's memory, 2048 on a CPU"),
]
LoraRank = Annotated[int, typer.Option(callback=within(0), help="rank of a trained adapter; 0 trains all weights")]
Deadline = Annotated[float, typer.Option(callback=within(0), help="seconds that any one call may take")]
PeerName = Annotated[Literal["trl"] | None, typer.Option("--peer", help="steps alternate with ours; `make peer` first")]
PeerBatch = Annotated[int, _count("samples that the peer takes at once")]
PeerWeights = Annotated[
    Literal["float32", "bfloat16"],
    typer.Option(help="of the peer; its own default is float32 under bf16 autocast"),
]
Ranks = Annotated[int, _count("of the learner")]
Sentences = Annotated[
    str, typer.Option(help="a data set whose sentences are asked as a run asks them, ended by themselves")
]
Lengths = Annotated[
    str,
    typer.Option(
        metavar="FILE|real",
        help="draw prompt and answer lengths from a data file, or from the embedded demo data; in turn with equal ones",
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
    profile: Annotated[Path | None, typer.Option(help="print where a step's time goes, write its trace here")] = None,
    rounds: Rounds = 5,
    json_file: Json = None,
) -> None:
    """One GRPO update on one rank."""
    if not peer:
        refuse_idle(context, ("deadline", "peer_batch", "peer_weights"), "without --peer")
    if lengths:
        refuse_idle(context, ("prompt_tokens", "completion_tokens"), "with --lengths, which draws them")
    _measure(context)


@app.command()
def rollout(
    context: typer.Context,
    model: Model = EMBEDDED_MODEL,
    prompts: Prompts = 8,
    samples: Samples = 8,
    prompt_tokens: PromptTokens = 210,
    completion_tokens: CompletionTokens = 128,
    concurrent: Annotated[int, _count("sequences generated at once")] = 64,
    rounds: Rounds = 5,
    json_file: Json = None,
) -> None:
    """One rollout worker alone on the machine."""
    _measure(context)


@app.command()
def rewards(context: typer.Context, rounds: Rounds = 5, json_file: Json = None) -> None:
    """Completions scored a second, on one core."""
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
    """Weights from the learner to a rollout worker, verified."""
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
        Decoding, typer.Option(help="of --sentences; other than free it takes turns with free")
    ] = "free",
    ranks: Ranks = 1,
    rounds: Rounds = 5,
    json_file: Json = None,
) -> None:
    """One GRPO step of the real cluster."""
    if not peer:
        refuse_idle(context, ("peer_batch", "peer_weights"), "without --peer")
    if sentences:
        refuse_idle(context, ["prompt_tokens"], "with --sentences, which have their own length")
    _measure(context)


@app.command()
def gpu(
    context: typer.Context,
    rows: Annotated[Path, typer.Option(help="a line for each measurement as it ends; table and logs beside")] = Path(
        "bench-gpu.jsonl"
    ),
    seconds: Annotated[float, typer.Option(callback=within(30), help="of all steps; each has its share")] = 480.0,
    steps: Annotated[str, typer.Option(help="some of models,learner,real,cluster,learner_small,tests,trl")] = "",
    tiny: Annotated[bool, typer.Option("--tiny", help="as small as still does everything, to try it on a CPU")] = False,
    json_file: Json = None,
) -> None:
    """All that docs/BENCHMARKS.md asks of a GPU, most important first."""
    _measure(context)


def _measure(context: typer.Context) -> None:
    """Run the benchmark of this command's name with its options, print the numbers, write them if asked."""
    options = Namespace(**context.params)
    with TemporaryDirectory() as folder:
        if context.params.get("model") in SIZES:
            options.model = str(write_random_model(options.model, Path(folder), resolve(EMBEDDED_MODEL)))
        # Each benchmark loads the engines it needs and no others.
        numbers = importlib.import_module(f"scripts.benchmarks.{context.info_name}").measure(options)
    plain_console().print(table(f"bench {context.info_name}", numbers))
    if options.json_file:
        write_whole(options.json_file, strict_json(numbers, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Speed, as ratios of things measured in turn in one run. What each figure means is in docs/BENCHMARKS.md.

python -m scripts.bench learner [--peer trl]   # one optimizer step: a group's prompt once against once per completion
python -m scripts.bench rollout                # one rollout worker: tokens and samples a second
python -m scripts.bench rewards                # our default reward against the paper's
python -m scripts.bench sync                   # the learner's weights on a rollout worker, verified
python -m scripts.bench step [--peer trl]      # a whole GRPO step of the real cluster
"""

import argparse
import importlib
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.table import Table

from rnr.files import write_whole
from rnr.model_folder import EMBEDDED_MODEL, resolve
from scripts.benchmarks.peer import PeerFailed
from scripts.benchmarks.random_model import SIZES, write_random_model
from scripts.benchmarks.turns import Numbers


def main(argv: list[str]) -> int:
    options = _parser().parse_args(argv)
    try:
        with TemporaryDirectory() as folder:
            if getattr(options, "model", None) in SIZES:
                options.model = str(write_random_model(options.model, Path(folder), resolve(EMBEDDED_MODEL)))
            # Each benchmark loads the engines it needs and no others.
            numbers = importlib.import_module(f"scripts.benchmarks.{options.command}").measure(options)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except PeerFailed as error:
        print(f"error: the peer: {error}", file=sys.stderr)
        return 1
    Console().print(table(f"bench {options.command}", numbers))
    if options.json:
        write_whole(options.json, json.dumps(numbers, indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    learner = commands.add_parser("learner", help="one GRPO update on one rank")
    _add_sizes(learner, prompts=2, prompt_tokens=200, completion_tokens=130)
    _add_training(learner)
    _add_peer(learner)
    learner.add_argument("--profile", type=Path, help="also print where one step's time goes, and write its trace here")
    rollout = commands.add_parser("rollout", help="one rollout worker alone on the machine")
    _add_sizes(rollout, prompts=8, prompt_tokens=210, completion_tokens=128)
    rollout.add_argument("--concurrent", type=int, default=64, help="sequences generated at once")
    commands.add_parser("rewards", help="completions scored a second, on one core")
    sync = commands.add_parser("sync", help="weights from the learner to a rollout worker, verified")
    _add_sizes(sync, prompts=1, prompt_tokens=210, completion_tokens=128)
    _add_training(sync)
    step = commands.add_parser("step", help="one GRPO step of the real cluster")
    _add_sizes(step, prompts=4, prompt_tokens=210, completion_tokens=128)
    _add_training(step)
    _add_peer(step)
    for command in (sync, step):
        command.add_argument("--ranks", type=int, default=1, help="of the learner")
    for command in commands.choices.values():
        command.add_argument("--rounds", type=int, default=5, help="how often each side is timed")
        command.add_argument("--json", type=Path, help="also write the numbers here")
    return parser


def _add_sizes(command: argparse.ArgumentParser, *, prompts: int, prompt_tokens: int, completion_tokens: int) -> None:
    command.add_argument("--model", default=EMBEDDED_MODEL, help=f"a folder, a name, or one of {', '.join(SIZES)}")
    command.add_argument("--prompts", type=int, default=prompts)
    command.add_argument("--samples", type=int, default=8, help="completions of each prompt")
    command.add_argument("--prompt-tokens", type=int, default=prompt_tokens)
    command.add_argument("--completion-tokens", type=int, default=completion_tokens, help="exactly so many of each")


def _add_training(command: argparse.ArgumentParser) -> None:
    command.add_argument("--max-tokens", type=int, default=2048, help="of a micro-batch")
    command.add_argument("--lora-rank", type=int, default=0, help="train an adapter of this rank; 0 trains all weights")
    command.add_argument("--deadline", type=float, default=900.0, help="seconds that any one answer may take")


def _add_peer(command: argparse.ArgumentParser) -> None:
    command.add_argument("--peer", choices=("trl",), help="whose steps alternate with ours; `make peer` installs it")
    command.add_argument("--peer-batch", type=int, default=8, help="samples that the peer takes at once")
    command.add_argument(
        "--peer-weights",
        choices=("float32", "bfloat16"),
        default="float32",
        help="how the peer holds its weights; its own default is float32 under bf16 autocast",
    )


def table(title: str, numbers: Numbers) -> Table:
    """The numbers as they are printed."""
    rows = Table("what", "value", title=title)
    for name, value in numbers.items():
        rows.add_row(name, shown(value))
    return rows


def shown(value: Any) -> str:
    """Three digits of a fraction, whole thousands with commas: 0.12345 is 0.123, 12345.6 is 12,346."""
    if isinstance(value, list):
        return " to ".join(map(shown, value))
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

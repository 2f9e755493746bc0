"""The steps of ``bench gpu``, each in a process of its own.

python -m scripts.benchmarks.gpu_steps STEP ROWS FOLDER
"""

import gc
import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from rnr.model_folder import EMBEDDED_MODEL, resolve
from scripts.benchmarks.gpu_rows import Rows
from scripts.benchmarks.gpu_sizes import sized
from scripts.command_line import as_written, new_app, run

app = new_app()

Step = Literal["models", "learner", "real", "cluster", "learner_small", "tests", "trl", "sleep"]
SIZE, TINY_SIZE = "random-qwen3-0.6b", "random-tiny"
LEARNER = {
    "uniform": {"prompts": 64, "samples": 8, "rounds": 2},
    "grpo": {"prompts": 48, "samples": 16, "rounds": 1, "lengths": "real"},
    "sft_16": {"prompts": 16, "samples": 1, "rounds": 5, "lengths": "real"},
    "sft_128": {"prompts": 128, "samples": 1, "rounds": 3, "lengths": "real"},
}
"""Cases of the learner alone: micro-batches of 16,384 tokens, as the targets are stated."""


def main(argv: list[str]) -> int:
    return run(app, argv)


@app.command(help=as_written(__doc__))
def step(
    name: Annotated[Step, typer.Argument(metavar="STEP")],
    rows: Annotated[Path, typer.Argument(help="a line for each measurement")],
    folder: Annotated[Path, typer.Argument(help="for the random model")],
    tiny: Annotated[bool, typer.Option("--tiny", help="as small as still does everything")] = False,
) -> None:
    """Carry out one step."""
    # The step's limit is kept with SIGTERM: what was started is to be ended in order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    STEPS[name](Rows(rows, name), folder / "random", tiny=tiny)


def models(rows: Rows, folder: Path, *, tiny: bool) -> None:
    """The model of random weights, made on the GPU where there is one, and the embedded one unpacked."""
    import torch

    from scripts.benchmarks.random_model import write_random_model

    with rows.case("embedded"):
        tokenizer = resolve(EMBEDDED_MODEL)
    with rows.case("random"), torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        write_random_model(TINY_SIZE if tiny else SIZE, folder, tokenizer)


def learner(rows: Rows, folder: Path, *, tiny: bool) -> None:
    """One rank of the random model alone, on equal and on real lengths."""
    _learner(rows, str(folder), list(LEARNER), tiny=tiny)


def learner_small(rows: Rows, folder: Path, *, tiny: bool) -> None:
    """The same of the embedded model, with lengths as they come."""
    _learner(rows, resolve(EMBEDDED_MODEL), ["sft_16", "sft_128", "grpo"], tiny=tiny)


def _learner(rows: Rows, folder: str, cases: list[str], *, tiny: bool) -> None:
    from scripts.benchmarks.learner import case, one_rank

    with rows.case("build"):
        worker = one_rank(folder, 0, sized({"samples": 1}, tiny=tiny).max_tokens)
    for name in cases:
        with rows.case(name) as numbers:
            numbers |= case(worker, folder, sized(LEARNER[name], tiny=tiny))
        gc.collect()


def real(rows: Rows, folder: Path, *, tiny: bool) -> None:
    """A run in miniature of the embedded model on its data."""
    from scripts.benchmarks.gpu_cluster import real_steps

    real_steps(rows, resolve(EMBEDDED_MODEL), tiny=tiny)


def cluster(rows: Rows, folder: Path, *, tiny: bool) -> None:
    """Weights by each transport, a step, and sampling by the sequences at once, of the random model."""
    from scripts.benchmarks.gpu_cluster import uniform_steps

    uniform_steps(rows, str(folder), tiny=tiny)


def tests(rows: Rows, folder: Path, *, tiny: bool) -> None:
    """What only a GPU can show, without what needs an engine of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu and not slow", "-p", "no:cacheprovider"]
    files = ["tests/end_to_end/test_gpu.py", "tests/end_to_end/test_gpu_sync.py"]
    with rows.case("gpu") as numbers:
        done = subprocess.run([*command, *files], capture_output=True, text=True)
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        numbers["result"] = lines[-1].strip("= ") if lines else f"exit status {done.returncode}"
        numbers |= {"failures": "; ".join(line for line in lines if line.startswith(("FAILED", "ERROR")))[:500]}


def trl(rows: Rows, folder: Path, *, tiny: bool) -> None:
    """A whole step of ours and of TRL's in turn."""
    from scripts.benchmarks.step import measure

    with rows.case("step") as numbers:
        options = sized({"prompts": 8, "samples": 8, "rounds": 1}, tiny=tiny, peer="trl", model=str(folder))
        options.peer_batch = min(options.peer_batch, options.prompts * options.samples)
        numbers |= measure(options)


def sleep(rows: Rows, folder: Path, *, tiny: bool) -> None:
    """The random model's engine, which sleeps while the learner trains: what falling asleep, waking and a step cost."""
    from scripts.benchmarks.gpu_cluster import sleeping_steps

    sleeping_steps(rows, str(folder), tiny=tiny)


STEPS = {each.__name__: each for each in (models, learner, real, cluster, learner_small, tests, trl, sleep)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The steps of ``bench gpu``; each runs in a separate process.

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

Step = Literal["models", "learner", "real", "cluster", "learner_small", "tests", "uncompiled", "trl", "sleep"]
SIZE, TINY_SIZE = "random-qwen3-0.6b", "random-tiny"
LEARNER = {
    "uniform": {"prompts": 64, "samples": 8, "rounds": 2},
    "grpo": {"prompts": 48, "samples": 16, "rounds": 1, "lengths": "real"},
    "sft_16": {"prompts": 16, "samples": 1, "rounds": 5, "lengths": "real"},
    "sft_128": {"prompts": 128, "samples": 1, "rounds": 3, "lengths": "real"},
}
"""Cases of the learner benchmark, with the micro-batches of 16,384 tokens for which the targets are stated."""


def main(argv: list[str]) -> int:
    return run(app, argv)


@app.command(help=as_written(__doc__))
def step(
    name: Annotated[Step, typer.Argument(metavar="STEP")],
    rows: Annotated[Path, typer.Argument(help="JSONL file to which measurements are appended")],
    folder: Annotated[Path, typer.Argument(help="folder for the random model")],
    tiny: Annotated[bool, typer.Option("--tiny", help="smallest sizes that still run everything")] = False,
) -> None:
    # A step over its limit gets SIGTERM. Exiting by exception stops the services it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    STEPS[name](Rows(rows, name), folder / "random", tiny=tiny)


def models(rows: Rows, folder: Path, *, tiny: bool) -> None:
    """Writes the random model, created on the GPU if there is one, and unpacks the embedded model."""
    import torch

    from scripts.benchmarks.random_model import write_random_model

    with rows.case("embedded"):
        tokenizer = resolve(EMBEDDED_MODEL)
    with rows.case("random"), torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        write_random_model(TINY_SIZE if tiny else SIZE, folder, tokenizer)


def learner(rows: Rows, folder: Path, *, tiny: bool) -> None:
    """Measures one learner rank with the random model, on uniform and on real lengths."""
    _learner(rows, str(folder), list(LEARNER), tiny=tiny)


def learner_small(rows: Rows, folder: Path, *, tiny: bool) -> None:
    """Measures one learner rank with the embedded model, on real lengths."""
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
    """Measures a small training run of the embedded model on the demo data."""
    from scripts.benchmarks.gpu_cluster import real_steps

    real_steps(rows, resolve(EMBEDDED_MODEL), tiny=tiny)


def cluster(rows: Rows, folder: Path, *, tiny: bool) -> None:
    """Measures weight sync by each transport, a GRPO step, and sampling by concurrency, with the random model."""
    from scripts.benchmarks.gpu_cluster import uniform_steps

    uniform_steps(rows, str(folder), tiny=tiny)


def tests(rows: Rows, folder: Path, *, tiny: bool) -> None:
    """Runs the tests marked ``gpu`` that do not start an engine."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu and not slow", "-p", "no:cacheprovider"]
    files = ["tests/end_to_end/test_gpu.py", "tests/end_to_end/test_gpu_sync.py"]
    with rows.case("gpu") as numbers:
        done = subprocess.run([*command, *files], capture_output=True, text=True)
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        numbers["result"] = lines[-1].strip("= ") if lines else f"exit status {done.returncode}"
        numbers |= {"failures": "; ".join(line for line in lines if line.startswith(("FAILED", "ERROR")))[:500]}


def trl(rows: Rows, folder: Path, *, tiny: bool) -> None:
    """Measures complete GRPO steps, alternating with TRL."""
    from scripts.benchmarks.step import measure

    with rows.case("step") as numbers:
        options = sized({"prompts": 8, "samples": 8, "rounds": 1}, tiny=tiny, peer="trl", model=str(folder))
        options.peer_batch = min(options.peer_batch, options.prompts * options.samples)
        numbers |= measure(options)


def sleep(rows: Rows, folder: Path, *, tiny: bool) -> None:
    """Measures sleep mode with the random model: the time to sleep, to wake up, and of a GRPO step."""
    from scripts.benchmarks.gpu_cluster import sleeping_steps

    sleeping_steps(rows, str(folder), tiny=tiny)


def uncompiled(rows: Rows, folder: Path, *, tiny: bool) -> None:
    """Measures the start and the sampling of engines that compile nothing, with the random model."""
    from scripts.benchmarks.gpu_cluster import uncompiled_steps

    uncompiled_steps(rows, str(folder), tiny=tiny)


STEPS = {each.__name__: each for each in (models, learner, real, cluster, learner_small, tests, uncompiled, trl, sleep)}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""TRL as the peer: starts its GRPOTrainer in a peer process on the same work, and collects its step times."""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cluster.placement import SHARED_GPU_MEMORY
from rnr.types import Prompt
from scripts.benchmarks.peer import Peer, PeerFailed, running_peer
from scripts.benchmarks.processes import cpu_seconds
from scripts.benchmarks.turns import Numbers, spread

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-trl" / "bin" / "python"
SCRIPT = Path(__file__).with_name("trl_peer.py")
PARTS = ("sampling", "reward", "training")


class Trl:
    """Runs optimizer steps of TRL, one at a time."""

    def __init__(
        self, peer: Peer, *, samples: int, prompt_tokens: int, completion_tokens: int, sampler: str = ""
    ) -> None:
        """``sampler`` is the engine that TRL samples with."""
        self._peer = peer
        self._sampler = sampler
        self._samples = samples
        self._expected = {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens}
        self._answers: list[dict[str, Any]] = []

    def turn(self, part: str) -> float:
        """Run one complete step; returns the seconds of its ``part`` (``seconds`` is the whole step), as measured in
        the peer process.

        Raises PeerFailed if the peer trained on a different number of tokens than expected.
        """
        begin, used = time.perf_counter(), cpu_seconds(without=self._peer.pid)
        answer = self._peer.ask({"do": "step"})
        answer["cores_of_ours"] = (cpu_seconds(without=self._peer.pid) - used) / (time.perf_counter() - begin)
        seen = {name: answer[name] for name in self._expected}
        if seen != self._expected:
            raise PeerFailed(f"expected it to train on {self._expected}, and it trained on {seen}")
        self._answers.append(answer)
        return answer[part]

    def numbers(self) -> Numbers:
        """Times of the measured steps, without the warm-up step; and how many cores our own processes used on
        average meanwhile, which should be close to 0."""
        counted = self._answers[1:]
        numbers: Numbers = {f"{name}_other": value for name, value in self._expected.items()}
        numbers |= {"sampler_other": self._sampler} if self._sampler else {}
        numbers |= spread("whole_step_seconds_other", [answer["seconds"] for answer in counted])
        for part in PARTS:
            numbers |= spread(f"{part}_seconds_other", [answer[f"{part}_seconds"] for answer in counted])
        numbers["peak_gib_other"] = counted[-1]["peak_gib"]
        numbers["cores_of_ours_meanwhile"] = max(answer["cores_of_ours"] for answer in counted)
        return numbers


def interpreter() -> Path | None:
    """The Python interpreter that has TRL: the one of ``make peer``, or this one if TRL is installed here, which is
    possible with the packages of a GPU host; None if there is neither."""
    if PYTHON.exists():
        return PYTHON
    return Path(sys.executable) if find_spec("trl") else None


@contextmanager
def running_trl(
    options: argparse.Namespace, model_folder: str, prompts: Sequence[Prompt], threads: int
) -> Iterator[Trl]:
    """TRL's GRPOTrainer on ``prompts``, with the model loaded; it is stopped when the block ends.

    Raises ValueError if TRL is not installed or its batch size does not divide the samples, PeerFailed if it does not
    start.
    """
    samples = len(prompts) * options.samples
    if (python := interpreter()) is None:
        raise ValueError("--peer trl: TRL is not installed; `make peer` installs it in a separate environment")
    if samples % options.peer_batch:
        raise ValueError(f"--peer-batch {options.peer_batch} does not divide the {samples} samples of a step")
    settings = {
        "model": model_folder,
        "weights": options.peer_weights,
        "prompts": [prompt.example.sentence for prompt in prompts],
        "samples": options.samples,
        "completion_tokens": options.completion_tokens,
        "batch": options.peer_batch,
        "threads": threads,
        "gpu_memory_fraction": SHARED_GPU_MEMORY,
    }
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": str(threads)}
    # -P keeps the script's folder off sys.path, so that its files cannot shadow packages of the same name.
    command = [str(python), "-P", str(SCRIPT)]
    with running_peer(command, environment=environment, deadline_seconds=options.deadline) as peer:
        built = peer.ask(settings)
        yield Trl(
            peer,
            sampler=built["sampler"],
            samples=samples,
            prompt_tokens=options.samples * sum(len(prompt.token_ids) for prompt in prompts),
            completion_tokens=samples * options.completion_tokens,
        )

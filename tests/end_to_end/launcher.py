"""Start ``python -m scripts.train`` as a person would, watch its run folder, and end it in unkind ways."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 400


class Training:
    """One training process and everything it starts."""

    def __init__(self, folder: Path, arguments: Sequence[str], *, struck: Sequence[str] = ()) -> None:
        """``struck`` is (step, phase, names), as ``struck_train`` takes them."""
        self.run_folder = folder / "run"
        self._log = folder / f"log-{time.monotonic_ns()}.txt"
        module = ["tests.end_to_end.struck_train", *struck, "--"] if struck else ["scripts.train"]
        command = [sys.executable, "-m", *module, f"--run.folder={folder}", "--run.name=run", *arguments]
        with self._log.open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    @property
    def output(self) -> str:
        return self._log.read_text()

    def wait(self) -> int:
        """The exit status, once it has ended."""
        return self.process.wait(DEADLINE_SECONDS)

    def wait_and_watch(self) -> tuple[int, list[psutil.Process]]:
        """The exit status, once it has ended, and every process it has started."""
        end = time.monotonic() + DEADLINE_SECONDS
        started: set[psutil.Process] = set()
        while self.process.poll() is None:
            assert time.monotonic() < end, f"never ended:\n{self.output}"
            with contextlib.suppress(psutil.NoSuchProcess):
                started.update(psutil.Process(self.process.pid).children(recursive=True))
            time.sleep(0.05)
        return self.process.returncode, list(started)


def assert_all_end(processes: Sequence[psutil.Process], seconds: float = 60) -> None:
    """Fail, naming them, if any of ``processes`` outlives ``seconds``."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    left = [(process.pid, process.name()) for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert not left, f"processes left behind: {left}"


def lines(file: Path) -> list[dict]:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in file.read_text().splitlines()]

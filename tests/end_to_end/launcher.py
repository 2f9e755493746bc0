"""Start ``python -m scripts.train`` as a person would, watch its run folder, and end it in unkind ways."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_SECONDS = 400


class Training:
    """One training process and everything it starts."""

    def __init__(self, folder: Path, arguments: Sequence[str]) -> None:
        self.run_folder = folder / "run"
        self._log = folder / f"log-{time.monotonic_ns()}.txt"
        command = [sys.executable, "-m", "scripts.train", f"--run.folder={folder}", "--run.name=run", *arguments]
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

    def wait_until(self, reached: Callable[[dict], bool]) -> None:
        """Return as soon as ``status.json`` says what is waited for."""
        end = time.monotonic() + DEADLINE_SECONDS
        while time.monotonic() < end:
            assert self.process.poll() is None, f"the run ended early:\n{self.output}"
            status = self.run_folder / "status.json"
            if status.exists() and reached(json.loads(status.read_text())):
                return
            time.sleep(0.01)
        raise AssertionError(f"never reached:\n{self.output}")

    def workers(self, name: str) -> list[psutil.Process]:
        """The Ray actor processes of one class, such as ``RolloutWorker``, that this run started."""
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if any(f"ray::{name}" in word for word in child.cmdline())]

    def kill(self) -> list[psutil.Process]:
        """SIGKILL to the driver alone; wait until our workers and the engines are gone.

        Returns Ray's own two agents, which notice late that their parent is gone: they lived on for 60 to 90 s.
        """
        children = psutil.Process(self.process.pid).children(recursive=True)
        agents = [child for child in children if child.name() in ("ray::DashboardAgent", "ray::RuntimeEnvAgent")]
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert_all_end([child for child in children if child not in agents])
        return agents


def assert_all_end(processes: Sequence[psutil.Process], seconds: float = 60) -> None:
    """Fail, naming them, if any of ``processes`` outlives ``seconds``."""
    _, alive = psutil.wait_procs(processes, timeout=seconds)
    left = [(process.pid, process.name()) for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert not left, f"processes left behind: {left}"


def lines(file: Path) -> list[dict]:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in file.read_text().splitlines()]

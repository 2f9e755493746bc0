"""A run on three hosts, and faults that befall it one after another: what survived, and whether anything was lost.

python -m tests.chaos.campaign --faults 10 --seed 1 --model FOLDER --data FOLDER --out FILE
"""

import argparse
import json
import secrets
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from threading import Event

import psutil

from cluster.graceful_stop import EXIT_CODE
from tests.chaos.driver import note
from tests.chaos.faults import KILLS, OF_DRIVER, Fault, plan, strike
from tests.chaos.hosts import NETWORK, PORT, Hosts
from tests.chaos.ledger import misses, newest_progress, trained
from tests.end_to_end.launcher import lines

RECOVERY_SECONDS = 420.0
"""A run that has made no step for so long after a fault is lost."""
POOL = 12
"""Sentences of the data set."""
SAMPLES = 2


def arguments(model: Path, data: Path, folder: Path) -> list[str]:
    """A run that never ends, of steps that take a second, and with short deadlines."""
    deadlines = {"start": 200, "generate": 45, "score": 45, "load": 45, "update": 60, "save": 60, "restart": 400}
    return [
        f"--run.folder={folder}",
        "--run.name=run",
        f"--cluster.address={NETWORK}.11:{PORT}",
        f"--model.path={model}",
        "--model.context_tokens=256",
        f"--data.train=['{data}/train.jsonl']",
        f"--data.evaluation=['{data}/test.jsonl']",
        "--sft.epochs=2",
        "--sft.sequences_per_step=12",
        "--sampling.prompts_per_step=4",
        f"--sampling.samples_per_prompt={SAMPLES}",
        "--sampling.max_new_tokens=16",
        "--sampling.decoding=free",
        "--reward.preset=tests.user_reward:checksum",
        "--grpo.steps=100000",
        "--evaluation.base=false",
        "--evaluation.max_new_tokens=16",
        "--checkpoint.every_steps=3",
        "--checkpoint.grace_seconds=60",
        "--tracking.wandb_project=",
        "--sync.transport=object_store",
        *(f"--deadlines.{name}={seconds}" for name, seconds in deadlines.items()),
        "--resume",
    ]


class Campaign:
    def __init__(self, hosts: Hosts, command: Sequence[str], out: Path) -> None:
        self._hosts = hosts
        self._command = [sys.executable, "-m", "tests.chaos.driver", str(hosts.folder), *command]
        self._run = hosts.disk / "run"
        self._log = hosts.folder / "driver.log"
        self._out = out
        self._rows: list[dict] = []
        self.driver: psutil.Popen | None = None

    def start_driver(self) -> None:
        self.driver = self._hosts.hosts[0].start(self._command, self._log)

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def rows(self) -> list[dict]:
        """The metrics of each GRPO step that was made; what they were last while a line is being written."""
        with suppress(FileNotFoundError, ValueError):
            self._rows = [row for row in lines(self._run / "metrics.jsonl") if "timing_s/step" in row]
        return self._rows

    def steps(self) -> list[float]:
        """The seconds of each of them."""
        return [row["timing_s/step"] for row in self.rows()]

    def wait_for_steps(self, seconds: float, count: int = 1) -> bool:
        """Until so many more steps are made; False if they were not in time, or if the driver has ended. A run that
        goes back to a checkpoint takes the steps after it out of its metrics first."""
        fewest, end = len(self.steps()), time.monotonic() + seconds
        while time.monotonic() < end:
            steps = len(self.steps())
            if steps >= fewest + count:
                return True
            fewest = min(fewest, steps)
            assert self.driver is not None
            if self.driver.poll() is not None:
                return False
            time.sleep(0.3)
        return False

    def carry_out(self, fault: Fault) -> dict:
        """One fault, and how the run came through it."""
        time.sleep(fault.delay)
        begin, steps = time.monotonic(), self.steps()
        usual = statistics.median(steps[-20:]) if steps else 1.0
        done = True
        if fault.kind in OF_DRIVER:
            self._of_driver(fault)
        else:
            done = self._of_hosts(fault)
        # The first two may have been under way.
        survived = done and self.wait_for_steps(RECOVERY_SECONDS, count=3)
        lost = max(0.0, time.monotonic() - begin - 3 * usual)
        row = asdict(fault) | {"done": done, "survived": survived, "seconds_lost": round(lost, 1)}
        note(self._out, row)
        print(json.dumps(row), flush=True)
        return row

    def _of_hosts(self, fault: Fault) -> bool:
        """Whether there was something that it could befall."""
        undo = strike(fault, self._hosts.hosts, self._hosts.disk)
        if undo is None:
            return False
        if fault.kind not in KILLS:
            time.sleep(fault.lasts)
        undo()
        return True

    def _of_driver(self, fault: Fault) -> None:
        """End the driver and resume; one that SIGTERM did not end as it should is not resumed."""
        assert self.driver is not None
        stopping = fault.kind.startswith("SIGTERM")
        self.driver.send_signal(signal.SIGTERM if stopping else signal.SIGKILL)
        status = self.driver.wait(120)
        if stopping and status != EXIT_CODE:
            print(f"SIGTERM: exit code {status}", flush=True)
            return
        time.sleep(2)
        self.start_driver()

    def close(self) -> dict:
        """Stop the run, and say what it has kept and left."""
        assert self.driver is not None
        if self.driver.poll() is None:
            self.driver.send_signal(signal.SIGTERM)
        status = self.driver.wait(180)
        time.sleep(5)
        consumed = newest_progress(self._run)["consumed"]
        lost, doubled = misses(consumed, POOL)
        seen = trained(lines(self._run / "rollouts.jsonl"))
        workers = [process for host in self._hosts.hosts for process in host.processes("ray::")]
        names = [process.name() for process in workers if process.is_running()]
        waits = self._hosts.folder / "waits.jsonl"
        process = lines(self._hosts.folder / "process.jsonl")
        return {
            "exit": status,
            "prompts": len(consumed),
            "lost": lost,
            "doubled": doubled,
            "not in rollouts": len(set(consumed) - set(seen)),
            "twice in rollouts": len(seen) - len(set(seen)),
            "waits beyond their deadline": lines(waits) if waits.exists() else [],
            "workers left": [name for name in names if "Worker" in name],
            # Nobody of the run is left on a host that was taken away.
            "files left": [name for host in self._hosts.hosts if host.node is not None for name in host.left()],
            "driver, every ten seconds": {name: [row[name] for row in process] for name in ("mib", "descriptors")},
        }


def campaign(
    *, seed: int, faults: int, seconds: float, model: Path, data: Path, out: Path, enough: Event | None = None
) -> tuple[list[dict], dict]:
    """The rows of the faults that fitted into ``seconds`` after the first step, or until it was ``enough``, and what
    was left in the end."""
    rows = []
    with Hosts(4, secrets.token_hex(32)) as hosts:
        for host in hosts.hosts[:3]:
            host.start_node()
            time.sleep(8 if host.number == 1 else 2)
        run = Campaign(hosts, arguments(model, data, hosts.disk), out)
        run.start_driver()
        if not run.wait_for_steps(RECOVERY_SECONDS):
            raise RuntimeError(f"the run made no step:\n{run.output[-4000:]}")
        end = time.monotonic() + seconds
        for fault in plan(seed, faults):
            if time.monotonic() > end or (enough and enough.is_set()):
                break
            rows.append(run.carry_out(fault))
            if rows[-1]["done"] and not rows[-1]["survived"]:
                print(run.output[-6000:], flush=True)
                break
        closing = run.close()
        note(out, {"seed": seed, "closing": closing})
        print(json.dumps(closing), flush=True)
        if closing["exit"] != EXIT_CODE:
            print(run.output[-4000:], flush=True)
    return rows, closing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--out", type=Path, default=Path("chaos.jsonl"))
    parser.add_argument("--work", type=Path, default=Path("runs/chaos"))
    options = parser.parse_args()
    from tests.chaos.inputs import write_inputs

    enough = Event()

    def stop(*_: object) -> None:
        if enough.is_set():
            sys.exit(1)  # the hosts are taken away all the same
        enough.set()
        print("the fault under way is the last; once more ends at once", flush=True)

    signal.signal(signal.SIGTERM, stop)
    model, data = write_inputs(options.work)
    campaign(
        seed=options.seed,
        faults=options.faults,
        seconds=options.seconds,
        model=model.resolve(),
        data=data.resolve(),
        out=options.out,
        enough=enough,
    )


if __name__ == "__main__":
    main()

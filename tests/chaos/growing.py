"""A run on three hosts that is told to have one rollout worker, then four, then two: samples/s in each phase.

python -m tests.chaos.growing --steps 20
"""

import argparse
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.chaos.campaign import RECOVERY_SECONDS, SAMPLES, Campaign, arguments
from tests.chaos.hosts import Hosts
from tests.chaos.inputs import write_inputs
from tests.end_to_end.launcher import ROOT

PHASES = (1, 4, 2)
PROMPTS = 12
TOKENS = 64
CORES = 2
"""Of each host, so that an engine of four has one thread: all hosts are this machine."""
PHASE_SECONDS = 900
"""For a phase: several engines start on the cores that the others decode on."""


def phase(run: Campaign, workers: int, steps: int) -> str:
    """A row of the table: so many steps with so many workers, from the first step that had them all."""
    asked, before, end = time.monotonic(), len(run.rows()), time.monotonic() + PHASE_SECONDS
    until_there = 0.0
    while time.monotonic() < end:
        rows = run.rows()[before:]
        with_all = [row for row in rows if row["infra/rollout_workers_alive"] == workers]
        until_there = until_there or (time.monotonic() - asked if with_all else 0.0)
        if len(with_all) > steps:
            seconds = sum(row["timing_s/step"] for row in with_all[1:])
            rate = PROMPTS * SAMPLES * (len(with_all) - 1) / seconds
            return f"| {workers} | {until_there:.0f} | {len(with_all) - 1} | {seconds:.0f} | {rate:.2f} |"
        time.sleep(0.5)
    raise RuntimeError(f"{workers} workers did not make {steps} steps:\n{run.output[-3000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--work", type=Path, default=Path("runs/chaos"))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the hosts are taken away all the same
    model, data = (path.resolve() for path in write_inputs(options.work))
    print(
        "| rollout workers | until all were there, s | steps | seconds | samples/s |\n|--:|--:|--:|--:|--:|", flush=True
    )
    with Hosts(3, secrets.token_hex(32)) as hosts:
        for host in hosts.hosts:
            host.start_node(CORES)
            time.sleep(8 if host.number == 1 else 2)
        more = [f"--sampling.prompts_per_step={PROMPTS}", f"--sampling.max_new_tokens={TOKENS}"]
        more += [f"--cluster.rollout_workers={min(PHASES)}..{max(PHASES)}"]
        run = Campaign(hosts, [*arguments(model, data, hosts.disk), *more], Path("/dev/null"))
        run.start_driver()
        if not run.wait_for_steps(RECOVERY_SECONDS):
            raise RuntimeError(f"the run made no step:\n{run.output[-4000:]}")
        for workers in PHASES:
            command = [sys.executable, "-m", "scripts.scale", str(hosts.disk / "run"), str(workers)]
            subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
            print(phase(run, workers, options.steps), flush=True)
        run.close()


if __name__ == "__main__":
    main()

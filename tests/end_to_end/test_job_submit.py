"""``ray job submit`` of the debug preset, two rollout workers and two learner ranks, on a cluster with a token that is
started beside it."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from tests.end_to_end.launcher import ROOT, assert_all_end
from tests.jsonl import read_jsonl

pytestmark = pytest.mark.slow

SCRIPTS = Path(sys.executable).parent


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def cluster():
    """The address of the job server of a one-node cluster; all of it is gone afterwards."""
    dashboard = free_port()
    folder = tempfile.mkdtemp(prefix="rnr-ray-", dir="/tmp")  # socket paths must be short
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    environment = {**os.environ, **token, "PATH": f"{SCRIPTS}:{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    command = [
        str(SCRIPTS / "ray"),
        "start",
        "--head",
        "--block",
        f"--port={free_port()}",
        "--node-ip-address=127.0.0.1",
        "--dashboard-host=127.0.0.1",
        f"--dashboard-port={dashboard}",
        "--num-cpus=2",
        "--disable-usage-stats",
        f"--temp-dir={folder}",
    ]
    with open(Path(folder) / "head.log", "w") as log:
        head = subprocess.Popen(command, cwd="/", env=environment, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait_for_port(dashboard, head)
        yield f"http://127.0.0.1:{dashboard}", environment
    finally:
        started = psutil.Process(head.pid).children(recursive=True)
        head.terminate()
        head.wait(60)
        for process in psutil.wait_procs(started, timeout=30)[1]:
            process.kill()
        assert_all_end(started)
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_port(port, head):
    end = time.monotonic() + 120
    while time.monotonic() < end:
        assert head.poll() is None, "ray start ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    raise AssertionError("the job server did not come up")


def test_a_submitted_job_trains_with_two_rollout_workers_and_two_learner_ranks(cluster, tmp_path):
    address, environment = cluster
    command = [
        *[str(SCRIPTS / "ray"), "job", "submit", f"--address={address}", "--working-dir", ".", "--"],
        *["python", "-m", "scripts.train", "--config", "scripts/configs/debug.toml"],
        *["--cluster.rollout_workers=2", "--cluster.learner_ranks=2", f"--run.folder={tmp_path}"],
    ]
    for _ in range(30):
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=560)
        if "No available agent" not in done.stderr:  # it comes up a little after the port
            break
        time.sleep(2)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    summary = json.loads((tmp_path / "debug" / "summary.json").read_text())
    assert summary["steps"] >= 1
    assert summary["prompts"]["consumed"] == 2
    told = [row["decoding"] for row in read_jsonl(tmp_path / "debug" / "predictions" / "grpo.jsonl")]
    assert set(told) == {"marks, labels calibrated by 0.5"}
    assert json.loads((tmp_path / "debug" / "export" / "rnr_prompt.json").read_text())["label_calibration"] == 0.5
    rows = read_jsonl(tmp_path / "debug" / "metrics.jsonl")
    assert [row["infra/rollout_workers_alive"] for row in rows if "infra/rollout_workers_alive" in row] == [2]

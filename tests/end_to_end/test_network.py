"""What another host can reach while a run on this machine is going on: nothing."""

import sys
import time

import psutil
import pytest

from tests.end_to_end.launcher import Training
from tests.end_to_end.neighbour import listening, neighbour, why_impossible

pytestmark = pytest.mark.slow

IMPOSSIBLE = why_impossible()


@pytest.mark.skipif(bool(IMPOSSIBLE), reason=IMPOSSIBLE)
def test_another_host_reaches_no_port_of_a_run_can_submit_no_job_and_cannot_join(tmp_path, tiny_model, colours):
    arguments = [
        f"--model.path={tiny_model}",
        "--model.context_tokens=256",
        f"--data.train=['{colours}/train.jsonl']",
        f"--data.evaluation=['{colours}/test.jsonl']",
        "--sft.epochs=2",
        "--sft.sequences_per_step=12",
        "--sampling.prompts_per_step=4",
        "--sampling.samples_per_prompt=4",
        "--sampling.max_new_tokens=32",
        "--evaluation.max_new_tokens=32",
        "--grpo.steps=1",
        "--cluster.learner_ranks=2",
        "--tracking.wandb_project=",
    ]
    mark = tmp_path / "entered"
    open_ports, found = {}, []
    with neighbour() as other:
        training = Training(tmp_path, arguments)
        run = psutil.Process(training.process.pid)
        while training.process.poll() is None:
            now = listening([run, *run.children(recursive=True)])
            new = {port for address, port in now if (address, port) not in open_ports}
            open_ports |= now
            found += other.ask(sorted(new), mark)
            time.sleep(0.3)
        assert training.process.returncode == 0, training.output
    names = set(open_ports.values())
    assert {"gcs_server", "raylet", "ray::DashboardAgent", "ray::RuntimeEnvAgent"} <= names
    assert any("RolloutWorker" in name for name in names), names
    assert any("LearnerWorker" in name for name in names), names
    assert {address for address, _ in open_ports} == {"127.0.0.1"}
    assert len(found) >= len(open_ports) * len(other.addresses)
    assert [row for row in found if row[2] != "closed"] == []
    assert not mark.exists()


@pytest.mark.skipif(bool(IMPOSSIBLE), reason=IMPOSSIBLE)
def test_the_other_host_would_have_found_an_open_port_and_joined_a_cluster_without_a_token(tmp_path):
    """That the test above can fail: this is what a Ray that is not closed looks like from over there."""
    script = """
import os, ray, time
os.environ["RAY_AUTH_MODE"] = "disabled"
ray.init(address="local", include_dashboard=False, log_to_driver=False, num_cpus=1, _node_ip_address="127.0.0.1")
print(ray.get_runtime_context().gcs_address, flush=True)
time.sleep(600)
"""
    import subprocess

    with neighbour(16) as other:
        open_ray = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        try:
            assert open_ray.stdout is not None
            gcs = open_ray.stdout.readline().strip()
            run = psutil.Process(open_ray.pid)
            ports = sorted({port for _, port in listening([run, *run.children(recursive=True)])})
            rows = other.ask(ports, tmp_path / "entered")
            assert str(gcs.rsplit(":", 1)[1]) in {str(port) for _, port, state, _ in rows if state == "open"}
            assert any("200" in answer for *_, answer in rows), rows
        finally:
            open_ray.terminate()
            open_ray.wait(60)

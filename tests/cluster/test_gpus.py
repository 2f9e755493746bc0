"""Which GPUs a process sees, with a stand-in for nvidia-smi."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("ray")

from cluster import gpus
from cluster.gpus import Gpu, WorkerGpus, known_gpus, local_gpus, memory_in_use, refuse_without_bf16, worker_gpus
from rnr.config import ClusterConfig

T400 = "0, GPU-aaaa1111, NVIDIA T400 4GB, 4096, 7.5, [N/A]"
RTX = "1, GPU-bbbb2222, NVIDIA GeForce RTX 4090, 24576, 8.9, [N/A]"
A100 = "0, GPU-cccc3333, NVIDIA A100-SXM4-40GB, 40960, 8.0, Enabled"
SLICES = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-cccc3333)
  MIG 3g.20gb     Device  0: (UUID: MIG-1111)
  MIG 1g.5gb      Device  1: (UUID: MIG-2222)
"""


@pytest.fixture
def nvidia_smi(tmp_path, monkeypatch):
    """Has ``nvidia-smi`` answer with these rows, or fail."""

    def answers(*rows: str, slices: str = "", status: int = 0) -> None:
        told = {"query": "\n".join(rows), "list": slices, "used": "512\n1024"}
        script = (
            f"#!{sys.executable}\nimport sys\ntold = {json.dumps(told)}\n"
            "kind = 'list' if sys.argv[1] == '-L' else 'used' if 'used' in sys.argv[1] else 'query'\n"
            f"print(told[kind])\nsys.exit({status})\n"
        )
        Path(tmp_path / "nvidia-smi").write_text(script)
        Path(tmp_path / "nvidia-smi").chmod(0o755)

    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    return answers


@pytest.mark.parametrize(
    ("visible", "order", "found"),
    [
        (None, "", [24.0, 4.0]),  # CUDA counts from the fastest on
        (None, "PCI_BUS_ID", [4.0, 24.0]),
        ("0", "", [24.0]),
        ("0", "PCI_BUS_ID", [4.0]),
        ("1,0", "PCI_BUS_ID", [24.0, 4.0]),
        ("GPU-aaaa1111", "", [4.0]),
        ("GPU-bbbb", "", [24.0]),
        ("", "", []),
        ("-1", "", []),
        ("1,-1,0", "PCI_BUS_ID", [24.0]),  # nothing after what is none
        ("7", "", []),
        ("NoDevFiles", "", []),
    ],
)
def test_a_process_has_the_gpus_that_its_environment_leaves_it(nvidia_smi, monkeypatch, visible, order, found) -> None:
    nvidia_smi(T400, RTX)
    monkeypatch.setenv("CUDA_DEVICE_ORDER", order)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.gib for gpu in local_gpus()] == found


def test_a_gpu_has_a_name_and_a_compute_capability(nvidia_smi) -> None:
    nvidia_smi(RTX)
    assert local_gpus() == [Gpu(name="NVIDIA GeForce RTX 4090", gib=24.0, capability=8.9)]
    assert memory_in_use() == [0.5, 1.0]
    nvidia_smi("0, GPU-dd, NVIDIA GB10, [N/A], 12.1, [N/A]")  # shares the memory of its host
    assert local_gpus() == []
    nvidia_smi(RTX, status=9)
    assert local_gpus() == memory_in_use() == []


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        ("MIG-1111", [("NVIDIA A100-SXM4-40GB 3g.20gb", 17.6)]),  # 0.88 * 20
        ("MIG-2222", [("NVIDIA A100-SXM4-40GB 1g.5gb", 4.4)]),
        (None, [("NVIDIA A100-SXM4-40GB 1g.5gb", 4.4)]),  # one of them
        ("0", [("NVIDIA A100-SXM4-40GB 1g.5gb", 4.4)]),
    ],
)
def test_a_slice_of_a_gpu_has_its_own_memory(nvidia_smi, monkeypatch, visible, found) -> None:
    nvidia_smi(A100, slices=SLICES)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [(gpu.name, pytest.approx(gpu.gib)) for gpu in local_gpus()] == found


def test_where_there_is_no_nvidia_smi_there_is_no_gpu(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert known_gpus(ClusterConfig()) == WorkerGpus(gpus=[], where="nvidia-smi lists no GPU")


def test_a_run_here_goes_by_the_gpus_of_this_machine_and_in_one_process_by_the_first(nvidia_smi) -> None:
    nvidia_smi(T400, RTX)
    here = worker_gpus(ClusterConfig())
    assert (here.gib, here.where) == (4.0, "this machine")
    assert worker_gpus(ClusterConfig(address="in_process")).gib == 24.0
    assert known_gpus(ClusterConfig(address="10.0.0.1:6379")).gpus == ()  # not the driver's


def test_a_run_on_a_cluster_goes_by_the_gpus_of_its_nodes(monkeypatch) -> None:
    h100 = Gpu(name="H100", gib=80.0, capability=9.0)
    ids = [str(number) * 56 for number in range(6)]
    told: dict[str, Any] = dict(zip(ids[1:5], ([h100] * 2, [h100], gpus.RayError("the node died"), []), strict=True))
    asked: list[str] = []

    class Task:
        def options(self, scheduling_strategy: Any) -> Any:
            return SimpleNamespace(remote=lambda: scheduling_strategy.node_id)

    def get(node: str) -> Any:
        if isinstance(told[node], Exception):
            raise told[node]
        return told[node]

    def wait(references: list[str], num_returns: int, timeout: float) -> tuple[list[str], list[str]]:
        asked[:] = references
        assert (num_returns, timeout) == (len(references), gpus.SECONDS)
        return [each for each in references if each != ids[2]], [ids[2]]  # hangs

    nodes = [
        {"NodeID": ids[number], "Alive": number != 5, "NodeManagerAddress": f"10.0.0.{number}", "Resources": resources}
        for number, resources in enumerate([{"CPU": 4.0}, *[{"GPU": 2.0}] * 5])
    ]
    ray = SimpleNamespace(remote=lambda **_options: lambda _function: Task(), get=get, wait=wait, nodes=lambda: nodes)
    monkeypatch.setattr(gpus, "ray", ray)
    found = worker_gpus(ClusterConfig(address="10.0.0.9:6379"))
    assert asked == ids[1:5]  # not the head without a GPU, nor the node that is gone
    assert str(found) == "2 GPUs of the cluster, unknown on 3 nodes (10.0.0.2, 10.0.0.3, 10.0.0.4): H100, 80.0 GiB"
    del nodes[1]
    assert worker_gpus(ClusterConfig(address="10.0.0.9:6379")).where.startswith("unknown on 3 nodes")


def test_a_gpu_without_bfloat16_is_refused_by_its_name_where_engines_would_be_on_it() -> None:
    old, new = Gpu(name="Tesla T4", gib=15.0, capability=7.5), Gpu(name="A10", gib=22.0, capability=8.6)
    on_gpus = ClusterConfig(gpus_per_rollout_worker=0.5, gpus_per_learner_rank=0.5)
    with pytest.raises(ValueError, match=r"^Tesla T4, 15\.0 GiB \(compute capability 7\.5\) has no bfloat16"):
        refuse_without_bf16(WorkerGpus(gpus=[new, old, old], where="this machine"), on_gpus)
    for found in ([new], [Gpu(name="?", gib=8.0)], []):
        refuse_without_bf16(WorkerGpus(gpus=found, where="this machine"), on_gpus)
    on_cpus = ClusterConfig(gpus_per_rollout_worker=0, gpus_per_learner_rank=1)
    refuse_without_bf16(WorkerGpus(gpus=[old], where="this machine"), on_cpus)

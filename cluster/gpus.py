"""Which GPUs the workers of a run are on: name, memory and compute capability, asked without taking any of it."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.placement import IN_PROCESS, ray_address
from rnr.config import ClusterConfig
from rnr.messages import counted, few

SECONDS = 60.0
"""Seconds the nodes of a cluster have to report their GPUs."""
BF16 = 8.0
"""Compute capability from which on vLLM computes in bfloat16, as the learner does."""
MIG_SHARE = 0.88
"""GiB for each gigabyte in the name of a MIG profile, at least: 1g.18gb of an H200 has 16."""
FIELDS = "index,uuid,name,memory.total,compute_cap,mig.mode.current"
_SLICE = re.compile(r"\s+MIG (\S+\.(\d+)gb\S*)\s.*\(UUID: (MIG-[^)\s]+)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One GPU, or a MIG slice of one, as a process sees it."""

    name: str
    gib: float
    capability: float = 0.0
    """0 where it is not known."""

    def __str__(self) -> str:
        return f"{self.name}, {self.gib:.1f} GiB"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerGpus:
    """The GPUs that the workers may be on."""

    gpus: Sequence[Gpu]
    where: str
    """Where they are, or why they are unknown."""

    @property
    def gib(self) -> float:
        """Memory of the smallest GPU, since any worker may be on it; 0 if none is known."""
        return min((gpu.gib for gpu in self.gpus), default=0.0)

    def __str__(self) -> str:
        smallest = min(self.gpus, key=lambda gpu: gpu.gib)
        by = "" if len({(gpu.name, gpu.gib) for gpu in self.gpus}) == 1 else "the smallest is "
        return f"{counted(len(self.gpus), 'GPU')} of {self.where}: {by}{smallest}"


def known_gpus(cluster: ClusterConfig) -> WorkerGpus:
    """Those of this machine, if the run is on it; none of a cluster that has not been joined."""
    address = ray_address(cluster)
    if address not in ("", IN_PROCESS):
        return WorkerGpus(gpus=(), where="the GPUs of a cluster are known only after joining it")
    found = local_gpus()
    where = "this machine" if found else "nvidia-smi lists no GPU"
    return WorkerGpus(gpus=found[:1] if address else found, where=where)


def worker_gpus(cluster: ClusterConfig) -> WorkerGpus:
    """Those of this machine, if the run is on it, or of all nodes of the cluster that was joined."""
    if ray_address(cluster) in ("", IN_PROCESS):
        return known_gpus(cluster)
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU")]
    found, silent = _of_nodes([node["NodeID"] for node in nodes])
    names = few([node["NodeManagerAddress"] for node in nodes if node["NodeID"] in silent])
    unknown = f"unknown on {counted(len(silent), 'node')} ({names})" if silent else ""
    there = f"the cluster{f', {unknown}' if unknown else ''}"
    return WorkerGpus(gpus=found, where=there if found else unknown or "the cluster has no GPU")


def _of_nodes(node_ids: Sequence[str]) -> tuple[list[Gpu], list[str]]:
    """The GPUs of these nodes, and the nodes that reported none."""
    # Without a GPU of its own a task sees what the node was started with.
    task = ray.remote(num_cpus=0, max_retries=0)(local_gpus)
    there = [NodeAffinitySchedulingStrategy(node_id=node, soft=False) for node in node_ids]
    asked = [task.options(scheduling_strategy=strategy).remote() for strategy in there]
    done, _ = ray.wait(asked, num_returns=len(asked), timeout=SECONDS) if asked else ([], [])
    found: list[Gpu] = []
    silent = []
    for node, reference in zip(node_ids, asked, strict=True):
        try:
            reported = ray.get(reference) if reference in done else []
        except RayError:
            reported = []
        found += reported
        silent += [] if reported else [node]
    return found, silent


def refuse_without_bf16(found: WorkerGpus, cluster: ClusterConfig) -> None:
    """Raise ValueError, with what to do, where an engine may be put on a GPU that has no bfloat16."""
    old = sorted({f"{gpu} (compute capability {gpu.capability:g})" for gpu in found.gpus if 0 < gpu.capability < BF16})
    if old and cluster.gpus_per_rollout_worker:
        raise ValueError(
            f"{few(old)} has no bfloat16, which engines need: it takes compute capability {BF16:g} or higher (A100, "
            "A10, L4, RTX 30 and newer). Exclude this GPU with CUDA_VISIBLE_DEVICES (in a cluster, set it for `ray "
            "start` on its node), or run engines on CPUs with vLLM's build for CPUs and "
            "cluster.gpus_per_rollout_worker=0"
        )


def local_gpus() -> list[Gpu]:
    """Those of this machine that CUDA_VISIBLE_DEVICES leaves a process, in CUDA's order; empty where there is none."""
    rows = [line.split(", ") for line in _nvidia_smi(f"--query-gpu={FIELDS}", "--format=csv,noheader,nounits")]
    rows = [row for row in rows if len(row) == len(FIELDS.split(","))]
    slices = _slices() if any(row[5] == "Enabled" for row in rows) else {}
    known: list[tuple[str, Gpu, dict[str, Gpu]]] = []
    for _, uuid, name, mib, capability, _ in rows:
        whole = Gpu(name=name, gib=_number(mib) / 1024, capability=_number(capability))
        own = {
            part: Gpu(name=f"{name} {each}", gib=gib, capability=whole.capability)
            for part, (each, gib) in slices.get(uuid, {}).items()
        }
        known.append((uuid, min(own.values(), key=lambda gpu: gpu.gib) if own else whole, own))
    if os.environ.get("CUDA_DEVICE_ORDER") != "PCI_BUS_ID":  # CUDA counts from the fastest on
        known.sort(key=lambda each: (-each[1].capability, -each[1].gib))
    found = [gpu for _, gpu, _ in known]
    if (asked := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        found = []
        for name in asked.split(","):
            if (gpu := _find_gpu(name.strip(), known)) is None:
                break  # CUDA looks no further either
            found.append(gpu)
    return [gpu for gpu in found if gpu.gib]


def _find_gpu(name: str, known: Sequence[tuple[str, Gpu, dict[str, Gpu]]]) -> Gpu | None:
    """The GPU that an entry of CUDA_VISIBLE_DEVICES means: a number, the beginning of a UUID, or that of a slice."""
    if name.isdecimal():
        return known[int(name)][1] if int(name) < len(known) else None
    parts = (part for _, _, own in known for part in own.items())
    whole = ((uuid, gpu) for uuid, gpu, _ in known)
    return next((gpu for uuid, gpu in (*whole, *parts) if name and uuid.startswith(name)), None)


def _slices() -> dict[str, dict[str, tuple[str, float]]]:
    """UUID of each GPU -> UUID of each of its MIG slices -> profile and GiB."""
    found: dict[str, dict[str, tuple[str, float]]] = {}
    here: dict[str, tuple[str, float]] = {}
    for line in _nvidia_smi("-L"):
        if whole := re.match(r"GPU \d+: .*\(UUID: (\S+)\)", line):
            here = found.setdefault(whole[1], {})
        elif part := _SLICE.match(line):
            here[part[3]] = part[1], MIG_SHARE * int(part[2])
    return found


def memory_in_use() -> list[float]:
    """GiB in use of each GPU of this machine; empty where there is none."""
    return [_number(line) / 1024 for line in _nvidia_smi("--query-gpu=memory.used", "--format=csv,noheader,nounits")]


def _number(text: str) -> float:
    """0 for anything else, such as ``[N/A]``."""
    return float(text) if re.fullmatch(r"\d+(\.\d+)?", text.strip()) else 0.0


def _nvidia_smi(*arguments: str) -> list[str]:
    """The lines of its output; none if it fails."""
    try:
        answer = subprocess.run(("nvidia-smi", *arguments), capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return answer.stdout.splitlines() if not answer.returncode else []

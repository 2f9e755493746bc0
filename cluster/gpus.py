"""The memory of this machine's GPUs, asked without taking any of it."""

import subprocess
from typing import Literal


def gpu_memory(which: Literal["total", "used"] = "total") -> list[float]:
    """GiB of each GPU of this machine, in all or in use; empty where there is none."""
    command = ("nvidia-smi", f"--query-gpu=memory.{which}", "--format=csv,noheader,nounits")
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [int(line) / 1024 for line in answer.stdout.split() if line.isdigit()] if not answer.returncode else []

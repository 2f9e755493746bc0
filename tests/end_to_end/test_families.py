"""New weights in a real engine, for models whose heads and experts are not those of a Llama."""

import subprocess
import sys
from pathlib import Path

import pytest

from actors.vllm_adapter import refuse_adapters
from rnr.model_folder import EMBEDDED_MODEL, embedded_folder
from scripts.benchmarks.families import tiny_config
from tests.jsonl import read_jsonl

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not embedded_folder(EMBEDDED_MODEL).is_dir(), reason="the embedded model is not set up: run `make setup`"
    ),
]

ROOT = Path(__file__).resolve().parents[2]


def test_an_engine_takes_all_weights_of_a_tied_head_and_of_experts(tmp_path) -> None:
    kinds = ["gpt2", "granite", "mixtral", "apertus"]  # tied otherwise; scaled; experts; buffers
    command = [sys.executable, "-m", "scripts.benchmarks.models", str(tmp_path), *kinds, "--table", f"{tmp_path}/table"]
    subprocess.run(command, cwd=ROOT, check=True, timeout=600)
    rows = read_jsonl(tmp_path / "results.jsonl")
    found = {row["kind"]: row for row in rows}
    assert found.keys() == set(kinds)
    for kind, row in found.items():
        assert row["learner"] < 1e-5, kind
        # The new weights move the engine's log-probabilities by ten times what may be left between it and the learner.
        assert row["sync"] < row["allowed"], kind
        assert row["sync"] < 0.05 < 0.3 < row["changed"], kind


def test_adapters_are_refused_where_the_engine_has_none(tmp_path) -> None:
    for kind, name in (("gpt2", "GPT2LMHeadModel"), ("llama", "LlamaForCausalLM")):
        config = tiny_config(kind)
        config.architectures = [name]
        config.save_pretrained(tmp_path / kind)
    refuse_adapters(str(tmp_path / "llama"))
    with pytest.raises(ValueError, match=r"model\.lora_rank: vLLM \S+ has no adapters for GPT2LMHeadModel"):
        refuse_adapters(str(tmp_path / "gpt2"))

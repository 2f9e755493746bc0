"""``bench gpu``: what is kept when a step fails or hangs, the table of the docs, and a tiny run on a CPU."""

import json
import math
import sys
import time
from argparse import Namespace
from typing import get_args

import psutil
import pytest

from rnr.digest import token_key
from rnr.types import Sample
from scripts import bench
from scripts.benchmarks import gpu, gpu_rows, gpu_steps
from scripts.benchmarks.gpu_rows import Rows, collected, filled
from scripts.benchmarks.mismatch import by_position

PAGE = """
text
| what | number | predicted | measured |
|---|---|--:|--:|
| a step | `step.one.seconds` | 1 s | |
| two numbers | `step.one.kernels`, `step.two.rate` | 5 | |
| a step that failed | `late.case.seconds` | 2 s | |
| nobody knows | `other.case.seconds` | 2 s | |

| another | table |
"""


def test_each_measurement_is_on_disk_before_the_next_and_a_failed_one_says_why(tmp_path) -> None:
    file = tmp_path / "rows.jsonl"
    rows = Rows(file, "step")
    with rows.case("one") as numbers:
        numbers["seconds"] = 1.5
    assert collected(file)["step.one.seconds"] == 1.5
    with rows.case("two") as numbers:
        numbers["kernels"] = 7
        raise RuntimeError("no\nroom")
    with file.open("a") as cut:
        cut.write('{"step": "step", "case": "three", "secon')
    found = collected(file)
    assert (found["step.two.kernels"], found["step.two.failed"]) == (7, "RuntimeError: no room")
    assert not [name for name in found if "three" in name]


def test_the_table_is_filled_by_name_and_says_what_failed() -> None:
    numbers = {"step.one.seconds": 1.25, "step.one.kernels": 1200, "late.all.failed": "timed out after 5 s"}
    assert filled(PAGE, numbers).splitlines() == [
        "| what | number | predicted | measured |",
        "|---|---|--:|--:|",
        "| a step | `step.one.seconds` | 1 s | 1.25 |",
        "| two numbers | `step.one.kernels`, `step.two.rate` | 5 | 1,200 / - |",
        "| a step that failed | `late.case.seconds` | 2 s | failed: timed out after 5 s |",
        "| nobody knows | `other.case.seconds` | 2 s | - |",
    ]
    assert len(gpu_rows.keys(PAGE)) == 5
    with pytest.raises(ValueError, match="no table"):
        filled("text", {})


def test_a_step_that_hangs_is_stopped_with_its_children_and_one_that_fails_reports_the_end_of_its_log(tmp_path) -> None:
    child = "import subprocess, sys, time; print(subprocess.Popen(['sleep', '600']).pid, flush=True); time.sleep(600)"
    log = tmp_path / "log"
    begin = time.monotonic()
    numbers = gpu.finished([sys.executable, "-c", child], 4.0, log=log)
    assert numbers["failed"] == "timed out after 4 s"
    assert 4 <= numbers["seconds"] <= time.monotonic() - begin + 0.1
    assert not psutil.pid_exists(int(log.read_text().split()[0]))
    failed = gpu.finished([sys.executable, "-c", "raise SystemExit('no such card')"], 60.0, log=log)
    assert failed["failed"] == "exit status 1: no such card"
    assert "failed" not in gpu.finished([sys.executable, "-c", ""], 60.0, log=log)


def test_steps_have_their_share_of_the_time_and_what_no_longer_fits_is_a_row(tmp_path, monkeypatch) -> None:
    limits: list[float] = []
    options = Namespace(rows=tmp_path / "rows.jsonl", seconds=240.0, steps="learner,warp", tiny=True)
    with pytest.raises(ValueError, match="unknown step warp; choose from models, learner"):
        gpu.measure(options)
    clock = iter([0.0, 0.0, 100.0, 235.0])
    monkeypatch.setattr(gpu, "time", Namespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(gpu, "finished", lambda _command, limit, log: limits.append(limit) or {"seconds": 1.0})
    options.steps = "learner,cluster"
    numbers = gpu.measure(options)
    # With half of 480 s each step gets half of its limit; with 5 s left no step is started.
    assert limits == [gpu.LIMITS["models"] / 2, gpu.LIMITS["learner"] / 2]
    assert numbers["cluster.all.failed"] == "not started: no time left"
    assert (tmp_path / "rows.md").read_text().startswith("| what")


def test_where_there_is_no_gpu_the_step_in_which_engines_sleep_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(gpu, "local_gpus", list)
    options = Namespace(rows=tmp_path / "rows.jsonl", tiny=True)
    gpu._run_step("sleep", 100.0, tmp_path, options)
    assert collected(options.rows)["sleep.all.failed"] == "sleep mode needs a GPU"


def test_probabilities_are_compared_by_position_by_hand() -> None:
    half, quarter = math.log(0.5), math.log(0.25)
    first = Sample(uid="a", prompt_ids=(1,), completion_ids=(5,) * 17, logprobs=(half,) * 17)
    second = Sample(uid="b", prompt_ids=(1,), completion_ids=(6,), logprobs=(quarter,))
    values = {
        ("a", token_key(first.completion_ids)): ([half] * 16 + [quarter], [0.0] * 17),
        ("b", token_key(second.completion_ids)): ([half], [0.0]),
    }
    # The probabilities of token 16 of the first sample and of the only token of the second differ by 0.25 each:
    # 0.5 over 18 tokens.
    assert by_position([first, second], values) == {
        "tokens": 18,
        "probs_diff": pytest.approx(0.5 / 18),
        "probs_diff_0_16": pytest.approx(0.25 / 17),
        "probs_diff_16_64": pytest.approx(0.25),
    }


def test_a_tiny_case_is_tiny_whatever_was_asked_for() -> None:
    options = gpu_steps.sized(gpu_steps.LEARNER["grpo"], tiny=True)
    assert (options.prompts, options.samples, options.rounds, options.lengths) == (2, 2, 1, "real")
    assert gpu_steps.sized(gpu_steps.LEARNER["sft_16"], tiny=True).samples == 1
    assert gpu_steps.sized(gpu_steps.LEARNER["uniform"], tiny=False).max_tokens == 16_384


def test_every_step_has_a_limit_and_is_named_by_help() -> None:
    assert list(gpu.LIMITS) == list(gpu_steps.STEPS) == list(get_args(gpu_steps.Step))


ON_A_GPU = (
    "mfu",
    "kernels",
    "idle_share",
    "gpu_gib",
    "sync_cuda_ipc",
    "trl.",
    "sleep.",
    "cluster.sampling_",
    "learner_small.",
    "uncompiled.",
)
"""Parts of the names of numbers that need a GPU, a peer or a larger size, or whose step is left out here."""


@pytest.mark.slow
def test_the_whole_script_runs_tiny_on_a_cpu_and_gives_what_the_docs_ask_for(tmp_path) -> None:
    rows, file = tmp_path / "rows.jsonl", tmp_path / "numbers.json"
    steps = ["--steps", "learner,real,cluster,tests,trl"]  # learner_small is learner with another model
    assert bench.main(["gpu", "--tiny", "--seconds", "3000", "--rows", str(rows), "--json", str(file), *steps]) == 0
    numbers = json.loads(file.read_text())
    failed = {name: why for name, why in numbers.items() if name.endswith(".failed")}
    assert failed.keys() <= {"trl.all.failed"}, failed
    asked = gpu_rows.keys(gpu.DOCS.read_text())
    assert len(asked) > 20
    assert [key for key in asked if key not in numbers and not any(part in key for part in ON_A_GPU)] == []
    assert "cluster.sampling_4.tokens_per_second" in numbers
    assert rows.with_suffix(".md").is_file()

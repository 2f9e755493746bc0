"""Errors that refer to what another process has printed."""

import pickle
import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from actors import worker_log
from actors.vllm_environment import start_reported
from actors.worker_log import root_cause
from tests.project.test_imports import ROOT

DEAD = "EngineCore encountered an issue. See stack trace (above) for the root cause."
LOG = f"""--- process 15261, 2026-11-29 23:03:07
(EngineCore pid=15584) ERROR 11-29 23:03:51 [core.py:1512]     raise ValueError(f"Head dimension {{dim}}")
(EngineCore pid=15584) ERROR 11-29 23:03:51 [core.py:1512] ValueError: Head dimension 64 is not supported by MLA.
(MainProcess pid=15261) ERROR 11-29 23:03:51 [async_llm.py:906] vllm.v1.engine.exceptions.EngineDeadError: {DEAD}
"""
PRINTED = """Process EngineCore:
Traceback (most recent call last):
  File "a.py", line 1, in a
torch.OutOfMemoryError: CUDA out of memory.
"""


@pytest.mark.parametrize(
    ("log", "message", "cause"),
    [
        (LOG, DEAD, "ValueError: Head dimension 64 is not supported by MLA."),
        (
            LOG + PRINTED,
            "Engine core initialization failed. See root cause above. Failed core proc(s): {}",
            "torch.OutOfMemoryError: CUDA out of memory.",
        ),
        (
            "(Main pid=1) ERROR 11-29 23:26 [registry.py:1120] ModuleNotFoundError: No module named 'torchvision'",
            "Model architectures ['A'] failed to be inspected. Please check the logs for more details.",
            "ModuleNotFoundError: No module named 'torchvision'",
        ),
        ("nothing of use\n", DEAD, DEAD),
        (LOG, "no such model", "no such model"),
    ],
)
def test_an_error_that_refers_to_the_output_is_replaced_by_the_one_there(
    tmp_path, monkeypatch, log, message, cause
) -> None:
    (tmp_path / "rollout-0.0.log").write_text(log)
    monkeypatch.setattr(worker_log, "_written", [(tmp_path / "rollout-0.0.log", 0)])
    assert root_cause(message) == cause


def test_errors_of_an_earlier_process_are_no_cause_and_a_log_that_is_gone_is_none(tmp_path, monkeypatch) -> None:
    earlier = "--- process 10\ntorch.OutOfMemoryError: CUDA out of memory\n"
    log = tmp_path / "rollout-0.0.log"
    log.write_text(f"{earlier}--- process 20\n")
    monkeypatch.setattr(worker_log, "_written", [(log, len(earlier))])
    assert root_cause(DEAD) == DEAD
    with log.open("a") as file:
        file.write("ValueError: no room\n")
    assert root_cause(DEAD) == "ValueError: no room"
    log.unlink()
    assert root_cause(DEAD) == DEAD


def test_without_a_file_of_its_output_a_process_reports_what_it_got() -> None:
    assert root_cause(DEAD) == DEAD


def test_an_error_of_vllms_config_becomes_plain_text_that_can_be_sent() -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(int).validate_python("x")
    with pytest.raises(RuntimeError) as told, start_reported():
        raise refused.value
    assert str(pickle.loads(pickle.dumps(told.value))) == (
        "vLLM did not start: ValidationError: Input should be a valid integer, unable to parse string as an integer"
    )


def test_what_prints_in_a_worker_does_not_fail_where_its_log_has_no_room(tmp_path) -> None:
    (tmp_path / "full.log").symlink_to("/dev/full")
    program = (
        "import os, sys\nfrom actors.worker_log import print_to\nkept = os.dup(1)\n"
        "assert print_to(sys.argv[1])\n"
        "import io\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer)\n"  # as a custom reward's module may
        "print('scoring', flush=True)\nprint('scoring', file=sys.stderr)\nos.write(kept, b'scored')"
    )
    for name in ("full.log", "mine.log"):
        command = [sys.executable, "-c", program, str(tmp_path / name)]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "scored", "")
    first, *said = (tmp_path / "mine.log").read_text().splitlines()
    assert first.startswith("--- process ")
    assert said == ["scoring", "scoring"]

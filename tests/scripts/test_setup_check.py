"""Set-up that cannot work says so in one line, and its steps take no options."""

import shutil
import subprocess
import sys
from collections import namedtuple

import pytest

from scripts import setup_check, setup_extension, setup_model

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def machine(monkeypatch):
    """A machine on which set-up would work; tests take something away."""
    monkeypatch.setattr(setup_check.sys, "version_info", (3, 11, 7))
    monkeypatch.setattr(setup_check.sys, "platform", "linux")
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 * 2**30, 0, 100 * 2**30))
    monkeypatch.setattr(setup_check.os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**23}[name])
    return monkeypatch


def test_a_machine_that_has_everything_has_no_problem(machine):
    assert setup_check.problem() is None


def test_an_old_python_is_named(machine):
    machine.setattr(setup_check.sys, "version_info", (3, 10, 2))
    assert setup_check.problem() == "Python 3.11 or newer is needed, this is 3.10; try make PYTHON=python3.11"


def test_a_missing_compiler_is_named(machine):
    machine.setattr(shutil, "which", lambda name: None)
    assert "C compiler" in setup_check.problem()


def test_too_little_disk_is_named(machine):
    machine.setattr(shutil, "disk_usage", lambda _: Usage(100 * 2**30, 97 * 2**30, 3 * 2**30))
    assert setup_check.problem() == "12 GiB of free disk are needed here, there are 3.0"


def test_too_little_memory_is_named(machine):
    # 2**20 pages of 4096 bytes are 4 GiB.
    machine.setattr(setup_check.os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 2**20}[name])
    assert setup_check.problem() == "10 GiB of memory are needed, there are 4.0"


@pytest.mark.parametrize(("argv", "code"), [(["--help"], 0), (["--fast"], 2), (["more"], 2)])
def test_a_step_of_the_set_up_that_is_given_an_option_does_nothing(argv, code, monkeypatch, capsys) -> None:
    monkeypatch.setattr(setup_model, "embedded_folder", lambda name: pytest.fail("the model is unpacked"))
    monkeypatch.setattr("learner.extension.load_extension", lambda seconds: pytest.fail("the operator is built"))
    assert [setup_model.main(argv), setup_extension.main(argv)] == [code, code]
    done = subprocess.run([sys.executable, setup_check.__file__, *argv], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split(". ")[-1]) == (code, "It takes no options.\n")

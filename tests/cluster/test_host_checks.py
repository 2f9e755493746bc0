"""What keeps a run from starting on this machine, or at this address, is found out before Ray is started, by name."""

import shutil
import socket
import subprocess
import sys
import time

import pytest

from cluster import host_checks, nodes, run
from cluster.host_checks import check_machine
from cluster.nodes import refuse_unreachable
from cluster.placement import IN_PROCESS, named_address
from rnr.cli import load_config
from rnr.config import ClusterConfig
from tests.project.test_imports import ROOT

CPU = ClusterConfig(gpus_per_learner_rank=0.0)


@pytest.fixture
def built(monkeypatch) -> None:
    """The operator's folder can be written."""
    monkeypatch.setattr(host_checks, "choose_build_root", lambda: ["a note"])


@pytest.mark.parametrize(("most", "refused"), [(64, True), (255, True), (256, False), (-1, False)])
def test_a_limit_of_open_files_that_ray_cannot_start_with_is_named(built, monkeypatch, most, refused) -> None:
    limits = {host_checks.resource.RLIMIT_NOFILE: (min(most, 64), most)}
    monkeypatch.setattr(host_checks.resource, "getrlimit", lambda kind: limits.get(kind, (-1, -1)))
    if refused:
        with pytest.raises(ValueError, match=rf"may open {most} files here \(ulimit -n\), but Ray needs at least 256"):
            check_machine(CPU)
    else:
        assert check_machine(CPU) == ["a note"]
    assert check_machine(CPU.model_copy(update={"address": IN_PROCESS})) == ["a note"]  # without Ray


def test_a_command_line_that_python_has_not_decoded_is_named(built, monkeypatch) -> None:
    monkeypatch.setattr(host_checks.sys, "argv", ["train", "--run.folder=/runs/\udcc3\udca9"])
    with pytest.raises(ValueError, match=r"found '--run.folder=/runs/\\udcc3\\udca9'; set a UTF-8 locale"):
        check_machine(CPU)
    assert check_machine(CPU.model_copy(update={"address": IN_PROCESS})) == ["a note"]  # without Ray
    monkeypatch.setattr(host_checks.sys, "argv", ["train", "--run.folder=/runs/é"])
    assert check_machine(CPU) == ["a note"]


def test_a_limit_of_virtual_memory_is_reported(built, monkeypatch) -> None:
    limits = {host_checks.resource.RLIMIT_AS: (6 * 2**30, -1)}
    monkeypatch.setattr(host_checks.resource, "getrlimit", lambda kind: limits.get(kind, (-1, -1)))
    said, other = check_machine(CPU)
    assert said.startswith("a process may have 6.0 GiB of virtual memory here (ulimit -v), of which Ray")
    assert other == "a note"
    assert check_machine(CPU.model_copy(update={"address": IN_PROCESS})) == ["a note"]  # without Ray


def test_the_operator_is_for_learners_on_a_cpu(built) -> None:
    assert check_machine(CPU.model_copy(update={"gpus_per_learner_rank": 1.0})) == []


def test_a_loopback_address_that_does_not_answer_is_named(built, monkeypatch) -> None:
    def down(*_arguments, **_options):
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(host_checks.socket, "create_connection", down)
    with pytest.raises(ValueError, match=r"127\.0\.0\.1 cannot be reached .*unreachable\), .*`ip link set lo up`"):
        check_machine(CPU)


@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare")
def test_a_network_without_loopback_is_told_in_a_line() -> None:
    program = "from cluster.host_checks import _refuse_deaf_loopback as try_it\ntry:\n    try_it()\n    print('up')\n"
    program += "except ValueError as error:\n    print(error)"
    command = ["unshare", "-n", sys.executable, "-c", program]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    if "unshare failed" in done.stderr:
        pytest.skip(done.stderr)
    assert "127.0.0.1 cannot be reached on this machine ([Errno 101]" in done.stdout, done.stderr


def test_an_address_where_nothing_is_is_refused_in_seconds(monkeypatch) -> None:
    monkeypatch.setattr(nodes, "PAUSE", 0.01)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begin = time.monotonic()
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}", f"[::1]:{port}", "nohost.invalid:6379", "a:70000"):
        with pytest.raises(ValueError, match=r"^the cluster: cannot connect \("):
            refuse_unreachable(address, "the cluster")
    assert time.monotonic() - begin < 30
    with socket.create_server(("127.0.0.1", 0)) as there:
        refuse_unreachable(f"127.0.0.1:{there.getsockname()[1]}", "the cluster")
    refuse_unreachable("auto", "the cluster")


def test_a_host_that_says_nothing_is_left_to_the_deadline(monkeypatch) -> None:
    def silent(*_arguments, **_options):
        raise TimeoutError

    monkeypatch.setattr(nodes.socket, "create_connection", silent)
    refuse_unreachable("10.0.0.1:6379", "the cluster")


def test_a_cluster_that_a_variable_names_is_told_before_it_is_joined_and_where_nothing_is(monkeypatch, caplog) -> None:
    monkeypatch.setattr(nodes, "PAUSE", 0.01)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    named = "127.0.0.1:1 (RAY_ADDRESS; without that variable Ray is started here)"
    assert named_address(ClusterConfig()) == named
    with pytest.raises(ValueError, match="cannot connect") as refused:
        run.connect(load_config(None, ["--deadlines.start=900"]))
    assert str(refused.value).startswith(f"the Ray cluster at {named}: cannot connect ([Errno 111]")
    assert caplog.messages == [f"joining the Ray cluster at {named} within 900 s (deadlines.start)"]
    assert named_address(ClusterConfig(address="10.0.0.1:6379")) == "10.0.0.1:6379 (cluster.address)"

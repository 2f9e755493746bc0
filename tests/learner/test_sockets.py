"""Where the learner ranks listen for each other."""

import socket
import sys
from datetime import timedelta
from types import SimpleNamespace

import psutil
import pytest

torch = pytest.importorskip("torch")

from learner.rendezvous import interface_towards, open_store  # noqa: E402
from learner.settings import LearnerSettings  # noqa: E402
from learner.worker import LearnerWorker  # noqa: E402
from rnr.config import ModelConfig, OptimizerConfig  # noqa: E402


def test_the_ranks_meet_at_the_given_address_and_at_no_other(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.setenv(name, "")
    worker = LearnerWorker(rank=0, world_size=2, threads=0)
    port = worker.open_store("127.0.0.1")
    open_now = [entry.laddr for entry in psutil.Process().net_connections("inet") if entry.status == "LISTEN"]
    assert {address.ip.removeprefix("::ffff:") for address in open_now if address.port == port} == {"127.0.0.1"}
    other = torch.distributed.TCPStore("127.0.0.1", port, 2, is_master=False)
    other.set("key", "value")
    assert other.get("key") == b"value"


def test_a_store_listens_at_an_address_of_either_family():
    for address in ("127.0.0.1", "::1") if socket.has_dualstack_ipv6() else ("127.0.0.1",):
        store, port = open_store(address)
        other = torch.distributed.TCPStore(address, port, is_master=False)
        other.set("key", address)
        assert store.get("key") == address.encode()


def _join_alone(monkeypatch, device: str) -> tuple[list[float], list[str]]:
    """(deadlines in seconds, backends) of a lone rank whose weights are on this device, as it asks for them."""
    timeouts, backends = [], []

    def note(backend, *_, timeout, **__):
        backends.append(backend)
        timeouts.append(timeout)

    monkeypatch.setattr(torch.distributed, "init_process_group", note)
    accelerator = SimpleNamespace(device_name=lambda: device)
    deepspeed = SimpleNamespace(init_distributed=note, get_accelerator=lambda: accelerator)
    monkeypatch.setitem(sys.modules, "deepspeed", deepspeed)
    engine = SimpleNamespace(PolicyEngine=lambda settings: SimpleNamespace(fitted="fitted"))
    monkeypatch.setitem(sys.modules, "learner.engine", engine)
    monkeypatch.setattr("learner.worker.load_extension", lambda seconds: timeouts.append(timedelta(seconds=seconds)))
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")
    for name in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        monkeypatch.setenv(name, "lo")
    settings = LearnerSettings(model_folder="", model=ModelConfig(), optimizer=OptimizerConfig(), seed=0)
    worker = LearnerWorker(rank=0, world_size=1, threads=0)
    assert worker.start(settings, "127.0.0.1", worker.open_store("127.0.0.1"), 120.0, 1800.0) == "fitted"
    return [timeout.total_seconds() for timeout in timeouts], backends


def test_collectives_end_by_the_deadline_of_what_is_done_in_them_and_not_by_that_of_the_start(monkeypatch):
    assert _join_alone(monkeypatch, "cpu")[0] == [120, 1800, 1800]


@pytest.mark.parametrize(("device", "backend"), [("cpu", "gloo"), ("cuda", "nccl")])
def test_a_rank_on_the_cpu_of_a_host_with_gpus_does_not_ask_for_nccl(monkeypatch, device, backend):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert _join_alone(monkeypatch, device)[1] == [backend, backend]


def test_the_interface_is_the_one_that_reaches_the_meeting_place():
    assert interface_towards("127.0.0.1") == "lo"
    outward = [
        (name, entry.address)
        for name, entries in psutil.net_if_addrs().items()
        for entry in entries
        if entry.family == 2 and name != "lo"
    ]
    for name, address in outward:
        assert interface_towards(address) == name


def test_an_address_that_no_interface_is_known_to_have_is_told_with_what_to_set(monkeypatch):
    monkeypatch.setattr(psutil, "net_if_addrs", dict)
    with pytest.raises(RuntimeError, match=r"no network interface of this host has the address 127\.0\.0\.1.*GLOO_S"):
        interface_towards("127.0.0.1")

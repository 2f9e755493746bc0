"""Where the learner ranks listen for each other."""

import psutil
import pytest

torch = pytest.importorskip("torch")

from learner.worker import LearnerWorker, interface_towards  # noqa: E402


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

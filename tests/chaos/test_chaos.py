"""A short campaign on real engines, and the parts of the harness by themselves."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.chaos.faults import KINDS, plan
from tests.chaos.hosts import IMPOSSIBLE, Hosts
from tests.chaos.ledger import misses, trained
from tests.chaos.report import table, totals

SEED = int(os.environ.get("RNR_CHAOS_SEED", "1"))
FAULTS = 10
SECONDS = 150.0
needs_hosts = pytest.mark.skipif(bool(IMPOSSIBLE), reason=IMPOSSIBLE)


def test_a_seed_says_which_faults_come_and_every_kind_comes_before_any_comes_again() -> None:
    assert plan(3, 30) == plan(3, 30) != plan(4, 30)
    assert {fault.kind for fault in plan(3, len(KINDS))} == set(KINDS)
    assert [len({fault.kind for fault in plan(3, 2 * len(KINDS))[start:][: len(KINDS)]}) for start in (0, len(KINDS))]


def test_lost_and_doubled_prompts_are_found() -> None:
    first, second = [f"p{n}" for n in range(4)], [f"p{n}, pass 2" for n in range(4)]
    assert misses([*first, *second[:2]], pool=4) == (0, 0)
    assert misses([*first[:3], *second[:2]], pool=4) == (1, 0)
    assert misses([*first, first[0], *second], pool=4) == (0, 1)
    assert misses([], pool=4) == (0, 0)
    rows = [{"step": 0, "uid": "a"}, {"step": 0, "uid": "a"}, {"step": 1, "uid": "b"}, {"step": 2, "uid": "a"}]
    assert trained(rows) == ["a", "b", "a"]


def test_the_table_counts_what_was_tried() -> None:
    rows = [
        {"kind": "x", "done": True, "survived": True, "seconds_lost": 3.0},
        {"kind": "x", "done": True, "survived": True, "seconds_lost": 9.0},
        {"kind": "x", "done": True, "survived": False, "seconds_lost": 420.0},
        {"kind": "x", "done": False, "survived": False, "seconds_lost": 0.0},
        {"closing": {}},
    ]
    assert table(rows).splitlines()[2] == "| x | 2 of 3 | 6 | 9 |"


def test_the_totals_add_what_the_runs_lost_and_left() -> None:
    process = {"mib": [100, 300, 200], "descriptors": [40, 50, 45]}
    one = {"prompts": 9, "lost": 0, "doubled": 1, "waits beyond their deadline": [], "workers left": ["ray::A"]}
    closings = [one | {"files left": ["a", "b"], "driver, every ten seconds": process}] * 2
    assert totals(closings) == (
        "2 runs, 18 prompts: 0 lost, 2 doubled; 0 waits beyond their deadline; "
        "2 workers and 4 files left; driver at most 300 MiB, 50 descriptors"
    )


SERVE = """
import socket
server = socket.create_server(('0.0.0.0', 7000))
while True:
    server.accept()
"""
CALL = "import socket; socket.create_connection(('{}', 7000), timeout=3)"


@needs_hosts
def test_hosts_reach_each_other_until_a_cable_is_cut_and_are_gone_afterwards(tmp_path) -> None:
    log = tmp_path / "log"
    with Hosts(2, "token") as hosts:
        one, two = hosts.hosts
        served = one.start([sys.executable, "-c", SERVE], log)

        def call() -> int:
            return two.start([sys.executable, "-c", CALL.format(one.address)], log).wait(30)

        def answered() -> bool:
            """Within a while: a server, and a cable that was plugged in, need a moment."""
            end = time.monotonic() + 60
            while call():
                if time.monotonic() > end:
                    return False
            return True

        assert answered()
        two.cut()
        assert call() == 1
        two.plug()
        assert answered()
        served.kill()
        (one.shared_memory / "a").write_bytes(b"x")
        assert not (two.shared_memory / "a").exists()
        assert one.left() == [f"{one.name}:a"]
        folder = hosts.folder
    assert not folder.exists()
    assert f"rnrc{os.getpid()}" not in subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout


@needs_hosts
def test_hosts_of_a_killed_campaign_are_removed_by_the_next_and_those_of_another_are_not() -> None:
    script = "from tests.chaos.hosts import Hosts\nwith Hosts(1, 'token') as h: print(h.folder, flush=True); input()"

    def start() -> tuple[subprocess.Popen, Path]:
        process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    (killed, gone), (alive, kept) = start(), start()
    killed.kill()
    killed.wait()
    with Hosts(1, "token"):
        spaces = subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout
    assert not gone.exists()
    assert f"rnrc{killed.pid}-" not in spaces
    assert kept.exists()
    assert f"rnrc{alive.pid}-1" in spaces
    alive.communicate("\n")
    assert not kept.exists()


@pytest.mark.slow
@needs_hosts
def test_a_run_on_three_hosts_survives_ten_faults_and_loses_no_prompt(tmp_path, tiny_model, colours) -> None:
    from tests.chaos.campaign import campaign

    out = tmp_path / "chaos.jsonl"
    rows, closing = campaign(seed=SEED, faults=FAULTS, seconds=SECONDS, model=tiny_model, data=Path(colours), out=out)
    assert rows
    assert [row for row in rows if row["done"] and not row["survived"]] == []
    assert closing["exit"] == 75
    assert (closing["lost"], closing["doubled"]) == (0, 0)
    assert (closing["not in rollouts"], closing["twice in rollouts"]) == (0, 0)
    assert closing["waits beyond their deadline"] == []
    assert closing["workers left"] == []
    assert closing["files left"] == []

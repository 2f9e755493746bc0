"""Where a run stands: what its time went to."""

from contextlib import suppress
from types import SimpleNamespace

import pytest

import cluster.progress
from cluster.progress import Stopwatch


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    now = SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(cluster.progress, "time", SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def test_a_block_has_its_seconds_without_those_of_the_blocks_inside_it(clock) -> None:
    seconds = {"sft": 7.0}
    watch = Stopwatch(seconds)
    clock.seconds += 1  # nothing is timed
    with watch.spend("sft"):
        clock.seconds += 2
        with watch.spend("eval"):
            clock.seconds += 10
        clock.seconds += 3
        with watch.spend(""):
            assert seconds["sft"] == 7 + 2 + 3  # as a checkpoint keeps it
            clock.seconds += 50
    clock.seconds += 1
    assert seconds == {"sft": 12.0, "eval": 10.0}


def test_short_blocks_add_up(clock) -> None:
    seconds: dict[str, float] = {}
    watch = Stopwatch(seconds)
    for _ in range(8):
        with watch.spend("sft"):
            clock.seconds += 2**-5
        with watch.spend(""):
            clock.seconds += 1
    assert seconds == {"sft": 0.25}


def test_a_block_that_fails_has_taken_its_seconds_and_what_is_around_it_goes_on(clock) -> None:
    seconds: dict[str, float] = {}
    watch = Stopwatch(seconds)
    with watch.spend("grpo"):
        with suppress(RuntimeError), watch.spend("eval"):
            clock.seconds += 4
            raise RuntimeError("the engines did not come back")
        clock.seconds += 5
    assert seconds == {"grpo": 5.0, "eval": 4.0}

"""How often something that keeps failing is tried again."""

import asyncio
import errno
from types import SimpleNamespace

import pytest

from actors.retries import LONGEST_PAUSE, RetryBudget
from cluster.policy import STARTS, PolicyService
from cluster.ranks import LearnerLost
from rnr.config import GrpoConfig, SamplingConfig


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("actors.retries.time", clock)
    monkeypatch.setattr("cluster.policy.asyncio", clock)
    return clock


def test_three_failures_within_seconds_are_borne_and_one_that_comes_after_the_deadline_is_not(clock) -> None:
    retries = RetryBudget(tries=3, seconds=60)
    for _ in range(4):
        assert not retries.failed()
        clock.now += 8
    clock.now += 60
    assert retries.failed()


def test_tries_that_take_long_are_made_all_the_same(clock) -> None:
    retries = RetryBudget(tries=3, seconds=60)
    assert not retries.failed()
    clock.now += 900
    assert not retries.failed()
    assert retries.failed()


def test_progress_brings_all_tries_back(clock) -> None:
    retries = RetryBudget(tries=2, seconds=0)
    assert not retries.failed()
    retries.reset()
    assert not retries.failed()
    assert retries.failed()


def test_pauses_double_up_to_a_limit(clock) -> None:
    retries, pauses = RetryBudget(tries=9, seconds=0), []
    for _ in range(7):
        retries.failed()
        pauses.append(retries.delay)
    assert pauses == [1, 2, 4, 8, 16, 30, LONGEST_PAUSE]


def _policy(outcomes: list[Exception | None], seconds: float) -> PolicyService:
    async def build():
        if (outcome := outcomes.pop(0)) is not None:
            raise outcome
        return SimpleNamespace(stop=lambda: None)

    nothing: dict = dict.fromkeys(("learning_rate", "transport"))

    async def engines_sleep():
        return {}

    options = {"grpo": GrpoConfig(), "sampling": SamplingConfig(), "probe": range(9), "restart_seconds": seconds}
    return PolicyService(build, engines_sleep=engines_sleep, **options, **nothing)  # type: ignore[arg-type]


LOST = LearnerLost("learner rank 0, phase rendezvous: the worker died")


def test_ranks_that_die_while_they_start_are_started_again_until_a_host_has_room(clock) -> None:
    outcomes = [None, *[LOST] * 5, None]
    policy = _policy(outcomes, seconds=60)
    asyncio.run(policy.start())
    asyncio.run(policy.start())
    assert outcomes == []
    assert clock.now == 1000 + 1 + 2 + 4 + 8 + 16


def test_ranks_that_never_came_up_have_their_three_starts_and_no_more(clock) -> None:
    outcomes: list = [LOST] * 9
    with pytest.raises(LearnerLost, match="rendezvous"):
        asyncio.run(_policy(outcomes, seconds=900).start())
    assert len(outcomes) == 9 - STARTS


def test_a_full_disk_or_shared_memory_is_waited_for_where_ranks_have_been_up(clock) -> None:
    outcomes: list = [None, OSError(errno.ENOSPC, "No space left on device"), None]
    policy = _policy(outcomes, seconds=60)
    asyncio.run(policy.start())
    asyncio.run(policy.start())
    assert outcomes == []
    with pytest.raises(OSError, match="No space left"):
        asyncio.run(_policy([OSError(errno.ENOSPC, "No space left on device")], seconds=60).start())


def test_a_bug_in_a_start_is_not_tried_again(clock) -> None:
    outcomes: list = [None, ValueError("a bug"), None]
    policy = _policy(outcomes, seconds=60)
    asyncio.run(policy.start())
    with pytest.raises(ValueError, match="a bug"):
        asyncio.run(policy.start())

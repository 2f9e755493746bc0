"""Scoring when a reward hangs or ends its worker, and with a verifier: real pools, whose workers are fakes."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from actors.pool import LeaseFailed, Pool, WorkerLost
from actors.reward import RewardWorker, ScorerWorker
from cluster.scoring import NoRewards, Scorer, ScoringService
from rewards.advantage import group_metrics, training_batch
from rewards.user import custom
from rnr.config import GrpoConfig, RewardConfig, ScorerConfig
from rnr.faults import causes
from rnr.types import Example, Group, Mention, Prompt, ScoredGroup
from tests.carriers import rollout as make_rollout

ADA = Mention(text="Ada", label="person", start=0, end=3)
TEXTS = ('{"entities": {"person": ["Ada"]}}', '{"entities": {}}')


def _group(uid: str) -> Group:
    example = Example(uid=uid, sentence="Ada ran", schema=("person",), mentions=(ADA,))
    rollouts = tuple(
        make_rollout(token_ids=(1,), logprobs=(-1.0,), text=text, finished=True, policy_version=0) for text in TEXTS
    )
    return Group(prompt=Prompt(example=example, token_ids=(1,)), rollouts=rollouts)


class _Worker:
    """Scores a group as its uid says: ``hang`` never comes back, ``die`` takes the worker with it."""

    def __init__(self, seen: list[str]) -> None:
        async def score(group: Group) -> ScoredGroup:
            seen.append(group.prompt.uid)
            if "hang" in group.prompt.uid:
                await asyncio.sleep(60)
            if "die" in group.prompt.uid:
                raise WorkerLost("the worker died")
            return RewardWorker(RewardConfig(), max_new_tokens=8).score(group)

        self.score = SimpleNamespace(remote=score)


def _score(monkeypatch, *uids: str) -> tuple[list[ScoredGroup], Pool, list[str]]:
    """The groups scored one after another, the pool, and the calls that it made."""
    monkeypatch.setattr("actors.slots.ray.kill", lambda _handle: None)
    seen: list[str] = []

    async def spawn(_name: str) -> _Worker:
        return _Worker(seen)

    pool = Pool("reward", spawn=spawn, size=1, capacity=1, attempts=2)
    preset = Scorer(name="reward.preset 'gated'", pool=pool, seconds=0.05)
    service = ScoringService(preset, bounds=(-100.0, 100.0))

    async def scenario() -> list[ScoredGroup]:
        return [await service.score(_group(uid)) for uid in uids]

    return asyncio.run(scenario()), pool, seen


@pytest.mark.parametrize("fate", ["hang", "die"])
def test_a_group_whose_reward_hangs_or_kills_its_worker_is_invalid_and_the_run_goes_on(monkeypatch, fate) -> None:
    (bad, good), pool, seen = _score(monkeypatch, fate, "good")
    assert seen == [fate, fate, "good"]
    assert [reward.total for reward in good.rewards] == [1.0, 0.0]
    cause = {"hang": "no answer within 0.05 s", "die": "the worker died"}[fate]
    assert [reward.total for reward in bad.rewards] == [None, None]
    assert all(str(r.invalid).startswith("LeaseFailed: given up after 2 attempts") for r in bad.rewards)
    assert all(str(r.invalid).endswith(cause) for r in bad.rewards)
    assert bad.answers == good.answers
    batch = training_batch([bad, good], GrpoConfig(), {})
    assert batch.dropped == {fate: "fewer than two valid rewards"}
    assert [sample.advantages for sample in batch.samples] == [(0.5,), (-0.5,)]
    assert group_metrics([bad, good])["reward/invalid/LeaseFailed"] == 2
    assert pool.consecutive_failures == 0


def test_a_reward_that_never_comes_back_ends_the_run_and_says_why(monkeypatch) -> None:
    message = r"reward.preset 'gated' failed on 3 groups in a row: .* The last group was hang-2: given up after 2"
    with pytest.raises(LeaseFailed, match=message):
        _score(monkeypatch, "hang-0", "hang-1", "hang-2", "good")


def test_groups_that_fail_apart_do_not_end_the_run(monkeypatch) -> None:
    scored, _, _ = _score(monkeypatch, "die-0", "die-1", "good-0", "die-2", "die-3", "good-1")
    assert [group.rewards[0].total for group in scored] == [None, None, 1.0, None, None, 1.0]


class Verifier:
    """A second opinion with state of its own, made once in its worker; asynchronous, as one over HTTP would be."""

    def __init__(self) -> None:
        self.seen = 0

    async def __call__(self, scored: ScoredGroup) -> list[float]:
        self.seen += 1
        await asyncio.sleep(0)
        return [float(len(answer.mentions)) * self.seen for answer in scored.answers]


def too_few(scored: ScoredGroup) -> list[float]:
    return [1.0]


def too_large(scored: ScoredGroup) -> list[float]:
    return [1e308, 0.0]


def never(scored: ScoredGroup) -> list[float]:
    return [1e308, 1e308]


def _with_further(monkeypatch, use: str, *uids: str) -> list[ScoredGroup]:
    monkeypatch.setattr("actors.slots.ray.kill", lambda _handle: None)

    async def spawn(_name: str) -> _Worker:
        return _Worker([])

    async def spawn_further(_name: str) -> Any:
        worker = ScorerWorker(ScorerConfig(use=use), trial_seconds=5)
        worker._own = custom.CustomReward(use)  # without the trial, which some of these would not pass
        return SimpleNamespace(values=SimpleNamespace(remote=worker.values))

    first = Pool("reward", spawn=spawn, size=1, capacity=1, attempts=2)
    second = Pool("verifier", spawn=spawn_further, size=1, capacity=1, attempts=2)
    service = ScoringService(
        Scorer(name="preset", pool=first, seconds=5),
        [Scorer(name="verifier", pool=second, seconds=5, weight=0.25)],
        bounds=(-100.0, 100.0),
    )

    async def scenario() -> list[ScoredGroup]:
        return [await service.score(_group(uid)) for uid in uids]

    return asyncio.run(scenario())


def test_a_verifier_is_a_class_named_in_the_config_and_its_value_is_added_by_weight(monkeypatch) -> None:
    one, two = _with_further(monkeypatch, "tests.cluster.test_scoring_service:Verifier", "1", "2")
    # The right answer has one mention and the reward 1, the empty one 0 of both; the verifier counts its calls.
    assert [reward.total for reward in one.rewards] == [1.25, 0.0]
    assert [reward.total for reward in two.rewards] == [1.5, 0.0]
    assert two.rewards[0].parts["verifier"] == 2.0


@pytest.mark.parametrize(
    ("use", "cause", "totals"),
    [
        ("too_few", "1 values for 2 rollouts", [None, None]),
        ("too_large", "outside reward.range", [None, 0.0]),
    ],
)
def test_what_a_verifier_does_wrong_makes_rewards_invalid(monkeypatch, use, cause, totals) -> None:
    (scored,) = _with_further(monkeypatch, f"tests.cluster.test_scoring_service:{use}", "1")
    assert [reward.total for reward in scored.rewards] == totals
    assert cause in str(scored.rewards[0].invalid)


def test_rewards_that_are_never_valid_end_the_run_and_say_why(monkeypatch) -> None:
    use = "tests.cluster.test_scoring_service:never"
    assert len(_with_further(monkeypatch, use, "1", "2")) == 2
    message = r"3 groups in a row have no valid reward after verifier; .* 3, was OutOfRange: .* outside reward.range"
    with pytest.raises(NoRewards, match=message):
        _with_further(monkeypatch, use, "1", "2", "3")


def test_one_valid_reward_is_enough_for_a_run_to_go_on(monkeypatch) -> None:
    scored = _with_further(monkeypatch, "tests.cluster.test_scoring_service:too_large", "1", "2", "3", "4")
    assert [group.rewards[1].total for group in scored] == [0.0] * 4


def _starting(*starts: Callable[[], Awaitable[None]]) -> ScoringService:
    """A service whose scorers' only workers each come up when their start returns."""

    def scorer(number: int, start: Callable[[], Awaitable[None]]) -> Scorer:
        async def spawn(_name: str) -> SimpleNamespace:
            await start()
            return SimpleNamespace()

        pool = Pool(f"scorer{number}", spawn=spawn, size=1, capacity=1, attempts=1)
        return Scorer(name=f"scorer{number}", pool=pool, seconds=1.0)

    preset, *further = (scorer(number, start) for number, start in enumerate(starts))
    return ScoringService(preset, further, bounds=(-1.0, 1.0))


def test_all_scorers_start_at_once() -> None:
    async def work() -> None:
        everyone = asyncio.Barrier(3)
        service = _starting(*[everyone.wait] * 3)  # type: ignore[list-item]
        await asyncio.wait_for(service.start(), timeout=20)
        assert service.metrics()["infra/scorer2_workers_alive"] == 1

    asyncio.run(work())


def test_a_scorer_that_cannot_be_used_is_named_without_waiting_for_the_others() -> None:
    async def refused() -> None:
        raise ValueError("reward.scorers: no such function")

    async def never() -> None:
        await asyncio.sleep(1000)

    async def work() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            await asyncio.wait_for(_starting(never, refused).start(), timeout=20)
        assert [str(cause) for cause in causes(caught.value)] == ["reward.scorers: no such function"]

    asyncio.run(work())

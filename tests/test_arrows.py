"""What the reward arrow does when a reward hangs or ends its worker: a real pool, whose workers are fakes."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from actors.pool import LeaseFailed, Pool, WorkerLost
from actors.reward import RewardWorker
from cluster.arrows import Arrows
from rewards.advantage import group_metrics, training_batch
from rnr.config import Config, GrpoConfig, RewardConfig
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
    monkeypatch.setattr("actors.pool.ray.kill", lambda _handle: None)
    seen: list[str] = []

    async def spawn(_name: str) -> _Worker:
        return _Worker(seen)

    pool = Pool("reward", spawn=spawn, size=1, leases_per_worker=1, deadline_seconds=0.05, attempts=2)
    cluster: Any = SimpleNamespace(rewards=pool)
    nothing: Any = None
    arrows = Arrows(config=Config(), schedule=nothing, cluster=cluster, tracker=nothing, progress=nothing)

    async def scenario() -> list[ScoredGroup]:
        return [await arrows.score(_group(uid)) for uid in uids]

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
    assert pool.given_up_in_a_row == 0


def test_a_reward_that_never_comes_back_ends_the_run_and_says_why(monkeypatch) -> None:
    message = r"reward.preset 'gated' gave 3 groups in a row no reward: .* The last group was hang-2, given up after 2"
    with pytest.raises(LeaseFailed, match=message):
        _score(monkeypatch, "hang-0", "hang-1", "hang-2", "good")


def test_groups_that_fail_apart_do_not_end_the_run(monkeypatch) -> None:
    scored, _, _ = _score(monkeypatch, "die-0", "die-1", "good-0", "die-2", "die-3", "good-1")
    assert [group.rewards[0].total for group in scored] == [None, None, 1.0, None, None, 1.0]

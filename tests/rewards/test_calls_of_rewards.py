"""How a reward of a user's own is called: on which loop, in which thread, and that its trial is called as a run is."""

import asyncio
import re
import sys

import pytest

from actors.reward import RewardWorker, ScorerWorker
from rewards.rescoring import rescore_rollouts
from rewards.user import custom
from rewards.user.trial import trial
from rnr.config import RewardConfig, ScorerConfig
from rnr.types import Example, Group, Mention, Prompt
from tests.carriers import rollout as make_rollout

EXAMPLE = Example(
    uid="1", sentence="Ada ran", schema=("person",), mentions=(Mention(text="Ada", label="person", start=0, end=3),)
)
RIGHT = '<think>\none\n</think>\n{"entities": {"person": ["Ada"]}}'
GROUP = Group(prompt=Prompt(example=EXAMPLE, token_ids=(1,)), rollouts=(make_rollout(RIGHT),) * 2)

OWN = """
import asyncio, sqlite3

class Client:
    '''Works on the loop alone on which it was first used, as a client that keeps its connections does.'''
    loop = None
    async def __call__(self, example, answer):
        self.loop = self.loop or asyncio.get_running_loop()
        if self.loop is not asyncio.get_running_loop(): raise RuntimeError("another loop")
        return 1.0
client = Client()

async def _judged(): return 0.5
def asks(example, answer): return asyncio.run(_judged())
def asks_each(scored):
    for _ in scored.rewards: yield asyncio.run(_judged())
class Asks:
    def __init__(self): asyncio.run(_judged())
    def __call__(self, example, answer): return asyncio.run(_judged())

class Database:
    def __init__(self): self.rows = sqlite3.connect(":memory:")
    def __call__(self, example, answer): return self.rows.execute("select 0.25").fetchone()[0]

ended = []
async def hangs(example, answer):
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        ended.append(example.uid)
        raise

def by_number(scored): return {number: 1.0 for number in range(len(scored.rewards))}
def all_of_them(scored): return set(range(len(scored.rewards)))
async def by_number_later(scored): return by_number(scored)
def in_order(scored): return {number: 1.0 for number in range(len(scored.rewards))}.values()

def interrupts(example, answer): raise KeyboardInterrupt
async def interrupts_later(example, answer): raise KeyboardInterrupt
def gives_up(example, answer): raise GeneratorExit
async def gives_up_later(example, answer): raise GeneratorExit
async def cancels(example, answer): raise asyncio.CancelledError("by itself")
class Unspoken(Exception):
    def __str__(self): raise OSError
    __repr__ = __str__
def unspoken(example, answer): raise Unspoken
def unspoken_value(example, answer): return Unspoken()
def unspoken_list(scored): raise Unspoken

import threading, time
from rewards.user.custom import ANY_NUMBER, load

async def judged(scored): return [await _judged() for _ in scored.rewards]
async def twice(scored): return [2 * value for value in load("calls:judged").values(scored, ANY_NUMBER)]
def of_twice(scored): return load("calls:twice").values(scored, ANY_NUMBER)
async def twice_again(scored): return [2 * value for value in load("calls:of_twice").values(scored, ANY_NUMBER)]
async def impatient(scored):
    try:
        return load("calls:hangs_in_group").values(scored, ANY_NUMBER, 0.1)
    except TimeoutError:
        return [0.25] * len(scored.rewards)
async def hangs_in_group(scored): await asyncio.sleep(600)

until = threading.Event()
async def blocks(example, answer): until.wait(60)

import bdb
def quits(example, answer): raise bdb.BdbQuit
"""


@pytest.fixture(autouse=True)
def _module(tmp_path, monkeypatch) -> None:
    (tmp_path / "calls.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "calls", raising=False)
    custom.load.cache_clear()


def _by_worker(name: str, *, seconds: float = 20, groups: int = 2, **options) -> list[list[float | str]]:
    async def scenario() -> list[list[float | str]]:
        in_thread = options.pop("in_thread", True)
        worker = ScorerWorker(ScorerConfig(use=f"calls:{name}", **options), trial_seconds=seconds, in_thread=in_thread)
        await worker.start()
        scored = RewardWorker(RewardConfig(), max_new_tokens=8).score(GROUP)
        return [await worker.values(scored) for _ in range(groups)]

    return asyncio.run(scenario())


@pytest.mark.parametrize("in_thread", [True, False])
@pytest.mark.parametrize("name", ["Client", "client"])
def test_what_an_asynchronous_reward_keeps_works_in_every_group(name, in_thread) -> None:
    assert trial(f"calls:{name}", custom.ANY_NUMBER) == ""
    # Two runs in one process, each with an event loop of its own.
    for _ in range(2):
        assert _by_worker(name, in_thread=in_thread) == [[1.0, 1.0]] * 2


def test_what_an_asynchronous_reward_keeps_works_in_every_group_that_is_scored_here() -> None:
    options = RewardConfig(preset="none", scorers=(ScorerConfig(use="calls:Client"),))
    for _ in range(3):
        assert [each.total for each in rescore_rollouts(GROUP, options, max_new_tokens=8).rewards] == [1.0, 1.0]
    worker = RewardWorker(RewardConfig(preset="calls:Client"), max_new_tokens=8)
    worker.start()
    for _ in range(3):
        assert [each.total for each in worker.score(GROUP).rewards] == [1.0, 1.0]


@pytest.mark.parametrize("options", [{}, {"groups_at_once": 2}, {"in_thread": False}])
@pytest.mark.parametrize("name", ["asks", "asks_each", "Asks"])
def test_a_reward_that_runs_a_loop_of_its_own_is_called_as_its_trial_was(name, options) -> None:
    assert trial(f"calls:{name}", custom.ANY_NUMBER) == ""
    assert _by_worker(name, **options) == [[0.5, 0.5]] * 2


@pytest.mark.parametrize("in_thread", [True, False])
def test_a_connection_that_works_in_one_thread_alone_can_be_kept(in_thread) -> None:
    assert _by_worker("Database", in_thread=in_thread) == [[0.25, 0.25]] * 2


def test_an_asynchronous_reward_that_hangs_is_cancelled_when_its_trial_is_over() -> None:
    with pytest.raises(ValueError, match=r"no answer within 0\.2 s"):
        _by_worker("hangs", seconds=0.2)
    assert "no answer within 0.2 s" in trial("calls:hangs", custom.ANY_NUMBER, seconds=0.2)
    import calls  # what the user wrote

    async def until_cancelled() -> None:
        while len(calls.ended) < 2:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(until_cancelled(), timeout=20))
    assert calls.ended == ["trial", "trial"]


@pytest.mark.parametrize("in_thread", [True, False])
@pytest.mark.parametrize(
    ("name", "value"), [("twice", 1.0), ("of_twice", 1.0), ("twice_again", 2.0), ("impatient", 0.25)]
)
def test_an_asynchronous_reward_may_call_another(name, value, in_thread) -> None:
    assert trial(f"calls:{name}", custom.ANY_NUMBER, seconds=20) == ""
    assert _by_worker(name, in_thread=in_thread) == [[value, value]] * 2


@pytest.mark.parametrize("by_worker", [True, False])
def test_an_asynchronous_reward_that_blocks_fails_its_own_trial_alone(by_worker) -> None:
    late = r"blocks.* no answer within 0\.2 s"
    if by_worker:
        with pytest.raises(ValueError, match=late):
            _by_worker("blocks", seconds=0.2)
    else:
        assert re.search(late, trial("calls:blocks", custom.ANY_NUMBER, seconds=0.2))
    import calls  # what the user wrote

    try:
        assert trial("calls:judged", custom.ANY_NUMBER, seconds=20) == ""
        assert _by_worker("judged") == [[0.5, 0.5]] * 2
    finally:
        calls.until.set()


@pytest.mark.parametrize(("name", "kind"), [("by_number", "dict"), ("all_of_them", "set"), ("by_number_later", "dict")])
def test_a_group_is_not_scored_by_the_keys_of_a_table(name, kind) -> None:
    message = f"TypeError: calls:{name} returned a {kind}, which has no order of rollouts: return a list"
    assert message in trial(f"calls:{name}", custom.ANY_NUMBER)
    assert trial("calls:in_order", custom.ANY_NUMBER) == ""


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("interrupts", r"KeyboardInterrupt:  \(.*calls.py, line 38\)"),
        ("interrupts_later", r"KeyboardInterrupt:  \(.*calls.py, line 39\)"),
        ("gives_up", r"GeneratorExit:  \(.*calls.py, line 40\)"),
        ("gives_up_later", r"GeneratorExit:  \(.*calls.py, line 41\)"),
        ("cancels", r"CancelledError: by itself \(.*calls.py, line 42\)"),
        ("unspoken", r"Unspoken: <Unspoken whose str\(\) raises OSError> \(.*calls.py, line 46\)"),
        ("unspoken_value", r"returned <Unspoken whose repr\(\) raises OSError>, not a number"),
        ("unspoken_list", r"Unspoken: <Unspoken whose str\(\) raises OSError>"),
    ],
)
def test_whatever_a_reward_raises_is_named_at_once(name, cause) -> None:
    with pytest.raises(ValueError, match=cause):
        _by_worker(name)
    assert "no answer" not in trial(f"calls:{name}", custom.ANY_NUMBER)


@pytest.mark.parametrize("name", ["interrupts", "quits"])
def test_ctrl_c_and_q_at_a_breakpoint_in_the_main_thread_end_the_command(name) -> None:
    options = RewardConfig(preset=f"calls:{name}")
    with pytest.raises(KeyboardInterrupt):
        rescore_rollouts(GROUP, options, max_new_tokens=8)


def test_an_interrupt_that_a_reward_raises_in_a_worker_is_no_ctrl_c() -> None:
    worker = RewardWorker(RewardConfig(preset="calls:interrupts"), max_new_tokens=8, heeds_ctrl_c=False)
    rewards = worker.score(GROUP).rewards
    assert [(each.total, each.invalid) for each in rewards] == [(None, "KeyboardInterrupt: raised by the reward")] * 2
    with pytest.raises(KeyboardInterrupt):
        RewardWorker(RewardConfig(preset="calls:interrupts"), max_new_tokens=8).score(GROUP)

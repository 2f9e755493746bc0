"""A run that is asked to stop keeps what it has learned, within its grace time."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from cluster.graceful_stop import GracefulStop, nothing_to_save, stop_before_the_run
from cluster.ranks import LearnerLost
from rnr.faults import Stopped
from tests.project.test_imports import ROOT
from tests.stages import Policy, make_stages


class Slow(Policy):
    """Sends this process a signal in one of its steps, so many times, and goes on with the step."""

    def __init__(
        self, step: int, *, signals: int = 1, stays: float = 0.0, lost: int = 0, number: int = signal.SIGTERM
    ) -> None:
        super().__init__({step: lost})
        self._signalled, self._signals, self._stays, self._number = step, signals, stays, number

    async def sft_step(self, samples, step: int) -> dict[str, float]:
        if step == self._signalled:
            for _ in range(self._signals):
                os.kill(os.getpid(), self._number)
                await asyncio.sleep(0.02)
            await asyncio.sleep(self._stays)
        return await super().sft_step(samples, step)


def _run(tmp_path, policy: Policy, *, seconds: float = 60.0):
    """The stages of a run that listens for SIGTERM, and how it ended."""

    async def work():
        stopping = GracefulStop(seconds)
        stages = make_stages(tmp_path, policy, stopping=stopping, checkpoint_every=1000)
        with stopping.listening(), pytest.raises(Stopped) as stopped:
            await stages.run_all(1.0)
        return stages.checkpoints, str(stopped.value)

    return asyncio.run(work())


def test_a_step_under_way_is_done_and_saved_and_no_other_begins(tmp_path) -> None:
    policy = Slow(step=1)
    saved, said = _run(tmp_path, policy)
    assert policy.trained == [0, 1]
    assert (saved.progress.stage, saved.progress.step, saved.progress.version) == ("sft", 2, 2)
    assert said == "stopped by SIGTERM: the checkpoint holds sft up to step 2"


def test_a_stopped_run_goes_on_where_it_was(tmp_path) -> None:
    policy = Slow(step=1)
    saved, _ = _run(tmp_path, policy)
    again = Policy({})
    stages = make_stages(tmp_path, again)
    stages.checkpoints = saved
    asyncio.run(stages.run_all(1.0))
    assert again.trained == [2, 3]


def test_a_step_that_takes_longer_than_the_grace_time_is_given_up(tmp_path) -> None:
    saved, said = _run(tmp_path, Slow(step=2, stays=60), seconds=0.1)
    assert saved.progress.step == 0
    assert "0.1 s (checkpoint.grace_seconds) passed before the checkpoint was written; the previous one remains" in said


def test_two_signals_at_once_are_one_request(tmp_path) -> None:
    saved, said = _run(tmp_path, Slow(step=2, signals=2))
    assert saved.progress.step == 3
    assert said == "stopped by SIGTERM: the checkpoint holds sft up to step 3"


def test_a_second_signal_ends_the_run_at_once(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("cluster.graceful_stop.TOGETHER", 0.01)
    saved, said = _run(tmp_path, Slow(step=2, signals=2, stays=60))
    assert saved.progress.step == 0
    assert "a second signal came before the checkpoint was written" in said


def test_a_terminal_that_is_closed_stops_a_run_with_a_checkpoint_however_often_it_says_so(
    tmp_path,
) -> None:
    before = signal.getsignal(signal.SIGHUP)
    try:
        saved, said = _run(tmp_path, Slow(step=1, signals=3, number=signal.SIGHUP))
        os.kill(os.getpid(), signal.SIGHUP)  # one more, while the workers are ended
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (saved.progress.stage, saved.progress.step) == ("sft", 2)
    assert said == "stopped by SIGHUP: the checkpoint holds sft up to step 2"


def test_under_nohup_a_closed_terminal_stops_nothing() -> None:
    program = (
        "import asyncio, os, signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from cluster.graceful_stop import GracefulStop, stop_before_the_run, stop_signals\n"
        "async def work():\n    with GracefulStop(1.0).listening():\n        os.kill(os.getpid(), signal.SIGHUP)\n"
        "        await asyncio.sleep(0.05)\n"
        "with stop_before_the_run():\n    os.kill(os.getpid(), signal.SIGHUP)\n    asyncio.run(work())\n"
        "print(stop_signals() == [signal.SIGTERM])"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\n", "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_before_the_run_begins_a_signal_stops_it_too(number) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped, match=f"stopped by {number.name} before the run started"), stop_before_the_run():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before


def test_a_learner_that_is_lost_in_the_last_step_leaves_the_checkpoint_before(tmp_path) -> None:
    policy = Slow(step=2, lost=1)
    saved, said = _run(tmp_path, policy)
    assert saved.progress.step == 0
    assert policy.starts == 0, "a run that stops does not rebuild its learner"
    assert said.endswith("nothing was trained since the last checkpoint")


def test_a_learner_that_is_lost_in_a_task_group_does_not_keep_the_run_from_stopping(tmp_path) -> None:
    policy = Slow(step=2)

    async def lost(samples, step: int) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.02)
        raise ExceptionGroup("as the loop of GRPO raises it", [LearnerLost(f"the worker died in step {step}")])

    policy.sft_step = lost
    _, said = _run(tmp_path, policy)
    assert policy.starts == 0
    assert said == "stopped by SIGTERM: nothing was trained since the last checkpoint"


def test_of_blocks_inside_each_other_the_outermost_is_where_a_run_ends() -> None:
    stopping, done = GracefulStop(60), []

    async def work() -> None:
        with stopping.uninterrupted():
            with stopping.uninterrupted():
                stopping.ask()
                await asyncio.sleep(0.01)
                done.append("inner")
            await asyncio.sleep(0.01)
            done.append("outer")
        done.append("the next step")

    async def keep() -> str:
        return f"{done} are kept"

    with pytest.raises(Stopped, match="stopped by SIGTERM: \\['inner', 'outer'\\] are kept"):
        asyncio.run(stopping.run_until_stopped(work(), keep))


def test_a_block_that_fails_ends_with_its_own_error_also_when_the_run_is_to_stop() -> None:
    async def work() -> None:
        stopping = GracefulStop(60)

        async def fails() -> None:
            with stopping.uninterrupted():
                stopping.ask()
                raise ZeroDivisionError("a bug")

        await stopping.run_until_stopped(fails(), lambda: nothing_to_save(resumed=True))

    with pytest.raises(ZeroDivisionError, match="a bug"):
        asyncio.run(work())


def test_a_checkpoint_that_cannot_be_written_is_not_said_to_hold(tmp_path) -> None:
    async def work() -> str:
        stopping = GracefulStop(60)
        stages = make_stages(tmp_path, Slow(step=1), stopping=stopping, checkpoint_every=1000)

        async def save(*_arguments):
            raise LearnerLost("learner rank 0, phase save: the worker died")

        stages.checkpoints.save = save
        with stopping.listening(), pytest.raises(Stopped) as stopped:
            await stages.run_all(1.0)
        return str(stopped.value)

    assert (
        "no checkpoint was written (learner rank 0, phase save: the worker died); the previous one remains"
        in asyncio.run(work())
    )


def test_before_the_training_goes_on_a_resumed_run_has_its_checkpoint() -> None:
    assert asyncio.run(nothing_to_save(resumed=False)) == "training had not started"
    assert asyncio.run(nothing_to_save(resumed=True)) == "nothing was trained since the last checkpoint"


def test_a_run_that_ends_by_itself_meanwhile_has_ended() -> None:
    async def work() -> str:
        stopping = GracefulStop(60)

        async def last_step() -> str:
            await asyncio.sleep(0.01)
            stopping.ask()
            return "summary"  # without another step

        async def keep() -> str:
            raise AssertionError("there is nothing left to keep")

        return await stopping.run_until_stopped(last_step(), keep)

    assert asyncio.run(work()) == "summary"

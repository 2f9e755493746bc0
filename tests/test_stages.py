"""The stages of a run with stand-ins for its services: what happens when the learner is lost."""

import asyncio

import pytest

from cluster.stages import REBUILDS
from tests.stages import Policy, make_stages


def test_a_lost_learner_is_rebuilt_from_the_last_checkpoint_and_no_step_is_left_out(tmp_path, monkeypatch) -> None:
    # More losses than are allowed in a row, but each with steps in between.
    policy = Policy({0: 1, 1: 2, 2: 1, 3: REBUILDS})
    asyncio.run(make_stages(tmp_path, policy, monkeypatch).to_the_end(1.0))
    assert policy.trained == [0, 1, 2, 3]
    assert policy.starts == 1 + 2 + 1 + REBUILDS


def test_a_loss_that_comes_again_at_once_ends_the_run(tmp_path, monkeypatch) -> None:
    policy = Policy({2: REBUILDS + 1})
    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(make_stages(tmp_path, policy, monkeypatch).to_the_end(1.0))
    assert "the worker died in step 2" in str(raised.value.exceptions[0])
    assert policy.starts == REBUILDS

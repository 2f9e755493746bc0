"""Tensors in host memory while nobody needs them: as they were when they are back, and without storage till then."""

import pytest
import torch

from learner.offload import HostState


def test_numbers_come_back_as_they_went_and_views_stay_views() -> None:
    flat = torch.arange(6.0)
    part = flat[2:4]
    state = HostState(lambda: [flat, part])
    state.put_away()
    assert flat.untyped_storage().nbytes() == 0
    with state.on_device():
        assert flat.tolist() == [0, 1, 2, 3, 4, 5]
        part.mul_(10)
    assert flat.untyped_storage().nbytes() == 0
    with state.on_device():
        assert flat.tolist() == [0, 1, 20, 30, 4, 5]


def test_what_was_made_or_replaced_on_the_device_is_put_away_too() -> None:
    held = {"a": torch.ones(3)}
    state = HostState(lambda: held.values())
    state.put_away()
    with state.on_device():
        held["a"] = held["a"] * 2  # as loading a checkpoint does
        held["b"] = torch.zeros(4, dtype=torch.bfloat16)
    assert [tensor.untyped_storage().nbytes() for tensor in held.values()] == [0, 0]
    with state.on_device():
        assert held["a"].tolist() == [2, 2, 2]
        assert held["b"].tolist() == [0, 0, 0, 0]


def test_an_error_within_leaves_them_in_host_memory() -> None:
    tensor = torch.ones(3)
    state = HostState(lambda: [tensor])
    state.put_away()
    with pytest.raises(RuntimeError, match="shape"), state.on_device():
        tensor.view(2)
    with state.on_device():
        assert tensor.tolist() == [1, 1, 1]

"""The frozen reference of the KL term, on ranks whose process group serves the engine's device alone."""

from types import SimpleNamespace

import pytest
import torch
from torch.distributed import Backend, HashStore
from torch.testing._internal.distributed.fake_pg import FakeProcessGroup

from learner.engine import PolicyEngine
from learner.logits import Logits
from rnr.config import ModelConfig


@pytest.fixture
def meta_group():
    """A group like one of NCCL, which serves CUDA alone: this one serves torch's device "meta" alone."""
    if "META_ONLY" not in Backend.__dict__:
        Backend.register_backend(
            "meta_only", lambda _store, *options: FakeProcessGroup._create_internal(0, 2), devices=["meta"]
        )
    torch.distributed.init_process_group("meta:meta_only", store=HashStore(), rank=0, world_size=2)
    yield
    torch.distributed.destroy_process_group()


def test_the_reference_travels_on_the_device_that_the_group_serves(meta_group, tiny_model) -> None:
    with pytest.raises(RuntimeError, match="cpu"):
        torch.distributed.broadcast(torch.zeros(1), src=0)
    engine = PolicyEngine.__new__(PolicyEngine)
    vars(engine).update(
        settings=SimpleNamespace(model=ModelConfig(), model_folder=str(tiny_model)),
        _gathered=lambda: iter(()),
        device=torch.device("meta"),
        _rank=1,
        _engine=SimpleNamespace(module=SimpleNamespace(logits=Logits())),
    )
    engine.freeze_reference()
    assert {parameter.device.type for parameter in engine._reference.parameters()} == {"meta"}
    assert not any(parameter.requires_grad for parameter in engine._reference.parameters())

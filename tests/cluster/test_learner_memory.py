"""How many tokens a micro-batch has on a GPU, by hand and without one."""

from types import SimpleNamespace

import pytest
import torch

from cluster.services import Start
from cluster.settings import learner_settings
from cluster.transport.cuda_ipc import CudaIpc
from cluster.transport.object_store import ObjectStore
from learner import device
from learner.memory import gradient_bytes, kept_bytes, tokens_that_fit
from learner.settings import LearnerSettings
from learner.varlen_layout import varlen_layout
from rnr.config import ClusterConfig, GenerationConfig, GrpoConfig, ModelConfig, OptimizerConfig


def test_kept_bytes_by_hand() -> None:
    weight = torch.randn(4, 3, requires_grad=True)
    inputs = torch.randn(5, 3)

    def run():
        hidden = (inputs @ weight.T).exp()  # keeps the inputs, 60 bytes, and its own result, 80, once
        return hidden.square().sum()

    assert kept_bytes(run, [weight]) == 140


@pytest.mark.parametrize(("copies", "tokens"), [(0, 21_504), (1, 19_456), (3, 16_384)])
def test_copies_of_the_policy_that_come_to_a_gpu_later_are_taken_off_its_free_memory(
    monkeypatch, copies, tokens
) -> None:
    gib = 2**30
    free = [20 * gib]  # of 70: torch keeps what an offloaded optimizer gave back
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: free.append(70 * gib))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (free[-1], 80 * gib))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 8 * gib)
    monkeypatch.setattr(device, "bytes_per_token", lambda *_arguments: 2.0**20)
    weights = torch.nn.Parameter(torch.empty(gib, device="meta"))
    settings = LearnerSettings(
        model_folder="", model=ModelConfig(), optimizer=OptimizerConfig(), seed=0, gpu_memory_share=0.6, copies=copies
    )
    policy, notes = SimpleNamespace(parameters=lambda: [weights]), []
    # 0.6 x 80 - 8 - 10 are 30 GiB, of which a copy takes 2; seven tenths of them in steps of 1,024 tokens of 1 MiB.
    assert device._max_tokens(policy, torch.device("cuda", 0), settings, varlen_layout, 1, notes) == tokens
    assert f"{30 - 2 * copies} GiB for activations" in notes[0]


@pytest.mark.parametrize(
    ("options", "ranks", "left"),
    [
        ({"zero_stage": 1}, 1, 70),  # of 80: 2 for a gradient in bf16, 8 for the moments; the sum is there
        ({"zero_stage": 1}, 4, 76),  # 2, and 8 / 4
        ({"zero_stage": 1, "offload": True}, 1, 78),  # the moments are in host memory
        ({"zero_stage": 0}, 1, 74),  # 2 + 4; the moments are there
        ({"zero_stage": 2}, 1, 66),  # two buckets of a gigabyte, 4 for the sum, 8 for the moments
        ({"zero_stage": 2}, 4, 75),  # the buckets, and 12 / 4
    ],
)
def test_what_a_rank_will_hold_beside_activations_is_what_its_stage_has_not_made_yet(
    monkeypatch, options, ranks, left
) -> None:
    gib = 2**30
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (80 * gib, 80 * gib))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 0)
    monkeypatch.setattr(device, "bytes_per_token", lambda *_arguments: 2.0**20)
    weights = torch.nn.Parameter(torch.empty(gib, device="meta"))
    optimizer = OptimizerConfig(**options)
    settings = LearnerSettings(model_folder="", model=ModelConfig(), optimizer=optimizer, seed=0)
    policy, notes = SimpleNamespace(parameters=lambda: [weights]), []
    device._max_tokens(policy, torch.device("cuda", 0), settings, varlen_layout, ranks, notes)
    assert f"{left} GiB for activations" in notes[0]


@pytest.mark.parametrize(
    ("zero_stage", "ranks", "gigabytes"),
    [
        (0, 4, 18.0),  # 6 x 3
        (1, 4, 18.0),
        (2, 1, 14.0),  # two buckets of a gigabyte, and 4 x 3
        (2, 4, 5.0),
        (3, 4, 4.5),
    ],
)
def test_what_the_gradients_of_three_billion_weights_take_by_the_stage(zero_stage, ranks, gigabytes) -> None:
    assert gradient_bytes(3 * 10**9, zero_stage=zero_stage, ranks=ranks) == gigabytes * 1e9
    assert gradient_bytes(10**6, zero_stage=2, ranks=1) == 6e6


@pytest.mark.parametrize(
    ("longest", "said"),
    [
        (21_504, 0),  # what a micro-batch may have
        (21_505, 1),  # 21.001 of 30 GiB, of which seven tenths are 21
        (30_720, 1),
        (30_721, None),
    ],
)
def test_a_sequence_that_may_come_and_does_not_fit_is_told_at_the_start(monkeypatch, longest, said) -> None:
    gib = 2**30
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _device: (40 * gib, 40 * gib))
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _device: 0)
    monkeypatch.setattr(device, "bytes_per_token", lambda *_arguments: 2.0**20)
    settings = LearnerSettings(
        model_folder="",
        model=ModelConfig(),
        optimizer=OptimizerConfig(),
        seed=0,
        gpu_memory_share=0.75,
        longest=longest,
    )
    policy, notes = SimpleNamespace(parameters=list), []
    if said is None:
        with pytest.raises(ValueError, match=r"30721 tokens, the longest .* takes 30\.0 of the 30\.0 GiB"):
            device._max_tokens(policy, torch.device("cuda", 0), settings, varlen_layout, 1, notes)
        return
    assert device._max_tokens(policy, torch.device("cuda", 0), settings, varlen_layout, 1, notes) == 21_504
    assert len(notes) == 1 + said


def test_the_reference_and_what_the_transport_keeps_are_copies() -> None:
    places = ClusterConfig(), GenerationConfig()

    def copies(transport, **grpo) -> int:
        branches = ModelConfig(), OptimizerConfig()
        start = Start(model_folder="", stop_token_id=0, probe=(), learning_rate=lambda *_: 0.0)
        return learner_settings(start, *branches, 0, places, GrpoConfig(**grpo), transport()).copies

    assert [copies(ObjectStore), copies(CudaIpc)] == [0, 1]
    assert [copies(ObjectStore, kl_coefficient=0.1), copies(CudaIpc, kl_coefficient=0.1)] == [1, 2]


def test_the_tokens_of_a_micro_batch_fill_the_memory_that_is_left() -> None:
    assert tokens_that_fit(20 * 2**30, 2**20) == 14_336  # 0.7 x 20,480, in steps of 1,024
    assert tokens_that_fit(200 * 2**30, 2**20) == 32_768
    with pytest.raises(ValueError, match=r"1\.0 GiB are left for activations, and at 1024 KiB a token"):
        tokens_that_fit(2**30, 2**20)

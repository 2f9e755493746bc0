"""Gradients in a few kernels: by hand on what DeepSpeed's optimizer consists of, and on that optimizer itself; there
also what lets linear layers be joined, that it keeps their weights one after another."""

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from deepspeed import comm
from deepspeed.runtime.config import DeepSpeedConfig
from deepspeed.runtime.engine import DeepSpeedEngine

from learner import gradients
from learner.engine import deepspeed_config
from learner.gradients import use_few_kernels
from rnr.config import OptimizerConfig
from scripts.benchmarks.launches import operations


def _optimizer(shapes: list[tuple[int, ...]], padding: int = 2) -> Any:
    """As ``BF16_Optimizer`` holds it: views of a flat tensor, in the order of the parameters, with zeros at the end."""
    sizes = [torch.Size(shape).numel() for shape in shapes]
    flat = torch.zeros(sum(sizes) + padding)
    group = [torch.nn.Parameter(torch.zeros(shape, dtype=torch.bfloat16)) for shape in shapes]
    optimizer = SimpleNamespace(
        has_moe_layers=False,
        bf16_groups=[group],
        fp32_groups_gradients_flat=[flat],
        fp32_groups_gradients=[[*flat[: sum(sizes)].split(sizes)]],
        fp32_groups_has_gradients=[[False] * len(shapes)],
    )

    def clear() -> None:
        for parameter in group:
            parameter.grad = None

    optimizer.clear_lp_grads = clear
    assert use_few_kernels(optimizer)
    return optimizer


def _give(optimizer: Any, *values: float | None) -> None:
    for parameter, value in zip(optimizer.bf16_groups[0], values, strict=True):
        parameter.grad = None if value is None else torch.full_like(parameter, value)


def test_gradients_of_micro_batches_are_added_where_each_belongs() -> None:
    optimizer = _optimizer([(2, 2), (3,), (1,), ()])
    _give(optimizer, 1.0, None, 3.0, 0.5)
    optimizer.update_hp_grads()
    _give(optimizer, 1.0, 10.0, 2**-9, None)
    optimizer.update_hp_grads(clear_lp_grads=True)
    # 3 + 2^-9 would be 3 in bf16.
    assert optimizer.fp32_groups_gradients_flat[0].tolist() == [2.0] * 4 + [10.0] * 3 + [3 + 2**-9, 0.5, 0, 0]
    assert optimizer.fp32_groups_has_gradients == [[True] * 4]
    assert all(parameter.grad is None for parameter in optimizer.bf16_groups[0])
    assert optimizer.bf16_groups[0][2]._hp_grad.tolist() == [3 + 2**-9]


def test_what_was_never_used_has_no_gradient() -> None:
    optimizer = _optimizer([(2,), (2,)])
    _give(optimizer, None, 1.0)
    optimizer.update_hp_grads()
    assert optimizer.fp32_groups_has_gradients == [[False, True]]
    assert optimizer.fp32_groups_gradients_flat[0].tolist() == [0, 0, 1, 1, 0, 0]


def test_all_that_is_measured_and_clipped_is_the_flat_sum() -> None:
    optimizer = _optimizer([(2,), (2,)])
    (flat,) = optimizer.fp32_groups_gradients_flat
    assert optimizer.get_grads_for_norm()[0] == optimizer.get_grads_for_norm(for_clipping=True) == [flat]
    assert optimizer.get_grads_for_norm()[1] == {}


def test_runs_end_at_a_gap_and_before_too_many_numbers_and_a_large_one_goes_alone(monkeypatch) -> None:
    monkeypatch.setattr(gradients, "AT_ONCE", 10)
    sizes = [4, 6, 1, None, 3, 50, 2, 2]
    grads = [None if size is None else torch.zeros(size) for size in sizes]
    found = [(first, [len(grad) for grad in run]) for first, run in gradients._runs(grads)]
    assert found == [(0, [4, 6]), (2, [1]), (4, [3]), (5, [50]), (6, [2, 2])]
    assert list(gradients._runs([None, None])) == []


def test_three_hundred_gradients_take_a_few_operations() -> None:
    optimizer = _optimizer([(8, 8)] * 300)
    _give(optimizer, *[1.0] * 300)
    found = operations(optimizer.update_hp_grads)
    assert found == {"aten::cat": 1, "aten::add_.Tensor": 1}


@pytest.mark.parametrize(("zero_stage", "kept"), [(1, 1 + 2**-12), (2, 1.0)])
def test_the_float32_sum_of_a_stage_that_reduces_it_whole_is_not_rounded_before_the_step(
    monkeypatch, zero_stage, kept
) -> None:
    config = DeepSpeedConfig(deepspeed_config(OptimizerConfig(zero_stage=zero_stage)))
    engine: Any = SimpleNamespace(
        _config=config,
        fp16_enabled=lambda: False,
        bfloat16_enabled=lambda: True,
        flatten=lambda bucket: bucket[0],
        gradient_average=True,
        postscale_gradients=lambda: True,
        gradient_predivide_factor=lambda: 1.0,
    )
    engine.communication_data_type = DeepSpeedEngine.communication_data_type.fget(engine)
    monkeypatch.setattr(comm, "all_reduce", lambda *_, **__: None)
    (found,) = DeepSpeedEngine.allreduce_bucket(engine, [torch.tensor([1 + 2**-12])], None, dp_world_size=1)
    assert found.item() == kept


BOTH = """
import json, tempfile
from pathlib import Path
import torch
from learner.compilation import layers
from learner.gradients import use_few_kernels
from learner.joined_linears import join_linears
from rnr.config import GrpoConfig
from rnr.model_folder import EMBEDDED_MODEL, resolve
from scripts.benchmarks.launches import operations
from scripts.benchmarks.learner import made_up, one_rank, planned, samples
from scripts.benchmarks.lengths import Lengths
from scripts.benchmarks.random_model import write_random_model

with tempfile.TemporaryDirectory() as folder:
    worker = one_rank(str(write_random_model("random-tiny", Path(folder), resolve(EMBEDDED_MODEL))), 0, 64)
real = [Lengths(30, (20, 5)), Lengths(12, (9, 14))]
plan = planned(samples(made_up(real), real), 64)
optimizer = worker.engine._engine.optimizer
optimizer.clip_grad = 0.05

def step():
    return worker.grpo_step((plan,), GrpoConfig(), 1e-3, 1.0)["actor/grad_norm"][0]

def weights():
    return torch.cat([parameter.detach().float().flatten() for parameter in worker.engine.parameters()])

step()
state = [*optimizer.fp32_groups_flat_partition, *optimizer.bf16_groups_flat]
state += [value for each in worker.engine._optimizer.state.values() for value in each.values()]
kept = [each.detach().clone() for each in state]
before, found = weights(), {"batches": len(plan)}
for side in ("many", "few", "joined"):
    for each, was in zip(state, kept, strict=True):
        each.data.copy_(was)
    if side == "few":
        found["used"] = use_few_kernels(optimizer)
    if side == "joined":
        policy = worker.engine._engine.module
        policy.joined = join_linears(layers(policy.model), lambda: worker.engine.logprobs(plan[:1], 1.0))
        found["layers"], found["groups"] = len(layers(policy.model)), len(policy.joined)
    norms = [step() for _ in range(3)]
    after = weights()
    first = after if side == "many" else first
    found[side] = {
        "norms": norms,
        "moved": (after - before).norm().item(),
        "apart": (after - first).norm().item(),
        "products": operations(step)["aten::mm"],
        "launches": operations(step).total(),
    }
print(json.dumps(found))
"""


@pytest.mark.slow
def test_deepspeed_trains_the_same_with_fewer_launches() -> None:
    done = subprocess.run([sys.executable, "-c", BOTH], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    many, few, joined = found["many"], found["few"], found["joined"]
    assert found["used"]
    assert found["batches"] > 1
    assert few["norms"] == pytest.approx(many["norms"], rel=1e-3)
    assert min(many["norms"]) > 0.05  # so it was clipped in every step
    assert few["apart"] < 0.02 * many["moved"]
    # Of 20 parameters: a cast and a sum in each micro-batch, a norm and a clipping in the step.
    assert many["launches"] - few["launches"] > 0.9 * 20 * (2 * found["batches"] + 2)
    # Queries, keys and values; gate and up: of five products forward and ten backward there are two and four.
    assert found["groups"] == 2 * found["layers"]
    assert joined["norms"] == pytest.approx(many["norms"], rel=1e-2)
    assert joined["apart"] < 0.05 * many["moved"]
    assert few["products"] - joined["products"] == 9 * found["layers"] * found["batches"]

"""One rank under real DeepSpeed, in a process that ends: it takes the steps of plain AdamW, reading its state runs no
code, a step that is not finite changes nothing, and stages are merged by the formula. The libraries are imported once,
and each ZeRO stage has a fork of that."""

import subprocess
import sys

import pytest

from tests.end_to_end.launcher import ROOT

pytestmark = pytest.mark.slow

SCRIPT = """
import math, multiprocessing, os, pickle, sys
from pathlib import Path
os.environ["DS_ACCELERATOR"] = "cpu"
import torch
import learner.engine
from learner.batch import collate, plan_microbatches, weigh
from learner.loading import load_model
from learner.preflight import preflight
from learner.reshard import masters
from learner.settings import LearnerSettings
from learner.worker import LearnerWorker
from rnr.config import MergingConfig, ModelConfig, OptimizerConfig
from safetensors.torch import load_file
from rnr.types import Sample

model, folder = sys.argv[1], Path(sys.argv[2])
samples = [
    Sample(uid=str(first), prompt_ids=(first, 200), completion_ids=(first + 200, 400, 500)) for first in (100, 101, 102)
]
(work,) = plan_microbatches(weigh(samples, "token_mean", max_new_tokens=1, sampled=1), ranks=1, max_tokens=5)
assert len(work) == 3
optimizer = {"betas": (0.9, 0.95), "weight_decay": 0.1, "max_gradient_norm": 0.5}

def step(engine, factor, rate=1e-2):
    def loss(batch, logprobs, _entropies, _number):
        value = -(logprobs * batch.weights_N).sum()
        return value * factor, {"sft/loss": (float(value), 1.0)}
    return engine.update(work, loss=loss, learning_rate=rate, temperature=1.0)

def takes_the_steps_of_plain_adamw(engine, stage):
    # The bf16 gradients of a copy, summed in float32 and clipped and used by torch alone.
    copy = preflight(load_model(model, allow_pickle=False)).train()
    wanted = [parameter.detach().float() for parameter in copy.parameters()]
    start = torch.cat([each.flatten() for each in wanted])
    plain = torch.optim.AdamW(wanted, betas=optimizer["betas"], weight_decay=optimizer["weight_decay"])
    for rate in (1e-3, 2e-3, 5e-4):
        for each in wanted:
            each.grad = torch.zeros_like(each)
        for packs in work:
            copy.zero_grad()
            batch = collate(packs)
            logprobs, _ = copy(
                batch.input_ids_1T, batch.position_ids_1T, batch.layout, batch.columns_N, batch.targets_N, 1.0
            )
            (-(logprobs * batch.weights_N).sum()).backward()
            for each, parameter in zip(wanted, copy.parameters()):
                each.grad += parameter.grad
        norm = torch.nn.utils.clip_grad_norm_(wanted, optimizer["max_gradient_norm"])
        plain.param_groups[0]["lr"] = rate
        plain.step()
        found = step(engine, 1.0, rate)["actor/grad_norm"][0]
        assert norm > optimizer["max_gradient_norm"] and abs(found / norm - 1) < 1e-3, (stage, found, norm)
        held = torch.cat([each.detach().flatten() for each in masters(engine._engine, stage)])[: len(start)]
        there = torch.cat([each.flatten() for each in wanted])
        apart = ((held - there).norm() / (there - start).norm()).item()
        # Stage 0 sums in bf16.
        assert apart < (2e-2 if stage == 0 else 1e-4), (stage, rate, apart)
        with torch.no_grad():
            for parameter, part in zip(copy.parameters(), held.split([each.numel() for each in wanted])):
                parameter.copy_(part.view_as(parameter))

def weights(engine):
    return torch.cat([tensor.flatten().float() for _, tensor in engine.weights()])

class Payload:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path(self.file).touch, ()

def checked(stage):
    here = folder / str(stage)
    here.mkdir()
    worker = LearnerWorker(rank=0, world_size=1, threads=1)
    config = OptimizerConfig(zero_stage=stage, **optimizer)
    settings = LearnerSettings(model_folder=model, model=ModelConfig(), optimizer=config, seed=0)
    worker.start(settings, "127.0.0.1", worker.open_store("127.0.0.1"), 300.0, 300.0)
    engine = worker.engine
    takes_the_steps_of_plain_adamw(engine, stage)
    assert step(engine, 1.0)["actor/skipped_steps"] == (0.0, 1.0)
    worker.save(str(here / "good"))
    before = weights(engine)
    for factor in (math.nan, math.inf):
        assert step(engine, factor) == {"actor/skipped_steps": (1.0, 1.0)}, factor
    assert torch.equal(weights(engine), before)
    assert step(engine, 1.0)["actor/skipped_steps"] == (0.0, 1.0)
    assert not torch.equal(weights(engine), before)
    worker.load(str(here / "good"))
    assert torch.equal(weights(engine), before)
    for _ in range(2):
        step(engine, math.nan)
    try:
        step(engine, math.nan)
        raise SystemExit("the third step in a row was skipped too")
    except RuntimeError as error:
        assert "3 optimizer steps in a row" in str(error) and "a loss of nan" in str(error), error
    for file in sorted((here / "good").rglob("*.pt")):
        content = file.read_bytes()
        state = torch.load(file, weights_only=False)
        torch.save({**state, "payload": Payload(here / "ran")}, file)
        try:
            worker.load(str(here / "good"))
            raise SystemExit(f"{file} was unpickled")
        except pickle.UnpicklingError:
            pass
        assert not (here / "ran").exists()
        file.write_bytes(content)
    worker.load(str(here / "good"))
    merges(engine, here)

def merges(engine, here):
    # The model as it came, and what two stages changed of each weight, times a number.
    def named():
        return {name: tensor.double() for name, tensor in engine.weights()}

    base = load_file(Path(model) / "model.safetensors")
    started = named()
    step(engine, 1.0)
    trained = named()
    for warm_start, grpo in ((1.0, 1.0), (0.0, 0.0), (0.5, 1.5)):
        engine.load(str(here / "good"))
        step(engine, 1.0)
        engine.merge(str(here / "good"), MergingConfig(warm_start=warm_start, grpo=grpo))
        for name, tensor in named().items():
            change, more = started[name] - base[name].double(), trained[name] - started[name]
            assert change.any() and more.any(), name
            wanted = base[name].double() + warm_start * change + grpo * more
            assert torch.equal(tensor, wanted.bfloat16().double()), (name, warm_start, grpo)
    engine.load(str(here / "good"))
    assert all(torch.equal(tensor, started[name]) for name, tensor in named().items())

for stage in range(4):
    process = multiprocessing.get_context("fork").Process(target=checked, args=(stage,))
    process.start()
    process.join()
    assert process.exitcode == 0, f"ZeRO stage {stage}: exit code {process.exitcode}"
print("ALL DONE")
"""


def test_steps_are_those_of_plain_adamw_and_state_runs_no_code_and_bad_steps_are_skipped(tmp_path, tiny_model) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tiny_model), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=550)
    assert "ALL DONE" in done.stdout, done.stdout[-2000:] + done.stderr[-3000:]

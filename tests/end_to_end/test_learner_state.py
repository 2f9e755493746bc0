"""One rank under real DeepSpeed, in a process that ends: reading its state runs no code, a step that is not finite
changes nothing, and stages are merged by the formula. The libraries are imported once, and each ZeRO stage has a fork
of that."""

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
from learner.batch import plan_microbatches, weigh
from learner.settings import LearnerSettings
from learner.worker import LearnerWorker
from rnr.config import MergingConfig, ModelConfig, OptimizerConfig
from safetensors.torch import load_file
from rnr.types import Sample

model, folder = sys.argv[1], Path(sys.argv[2])
sample = Sample(uid="a", prompt_ids=(100, 200), completion_ids=(300, 400, 500))
(work,) = plan_microbatches(weigh([sample], "token_mean", max_new_tokens=1, sampled=1), ranks=1, max_tokens=1000)

def step(engine, factor):
    def loss(batch, logprobs, _entropies, _number):
        value = -(logprobs * batch.weights_N).sum()
        return value * factor, {"sft/loss": (float(value), 1.0)}
    return engine.update(work, loss=loss, learning_rate=1e-2, temperature=1.0)

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
    optimizer = OptimizerConfig(zero_stage=stage)
    settings = LearnerSettings(model_folder=model, model=ModelConfig(), optimizer=optimizer, seed=0)
    worker.start(settings, "127.0.0.1", worker.open_store("127.0.0.1"), 300.0, 300.0)
    engine = worker.engine
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


def test_state_is_read_without_running_it_and_a_step_that_is_not_finite_is_skipped(tmp_path, tiny_model) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tiny_model), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=550)
    assert "ALL DONE" in done.stdout, done.stdout[-2000:] + done.stderr[-3000:]

"""One rank under real DeepSpeed: reading its state runs no code, and a step that is not finite changes nothing."""

import subprocess
import sys

import pytest

from tests.end_to_end.launcher import ROOT

pytestmark = pytest.mark.slow

SCRIPT = """
import math, os, pickle, sys
from pathlib import Path
os.environ["DS_ACCELERATOR"] = "cpu"
import torch
from learner.batch import plan_microbatches, weigh
from learner.settings import LearnerSettings
from learner.worker import LearnerWorker
from rnr.config import ModelConfig, OptimizerConfig
from rnr.types import Sample

model, folder, stage = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
worker = LearnerWorker(rank=0, world_size=1, threads=1)
settings = LearnerSettings(model_folder=model, model=ModelConfig(), optimizer=OptimizerConfig(zero_stage=stage), seed=0)
worker.start(settings, "127.0.0.1", worker.open_store("127.0.0.1"), 300.0)
sample = Sample(uid="a", prompt_ids=(100, 200), completion_ids=(300, 400, 500))
(work,) = plan_microbatches(weigh([sample], "token_mean", max_new_tokens=1, sampled=1), ranks=1, max_tokens=1000)
engine = worker.engine

def step(factor):
    def loss(batch, logprobs, _entropies, _number):
        value = -(logprobs * batch.weights_N).sum()
        return value * factor, {"sft/loss": (float(value), 1.0)}
    return engine.update(work, loss=loss, learning_rate=1e-2, temperature=1.0)

def weights():
    return torch.cat([tensor.flatten().float() for _, tensor in engine.weights()])

assert step(1.0)["actor/skipped_steps"] == (0.0, 1.0)
worker.save(str(folder / "good"))
before = weights()
for factor in (math.nan, math.inf):
    assert step(factor) == {"actor/skipped_steps": (1.0, 1.0)}, factor
assert torch.equal(weights(), before)
assert step(1.0)["actor/skipped_steps"] == (0.0, 1.0)
assert not torch.equal(weights(), before)
worker.load(str(folder / "good"))
assert torch.equal(weights(), before)
for _ in range(2):
    step(math.nan)
try:
    step(math.nan)
    raise SystemExit("the third step in a row was skipped too")
except RuntimeError as error:
    assert "3 optimizer steps in a row" in str(error) and "a loss of nan" in str(error), error

class Payload:
    def __reduce__(self):
        return Path(folder / "ran").touch, ()

for file in sorted((folder / "good").rglob("*.pt")):
    content = file.read_bytes()
    state = torch.load(file, weights_only=False)
    torch.save({**state, "payload": Payload()}, file)
    try:
        worker.load(str(folder / "good"))
        raise SystemExit(f"{file} was unpickled")
    except pickle.UnpicklingError:
        pass
    assert not (folder / "ran").exists()
    file.write_bytes(content)
worker.load(str(folder / "good"))
print("ALL DONE")
"""


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_state_is_read_without_running_it_and_a_step_that_is_not_finite_is_skipped(tmp_path, tiny_model, stage) -> None:
    command = [sys.executable, "-c", SCRIPT, str(tiny_model), str(tmp_path), str(stage)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert "ALL DONE" in done.stdout, done.stdout[-2000:] + done.stderr[-3000:]

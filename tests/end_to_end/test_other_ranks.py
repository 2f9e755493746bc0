"""A learner that goes on with other ranks and other ZeRO stages: on real DeepSpeed its state stays the same to the bit,
and its losses stay those of a learner that nobody changed, within rounding."""

import itertools
import json
import subprocess
import sys

import pytest

from tests.end_to_end.launcher import ROOT

pytestmark = pytest.mark.slow

SCRIPT = """
import hashlib, json, multiprocessing, os, random, sys, time
from pathlib import Path
os.environ |= {"DS_ACCELERATOR": "cpu", "GLOO_SOCKET_IFNAME": "lo"}
import torch
from deepspeed.utils import safe_get_full_fp32_param, safe_get_full_optimizer_state
from learner.batch import plan_microbatches, weigh
from learner.settings import LearnerSettings
from learner.worker import LearnerWorker
from rnr.config import MergingConfig, ModelConfig, OptimizerConfig
from rnr.types import Sample

model, folder, lora, runs = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])

def samples(step):
    draw = random.Random(step % 2)
    ids = lambda count: tuple(draw.randrange(100, 4000) for _ in range(count))
    return [Sample(uid=str(n), prompt_ids=ids(5), completion_ids=ids(9 + n)) for n in range(4)]

def whole_state(engine):
    "Digest of master weights and moments, put together by DeepSpeed itself."
    digest = hashlib.sha256()
    optimizer = engine._engine.optimizer
    trained = [parameter for parameter in engine._engine.module.parameters() if parameter.requires_grad]
    if engine.settings.optimizer.zero_stage:
        # A rank links its moments to the parameters with its first step.
        getattr(optimizer, "_lazy_init_hp_params_optimizer_state", lambda: None)()
        wholes = [safe_get_full_fp32_param(parameter) for parameter in trained]
        for moment in ("exp_avg", "exp_avg_sq"):
            wholes += [safe_get_full_optimizer_state(parameter, moment) for parameter in trained]
    else:  # DeepSpeed's functions know only flat tensors
        wholes = [tensor for group in optimizer.fp32_groups for tensor in group]
        states = [optimizer.optimizer.state[tensor] for tensor in wholes]
        wholes += [state[moment] for moment in ("exp_avg", "exp_avg_sq") for state in states]
    for whole in wholes:
        digest.update(whole.detach().contiguous().numpy().tobytes())
    steps = {float(state["step"]) for state in engine._optimizer.state.values()}
    return f"{digest.hexdigest()} {sorted(steps)}"

def weights(engine):
    digest = hashlib.sha256()
    for name, tensor in engine.weights():
        digest.update(name.encode() + tensor.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

def work(rank, world, stage, load, save, steps, port, out):
    worker = LearnerWorker(rank=rank, world_size=world, threads=1)
    if rank == 0:
        port.put(worker.open_store("127.0.0.1"))
    number = port.get()
    port.put(number)
    settings = LearnerSettings(
        model_folder=model, model=ModelConfig(lora_rank=lora), optimizer=OptimizerConfig(zero_stage=stage), seed=0
    )
    worker.start(settings, "127.0.0.1", number, 300.0, 300.0)
    report = {"ranks": world, "stage": stage, "losses": []}
    if load:
        worker.load(load)
        report["first"], report["first_weights"] = whole_state(worker.engine), weights(worker.engine)
    for step in range(*steps):
        weighed = weigh(samples(step), "token_mean", max_new_tokens=1, sampled=1)
        parts = plan_microbatches(weighed, ranks=world, max_tokens=1000)
        total, count = worker.sft_step(parts[rank], 1e-3)["sft/loss"]
        both = torch.tensor([total, count])
        torch.distributed.all_reduce(both)
        report["losses"].append(float(both[0] / both[1]))
    report["last"], report["last_weights"] = whole_state(worker.engine), weights(worker.engine)
    if save:
        worker.save(save)
    if load and not lora:
        # Nothing is left of what was trained since, also where the checkpoint is of other ranks.
        worker.merge(load, MergingConfig(warm_start=1.0, grpo=0.0))
        report["merged_weights"] = weights(worker.engine)
    if rank == 0:
        out.put(report)

fork = multiprocessing.get_context("fork")
reports = []
for ranks, stage, load, save, begin, end in runs:
    port, out = fork.Queue(), fork.Queue()
    where = [str(folder / name) if name else "" for name in (load, save)]
    processes = [
        fork.Process(target=work, args=(rank, ranks, stage, *where, (begin, end), port, out)) for rank in range(ranks)
    ]
    for process in processes:
        process.start()
    while out.empty():  # a rank that fails ends the test at once; pytest's own deadline ends a hang
        failed = [process.exitcode for process in processes if process.exitcode]
        if failed:
            [process.kill() for process in processes]
            sys.exit(f"{ranks} ranks, stage {stage}: exit codes {failed}")
        time.sleep(0.1)
    reports.append(out.get(timeout=60))
    for process in processes:
        process.join(60)
        assert process.exitcode == 0, process.exitcode
print("REPORTS " + json.dumps(reports))
"""


def _run(model, folder, lora: int, runs: list) -> list[dict]:
    command = [sys.executable, "-c", SCRIPT, str(model), str(folder), str(lora), json.dumps(runs)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=550)
    lines = [line for line in done.stdout.splitlines() if line.startswith("REPORTS ")]
    assert lines, done.stdout[-2000:] + done.stderr[-4000:]
    return json.loads(lines[0].removeprefix("REPORTS "))


def test_two_ranks_then_one_then_two_and_every_stage_train_as_if_nothing_had_changed(tmp_path, tiny_model) -> None:
    # 2 -> 1 -> 2 ranks, then through all stages and back; a step or two on each.
    hops = [(2, 1), (1, 1), (2, 1), (1, 0), (2, 3), (1, 2), (2, 2), (1, 3), (2, 1)]
    runs = [
        (ranks, stage, str(number) if number else "", str(number + 1), 2 * number, 2 * number + 2)
        for number, (ranks, stage) in enumerate(hops)
    ]
    *changed, unchanged = _run(tiny_model, tmp_path, 0, [*runs, (2, 1, "", "", 0, 2 * len(hops))])
    for before, after in itertools.pairwise(changed):
        hop = f"{before['ranks']} ranks, stage {before['stage']} -> {after['ranks']} ranks, stage {after['stage']}"
        assert after["first"] == before["last"], hop
        assert after["first_weights"] == before["last_weights"], hop
        assert after["merged_weights"] == after["first_weights"] != after["last_weights"], hop
    losses = [loss for report in changed for loss in report["losses"]]
    assert losses == pytest.approx(unchanged["losses"], rel=0.01)
    assert losses[-1] < losses[0] - 0.5  # it does learn


def test_an_adapter_goes_on_with_other_ranks_too(tmp_path, tiny_model) -> None:
    before, after = _run(tiny_model, tmp_path, 2, [(2, 1, "", "a", 0, 2), (1, 2, "a", "", 2, 3)])
    assert after["first"] == before["last"]
    assert after["first_weights"] == before["last_weights"]

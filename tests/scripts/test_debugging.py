"""A run in one process: its handles, its settings, and the whole of it on the real engines."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from actors.deadline import answer
from actors.local_handle import LocalHandle
from actors.pool import WorkerLost
from actors.slots import end
from cluster.in_process import LocalWorkers, resources_in_process
from cluster.placement import check_resources, decide_gpus
from rnr.cli import load_config
from rnr.config import ClusterConfig, Config, DeadlineConfig
from rnr.faults import WorkerUnusable
from scripts.debugging import smallest
from tests.end_to_end.launcher import DEADLINE_SECONDS, ROOT, lines

CONFIGS = sorted((ROOT / "scripts" / "configs").glob("*.toml"))


class _Worker:
    def __init__(self) -> None:
        self.stopped = False
        self.weights = [1, 2]

    def add(self, one: int, *, other: int) -> int:
        return one + other

    async def later(self, value: int) -> int:
        await asyncio.sleep(0)
        return value

    def unusable(self) -> None:
        raise WorkerUnusable("half loaded")

    def send(self, transport: str):
        yield self.weights
        self.weights.append(3)
        yield transport

    async def stop(self) -> None:
        self.stopped = True


@pytest.mark.parametrize(("asked", "level"), [(None, "ERROR"), ("WARNING", "WARNING")])
def test_warnings_of_vllm_are_not_between_the_lines_of_a_run_unless_asked_for(monkeypatch, asked, level) -> None:
    kept = {name: value for name, value in os.environ.items() if name != "VLLM_LOGGING_LEVEL"}
    monkeypatch.setattr(os, "environ", kept | ({"VLLM_LOGGING_LEVEL": asked} if asked else {}))
    LocalWorkers(ClusterConfig(), DeadlineConfig())
    assert os.environ["VLLM_LOGGING_LEVEL"] == level


def test_a_worker_in_this_process_is_called_as_an_actor_is() -> None:
    worker = _Worker()
    handle = LocalHandle(worker)

    async def scenario() -> tuple:
        stream = handle.send.options(num_returns="streaming").remote("shared memory")
        references = [reference async for reference in stream]
        loaded = await handle.later.remote(references[0])
        return (
            await handle.add.remote(1, other=2),
            await handle.later.remote(7),
            loaded,
            [await reference for reference in references],
        )

    # What was published stays as it was, although the worker has changed it since.
    assert asyncio.run(scenario()) == (3, 7, [1, 2], [[1, 2], "shared memory"])
    end(handle)
    assert worker.stopped


def test_a_worker_in_this_process_is_lost_as_an_actor_is() -> None:
    async def scenario() -> None:
        await answer(LocalHandle(_Worker()).unusable.remote(), place="here", seconds=5, lost=WorkerLost)

    with pytest.raises(WorkerLost, match="here: half loaded"):
        asyncio.run(scenario())


@pytest.mark.parametrize("file", [None, *CONFIGS], ids=lambda file: file.stem if file else "defaults")
def test_every_config_can_be_debugged_and_what_is_trained_stays(file: Path | None) -> None:
    path = None if file is None else str(file)
    whole = load_config(path, [])
    small = load_config(path, smallest(whole))
    assert small.cluster.address == "in_process"
    assert small.grpo.steps <= 2
    assert small.data.sft_examples <= small.sft.sequences_per_step  # one step
    for kept in ("model", "optimizer"):
        assert getattr(small, kept) == getattr(whole, kept)
    assert (small.reward.preset, small.reward.weights) == (whole.reward.preset, whole.reward.weights)
    assert (small.data.prompt, small.data.train) == (whole.data.prompt, whole.data.train)
    assert small.run.name != whole.run.name
    check_resources(decide_gpus(small.cluster, small.generation, 0.0)[0], resources_in_process(), small.reward.scorers)
    # A whole command line is debugged by adding the flag.
    long = ["--sft.sequences_per_step=64", "--grpo.steps=500", "--run.name=mine"]
    small = load_config(path, [*long, *smallest(load_config(path, long))])
    assert (small.run.name, small.grpo.steps, small.sft.sequences_per_step) == ("mine-debug", 2, 4)
    fewer = ["--grpo.steps=0", "--merging.warm_start=1", "--merging.grpo=1"]
    assert load_config(path, [*fewer, *smallest(load_config(path, fewer))]).grpo.steps == 0


@pytest.mark.parametrize(
    "flags",
    [
        "--sft.epochs=0 --sft.from_run=runs/other --merging.warm_start=0.8",
        "--sft.epochs=0 --sft.from_run=runs/other --sft.held_out=4",
        "--sft.epochs=0 --sft.from_run=runs/other --grpo.steps=0 --evaluation.base=false",
        "--grpo.mini_batches=8 --sampling.prompts_per_step=8 --grpo.clip_high=0.4",
        "--data.mixture={a=2} --data.sft_examples=9 --data.grpo_examples=9",
    ],
)
def test_what_is_taken_without_debug_is_taken_with_it(flags) -> None:
    asked = flags.split()
    assert load_config(None, [*asked, *smallest(load_config(None, asked))]).run.name == "run-debug"


def test_a_sentence_of_any_length_can_be_debugged_under_marks() -> None:
    limits = ["--sampling.max_new_tokens=500", "--evaluation.max_new_tokens=600"]
    for decoding, tokens in (("marks", (500, 600)), ("auto", (500, 600)), ("free", (64, 64)), ("schema", (64, 64))):
        asked = [*limits, f"--sampling.decoding={decoding}"]
        small = load_config(None, [*asked, *smallest(load_config(None, asked))])
        assert (small.sampling.max_new_tokens, small.evaluation.max_new_tokens) == tokens


def test_one_process_has_room_for_one_worker_of_each_kind() -> None:
    with pytest.raises(ValueError, match="allows one worker of each kind"):
        Config.model_validate({"cluster": {"address": "in_process", "rollout_workers": 2}})


REWARD = """
import os, threading

def watched(example, answer):
    if example.uid != "trial":
        print("seen", os.getpid(), threading.current_thread() is threading.main_thread(), len(example.sentence))
        breakpoint()
    return float(len(answer.reasoning or "") % 7)
"""


@pytest.mark.slow
def test_a_breakpoint_in_a_reward_stops_a_whole_run_on_the_real_engines(tmp_path, tiny_model, colours) -> None:
    (tmp_path / "watching.py").write_text(REWARD)
    command = [sys.executable, "-m", "scripts.train", "--debug", f"--run.folder={tmp_path}", "--run.name=bug"]
    command += [f"--model.path={tiny_model}", "--model.context_tokens=512", "--reward.preset=watching:watched"]
    command += ["--grpo.steps=1"]
    command += [f"--data.train=['{colours}/train.jsonl']", f"--data.evaluation=['{colours}/test.jsonl']"]
    # A test before this one may have started Ray, which then handles the breakpoints of this process and its children.
    own = {name: value for name, value in os.environ.items() if name != "PYTHONBREAKPOINT"}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=own | {"PYTHONPATH": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    # Two groups of four answers: the first stop shows the sentence, the last ends the stops.
    output, _ = process.communicate("p 'it ' + example.sentence\n" + "c\n" * 8, timeout=DEADLINE_SECONDS)
    assert process.returncode == 0, output
    assert output.count(f"seen {process.pid} True ") == 8, output
    # A line of the log may come between the prompt and what it answers.
    assert "(Pdb)" in output
    assert re.search(r"'it .* ran\.'", output), output
    metrics = lines(tmp_path / "bug-debug" / "metrics.jsonl")
    assert [row for row in metrics if "reward/mean" in row]
    assert [row for row in metrics if "sft/loss" in row]
    assert list((tmp_path / "bug-debug" / "export").glob("*.safetensors"))
    alive = [each.info["cmdline"] or [] for each in psutil.process_iter(["cmdline"])]
    assert not [command for command in alive if str(tmp_path) in " ".join(command)]

"""Divisions of GPUs, and the command line that prints them."""

import json
from dataclasses import replace

import pytest

pytest.importorskip("ray")

from cluster.datasheets import machine_of
from cluster.memory_plan import Shape
from cluster.planner import Planner, machines_of, splits
from cluster.simulation import Load, Speed
from cluster.stated_speed import stated
from rnr import model_folder
from rnr.config import GenerationConfig, GrpoConfig, ModelConfig, OptimizerConfig, SyncConfig
from scripts.plan import main


def test_all_gpus_are_used_and_of_many_only_some_divisions_are_tried() -> None:
    assert splits(4, 1) == [(1, 3), (2, 2), (3, 1)]
    assert splits(8, 2) == [(1, 6), (2, 4), (3, 2)]
    many = splits(1024, 1)
    assert len(many) == 15
    assert many[-1] == (1023, 1)
    assert all(engines + ranks == 1024 for engines, ranks in many)
    with pytest.raises(ValueError, match="2 GPUs are too few for an engine of 2 and a learner rank"):
        splits(2, 2)


@pytest.mark.parametrize("text", ["h100", "h100:0", "tpu:8", "h100:x", ":8"])
def test_gpus_are_a_known_name_and_a_number(text) -> None:
    with pytest.raises(ValueError, match="expected NAME:NUMBER"):
        machines_of(text)


def test_stated_speeds_are_the_datasheets_shares() -> None:
    # 1e9 weights on an H100: 2 GB over 0.6 * 3.35 TB/s would be 1 ms, less than the host's 4 ms; training takes 6e9
    # operations a position at a fifth of 989 TFLOP/s; a sync 0.2 s and 2 GB at 0.55 GiB/s.
    shape = Shape(weights=1e9, layers=10, hidden=1000, intermediate=4000, query=1000, key=500)
    h100 = machine_of("NVIDIA H100 80GB HBM3")
    assert h100 is not None
    speed = stated(shape, h100, context=100, max_num_seqs=64)
    assert speed.step == 0.004
    assert speed.step_each == pytest.approx(100 * 2 * 2 * 10 * 500 / (0.6 * 3.35e12) + 2e9 / (989e12 * 0.3))
    assert speed.position == pytest.approx(6e9 / (0.2 * 989e12))
    assert speed.load == pytest.approx(0.2 + 2e9 / (0.55 * 2**30))
    large = stated(replace(shape, weights=70e9), h100, context=100, max_num_seqs=64)
    assert large.step == pytest.approx(140e9 / (0.6 * 3.35e12))


def test_the_plan_of_a_config_names_every_division_and_the_best(tiny_model, colours, tmp_path, capsys) -> None:
    bench = {
        "samples": 32,
        "completion_tokens": 32 * 64,
        "sampling_seconds": 2.0,
        "training_seconds": 4.0,
        "positions_computed": 4000,
        "publish_seconds": 0.5,
        "reward_seconds": 0.0,
    }
    (tmp_path / "bench.json").write_text(json.dumps(bench))
    options = [f"--model.path={tiny_model}", f"--data.train=['{colours}/train.jsonl']"]
    options += [f"--data.evaluation=['{colours}/test.jsonl']", "--sft.sequences_per_step=4", "--grpo.steps=1"]
    options += ["--gpus", "h100:4", "--bench", str(tmp_path / "bench.json"), "--answer-tokens", "64"]
    assert main([*options, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    divisions = [(each["engines"], each["ranks"], each["shared"]) for each in plan["divisions"]]
    assert divisions == [(4, 4, True), (1, 3, False), (2, 2, False), (3, 1, False)]
    rates = [each["outcome"]["samples_per_second"] for each in plan["divisions"]]
    assert plan["best"]["outcome"]["samples_per_second"] == max(rates)
    assert set(plan["max_staleness"]) == ({"0"} if plan["best"]["shared"] else {"0", "1", "2"})
    assert main(options) == 0
    assert "--cluster.rollout_workers=" in capsys.readouterr().out
    for wrong, said in ((b'{"a":', "bench.json, line 1: not valid JSON"), (b"\xe9", "bench.json: not UTF-8 at byte 0")):
        (tmp_path / "bench.json").write_bytes(wrong)
        assert main(options) == 2
        assert said in capsys.readouterr().err


def test_a_plan_reads_each_header_of_the_weights_once_to_check_to_compare_and_to_count(
    tiny_model, colours, capsys, monkeypatch
) -> None:
    read: list[str] = []
    header = model_folder._header
    monkeypatch.setattr(model_folder, "_header", lambda file: read.append(file.name) or header(file))
    options = [f"--data.train=['{colours}/train.jsonl']", f"--data.evaluation=['{colours}/test.jsonl']"]
    assert main([f"--model.path={tiny_model}", *options, "--sft.sequences_per_step=4", "--grpo.steps=1"]) == 0
    assert "resources: enough on this machine" in capsys.readouterr().out
    assert read == ["model.safetensors"] * 3


def _planner(load: Load, speed: Speed, **grpo: int) -> Planner:
    h100 = machine_of("NVIDIA H100 80GB HBM3")
    assert h100 is not None
    return Planner(
        Shape(weights=6e6, layers=2, hidden=64, intermediate=128, query=64, key=64),
        h100,
        load,
        model=ModelConfig(),
        optimizer=OptimizerConfig(),
        generation=GenerationConfig(),
        grpo=GrpoConfig(**grpo),  # type: ignore[arg-type]
        sync=SyncConfig(),
        gpus_per_engine=1,
        measured=speed,
    )


def test_one_gpu_is_shared_and_learner_and_engine_take_turns() -> None:
    # 4 prompts x 8 completions of 64 tokens side by side: 64 steps of 10 + 32 ms are 2.7 s, 2,448 positions 2.4 s.
    speed = Speed(step=0.01, step_each=0.001, position=0.001, load=0.5, score=0.0, max_num_seqs=64)
    load = Load(prompts=4, samples=8, prompt_tokens=100, tokens=64, spread=0.0)
    planner = _planner(load, speed, max_staleness=2)
    (division,) = planner.divisions(1)
    assert (division.engines, division.ranks, division.shared) == (1, 1, True)
    assert division.outcome is not None
    assert division.outcome.step_seconds == pytest.approx(64 * 0.042 + 2.448 + 0.5, rel=0.02)
    assert division.outcome.rollout_idle + division.outcome.learner_idle > 1  # never both at work
    assert list(planner.by_staleness(division, 2)) == [0]


def test_every_optimizer_step_of_a_batch_takes_what_one_takes_at_least() -> None:
    speed = Speed(step=0.01, step_each=0.0, position=0.0001, update=2.0, load=0.5, score=0.0, max_num_seqs=64)
    load = Load(prompts=4, samples=8, prompt_tokens=100, tokens=64, spread=0.0)
    (division,) = _planner(load, speed, mini_batches=3, epochs=2).divisions(1)
    assert division.outcome is not None
    assert division.outcome.step_seconds == pytest.approx(64 * 0.01 + 3 * 2 * 2.0 + 0.5, rel=0.02)


def test_of_divisions_that_are_as_fast_the_one_on_the_fewest_gpus_is_taken() -> None:
    # 64 decoding steps of 10 ms and a load of 0.5 s, whatever the number of GPUs: 4 prompts x 8 completions are few.
    load = Load(prompts=4, samples=8, prompt_tokens=100, tokens=64, spread=0.0)
    speed = Speed(step=0.01, step_each=0.0, position=0.0, load=0.5, score=0.0, max_num_seqs=64)
    planner = _planner(load, speed)
    best = planner.best(list(planner.divisions(16)))
    fewest = planner.fewest(best)
    assert (best.gpus, fewest.gpus, fewest.engines, fewest.ranks, fewest.shared) == (16, 1, 1, 1, True)
    # 2,448 positions of 10 ms are 24.5 s of one rank, and half as much of two: every GPU counts.
    planner = _planner(load, replace(speed, position=0.01))
    best = planner.best(list(planner.divisions(4)))
    assert planner.fewest(best) is best


def test_the_command_line_names_the_fewest_gpus_and_no_header_is_cut(tiny_model, colours, monkeypatch, capsys) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    options = [f"--model.path={tiny_model}", f"--data.train=['{colours}/train.jsonl']", "--sft.sequences_per_step=4"]
    options += [f"--data.evaluation=['{colours}/test.jsonl']", "--sampling.prompts_per_step=1"]
    assert main([*options, "--gpus", "h100:4"]) == 0
    said = capsys.readouterr().out
    assert "samples/s ┃" in said
    assert "1 GPU is as fast as 4 (within 3 %): only larger steps" in said
    shared = "--cluster.gpus_per_rollout_worker=0.5 --cluster.gpus_per_learner_rank=0.5"
    assert said.endswith(f"--cluster.rollout_workers=1 --cluster.learner_ranks=1 {shared}\n")


def test_a_model_that_fits_nowhere_is_refused_with_what_to_change(tiny_model, colours, capsys) -> None:
    options = [f"--model.path={tiny_model}", f"--data.train=['{colours}/train.jsonl']", "--gpus", "h100:4"]
    options += [f"--data.evaluation=['{colours}/test.jsonl']", "--optimizer.max_tokens_per_microbatch=1000000000"]
    assert main([*options, "--sft.sequences_per_step=4"]) == 2
    assert "no division fits: a learner rank needs" in capsys.readouterr().err

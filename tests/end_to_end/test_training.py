"""The whole run on real Ray, real vLLM and real DeepSpeed, with a tiny model."""

import json
import re
import signal

import pytest
import torch
from safetensors.torch import load_file

from tests.end_to_end.launcher import Training, assert_all_end, lines

pytestmark = pytest.mark.slow

STEPS = 4
PROMPTS = 4
SAMPLES = 4
RAY_AGENTS = ("ray::DashboardAgent", "ray::RuntimeEnvAgent")


@pytest.fixture(scope="module")
def arguments(tiny_model, colours):
    return [
        f"--model.path={tiny_model}",
        "--model.context_tokens=256",
        f"--data.train=['{colours}/train.jsonl']",
        f"--data.evaluation=['{colours}/test.jsonl']",
        "--sft.epochs=60",
        "--sft.sequences_per_step=12",
        "--sft.learning_rate=5e-3",
        f"--sampling.prompts_per_step={PROMPTS}",
        f"--sampling.samples_per_prompt={SAMPLES}",
        "--sampling.max_new_tokens=48",
        f"--grpo.steps={STEPS}",
        "--grpo.learning_rate=1e-3",
        "--evaluation.max_new_tokens=48",
        "--evaluation.base=false",
        "--checkpoint.every_steps=1000",
        "--reward.preset=tests.user_reward:checksum",
        # Under the grammar the tiny model has hardly anything left to decide, and groups have no spread.
        "--sampling.decoding=free",
    ]


def prompts_trained(training):
    """Uid -> how often a prompt's rollouts appear, from the rows that are left in the end."""
    rows = lines(training.run_folder / "rollouts.jsonl")
    trained = {}
    for row in rows:
        trained.setdefault((row["step"], row["uid"]), []).append(row)
    assert all(len(group) == SAMPLES for group in trained.values())
    return sorted(trained)


def assert_every_prompt_once(training):
    """4 steps of 4 prompts from a pool of 12: three whole windows of one pass, and one of the next."""
    trained = prompts_trained(training)
    assert len(trained) == STEPS * PROMPTS
    first_pass = [uid for step, uid in trained if step < 3]
    assert len(set(first_pass)) == 12
    progress = sorted(training.run_folder.glob("checkpoints/*/progress.json"))[-1]
    consumed = json.loads(progress.read_text())["consumed"]
    assert sorted(consumed) == sorted(uid for _, uid in trained)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory, arguments):
    """A run from its warm start to its end, some of whose workers are killed; and all processes it has started. Other
    runs take over its warm start."""
    folder, options = tmp_path_factory.mktemp("whole"), ["--cluster.reward_workers=2"]
    training = Training(folder, [*arguments, *options], struck=("0", "rollout", "RolloutWorker,RewardWorker"))
    status, everything = training.wait_and_watch()
    assert status == 0, training.output
    assert re.search("rollout-0, .*; the worker is replaced", training.output), training.output
    return training, everything


def test_a_run_trains_survives_killed_workers_and_leaves_nothing_behind(whole_run):
    training, everything = whole_run
    assert_all_end(everything)
    assert_every_prompt_once(training)
    summary = json.loads((training.run_folder / "summary.json").read_text())
    assert set(summary["f1"]) == {"sft", "grpo"}
    assert summary["steps"] >= 60
    assert summary["prompts"]["consumed"] == STEPS * PROMPTS
    assert summary["probe_max_difference"] < 0.15
    metrics = lines(training.run_folder / "metrics.jsonl")
    last = [row for row in metrics if "infra/rollout_restarts_total" in row][-1]
    assert last["infra/rollout_restarts_total"] == 1
    updates = [row for row in metrics if "actor/ppo_kl" in row]
    assert updates, "no group had any spread, so nothing was trained"
    assert updates[0]["actor/ppo_kl"] == 0
    assert updates[0]["actor/clip_low"] == updates[0]["actor/clip_high"] == 0
    assert updates[0]["training/rollout_probs_diff_mean"] < 0.01
    assert lines(training.run_folder / "predictions" / "grpo.jsonl")
    _assert_export_loads(training.run_folder / "export")


def _name(process):
    return process.name() if process.is_running() else ""


def _assert_export_loads(folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.get_input_embeddings().weight.data_ptr() == model.get_output_embeddings().weight.data_ptr()
    assert AutoTokenizer.from_pretrained(folder).chat_template


def test_a_run_stopped_and_killed_twice_and_robbed_of_its_learner_trains_every_prompt_once(
    tmp_path, arguments, whole_run
):
    arguments = [*arguments, "--tracking.wandb_project=", "--resume", "--checkpoint.grace_seconds=120"]
    arguments.append(f"--sft.from_run={whole_run[0].run_folder}")
    stopped = Training(tmp_path, arguments, struck=("0", "update", "everyone"))
    assert stopped.wait() == 75, stopped.output
    assert "stopped by SIGTERM: the checkpoint holds grpo up to step 1; resume with --resume" in stopped.output
    assert not re.search(r"SIGTERM received|\*\*\* |Traceback|Stack trace", stopped.output), stopped.output
    assert list(stopped.run_folder.glob("checkpoints/*-grpo-000001/progress.json"))
    arguments.append("--checkpoint.every_steps=1")
    agents = []
    for moment in (("1", "update"), ("2", "checkpoint")):
        training = Training(tmp_path, arguments, struck=(*moment, "driver"))
        status, started = training.wait_and_watch()
        assert status == -signal.SIGKILL, training.output
        # Ray's own two agents notice late that their parent is gone: they lived on for 60 to 90 s.
        agents += [process for process in started if _name(process) in RAY_AGENTS]
        assert_all_end([process for process in started if process not in agents])
    training = Training(tmp_path, arguments, struck=("0", "update", "LearnerWorker"))
    assert training.wait() == 0, training.output
    assert "resuming at grpo" in training.output
    assert "rebuilding all ranks from the last checkpoint" in training.output
    assert_every_prompt_once(training)
    assert not list(training.run_folder.glob("checkpoints/*.partial"))
    assert_all_end(agents, seconds=150)


def test_a_run_with_an_adapter_sends_the_adapter_alone_and_is_verified(tmp_path, arguments):
    options = ["--model.lora_rank=8", "--sft.learning_rate=2e-2", "--sft.epochs=40", "--grpo.steps=1"]
    options += ["--grpo.max_staleness=1", "--tracking.wandb_project="]
    training = Training(tmp_path, [*arguments, *options])
    assert training.wait() == 0, training.output
    metrics = lines(training.run_folder / "metrics.jsonl")
    losses = [row["sft/loss"] for row in metrics if "sft/loss" in row]
    assert losses[-1] < losses[0] - 0.3  # an adapter on a random frozen model learns little
    summary = json.loads((training.run_folder / "summary.json").read_text())
    assert 0 < summary["probe_max_difference"] < 0.15
    (step,) = [row for row in metrics if row["stage"] == "grpo" and "reward/mean" in row]
    assert 0 < step["reward/mean"] < 1
    assert step["rewards/checksum/mean"] == step["reward/mean"]


def test_a_run_takes_over_a_warm_start_credits_what_its_chains_mark_and_exports_what_is_merged(
    tmp_path, arguments, whole_run, tiny_model
):
    warm, _ = whole_run
    options = ["--tracking.wandb_project=", f"--sft.from_run={warm.run_folder}", "--grpo.steps=1"]
    options += ["--grpo.credit=mention", "--merging.warm_start=0", "--merging.grpo=0"]
    options += ["--reward.preset=weighted", "--reward.weights={faithfulness = 1.0}", "--sampling.decoding=marks"]
    training = Training(tmp_path, [*arguments, *options])
    assert training.wait() == 0, training.output
    (step,) = [row for row in lines(training.run_folder / "metrics.jsonl") if "reward/mean" in row]
    # Of the warm start that was taken over there is its evaluation alone.
    of_sft = [row for row in lines(training.run_folder / "metrics.jsonl") if row["stage"] == "sft"]
    assert [(row["step"], "val/f1" in row, "sft/loss" in row) for row in of_sft] == [(0, True, False)]
    # The tiny model has learnt to mark a name, not to copy the one that is there.
    assert 0 <= step["ner/chain_f1"] <= 1
    assert any(row["marks"]["all"] for row in lines(training.run_folder / "rollouts.jsonl"))
    scores = [json.loads((each.run_folder / "summary.json").read_text())["evaluation"] for each in (warm, training)]
    # The warm start was evaluated under another decoding, so its scores are measured anew.
    assert "sft.from_run: not reusing its scores" in training.output
    assert scores[0]["sft"] != scores[1]["sft"]
    assert scores[1].keys() == {"sft", "grpo", "merged"}
    # Of what was changed nothing is left, so this is the model as it came; the checkpoint is what was trained.
    exported = load_file(training.run_folder / "export" / "model.safetensors")
    base = load_file(tiny_model / "model.safetensors")
    assert all(torch.equal(exported[name], base[name]) for name in base)
    assert [path.name.split("-", 1)[1] for path in training.run_folder.glob("checkpoints/*-done-*")] == ["done-000001"]
    assert lines(training.run_folder / "predictions" / "merged.jsonl")
    # With other weights the finished run is merged anew, from what was trained.
    again = Training(tmp_path, [*arguments, *options, "--resume", "--merging.warm_start=1", "--merging.grpo=2"])
    assert again.wait() == 0, again.output
    other = load_file(training.run_folder / "export" / "model.safetensors")
    assert any(not torch.equal(other[name], base[name]) for name in base)
    rows = lines(training.run_folder / "metrics.jsonl")
    # Of the warm start, of GRPO, and of the merged policy once.
    assert [row["step"] for row in rows if "val/f1" in row] == [0, 0, 1]

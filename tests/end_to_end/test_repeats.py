"""Two runs of one config, on the real engines: the same numbers, but for times."""

import re

import pytest

from tests.end_to_end.launcher import Training, lines

pytestmark = pytest.mark.slow

OF_TIME = re.compile(r"^(timing_s|perf|infra|time)/|tokens_per_s|seconds")


def test_two_runs_with_one_sequence_at_a_time_have_equal_metrics(tmp_path, tiny_model, colours) -> None:
    arguments = [
        f"--model.path={tiny_model}",
        "--model.context_tokens=256",
        f"--data.train=['{colours}/train.jsonl']",
        f"--data.evaluation=['{colours}/test.jsonl']",
        "--sft.sequences_per_step=12",
        "--sampling.prompts_per_step=2",
        "--sampling.samples_per_prompt=4",
        "--sampling.max_new_tokens=24",
        "--evaluation.max_new_tokens=24",
        "--generation.max_num_seqs=1",
        "--grpo.steps=2",
        "--grpo.max_staleness=0",
        "--grpo.learning_rate=1e-3",
        "--tracking.wandb_project=",
    ]
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        training = Training(tmp_path / name, arguments)
        assert training.wait() == 0, training.output
        rows = lines(training.run_folder / "metrics.jsonl")
        found.append([{key: value for key, value in row.items() if not OF_TIME.search(key)} for row in rows])
    assert found[0] == found[1]
    assert any("actor/pg_loss" in row or "reward/mean" in row for row in found[0])

"""Lengths drawn from data, kernel launches, and shares of the peak, each worked out by hand."""

from argparse import Namespace
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from actors.chat_format import chat_format
from cluster.datasheets import Machine, machine_of
from rnr.corpus.loading import load
from rnr.model_folder import EMBEDDED_MODEL, resolve
from rnr.task.decoding import taught
from rnr.types import Sample
from scripts import bench
from scripts.benchmarks import peak
from scripts.benchmarks.launches import covered, launches, on_device, operations
from scripts.benchmarks.learner import made_up, measure, samples
from scripts.benchmarks.lengths import Lengths, drawn, levelled, uniform


def _event(name: str, start: float, end: float, **more: Any) -> SimpleNamespace:
    return SimpleNamespace(name=name, time_range=SimpleNamespace(start=start, end=end), **more)


def test_lengths_are_those_of_sentences_asked_and_answered_as_in_a_warm_start() -> None:
    folder = resolve(EMBEDDED_MODEL)
    chat = chat_format(folder)
    pairs = {
        (len(chat.prompt(example).token_ids), len(chat.target(*taught(example, "free"))))
        for example in load(["demo/train"], training=True)
    }
    found = drawn("real", folder, prompts=100, samples=3)
    assert len(found) == 100
    assert {(each.prompt, each.completions[0]) for each in found} <= pairs
    answers = {answer for _, answer in pairs}
    assert all(len(each.completions) == 3 and set(each.completions) <= answers for each in found)
    assert len({each.prompt for each in found}) > 10
    assert found == drawn("demo/train", folder, prompts=100, samples=3)


def test_a_file_of_few_sentences_gives_their_lengths_again_and_again(tmp_path) -> None:
    file = tmp_path / "few.jsonl"
    rows = [("Ada met Bob .", "Ada"), ("Then Grace came from far away , and stayed .", "Grace")]
    file.write_text(
        "".join(
            f'{{"sentence": "{text}", "entities": {{"person": ["{name}"]}}, "reasoning": "{name} is one."}}\n'
            for text, name in rows
        )
    )
    found = drawn(str(file), resolve(EMBEDDED_MODEL), prompts=6, samples=1)
    assert Counter(found) == dict.fromkeys(set(found), 3)
    assert len({each.prompt for each in found}) == 2


def test_the_other_side_has_as_many_prompts_and_completions_of_the_average_length() -> None:
    real = [Lengths(10, (5, 7)), Lengths(31, (100, 8))]
    # (10 + 31) / 2 = 20.5, rounded to the even number 20; (5 + 7 + 100 + 8) / 4 = 30.
    assert levelled(real) == [Lengths(20, (30, 30)), Lengths(20, (30, 30))]
    assert levelled(levelled(real)) == uniform(20, 30, prompts=2, samples=2)


def test_samples_have_these_lengths_and_no_two_prompts_begin_alike() -> None:
    real = [Lengths(4, (2, 3)), Lengths(1, (1, 9))]
    made = samples(made_up(real), real)
    assert [(len(each.prompt_ids), len(each.completion_ids)) for each in made] == [(4, 2), (4, 3), (1, 1), (1, 9)]
    assert [each.advantages[0] for each in made] == [-1.0, 1.0, -1.0, 1.0]
    assert [each.prompt_ids[0] for each in made] == [100, 100, 101, 101]


def test_operations_are_counted_by_name_without_views() -> None:
    left, right = torch.ones(3, 4), torch.ones(4, 3)
    found = operations(lambda: ((left @ right).reshape(9) + 1).view(3, 3).t() * 2 + torch.empty(3, 3))
    assert found == {"aten::mm": 1, "aten::add.Tensor": 2, "aten::mul.Tensor": 1}


def test_on_a_cpu_operations_are_divided_by_the_micro_batches() -> None:
    ones = torch.ones(2)
    numbers = launches(lambda: float((ones + ones + ones)[0]), 1.0, torch.device("cpu"), micro_batches=2)
    assert numbers["operations_per_micro_batch"] == numbers["operations"] / 2
    assert numbers["operations"] >= 2


def test_on_a_gpu_kernels_that_run_at_once_are_busy_once_and_named_ranges_are_no_work() -> None:
    events = [
        _event("gemm", 0, 300_000),
        _event("softmax", 200_000, 400_000),
        _event("Memcpy HtoD", 600_000, 700_000),
        _event("gemm", 700_000, 800_000),
        _event("Optimizer.step", 0, 10_000_000, is_user_annotation=True),
    ]
    assert on_device(events, 2.0, micro_batches=2) == {
        "kernels": 3,
        "kernels_per_micro_batch": 1.5,
        "copies": 1,
        "device_seconds": pytest.approx(0.6),  # 0 to 0.4 and 0.6 to 0.8
        "idle_share": pytest.approx(0.7),
        "most_device_time": "gemm 57%; softmax 29%; Memcpy HtoD 14%",  # 0.4, 0.2 and 0.1 of 0.7
    }
    assert on_device([], 1.0, micro_batches=1)["idle_share"] == 1.0


def test_ranges_cover_what_lies_in_any_of_them() -> None:
    assert covered([(5, 6), (0, 4), (1, 2), (3, 5)]) == 6
    assert covered([]) == 0


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("NVIDIA H200", 989),
        ("NVIDIA H200 NVL", 835),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA GH200 480GB", 989),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A10G", 70),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362),
        ("NVIDIA RTX A4000", None),  # not an A40
        ("NVIDIA A1000", None),  # not an A100
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("cpu", None),
    ],
)
def test_the_datasheet_is_found_by_whole_words_of_the_name(name, tflops) -> None:
    machine = machine_of(name)
    assert (machine and machine.flops) == (tflops and tflops * 1e12)


def test_shares_are_six_operations_for_each_weight_and_position(monkeypatch) -> None:
    monkeypatch.setattr(peak, "_matrix_rate", lambda _device: 1e6)
    monkeypatch.setattr(peak, "matrix_weights", lambda _folder: (1000, 100))
    monkeypatch.setattr(peak, "machine_of", lambda _name: Machine(name="x", flops=4e6, gib=1, bandwidth=1.0))
    trained = [Sample(uid="", prompt_ids=(1,) * 10, completion_ids=(2,) * 5) for _ in range(2)]
    numbers = peak.share_of_peak("", trained, 1000, 0.5, device="cpu")
    # 10 + 5 + 5 positions in the layers and 10 at the head: 6 (20 * 1000 + 10 * 100) = 126,000 in half a second.
    assert numbers == {
        "positions_computed": 20,
        "matrix_peak_gflops": 1e-3,
        "share_of_peak": pytest.approx(0.252),
        "device": "cpu",
        "datasheet_gflops": 4e-3,
        "mfu": pytest.approx(0.063),
    }
    assert peak.share_of_peak("", trained, 1000, 0.5, lora=True, device="cpu")["mfu"] == pytest.approx(0.042)


def test_a_peer_takes_no_lengths_and_a_micro_batch_has_tokens_or_auto(capsys) -> None:
    with pytest.raises(ValueError, match="leave --lengths out"):
        measure(Namespace(model=EMBEDDED_MODEL, peer="trl", lengths="real"))
    for wrong in ("0", "-5", "many", "1.5"):
        assert bench.main(["learner", "--max-tokens", wrong]) == 2
        assert "must be a number of tokens" in capsys.readouterr().err

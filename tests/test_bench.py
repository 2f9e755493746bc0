"""The benchmark's arithmetic, and that each of its commands ends with numbers."""

import json

from scripts import bench


def test_both_sides_take_turns_and_the_ratio_is_the_median_of_the_pairs(monkeypatch) -> None:
    calls = []
    seconds = iter([1.0, 3.0, 2.0, 4.0, 1.0, 10.0])  # pairs 1:3, 2:4, 1:10, so ratios 3, 2 and 10
    monkeypatch.setattr(bench, "_seconds", lambda call: call() or next(seconds))
    numbers = bench.in_turn(lambda: calls.append("ours"), lambda: calls.append("theirs"), pairs=3)
    assert numbers == {"seconds": 1.0, "seconds_other": 4.0, "ratio": 3.0, "ratio_range": [2.0, 10.0]}
    assert calls == ["ours", "theirs"] * 4  # one pair to warm up


def test_the_reward_benchmark_writes_what_it_prints(tmp_path, capsys) -> None:
    file = tmp_path / "numbers.json"
    assert bench.main(["rewards", "--pairs", "1", "--json", str(file)]) == 0
    numbers = json.loads(file.read_text())
    assert numbers["completions_per_second"] == 500 / numbers["seconds"]
    assert "completions_per_second_paper" in capsys.readouterr().out

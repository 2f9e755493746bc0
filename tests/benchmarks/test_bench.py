"""The arithmetic of the benchmarks, and their protocol with a peer process that answers, is slow, or dies."""

import ast
import io
import itertools
import json
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from rnr import model_folder
from rnr.types import Answer, Example, Sample
from scripts import bench
from scripts.benchmarks import against_trl, made_up_reward, processes, prompts, turns
from scripts.benchmarks.against_trl import Trl
from scripts.benchmarks.peak import positions
from scripts.benchmarks.peer import Peer, PeerFailed, running_peer
from scripts.benchmarks.prompts import exact_text

ROOT = Path(__file__).resolve().parents[2]

TRL_ANSWERS = """
import json, pathlib, sys
for line in sys.stdin:
    turns = len(pathlib.Path(sys.argv[1]).read_text())
    answer = {"seconds": 2.0 * turns, "sampling_seconds": 0.5 * turns, "reward_seconds": 0.0, "peak_gib": 3.0}
    answer |= {"training_seconds": 1.5 * turns, "prompt_tokens": 40, "completion_tokens": 24}
    print(json.dumps(answer), flush=True)
"""
"""A peer whose step seconds are twice the number of steps that our side has taken so far."""


@contextmanager
def peer_of(program: str, *arguments: str, deadline_seconds: float = 30.0) -> Iterator[Peer]:
    command = [sys.executable, "-c", program, *arguments]
    with running_peer(command, environment={}, deadline_seconds=deadline_seconds) as peer:
        yield peer


def gone(pid: int) -> bool:
    return not psutil.pid_exists(pid)


def test_both_sides_take_turns_and_the_ratio_is_the_median_of_the_pairs() -> None:
    calls = []
    ours, theirs = iter([9.0, 1.0, 2.0, 1.0]), iter([9.0, 3.0, 4.0, 10.0])  # warm-up, then 1:3, 2:4 and 1:10

    def turn(name: str, seconds: Iterator[float]) -> float:
        calls.append(name)
        return next(seconds)

    numbers = turns.in_turn(lambda: turn("ours", ours), lambda: turn("theirs", theirs), rounds=3)
    assert numbers == {
        "seconds": 1.0,
        "seconds_range": [1.0, 2.0],
        "seconds_other": 4.0,
        "seconds_other_range": [3.0, 10.0],
        "ratio": 3.0,
        "ratio_range": [2.0, 10.0],
    }
    assert calls == ["ours", "theirs"] * 4


def test_one_side_alone_has_a_median_and_a_range_without_its_warm_up() -> None:
    seconds = iter([100.0, 1.0, 4.0, 2.0, 8.0])
    assert turns.alone(lambda: next(seconds), rounds=4) == {"seconds": 3.0, "seconds_range": [1.0, 8.0]}


def test_shares_say_where_the_time_goes_and_who_is_idle() -> None:
    step = {"seconds": 10.0, "sampling": 4.0, "reward": 1.0, "training": 3.0, "publish": 1.0}
    slower = {"seconds": 20.0, "sampling": 12.0, "reward": 1.0, "training": 3.0, "publish": 2.0}
    numbers = turns.shares([step, step, slower])
    assert (numbers["sampling_seconds"], numbers["sampling_seconds_range"]) == (4.0, [4.0, 12.0])
    shares = {name: round(value, 9) for name, value in numbers.items() if name.endswith("_share")}
    assert shares == {
        "sampling_share": 0.4,
        "reward_share": 0.1,
        "training_share": 0.3,
        "publish_share": 0.1,
        "rollout_idle_share": 0.5,  # 1 - (4 + 1) / 10
        "learner_idle_share": 0.6,  # 1 - (3 + 1) / 10
    }


def test_the_table_shows_every_number() -> None:
    numbers = {"seconds": 12345.6, "ratio": 0.12345, "bytes": 269_030_016, "ratio_range": [1.5, 2.0]}
    rows = turns.table("bench step", numbers)
    assert rows.row_count == 4
    assert list(rows.columns[1].cells) == ["12,346", "0.123", "269,030,016", "1.5 to 2"]


def test_the_reward_benchmark_writes_what_it_prints(tmp_path, capsys) -> None:
    file = tmp_path / "numbers.json"
    assert bench.main(["rewards", "--rounds", "1", "--json", str(file)]) == 0
    numbers = json.loads(file.read_text())
    assert numbers["completions_per_second"] == 500 / numbers["seconds"]
    assert "completions_per_second_other" in capsys.readouterr().out


def test_a_prompt_has_exactly_the_tokens_it_was_asked_for() -> None:
    def words(text: str) -> int:
        return len(text.split())

    texts = [exact_text(number, 50, words) for number in range(3)]
    assert [words(text) for text in texts] == [50, 50, 50]
    assert len({text.split()[0] for text in texts}) == 3
    with pytest.raises(ValueError, match="no prompt of 2 tokens"):
        exact_text(0, 2, words)


def test_a_word_of_many_tokens_that_no_longer_fits_is_made_up_for() -> None:
    # Each character is a token here, blanks included; "0 letters :" has 11, and each " a" adds two.
    assert exact_text(0, 13, len) == "0 letters : a"


def test_every_group_has_spread_under_the_made_up_reward() -> None:
    example = Example(uid="1", sentence="", schema=(), mentions=())
    answer = Answer(reasoning=None, mentions=())
    assert sorted(made_up_reward.zero_and_one(example, answer) for _ in range(4)) == [0.0, 0.0, 1.0, 1.0]


def test_positions_count_a_prompt_once_in_each_pack() -> None:
    samples = [
        Sample(uid=str(prompt), prompt_ids=(prompt,) * 10, completion_ids=(7,) * 5) for prompt in (1, 2) for _ in "ab"
    ]
    assert positions(samples, max_tokens=1000) == 40  # twice 10 + 5 + 5
    assert positions(samples, max_tokens=15) == 60  # four times 10 + 5: no two fit in one pack


def test_the_peer_steps_after_each_of_our_steps_and_its_first_does_not_count(tmp_path) -> None:
    turns_taken = tmp_path / "turns"

    def ours() -> float:
        with turns_taken.open("a") as file:
            file.write(".")
        return 1.0

    with peer_of(TRL_ANSWERS, str(turns_taken)) as peer:
        trl = Trl(peer, samples=4, prompt_tokens=40, completion_tokens=24)
        numbers = turns.in_turn(ours, lambda: trl.turn("seconds"), rounds=3)
        numbers |= trl.numbers()
    # Our side had taken 1 step before the peer's warm-up step, then 2, 3 and 4.
    assert numbers["ratio"] == 6.0
    assert numbers["ratio_range"] == [4.0, 8.0]
    assert numbers["training_seconds_other_range"] == [3.0, 6.0]
    assert (numbers["prompt_tokens_other"], numbers["completion_tokens_other"]) == (40, 24)
    assert gone(peer.pid)


def test_a_peer_that_trained_on_something_else_is_refused(tmp_path) -> None:
    (tmp_path / "turns").write_text(".")
    with peer_of(TRL_ANSWERS, str(tmp_path / "turns")) as peer:
        trl = Trl(peer, samples=4, prompt_tokens=40, completion_tokens=25)
        with pytest.raises(PeerFailed, match=r"'completion_tokens': 25.* and it trained on .*'completion_tokens': 24"):
            trl.turn("seconds")


def test_a_peer_that_does_not_answer_is_given_up_at_the_deadline_and_ended() -> None:
    program = "import sys, time\nprint('still loading', file=sys.stderr, flush=True)\ntime.sleep(60)"
    begin = time.monotonic()
    with (
        pytest.raises(PeerFailed, match=r"no answer within 2 s; end of its stderr:\nstill loading$"),
        peer_of(program, deadline_seconds=2.0) as peer,
    ):
        peer.ask({"do": "step"})
    assert time.monotonic() - begin < 20
    assert gone(peer.pid)


def test_a_peer_that_dies_is_reported_with_the_end_of_its_stderr() -> None:
    program = "import sys\nsys.stdin.readline()\nprint('first')\nsys.exit('\\n'.join(map(str, range(100))))"
    with pytest.raises(PeerFailed, match="'first', which is no JSON object"), peer_of(program) as peer:
        peer.ask({})
    with peer_of(program.replace("print('first')", "")) as peer:
        with pytest.raises(PeerFailed, match="exit status 1") as failed:
            peer.ask({})
        with pytest.raises(PeerFailed, match="exit status 1"):
            peer.ask({})
    assert str(failed.value).splitlines()[1:] == [str(number) for number in range(80, 100)]


def test_the_peer_is_ended_when_our_side_fails() -> None:
    with pytest.raises(ZeroDivisionError), peer_of("import sys\nfor line in sys.stdin: pass") as peer:
        _ = 1 / 0
    assert gone(peer.pid)


def test_without_trl_the_error_says_how_to_get_it(monkeypatch, tmp_path) -> None:
    options = Namespace(samples=8, peer_batch=8)
    monkeypatch.setattr(against_trl, "PYTHON", tmp_path / "python")
    monkeypatch.setattr(against_trl, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="make peer"), against_trl.running_trl(options, "", [], 1):
        pass


def test_the_peer_script_imports_nothing_of_this_project() -> None:
    tree = ast.parse((ROOT / "scripts" / "benchmarks" / "trl_peer.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    ours = {"rnr", "rewards", "actors", "learner", "cluster", "scripts"}
    assert not {name.partition(".")[0] for name in imported} & ours


def test_trl_of_the_same_environment_is_taken_where_it_has_none_of_its_own(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(against_trl, "PYTHON", tmp_path / "python")
    monkeypatch.setattr(against_trl, "find_spec", lambda name: name == "trl")
    assert against_trl.interpreter() == Path(sys.executable)
    (tmp_path / "python").touch()
    assert against_trl.interpreter() == tmp_path / "python"


def test_trl_samples_with_vllm_on_a_gpu_and_with_transformers_elsewhere(monkeypatch) -> None:
    from scripts.benchmarks import trl_peer

    settings = {"completion_tokens": 128, "gpu_memory_fraction": 0.4}
    monkeypatch.setattr(trl_peer, "find_spec", lambda name: name == "vllm")
    monkeypatch.setattr(trl_peer.torch.cuda, "is_available", lambda: False)
    assert trl_peer.sampling_options(settings, 210) == {"generation_kwargs": {"min_new_tokens": 128}}
    monkeypatch.setattr(trl_peer.torch.cuda, "is_available", lambda: True)
    assert trl_peer.sampling_options(settings, 210) == {
        "generation_kwargs": {"min_tokens": 128},
        "use_vllm": True,
        "vllm_mode": "colocate",
        "vllm_gpu_memory_utilization": 0.4,
        "vllm_max_model_length": 338,
    }


def test_the_peer_divides_the_seconds_of_a_step(monkeypatch) -> None:
    import torch

    from scripts.benchmarks import trl_peer

    # The step starts at 0, scoring at 1 and generation at 2; generation ends at 5, scoring at 6, the step at 16.
    clock = itertools.chain([0.0, 1.0, 2.0, 5.0, 6.0, 16.0])
    monkeypatch.setattr(trl_peer.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"do": "step"}\n'))
    answers = io.StringIO()
    steps = trl_peer.OneStepALine(answers)
    generate = steps.clocked("_generate", lambda: None)
    batch = {"prompt_mask": torch.ones(2, 5), "completion_mask": torch.tensor([[1, 1, 1], [1, 0, 0]])}
    score = steps.clocked("_generate_and_score_completions", lambda: generate() or batch)
    steps.on_step_begin()
    score()
    steps.on_step_end()
    answer = json.loads(answers.getvalue())
    assert answer.pop("peak_gib") > 0
    assert answer == {
        "seconds": 16.0,
        "sampling_seconds": 3.0,
        "reward_seconds": 2.0,
        "training_seconds": 10.0 + 1.0,
        "prompt_tokens": 10,
        "completion_tokens": 4,
    }
    with pytest.raises(SystemExit):
        steps.on_step_begin()  # stdin has ended


def test_memory_and_processor_time_are_those_of_our_own_processes() -> None:
    title = " ".join(psutil.Process().cmdline())
    assert processes.peak_gib(title) >= psutil.Process().memory_info().rss / 2**30 * 0.5
    with pytest.raises(LookupError, match="ray::Nobody"):
        processes.peak_gib("ray::Nobody")
    before = processes.cpu_seconds(without=0)
    sum(number**2 for number in range(2_000_000))
    assert processes.cpu_seconds(without=0) > before


def test_real_sentences_are_the_same_under_each_decoding_and_too_few_are_refused() -> None:
    folder = model_folder.resolve(model_folder.EMBEDDED_MODEL)
    asked = prompts.sentences(folder, "demo/train", 3, ["marks", "free"])
    assert [prompt.decoding for prompt in asked["marks"]] == ["marks"] * 3
    assert [prompt.token_ids for prompt in asked["marks"]] == [prompt.token_ids for prompt in asked["free"]]
    with pytest.raises(ValueError, match=r"demo/train has \d+ sentences, fewer than the 100000 prompts"):
        prompts.sentences(folder, "demo/train", 100_000, ["free"])

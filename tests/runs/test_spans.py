"""Who did what when, and what is known of the tokens: recorded once, compactly."""

import asyncio
import resource

import pytest

from rewards.advantage import training_batch
from rnr.config import GrpoConfig
from rnr.digest import token_key
from rnr.runs import spans
from rnr.runs.token_values import kept_groups, token_rows
from rnr.types import Answer, Example, Group, Prompt, Reward, Rollout, ScoredGroup, Segment
from tests.jsonl import read_jsonl


@pytest.fixture
def folder(tmp_path):
    spans.record_to(tmp_path)
    yield tmp_path
    spans.record_to(None)


def test_a_span_has_its_worker_its_work_and_its_length(folder) -> None:
    with spans.span("rollout-0", "rollout of a"):
        pass
    assert not (folder / spans.FILE).exists()  # held until the step is over
    spans.flush()
    ((begin, seconds, who, what),) = read_jsonl(folder / spans.FILE)
    assert begin > 1.7e9
    assert 0 <= seconds < 5
    assert (who, what) == ("rollout-0", "rollout of a")


def test_a_clock_that_is_set_moves_no_span_before_another(folder, monkeypatch) -> None:
    for seconds in (2e9, 1e9):
        monkeypatch.setattr(spans.time, "time", lambda seconds=seconds: seconds)
        with spans.span("rollout-0", "rollout of a"):
            pass
    spans.flush()
    first, second = read_jsonl(folder / spans.FILE)
    assert 0 <= second[0] - first[0] < 5


def test_a_failed_span_tells_why_and_the_failure_goes_on(folder) -> None:
    with pytest.raises(RuntimeError), spans.span("learner-0", "update"):
        raise RuntimeError("died")
    spans.flush()
    assert read_jsonl(folder / spans.FILE)[0][4] == "RuntimeError: died"


def test_work_that_was_called_off_is_nobodys_time(folder) -> None:
    with pytest.raises(asyncio.CancelledError), spans.span("rollout-0", "x"):
        raise asyncio.CancelledError
    spans.flush()
    assert not (folder / spans.FILE).exists()


def test_spans_that_do_not_fit_on_the_disk_are_left_out_whole(folder) -> None:
    with spans.span("rollout-0", "x"):
        pass
    spans.flush()
    before = (folder / spans.FILE).read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))  # 10 bytes fit, of a line of more than 40
    try:
        with spans.span("rollout-0", "y"):
            pass
        spans.flush()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (folder / spans.FILE).read_bytes() == before
    with spans.span("rollout-0", "z"):
        pass
    spans.flush()
    assert [row[3] for row in read_jsonl(folder / spans.FILE)] == ["x", "z"]


def test_without_a_run_folder_nothing_is_kept() -> None:
    with spans.span("rollout-0", "x"):
        pass
    spans.flush()
    assert spans._lines == []


def _rollout(ids: tuple[int, ...], text: str = "ab", ends: tuple[int, ...] = (), **more) -> Rollout:
    segment = Segment(token_ids=ids, logprobs=tuple(-0.5 for _ in ids), policy_version=0, **more)
    return Rollout(segments=(segment,), text=text, finished=True, ends=ends)


def _scored(uid: str, rollouts: tuple[Rollout, ...], rewards: tuple[float, ...]) -> ScoredGroup:
    prompt = Prompt(example=Example(uid=uid, sentence="x", schema=("a",), mentions=()), token_ids=(1,))
    return ScoredGroup(
        group=Group(prompt=prompt, rollouts=rollouts),
        rewards=tuple(Reward(total=total) for total in rewards),
        answers=tuple(Answer(reasoning=None, mentions=()) for _ in rewards),
    )


def test_a_rollouts_tokens_have_their_growth_advantage_mask_and_what_the_learner_saw() -> None:
    rollouts = (_rollout((5, 6, 7), "abcd", (1, 1, 4), allowed=((5, 9), (6,), (7, 8))), _rollout((5, 6, 8)))
    group = _scored("u", rollouts, (1.0, 0.0))
    batch = training_batch([group], GrpoConfig(), {})
    values = {("u", token_key((5, 6, 7))): ([-0.4, -0.75], [1.0, 0.25])}  # the second token decided nothing
    first, second = token_rows(3, [group], batch.samples, values)
    assert first == {
        "step": 3,
        "uid": "u",
        "rollout": 0,
        "ends": [1, 0, 3],
        "mask": [[1, 1], [0, 1], [1, 1]],
        "advantage": [[0.5, 3]],
        "mismatch": [100, None, -250],
        "entropy": [1000, None, 250],
    }
    assert second == {
        "step": 3,
        "uid": "u",
        "rollout": 1,
        "ends": [],
        "mask": [[1, 3]],
        "advantage": [[-0.5, 3]],
    }


def test_a_dropped_groups_tokens_are_masked_and_groups_that_teach_are_kept_first() -> None:
    flat = _scored("flat", (_rollout((1, 2)), _rollout((3,))), (1.0, 1.0))
    taught = [_scored(f"u{number}", (_rollout((1,)), _rollout((2,))), (1.0, 0.0)) for number in range(4)]
    batch = training_batch([flat, *taught], GrpoConfig(), {})
    kept = kept_groups([flat, *taught], batch.dropped)
    assert [scored.group.prompt.uid for scored in kept] == ["u0", "u1", "u2", "u3"]
    assert [row["mask"] for row in token_rows(0, [flat], batch.samples, {})] == [[[0, 2]], [[0, 1]]]

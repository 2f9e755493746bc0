"""The page of a run: the numbers of its files, nothing of the data as HTML, and a sample of a large run."""

import ast
import json
from collections import Counter

import pytest

from rnr.evaluation.error_types import error_kinds, outcomes
from rnr.runs.metric_names import MEANINGS, meaning_of
from rnr.runs.report.collect import collect, config_differences
from rnr.runs.report.groups import MOST_GROUPS, read_groups
from rnr.runs.report.page import embedded, render, write_report
from rnr.runs.report.timeline import KINDS, merged, read_timeline
from rnr.task.chains import grounded
from rnr.task.parsing import parse
from rnr.types import Example, Mention
from scripts.report import main, write_page
from tests.jsonl import read_jsonl
from tests.made_up_run import ANSWERS, HOSTILE, embedded_data, example, made_up_run
from tests.project.test_imports import ROOT


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made_up_run(tmp_path_factory.mktemp("runs") / "first")


@pytest.fixture(scope="module")
def page(folder):
    return write_report(folder).read_text()


def test_every_number_of_every_curve_is_that_of_the_metrics_file(folder, page) -> None:
    series = embedded_data(page)["series"]
    wanted: Counter = Counter()
    for row in read_jsonl(folder / "metrics.jsonl"):
        for name, value in row.items():
            if name not in ("stage", "step"):
                wanted[name, row["stage"], row["step"], value] += 1
    found = Counter(
        (name, stage, step, value)
        for name, stages in series.items()
        for stage, points in stages.items()
        for step, value in points
    )
    assert found == wanted


def test_tiles_have_the_newest_value_and_the_first(folder, page) -> None:
    tiles = {tile["metric"]: tile for tile in embedded_data(page)["tiles"]}
    assert (tiles["sft/loss"]["first"], tiles["sft/loss"]["last"]) == (2.0, 1.0)
    rewards = [row["reward/mean"] for row in read_jsonl(folder / "metrics.jsonl") if "reward/mean" in row]
    assert (tiles["reward/mean"]["first"], tiles["reward/mean"]["last"]) == (rewards[0], rewards[-1])


def test_the_page_is_one_file_that_asks_nobody_for_anything(page) -> None:
    assert "http://www.w3.org/2000/svg" in page
    assert page.count("http") == 2 + page.count("http-equiv") - 1  # the name of SVG, and the policy that forbids
    assert "default-src 'none'" in page
    for way in (
        "src=",
        'href="http',
        "@import",
        "fetch(",
        "XMLHttpRequest",
        "innerHTML",
        "insertAdjacentHTML",
        "eval(",
    ):
        assert way not in page.replace("src=x onerror", ""), way


def test_nothing_of_the_data_is_html_or_ends_the_script(page) -> None:
    data = page.split('id="data">', 1)[1].split("</script>", 1)[0]
    assert "<" not in data
    assert embedded_data(page)["rollouts"]["groups"][0]["sentence"] == HOSTILE
    assert "<img src=x" not in page
    assert page.count("</script>") == 2


@pytest.mark.parametrize("text", ["</script>", "<!--", "a\u2028b", "&lt;", "@@style@@"])
def test_json_in_a_script_reads_back_as_it_was(text) -> None:
    assert json.loads(embedded(json.dumps(text, ensure_ascii=False))) == text
    assert not set("<>&\u2028") & set(embedded(text))


def test_data_that_names_a_place_of_the_template_changes_nothing(tmp_path) -> None:
    run = made_up_run(tmp_path / "@@data@@ & co")
    assert embedded_data(render(collect(run)))["name"] == "@@data@@ & co"


def test_groups_are_sorted_by_reward_and_tell_why_they_were_discarded(page) -> None:
    rollouts = embedded_data(page)["rollouts"]
    assert (rollouts["all_groups"], rollouts["all_rollouts"], len(rollouts["groups"])) == (12, 48, 12)
    taught = next(group for group in rollouts["groups"] if group["uid"] == "u1-0")
    assert [rollout["reward"] for rollout in taught["rollouts"]] == [1.0, 0.5, 0.0, None]
    assert [rollout["invalid"] for rollout in taught["rollouts"]] == [None, None, None, "slow"]
    assert taught["dropped"] is None
    dropped = next(group for group in rollouts["groups"] if group["uid"] == "u3-0")
    assert dropped["dropped"] == "no spread"
    assert rollouts["steps"][1] == {
        "step": 1,
        "groups": 4,
        "dropped": 1,
        "invalid": 3,
        "reward": pytest.approx(8.5 / 13),
    }


def test_a_rollout_has_its_entities_with_what_became_of_them(page) -> None:
    group = next(group for group in embedded_data(page)["rollouts"]["groups"] if group["uid"] == "u1-0")
    kinds = [sorted((mark["text"], mark["kind"]) for mark in each["marks"]) for each in group["rollouts"]]
    assert kinds[0] == [("Ada", "hit"), ("Bob", "hit"), ("Rome", "hit")]
    assert kinds[1] == [("Ada", "hit"), ("Bob", "missed"), ("Rome", "type")]
    assert kinds[2] == [("Ada", "missed"), ("Paris", "ungrounded"), ("Rome", "missed"), ("met Bob", "boundary")]
    assert kinds[3] == [("Ada", "missed"), ("Bob", "missed"), ("Rome", "missed")]


@pytest.mark.parametrize("answer", ANSWERS)
def test_marks_count_as_the_kinds_of_errors_do(answer) -> None:
    one = example(1)
    mentions = grounded(parse(answer), one.sentence).mentions
    kinds = Counter(entity.kind for entity in outcomes(one, mentions))
    assert {kind: count for kind, count in kinds.items() if kind != "hit"} == error_kinds(one, mentions)


def test_a_hedged_text_is_never_a_hit() -> None:
    one = Example(
        uid="a",
        sentence="Paris",
        schema=("city", "person"),
        mentions=(Mention(text="Paris", label="city", start=0, end=5),),
    )
    both = [Mention(text="Paris", label=label, start=0, end=5) for label in ("city", "person")]
    assert sorted(entity.kind for entity in outcomes(one, both)) == ["spurious", "type"]


def test_token_values_come_with_their_rollout(page) -> None:
    groups = embedded_data(page)["rollouts"]["groups"]
    first = next(group for group in groups if group["uid"] == "u0-0")
    tokens = first["rollouts"][0]["tokens"]
    assert sum(tokens["ends"]) == len(first["rollouts"][0]["text"])
    assert tokens["mismatch"] == [100, -100] * 3
    assert tokens["entropy"] == [250] * 6
    assert all(rollout["tokens"] is None for group in groups if group["uid"] == "u1-0" for rollout in group["rollouts"])


def test_the_evaluation_has_scores_confusion_and_the_worst_first(page) -> None:
    found = embedded_data(page)["evaluation"]
    assert (found["name"], found["before"], found["all_sentences"]) == ("grpo", "sft", 6)
    f1 = [each["answers"][0]["f1"] for each in found["sentences"]]
    assert f1[0] == min(f1)
    assert f1 == sorted(f1)
    labels = found["confusion"]["labels"]
    gold, answer = labels.index("city"), labels.index("person")
    assert found["confusion"]["rows"][gold][answer] == 2  # Rome, called a person in two of six answers
    for part in found["data_sets"].values():
        low, high = part["scores"]["exact"]["interval"]
        assert low <= part["scores"]["exact"]["f1"] <= high


def test_time_is_that_of_workers_and_overlapping_work_counts_once(folder) -> None:
    found = read_timeline(folder)
    lanes = {lane["who"]: lane for lane in found["lanes"]}
    assert list(lanes) == ["learner-0", "rollout-0", "reward-0"]
    assert found["seconds"] == 21.0
    assert lanes["rollout-0"]["seconds"] == {"sampling": 8.0, "sync": 1.0}
    assert lanes["rollout-0"]["idle"] == 12.0
    assert lanes["learner-0"]["seconds"] == {"training": 10.0, "sync": 0.5}  # its score is the probe of a sync
    assert found["faults"] == [
        {"at": 21.0, "who": "rollout-0", "what": "load version 6", "error": "WorkerLost: no answer"}
    ]


def test_the_labels_of_an_evaluation_are_part_of_it(tmp_path) -> None:
    spans = [[100.0, 2.0, "rollout-0", "evaluation"], [102.0, 1.0, "rollout-0", "labels of a mark"]]
    (tmp_path / "spans.jsonl").write_text("".join(json.dumps(span) + "\n" for span in spans))
    assert read_timeline(tmp_path)["lanes"][0]["seconds"] == {"evaluation": 3.0}


RECORDERS = {
    "_all": 0,
    "_write_and_check": 0,
    "_on_each": 0,
    "_gather": 0,
    "_wait": 0,
    "lease": 0,
    "wait": 1,
    "span": 1,
}
"""Function that records a span, or hands on to one that does -> which of its arguments is what the work is."""


def recorded_work() -> set[str]:
    """The first word of every span that the services record."""
    found = set()
    trees = [ast.parse(file.read_text()) for folder in ("cluster", "actors") for file in (ROOT / folder).rglob("*.py")]
    for call in (node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)):
        place = RECORDERS.get(getattr(call.func, "attr", getattr(call.func, "id", "")), len(call.args))
        for what in call.args[place : place + 1]:
            text = what.values[0] if isinstance(what, ast.JoinedStr) else what
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                found.add(text.value.split()[0])
    return found


def test_every_span_that_is_recorded_has_a_kind_of_work() -> None:
    assert {"merge", "rollout", "send", "start", "save"} <= recorded_work()
    assert recorded_work() - set(KINDS) == set()


def test_intervals_are_united() -> None:
    assert merged([(3.0, 4.0), (0.0, 1.0), (0.5, 2.0)]) == [(0.0, 2.0), (3.0, 4.0)]
    assert merged([(0.0, 1.0), (1.5, 2.0)], gap=0.5) == [(0.0, 2.0)]


def test_two_runs_stand_side_by_side_on_the_same_sentence(folder, tmp_path, capsys) -> None:
    other = made_up_run(tmp_path / "second", steps=2, better=False)
    out = tmp_path / "both.html"
    assert main([str(folder), str(other), "--out", str(out)]) == 0
    assert capsys.readouterr().out.startswith(str(out))
    found = embedded_data(out.read_text())["other"]
    assert found["name"] == "second"
    assert found["config"] == [["grpo.steps", 3, 2]]
    assert found["differences"]["exact"]["average"]["f1"] > 0
    first, second = found["sentences"][0]["answers"]
    assert (first["f1"], second["f1"]) == (1.0, 0.0)


def test_the_names_of_two_runs_are_no_difference_of_config() -> None:
    one = {"run": {"name": "a", "folder": "x", "seed": 0}, "reward": {"weights": {"entity_f1": 1.0}}}
    other = {"run": {"name": "b", "folder": "y", "seed": 1}, "reward": {"weights": {"overlap": 1.0}}}
    assert config_differences(one, other) == [
        ["reward.weights.entity_f1", 1.0, None],
        ["reward.weights.overlap", None, 1.0],
        ["run.seed", 0, 1],
    ]


def test_a_run_that_has_only_begun_has_a_page(tmp_path) -> None:
    run = tmp_path / "new"
    run.mkdir()
    (run / "config.json").write_text('{"run": {"name": "new"}}')
    found = embedded_data(render(collect(run)))
    assert found["rollouts"]["groups"] == []
    assert found["evaluation"] == {"note": "nothing has been evaluated yet"}


def test_the_page_of_a_run_names_a_file_that_cannot_be_read(tmp_path, capsys, caplog) -> None:
    run = made_up_run(tmp_path / "odd")
    (run / "status.json").write_text("")
    assert embedded_data(render(collect(run)))["status"] == {}
    assert f"{run / 'status.json'}, line 1: not valid JSON" in caplog.text
    (run / "summary.json").write_text("")
    assert main([str(run)]) == 2
    assert (
        f"error: {run / 'summary.json'}, line 1: not valid JSON: Expecting value; remove it" in capsys.readouterr().err
    )


def test_a_folder_that_is_no_runs_is_refused(tmp_path, capsys) -> None:
    assert main([str(tmp_path)]) == 2
    assert "it has no config.json" in capsys.readouterr().err


def test_lines_that_a_kill_cut_are_left_out(tmp_path) -> None:
    run = made_up_run(tmp_path / "cut")
    for name in ("metrics.jsonl", "rollouts.jsonl", "tokens.jsonl", "spans.jsonl"):
        with (run / name).open("ab") as file:
            file.write('{"stage": "grpo", "text": "Zü'.encode()[:-1])
    assert embedded_data(render(collect(run)))["rollouts"]["all_rollouts"] == 48


def test_a_hundred_thousand_rollouts_are_sampled_over_all_steps_and_the_page_says_so(tmp_path) -> None:
    run = made_up_run(tmp_path / "large", steps=1)
    row = json.loads((run / "rollouts.jsonl").read_text().splitlines()[4]) | {"text": "x" * 600}
    with (run / "rollouts.jsonl").open("w") as file:
        for step in range(500):
            for group in range(25):
                line = json.dumps(row | {"step": step, "uid": f"g{group}", "reward": group / 25}) + "\n"
                file.write(line * 8)
    found = collect(run)
    assert found.rollouts["all_rollouts"] == 100_000
    shown = [group["step"] for group in found.rollouts["groups"]]
    assert MOST_GROUPS / 2 <= len(shown) <= MOST_GROUPS
    assert {shown[0], shown[-1]} == {0, 499}
    assert len(found.rollouts["steps"]) == 500
    assert any("of 12500 groups (100000 rollouts) are on this page" in note for note in found.notes)
    assert len(render(found).encode()) < 10_000_000


def test_a_run_without_rollouts_has_none(tmp_path) -> None:
    assert read_groups(tmp_path)["groups"] == []


def test_metrics_of_a_run_have_a_meaning(folder, page) -> None:
    found = embedded_data(page)
    assert {name for name in found["series"] if name not in found["meanings"]} == set()


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("val/CrossNER_AI/f1", "F1 of a data set"),
        ("val/x/news/f1", "F1 of a data set"),
        ("val/f1", "F1 of the evaluation"),
        ("rewards/overlap/mean", "Part of the reward"),
        ("infra/rollout_restarts_total", "Workers replaced"),
        ("my/own", None),
    ],
)
def test_the_meaning_of_a_metric_is_found_by_its_pattern(name, title) -> None:
    found = meaning_of(name)
    assert (found and found.title) == title


def test_no_pattern_stands_twice() -> None:
    patterns = [meaning.pattern for meaning in MEANINGS]
    assert len(set(patterns)) == len(patterns)


def test_the_docs_have_the_same_table_of_metrics() -> None:
    page = (ROOT / "docs" / "watching.md").read_text()
    rows = [f"| `{meaning.pattern}` | {meaning.title} | {meaning.how.replace('|', '&#124;')} |" for meaning in MEANINGS]
    assert [line for line in page.splitlines() if line.startswith("| `")] == rows


def test_a_run_that_ends_has_its_page_and_one_whose_page_fails_is_told_why(tmp_path, capsys) -> None:
    run = made_up_run(tmp_path / "ended")
    write_page(run)
    assert capsys.readouterr().out == f"report: {run / 'report.html'}\n"
    (run / "config.json").write_text("{")
    write_page(run)
    said = capsys.readouterr().err
    assert said.startswith(f"could not write report.html: ValueError: {run / 'config.json'}, line 1: not valid JSON: ")
    write_page(tmp_path / "never begun")
    assert capsys.readouterr() == ("", "")

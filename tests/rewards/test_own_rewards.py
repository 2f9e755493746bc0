"""Rewards of a user's own in each form, by themselves, in a worker, and as a list beside the built-in parts."""

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest

from actors.reward import RewardWorker, ScorerWorker
from examples.rewards import agreement
from rewards.advantage import training_batch
from rewards.checking import check, parts_before
from rewards.composite import added, score_group
from rewards.user import custom, lookup, trial
from rnr.config import GrpoConfig, RewardConfig, ScorerConfig
from rnr.types import Example, Group, Mention, Prompt, ScoredGroup
from tests.carriers import rollout as make_rollout
from tests.project.test_imports import ROOT

ADA = Mention(text="Ada", label="person", start=0, end=3)
EXAMPLE = Example(uid="1", sentence="Ada ran", schema=("person",), mentions=(ADA,))
RIGHT = '<think>\none two three\n</think>\n{"entities": {"person": ["Ada"]}}'
WRONG = '<think>\none two\n</think>\n{"entities": {"person": ["ran"]}}'
ROLLOUTS = (
    make_rollout(RIGHT, token_ids=(1, 2, 3)),
    make_rollout(WRONG, token_ids=(1, 2)),
    make_rollout(WRONG, token_ids=(1,), finished=False),
)
GROUP = Group(prompt=Prompt(example=EXAMPLE, token_ids=(1,)), rollouts=ROLLOUTS)

OWN = """
import asyncio

def answered(example, answer): return len(answer.mentions)
def tokens(example, answer, rollout): return len(rollout.token_ids) + 10 * rollout.finished
def scaled(example, answer, *, by): return by * len(answer.mentions)
def positional(example, answer, by): return by * len(answer.mentions)
def optional(example, answer, rollout=None): return float(rollout is None)
def in_order(scored): return range(len(scored.rewards))
async def later(example, answer, rollout):
    await asyncio.sleep(0)
    return len(rollout.token_ids)
async def later_group(scored):
    await asyncio.sleep(0)
    return [reward.total for reward in scored.rewards]
async def breaks_later(example, answer, rollout):
    await asyncio.sleep(0)
    if len(rollout.token_ids) == 1: raise KeyError("no such thing")
    return 1.0
def too_few(scored): return [1.0]
def no_list(scored): return 1.0
def four(a, b, c, d): return 1.0
class Counter:
    def __init__(self, start=0): self.seen = start
    def __call__(self, scored):
        self.seen += 1
        return [self.seen] * len(scored.rewards)
class Fails:
    def __init__(self): raise OSError("no weights")
    def __call__(self, example, answer): return 1.0
class NotCalled:
    pass
class Meets:
    '''Goes on only when all answers of a group are being judged.'''
    def __init__(self): self.waiting = 0
    async def __call__(self, example, answer, rollout):
        if example.uid == "trial": return 0.0
        self.waiting += 1
        while self.waiting < 3: await asyncio.sleep(0)
        return 1.0
"""


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(OWN, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    custom.load.cache_clear()
    return tmp_path / "mine.py"


def _scored(preset: str = "gated") -> ScoredGroup:
    return RewardWorker(RewardConfig(preset=preset), max_new_tokens=8).score(GROUP)


def _by_scorer(name: str, module: str = "mine", **options) -> list[float | str]:
    async def scenario() -> list[float | str]:
        worker = ScorerWorker(ScorerConfig(use=f"{module}:{name}", **options), trial_seconds=5)
        await worker.start()
        return await worker.values(_scored())

    return asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "options", "values"),
    [
        ("answered", {}, [1, 1, 1]),
        ("tokens", {}, [13, 12, 1]),
        ("scaled", {"arguments": {"by": 3}}, [3, 3, 3]),
        ("positional", {"arguments": {"by": 3}}, [3, 3, 3]),
        ("optional", {}, [1, 1, 1]),
        ("in_order", {}, [0, 1, 2]),
        ("later", {}, [3, 2, 1]),
        ("later", {"groups_at_once": 4}, [3, 2, 1]),
        # Gated: right is 1, wrong and unfinished are 0.
        ("later_group", {}, [1, 0, 0]),
        ("Counter", {}, [2, 2, 2]),
        ("Counter", {"arguments": {"start": 5}}, [7, 7, 7]),
        ("Meets", {}, [1, 1, 1]),
    ],
)
def test_each_form_of_a_reward_is_called_with_what_it_takes(name, options, values) -> None:
    # A class has been called once before, in its trial.
    assert _by_scorer(name, **options) == values


def test_a_reward_that_leaves_the_working_folder_takes_the_run_nowhere(own, tmp_path, monkeypatch) -> None:
    own.write_text("import os\ndef leaves(example, answer):\n    os.chdir('/')\n    return 1.0", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    check(RewardConfig(preset="mine:leaves"))
    assert Path.cwd() == tmp_path


LEAVES = """
import ctypes, os
from os import _exit
def leaves(example, answer): os._exit(0)
async def leaves_later(example, answer): _exit(0)
def crashes(example, answer): ctypes.string_at(0)
def forks(example, answer):
    child = os.fork()
    if not child: os._exit(3)
    return float(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize(
    ("name", "message", "status"),
    [
        ("leaves", "SystemExit: os._exit(0) (", 1),
        ("leaves_later", "SystemExit: os._exit(0) (", 1),
        ("crashes", 'mine.py", line 6 in crashes', -11),
        # The child leaves as it would alone.
        ("forks", "", 0),
    ],
)
def test_a_reward_that_ends_the_process_in_its_trial_is_named(own, tmp_path, name, message, status) -> None:
    own.write_text(LEAVES, encoding="utf-8")
    options = f"RewardConfig(preset='mine:{name}')"
    code = f"from rewards.checking import check; from rnr.config import RewardConfig; check({options})"
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{Path.cwd()}"}
    ended = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ended.returncode == status
    assert message in ended.stderr


def test_a_reward_that_ends_the_process_as_it_is_imported_is_named(own) -> None:
    own.write_text("import os\nos._exit(0)", encoding="utf-8")
    with pytest.raises(ValueError, match=r"importing it failed: SystemExit: os\._exit\(0\) \(.*mine\.py, line 2\)"):
        check(RewardConfig(preset="mine:score"))


@pytest.mark.parametrize(
    ("line", "called"),
    [
        # Whichever wrapper goes closes what it wraps.
        ("sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')", "print('called', flush=True)"),
        ("sys.stdout.close()", "os.write(1, b'called\\n')"),
        ("sys.stdout = open(os.devnull, 'w')", "os.write(1, b'called\\n')"),
        ("sys.stdout.buffer.close()", "os.write(1, b'called\\n')"),
    ],
)
def test_a_reward_that_takes_standard_output_leaves_it_to_the_run(own, tmp_path, line, called) -> None:
    (tmp_path / "taking.py").write_text(
        f"import io, os, sys\nprint('imported', flush=True)\n{line}\n"
        f"def one(example, answer):\n    {called}\n    return 1.0\n"
    )
    program = (
        "import gc\nfrom rewards.checking import check\nfrom rnr.config import RewardConfig\n"
        "from scripts.printing import lasting\n"
        "with lasting():\n"
        "    check(RewardConfig(preset='taking:one'))\n    gc.collect()\n    print('the run goes on')"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert (ended.stdout, ended.returncode) == ("imported\ncalled\nthe run goes on\n", 0), ended.stderr


def test_a_reward_is_tried_where_there_is_no_standard_output(monkeypatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)  # as under `>&-`
    check(RewardConfig(preset="examples.rewards:boundaries"))
    assert sys.stdout is None


def test_a_module_that_takes_long_to_import_is_named_meanwhile(tmp_path, monkeypatch, caplog) -> None:
    for name, seconds in (("slow_to_import", 0.3), ("quick_to_import", 0.0)):
        (tmp_path / f"{name}.py").write_text(
            f"import time\ntime.sleep({seconds})\ndef one(example, answer): return 1.0\n"
        )
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(lookup, "SECONDS", 0.1 if seconds else 60.0)
        check(RewardConfig(preset=f"{name}:one"))
    assert caplog.messages == ["reward 'slow_to_import:one': importing its module has taken 0.1 s so far"]


def test_a_server_that_a_reward_starts_in_its_trial_ends_with_the_process(tmp_path) -> None:
    (tmp_path / "serving.py").write_text(
        "import subprocess\nserver = None\n"
        "def one(example, answer):\n    global server\n"
        "    server = server or subprocess.Popen(['sleep', '600'])\n    return 1.0\n"
    )
    program = (
        "from rewards.checking import check\nfrom rnr.config import RewardConfig\n"
        "check(RewardConfig(preset='serving:one'))\nimport serving\n"
        "assert serving.server.poll() is None\nprint(serving.server.pid)"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
    ended = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(ended.stdout)).wait(10)


def test_a_reward_of_compiled_code_that_tells_no_parameters_is_named() -> None:
    with pytest.raises(ValueError, match=r"reward 'builtins:max': no signature found .*: wrap it in a function"):
        check(RewardConfig(preset="builtins:max"))


def test_a_reward_that_configures_logging_does_not_silence_the_run(own, caplog) -> None:
    own.write_text(
        "import logging.config\n"
        "logging.config.dictConfig({'version': 1})  # disables all other loggers\n"
        "def score(example, answer): return 1.0",
        encoding="utf-8",
    )
    logger = logging.getLogger("cluster.stages")
    check(RewardConfig(preset="mine:score"))
    logger.warning("the learner was lost")
    assert "the learner was lost" in caplog.messages


def test_what_fails_for_one_answer_makes_that_one_invalid_with_the_line(own) -> None:
    first, second, third = _by_scorer("breaks_later")
    assert (first, second) == (1.0, 1.0)
    assert third == f"KeyError: 'no such thing' ({own}, line 18)"


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("too_few", {}, "two rollouts: ValueError: mine:too_few returned 1 values for 2 rollouts"),
        ("no_list", {}, "TypeError: mine:no_list did not return a list of numbers"),
        ("four", {}, r"four\(a, b, c, d\) must take \(scored\), \(example, answer\) or \(example, answer, rollout\)"),
        ("Fails", {}, r"its constructor failed: OSError: no weights \(.*mine.py, line 29\)"),
        ("NotCalled", {}, "NotCalled is a class whose instances are not callable"),
        (
            "scaled",
            {"bye": 1},
            r"not take the arguments \{'bye': 1\}: missing a required.*; they are the key `arguments`",
        ),
        ("answered", {"by": 1}, "unexpected keyword argument 'by'"),
        ("Counter", {"begin": 1}, "unexpected keyword argument 'begin'"),
    ],
)
def test_a_scorer_that_cannot_be_used_is_refused_in_its_worker_before_any_group(name, arguments, message) -> None:
    with pytest.raises(ValueError, match=f"reward 'mine:{name}'.*{message}"):
        _by_scorer(name, arguments=arguments)


def test_a_scorer_with_a_dot_for_its_colon_is_refused_with_the_colon() -> None:
    with pytest.raises(
        ValueError, match=r"named 'module:function', not 'a\.mine\.even'; did you mean 'a\.mine:even'\?"
    ):
        check(RewardConfig(scorers=(ScorerConfig(use="a.mine.even"),)))


@pytest.mark.parametrize("name", ["too_few", "no_list", "four", "NotCalled", "missing"])
def test_a_scorer_that_cannot_be_used_is_refused_before_anything_starts(name) -> None:
    with pytest.raises(ValueError, match=f"mine:{name}"):
        check(RewardConfig(scorers=(ScorerConfig(use=f"mine:{name}"),)))


PARTS = """
def bonus(scored):
    return [reward.total + reward.parts["{part}"] + reward.parts["parsed"] for reward in scored.rewards]

class Loaded:
    made = 0

    def __init__(self):
        Loaded.made += 1

    def __call__(self, example, answer):
        return float(Loaded.made)

def tone(example, answer):
    return 1.0
"""


@pytest.mark.parametrize(
    ("options", "part", "found"),
    [
        ({}, "entity_f1", True),
        ({}, "schema", True),
        ({}, "overlong", False),
        ({"overlong_tokens": 4}, "overlong", True),
        ({"preset": "weighted", "weights": {"overlap": 1.0}}, "overlap", True),
        ({"preset": "weighted", "weights": {"overlap": 1.0}}, "entity_f1", False),
        ({"preset": "paper"}, "reference_f1", True),
        ({"preset": "parts:tone"}, "tone", True),
        ({"preset": "parts:tone"}, "entity_f1", False),
        ({"scorers": ["tone"]}, "tone", True),
    ],
)
def test_a_scorer_is_tried_on_the_parts_that_rewards_have_when_they_come_to_it(
    tmp_path, monkeypatch, options, part, found
) -> None:
    (tmp_path / "parts.py").write_text(PARTS.replace("{part}", part), encoding="utf-8")
    monkeypatch.delitem(sys.modules, "parts", raising=False)
    before = [ScorerConfig(use=f"parts:{name}") for name in options.get("scorers", ())]
    scorer = ScorerConfig(use="parts:bonus")
    reward = RewardConfig.model_validate({**options, "scorers": [*before, scorer]})
    # What a group has when it comes there, and so what the trial should find, is what scoring it gives.
    scored = score_group(GROUP, reward, max_new_tokens=8)
    has = {*scored.rewards[0].parts, *(each.called for each in before)}
    assert set(parts_before(reward, scorer)) == has
    assert (part in has) == found
    if found:
        check(reward)
    else:
        with pytest.raises(ValueError, match=f"KeyError: '{part}'"):
            check(reward)


def test_a_class_that_is_the_reward_is_made_once_and_in_its_worker(tmp_path, monkeypatch) -> None:
    (tmp_path / "parts.py").write_text(PARTS, encoding="utf-8")
    monkeypatch.delitem(sys.modules, "parts", raising=False)
    options = RewardConfig(preset="parts:Loaded")
    check(options)
    import parts  # what the user wrote

    assert parts.Loaded.made == 0
    worker = RewardWorker(options, max_new_tokens=8)
    worker.start()
    worker.score(GROUP)
    assert [reward.total for reward in worker.score(GROUP).rewards] == [1.0] * 3


@pytest.mark.parametrize("name", ["reward", "rollout", "learner", "finished", "entity_f1"])
def test_a_scorer_is_not_called_as_workers_or_parts_of_ours_are(name) -> None:
    with pytest.raises(ValueError, match=f"would be logged as '{name}', which is the name of another"):
        check(RewardConfig(scorers=(ScorerConfig(use="mine:answered", name=name),)))


@pytest.mark.parametrize("name", ["a/b", "my judge", "../x"])
def test_a_scorer_has_a_name_that_a_file_may_have(name) -> None:
    with pytest.raises(ValueError, match="is used in metric and log names"):
        check(RewardConfig(scorers=(ScorerConfig(use="mine:answered", name=name),)))


def test_a_class_is_not_made_before_its_worker_starts() -> None:
    check(RewardConfig(scorers=(ScorerConfig(use="mine:Fails"),)))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("entity_f1",), "name of another part"),
        (("mine", "mine"), "name of another part"),
        (("finished",), "name of another part"),
    ],
)
def test_two_parts_of_a_reward_cannot_have_one_name(names, message) -> None:
    scorers = tuple(ScorerConfig(use="mine:answered", name=name) for name in names)
    with pytest.raises(ValueError, match=message):
        check(RewardConfig(scorers=scorers))


def test_the_preset_none_leaves_the_reward_to_the_scorers_and_is_refused_without_one() -> None:
    with pytest.raises(ValueError, match=r"add reward\.scorers"):
        check(RewardConfig(preset="none"))
    check(RewardConfig(preset="none", scorers=(ScorerConfig(use="mine:answered"),)))
    assert [reward.total for reward in _scored("none").rewards] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(("name", "totals"), [("tokens", [13, 12, 1]), ("in_order", [0, 1, 2]), ("later", [3, 2, 1])])
def test_a_preset_of_ones_own_may_have_any_form_too(name, totals) -> None:
    scored = _scored(f"mine:{name}")
    assert [reward.total for reward in scored.rewards] == totals
    assert [reward.parts[name] for reward in scored.rewards] == totals
    assert scored.rewards[2].parts["finished"] == 0.0


def test_gdpo_normalises_each_scorer_as_it_does_each_built_in_part() -> None:
    options = RewardConfig(preset="weighted", scorers=(ScorerConfig(use="mine:tokens", weight=0.5),))
    assert options.part_weights == {"entity_f1": 1.0, "tokens": 0.5}
    # F1 is the same for all, so that only the scorer tells them apart.
    rollouts = (make_rollout(WRONG, token_ids=(1, 2)), make_rollout(WRONG, token_ids=(1,)))
    group = Group(prompt=GROUP.prompt, rollouts=rollouts)
    scored = RewardWorker(options, max_new_tokens=8).score(group)
    rewards = tuple(
        added(reward, "tokens", value, weight=0.5, bounds=options.range)
        for reward, value in zip(scored.rewards, (12.0, 11.0), strict=True)
    )
    batch = training_batch(
        [ScoredGroup(group=group, answers=scored.answers, rewards=rewards)],
        GrpoConfig(advantage="gdpo"),
        options.part_weights,
    )
    first, second = (sample.advantages[0] for sample in batch.samples)
    assert first == pytest.approx(-second)
    assert first > 0.5


class _Endpoint(BaseHTTPRequestHandler):
    """Says 8 of a right answer, and that it is ill of an unfinished one."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert body["model"] == "judge"
        text = body["messages"][0]["content"]
        reply = json.dumps({"choices": [{"message": {"content": "8" if '"Ada' in text else "2"}}]}).encode()
        self.send_response(200 if self.headers["Authorization"] == "Bearer secret" else 401)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *args) -> None:
        """Say nothing."""


@pytest.fixture
def endpoint():
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_the_example_of_a_judge_asks_over_http_and_fails_its_trial_without_its_key(endpoint, monkeypatch) -> None:
    arguments = {"url": endpoint, "model": "judge"}
    monkeypatch.setenv("JUDGE_API_KEY", "secret")
    assert _by_scorer("Judge", "examples.rewards", arguments=arguments) == [0.8, 0.2, 0.2]
    monkeypatch.setenv("JUDGE_API_KEY", "")
    with pytest.raises(ValueError, match=r"Judge'.*401 Unauthorized"):
        _by_scorer("Judge", "examples.rewards", arguments=arguments)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        # The place of the right answer is gold; both others have another.
        ("boundaries", [1.0, 0.0, 0.0]),
        # Three words of two allowed are half of the way to twice as many.
        ("short_chain", [0.5, 1.0, 0.0]),
        # The two wrong answers are the same: each agrees with one of the two others.
        ("agreement", [0.0, 0.5, 0.5]),
    ],
)
def test_the_examples_give_what_they_say(name, values) -> None:
    arguments = {"words": 2} if name == "short_chain" else {}
    assert _by_scorer(name, "examples.rewards", arguments=arguments) == values


def test_a_group_of_one_answer_agrees_with_nobody() -> None:
    alone = Group(prompt=GROUP.prompt, rollouts=ROLLOUTS[:1])
    scored = RewardWorker(RewardConfig(), max_new_tokens=8).score(alone)
    assert agreement(scored) == [0.0]


def test_the_file_of_examples_can_be_tried_as_it_says() -> None:
    assert trial.trial("examples.rewards:agreement", (-100.0, 100.0)) == ""

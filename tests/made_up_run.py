"""A run folder as a run would have left it, written with the run's own writers, without any engine."""

import json
from pathlib import Path

from rewards.advantage import group_metrics, training_batch
from rnr.config import Config, TrackingConfig
from rnr.digest import token_key
from rnr.evaluation.predictions import save_predictions
from rnr.evaluation.rollout_metrics import ner_metrics
from rnr.evaluation.scoring import score_predictions
from rnr.files.jsonl import json_line, strict_json
from rnr.runs.spans import FILE
from rnr.runs.status import StatusFile
from rnr.runs.token_values import token_rows
from rnr.runs.tracking import Tracker
from rnr.task.aggregation import Chosen, aggregate
from rnr.task.chains import grounded
from rnr.task.parsing import parse
from rnr.types import Example, Group, Mention, Prompt, Reward, Rollout, ScoredGroup, Segment

HOSTILE = "Ada <img src=x onerror=alert(1)> met </script><script>alert(2)</script> in Rome 𝒳 today."
LABELS = ("person", "city")


def example(number: int, sentence: str = "Ada met Bob in Rome.") -> Example:
    start = sentence.index("Rome")
    mentions = [Mention(text="Ada", label="person", start=0, end=3)]
    mentions += [Mention(text="Rome", label="city", start=start, end=start + 4)]
    if "Bob" in sentence:
        mentions.append(Mention(text="Bob", label="person", start=8, end=11))
    return Example(
        uid=f"u{number}", sentence=sentence, schema=LABELS, mentions=tuple(mentions), source=f"set{number % 2}"
    )


ANSWERS = (
    '<think>"Ada" and "Bob" are persons.</think>{"entities": {"person": ["Ada", "Bob"], "city": ["Rome"]}}',
    '<think>"Rome" is a person?</think>{"entities": {"person": ["Ada", "Rome"], "city": []}}',
    '<think>"met Bob" is one.</think>{"entities": {"person": ["met Bob"], "city": ["Paris"]}}',
    "<think>no end of this",
)
REWARDS = (1.0, 0.5, 0.0, None)


def scored(step: int, number: int, *, flat: bool = False) -> ScoredGroup:
    """A group with a right answer, a wrong label, a wrong boundary and an invalid one; or four equal ones."""
    one = example(number, HOSTILE if number == 0 else "Ada met Bob in Rome.")
    one = Example(uid=f"{one.uid}-{step}", sentence=one.sentence, schema=LABELS, mentions=one.mentions)
    rollouts, rewards, answers = [], [], []
    for place in range(4):
        text = ANSWERS[0 if flat else place]
        ids = tuple(range(10 * place, 10 * place + 6))
        ends = (*(5 * (token + 1) for token in range(5)), len(text))
        segment = Segment(token_ids=ids, logprobs=(-0.5,) * 6, policy_version=step)
        rollouts.append(Rollout(segments=(segment,), text=text, finished=place < 3, ends=ends))
        answers.append(grounded(parse(text), one.sentence))
        total = 1.0 if flat else REWARDS[place]
        rewards.append(
            Reward(total=total, parts={"entity_f1": total or 0.0}, invalid=None if total is not None else "slow")
        )
    group = Group(prompt=Prompt(example=one, token_ids=(1, 2)), rollouts=tuple(rollouts))
    return ScoredGroup(group=group, rewards=tuple(rewards), answers=tuple(answers))


def answer(one: Example, text: str, *, tokens: int = 9, finished: bool = True) -> Chosen:
    """The one greedy answer to an example."""
    segment = Segment(token_ids=(1,) * tokens, logprobs=(0.0,) * tokens, policy_version=0)
    return aggregate("greedy", one, "free", Rollout(segments=(segment,), text=text, finished=finished))


def _evaluate(folder: Path, tracker: Tracker, name: str, stage: str, step: int, said: str) -> None:
    examples = [example(number, HOSTILE if number == 0 else "Ada met Bob in Rome.") for number in range(6)]
    tracker.log_examples(examples)
    answers = [answer(one, said if number % 3 else ANSWERS[1]) for number, one in enumerate(examples)]
    save_predictions(examples, answers, "free", folder / "predictions" / f"{name}.jsonl")
    found = score_predictions(folder / "predictions" / f"{name}.jsonl", examples)
    tracker.log(stage, step, found.metrics())


def made_up_run(folder: Path, *, steps: int = 3, groups: int = 4, better: bool = True) -> Path:
    """Write the folder of a finished run; returns it."""
    folder.mkdir(parents=True)
    config = Config.model_validate({"run": {"name": folder.name}, "grpo": {"steps": steps}})
    (folder / "config.json").write_text(strict_json(config.model_dump(mode="json")))
    status = StatusFile(["python", "-m", "scripts.train", "--run.name=it's"])
    status.open(folder)
    tracker = Tracker(folder, options=TrackingConfig(wandb_project=""), name=folder.name, config={})
    for step in range(5):
        tracker.log("sft", step, {"sft/loss": 2.0 - 0.25 * step, "sft/lr": 1e-4})
    _evaluate(folder, tracker, "sft", "sft", 4, ANSWERS[2])
    for step in range(steps):
        made = [scored(step, number, flat=number == groups - 1) for number in range(groups)]
        batch = training_batch(made, config.grpo, {})
        seconds = {"timing_s/step": 9.0 - step, "timing_s/gen": 5.0}
        actor = {"actor/entropy": 0.5 + 0.125 * step, "training/rollout_probs_diff_mean": 0.002}
        tracker.log("grpo", step, {**group_metrics(made), **ner_metrics(made), **seconds, **actor})
        tracker.log_rollouts(step, made, batch.dropped, batch.advantages)
        seen = {(each.uid, token_key(each.completion_ids)): ([-0.4, -0.6] * 3, [0.25] * 6) for each in batch.samples}
        tracker.log_tokens(token_rows(step, made[:1], batch.samples, seen))
    _evaluate(folder, tracker, "grpo", "grpo", steps - 1, ANSWERS[0 if better else 3])
    spans = [
        [1000.0, 8.0, "learner-0", "sft_step"],
        [1010.0, 6.0, "rollout-0", "rollout of u0"],
        [1012.0, 6.0, "rollout-0", "rollout of u1"],
        [1014.0, 0.5, "reward-0", "score"],
        [1018.0, 2.0, "learner-0", "grpo_step"],
        [1020.0, 0.5, "learner-0", "score"],
        [1020.0, 1.0, "rollout-0", "load version 6", "WorkerLost: no answer"],
    ]
    (folder / FILE).write_text("".join(map(json_line, spans)))
    status.done()
    return folder


def embedded_data(page: str) -> dict:
    """What the page carries as JSON."""
    text = page.split('id="data">', 1)[1].split("</script>", 1)[0]
    return json.loads(text)

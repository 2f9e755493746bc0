"""Selection of prompts by what the policy already can: measured once, kept on disk, and the same after a kill."""

import asyncio
import contextlib
import json

from cluster.difficulty import CHUNK, measure, undecided
from cluster.disk import Disk
from rnr.types import Example, Group, Mention, Prompt
from tests.carriers import rollout as make_rollout

RIGHT = '{"entities": {"person": ["Ada"]}}'
WRONG = "no JSON"
ADA = Mention(text="Ada", label="person", start=0, end=3)


def _prompt(uid: str) -> Prompt:
    return Prompt(example=Example(uid=uid, sentence="Ada", schema=("person",), mentions=(ADA,)), token_ids=(1,))


class Sampler:
    def __init__(self, answers: dict[str, tuple[str, ...]], *, killed_after: int = 1000) -> None:
        self.asked: list[str] = []
        self._answers = answers
        self._killed_after = killed_after

    async def __call__(self, prompts) -> list[Group]:
        if not self._killed_after:
            raise KeyboardInterrupt
        self._killed_after -= 1
        self.asked += [prompt.uid for prompt in prompts]
        return [self._group(prompt) for prompt in prompts]

    def _group(self, prompt: Prompt) -> Group:
        return Group(prompt=prompt, rollouts=tuple(make_rollout(text) for text in self._answers[prompt.uid]))


def test_only_what_is_sometimes_right_and_sometimes_wrong_is_kept(tmp_path) -> None:
    answers = {"always": (RIGHT, RIGHT), "never": (WRONG, WRONG), "sometimes": (WRONG, RIGHT)}
    prompts = [_prompt(uid) for uid in answers]
    scores = asyncio.run(measure(prompts, Sampler(answers), tmp_path / "difficulty.jsonl", Disk(tmp_path, seconds=0)))
    assert scores == {"always": [1, 1], "never": [0, 0], "sometimes": [0, 1]}
    assert undecided(scores) == {"sometimes"}
    assert undecided({"half right every time": [0.5, 0.5]}) == {"half right every time"}


def test_a_killed_selection_goes_on_where_it_was(tmp_path) -> None:
    uids = [str(number) for number in range(2 * CHUNK + 3)]
    prompts = [_prompt(uid) for uid in uids]
    answers = dict.fromkeys(uids, (RIGHT, WRONG))
    file = tmp_path / "difficulty.jsonl"
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(measure(prompts, Sampler(answers, killed_after=1), file, Disk(tmp_path, seconds=0)))
    with file.open("a") as cut_short:
        cut_short.write('{"uid": "40", "f1"')
    after = Sampler(answers)
    scores = asyncio.run(measure(prompts, after, file, Disk(tmp_path, seconds=0)))
    assert after.asked == uids[CHUNK:]
    assert list(scores) == uids
    assert [json.loads(line)["uid"] for line in file.read_text().splitlines()] == uids
    again = Sampler(answers)
    assert asyncio.run(measure(prompts, again, file, Disk(tmp_path, seconds=0))) == scores
    assert again.asked == []

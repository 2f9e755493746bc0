"""Difficulty filter: keep the prompts that the warm-started policy gets right sometimes, but not always."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from actors.concurrency import gather_all
from cluster.disk import Disk
from rewards.composite import read_answer
from rewards.entity_f1 import entity_f1
from rnr.files.jsonl import json_line, keep_lines, whole_rows
from rnr.files.whole import append_whole
from rnr.types import Group, Prompt

CHUNK = 32
"""Prompts sampled and written at a time, so at most this many are lost to a kill."""

Sampler = Callable[[Sequence[Prompt]], Awaitable[list[Group]]]


async def filter_by_difficulty(
    prompts: Sequence[Prompt], sampled: Callable[[Prompt], Coroutine[Any, Any, Group]], file: Path, disk: Disk
) -> set[str]:
    """The uids of the prompts that are ``undecided`` by their groups, as ``sampled`` gives them. What counts is the
    entity F1, so neither the reward preset nor any scorer is asked."""

    async def sample(chunk: Sequence[Prompt]) -> list[Group]:
        return await gather_all(sampled(prompt) for prompt in chunk)

    return undecided(await measure(prompts, sample, file, disk))


async def measure(prompts: Sequence[Prompt], sample: Sampler, file: Path, disk: Disk) -> dict[str, list[float]]:
    """Uid -> the entity F1 of each rollout of that prompt, in [0, 1].

    Every chunk is appended to ``file`` (JSONL) as soon as it is there, and what the file already has is not sampled
    again: a resumed run selects what the interrupted one would have selected.
    """
    known = _read(file)
    missing = [prompt for prompt in prompts if prompt.uid not in known]
    for start in range(0, len(missing), CHUNK):
        groups = await sample(missing[start : start + CHUNK])
        found = {group.prompt.uid: _scores(group) for group in groups}
        rows = "".join(json_line({"uid": uid, "f1": scores}) for uid, scores in found.items())
        await disk.retry("the difficulty of prompts", partial(append_whole, file, rows))
        known |= found
    return {prompt.uid: known[prompt.uid] for prompt in prompts}


def undecided(scores: dict[str, list[float]]) -> set[str]:
    """The uids whose rollouts are neither all right (F1 1) nor all wrong (F1 0)."""
    return {uid for uid, values in scores.items() if min(values) < 1 and max(values) > 0}


def _scores(group: Group) -> list[float]:
    example = group.prompt.example
    return [round(entity_f1(example, read_answer(example, rollout.text)[0]), 6) for rollout in group.rollouts]


def _read(file: Path) -> dict[str, list[float]]:
    keep_lines(file, lambda _: True)  # a kill may have cut the last line short
    return {row["uid"]: row["f1"] for row in whole_rows(file)}
